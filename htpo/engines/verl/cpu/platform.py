"""A platform of verl's that is the CPU, with which its own code runs on gloo."""

from contextlib import nullcontext
from typing import Any

import torch.distributed

NAME = "cpu"


class Module:
    """What verl asks of torch.cuda: its name, amounts of memory, which are 0; all else does nothing."""

    def __getattr__(self, name: str) -> Any:
        answers: dict[str, Any] = {"mem_get_info": (1, 1), "get_device_name": "CPU"}
        answer = answers.get(name, 0 if "memory" in name else None)
        return lambda *args, **kwargs: answer


ANSWERS = {
    "is_available": True,
    "current_device": "cpu",
    "device_count": 1,
    "communication_backend_name": "gloo",
    "get_device_capability": (None, None),
    "visible_devices_envvar": "CUDA_VISIBLE_DEVICES",
    "nvtx_range": nullcontext(),
    "ray_resource_name": "GPU",
    "ray_noset_envvars": [],
    "is_ipc_supported": False,
}
"""Of the platform's methods; all others do nothing."""
PROPERTIES = {"device_name": "cpu", "vendor_name": "cpu", "device_module": Module()}


def register() -> None:
    """Make the platform known to verl, and its process groups possible."""
    from verl.plugin.platform.platform_base import PlatformBase
    from verl.plugin.platform.platform_manager import PlatformRegistry

    own = {name: _method(name) for name in PlatformBase.__abstractmethods__}
    own |= {name: _property(value) for name, value in PROPERTIES.items()}
    PlatformRegistry.register(NAME)(type("PlatformCPU", (PlatformBase,), own))
    setattr(torch.distributed, "init_process_group", _with_one_backend)  # noqa: B010 its type says much more


def _method(name: str) -> Any:
    return lambda self, *args, **kwargs: ANSWERS.get(name)


def _property(value: Any) -> Any:
    return property(lambda self: value)


_init_process_group = torch.distributed.init_process_group


def _with_one_backend(backend: str | None = None, **options: Any) -> None:
    """verl names a backend for the CPU and one for its device, which torch refuses when they are the same device."""
    _init_process_group("gloo" if backend == "cpu:gloo,cpu:gloo" else backend, **options)
