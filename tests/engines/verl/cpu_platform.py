"""verl without an accelerator: its platform registry gets a CPU, with which its own code runs on gloo.

verl imports this in all its processes, told by the environment; see `worker.ENVIRONMENT`.
"""

from contextlib import nullcontext

import torch.distributed
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


class Module:
    """What verl asks of torch.cuda: its name, amounts of memory, which are 0; all else does nothing."""

    def __getattr__(self, name):
        answers = {"mem_get_info": (1, 1), "get_device_name": "CPU"}
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
PROPERTIES = {"device_name": "cpu", "vendor_name": "cpu", "device_module": Module()}
METHODS = {
    name: lambda self, *args, name=name, **kwargs: ANSWERS.get(name) for name in PlatformBase.__abstractmethods__
}
ATTRIBUTES = {name: property(lambda self, value=value: value) for name, value in PROPERTIES.items()}

PlatformRegistry.register("cpu")(type("PlatformCPU", (PlatformBase,), METHODS | ATTRIBUTES))


_init_process_group = torch.distributed.init_process_group


def init_process_group(backend=None, **options):
    """verl names a backend for the CPU and one for its device, which torch refuses when they are the same device."""
    return _init_process_group("gloo" if backend == "cpu:gloo,cpu:gloo" else backend, **options)


torch.distributed.init_process_group = init_process_group
