"""What options need of the machine (packages, devices, a server, a login): looked for before anything is loaded."""

import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import httpx
import torch
import torch._inductor
import torch.utils.checkpoint
from accelerate.utils import DynamoBackend
from transformers import GenerationConfig, Trainer, get_scheduler
from transformers import integrations as trackers
from transformers.integrations import integration_utils
from trl import ModelConfig

from htpo.engines.trl.config import HTPOConfig
from htpo.errors import UserError

TRACKERS: dict[str, tuple[Callable[[], bool], str]] = {
    "azure_ml": (trackers.is_azureml_available, "pip install azureml-core"),
    "clearml": (trackers.is_clearml_available, "pip install clearml"),
    "codecarbon": (trackers.is_codecarbon_available, "pip install codecarbon"),
    "comet_ml": (trackers.is_comet_available, "pip install comet-ml, and set COMET_API_KEY"),
    "dagshub": (trackers.is_dagshub_available, "pip install dagshub mlflow"),
    "dvclive": (trackers.is_dvclive_available, "pip install dvclive"),
    "flyte": (trackers.is_flytekit_available, "pip install flytekit"),
    "kubeflow": (integration_utils.is_kubeflow_available, "run in a Kubeflow TrainJob"),
    "mlflow": (trackers.is_mlflow_available, "pip install mlflow"),
    "neptune": (trackers.is_neptune_available, "pip install neptune"),
    "swanlab": (trackers.is_swanlab_available, "pip install swanlab"),
    "tensorboard": (trackers.is_tensorboard_available, "pip install tensorboard"),
    "trackio": (trackers.is_trackio_available, "pip install trackio"),
    "wandb": (trackers.is_wandb_available, "pip install wandb"),
}
"""Where `report_to` sends metrics: whether it is usable here, and what makes it so."""

ATTENTION_PACKAGES = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
SERVER_PAUSE = 2.0  # seconds between two looks for a vLLM server


def refuse_unavailable(config: HTPOConfig, model: ModelConfig) -> None:
    """Raise `UserError` where an option needs something that is not here, naming the option and the remedy."""
    on_gpu = torch.accelerator.is_available() and not config.use_cpu
    for check in (_trackers, _packages, _optimizer, _checkpointing, _compiler, _generation, _hub, _vllm_server):
        check(config)
    _model(model, on_gpu)
    if config.torch_compile and config.torch_compile_backend == "inductor" and not on_gpu:
        _need_compiler()
    if config.fp16 and not on_gpu:
        raise UserError("fp16 needs a GPU, and there is none: leave it out, or give --bf16 --use_cpu")


def _trackers(config: HTPOConfig) -> None:
    for name in config.report_to:
        if name not in TRACKERS:
            raise UserError(f"report_to {name}: there is no such tracker, there are none, all, {', '.join(TRACKERS)}")
        available, remedy = TRACKERS[name]
        if not available():
            raise UserError(f"report_to {name} cannot be used here: {remedy}, or leave it out")


def _packages(config: HTPOConfig) -> None:
    if config.use_liger_kernel:
        _need("use_liger_kernel", "liger_kernel", "pip install liger-kernel")
    if config.use_vllm:
        _need("use_vllm", "vllm", 'pip install "htpo[vllm]"')


def _model(model: ModelConfig, on_gpu: bool) -> None:
    if model.model_revision != "main" and (model.model_name_or_path is None or Path(model.model_name_or_path).is_dir()):
        raise UserError(
            f"model_revision {model.model_revision} has no effect: it is of a model on the Hugging Face Hub"
        )
    for name in ("load_in_8bit", "load_in_4bit"):
        if getattr(model, name):
            _need(name, "bitsandbytes", "pip install bitsandbytes")
    attention = model.attn_implementation
    if attention in ATTENTION_PACKAGES:
        package = ATTENTION_PACKAGES[attention]
        _need(
            f"attn_implementation {attention}", package, f"pip install {package.replace('_', '-')}; sdpa needs nothing"
        )
    if attention and "/" in attention:
        _need(f"attn_implementation {attention}", "kernels", "pip install kernels; sdpa needs nothing")
    if attention and not on_gpu and ("flash" in attention or attention == "flex_attention"):
        raise UserError(f"attn_implementation {attention} needs a GPU, and there is none: use sdpa or eager")
    dtype = model.dtype
    if dtype not in (None, "auto") and not isinstance(getattr(torch, str(dtype), None), torch.dtype):
        raise UserError(f"dtype is {dtype!r}, needs one of auto, bfloat16, float16, float32")


def _need(option: str, package: str, remedy: str) -> None:
    if find_spec(package) is None:
        raise UserError(f"{option} needs the package {package}, which is not installed: {remedy}")


def _need_compiler() -> None:
    if not any(map(shutil.which, ("g++", "clang++"))):
        raise UserError("torch_compile needs a C++ compiler (g++) on a CPU, and there is none: leave it out")


def _optimizer(config: HTPOConfig) -> None:
    """Make the optimiser and its schedule for one made-up parameter: what is wrong with them shows at once."""
    layered = any(word in str(config.optim) for word in ("galore", "apollo"))
    if layered and not config.optim_target_modules:
        raise UserError(
            f"optim {config.optim.value} needs optim_target_modules: give those it is for, or another optim"
        )
    if config.optim_target_modules and not layered:
        raise UserError("optim_target_modules has no effect: it belongs to optim galore_... or apollo_...")
    try:
        kind, options = Trainer.get_optimizer_cls_and_kwargs(config, torch.nn.Linear(1, 1))
        optimizer: torch.optim.Optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and not layered:
            optimizer = kind([torch.nn.Parameter(torch.zeros(1))], **options)
    except Exception as error:
        given = f" with optim_args {config.optim_args}" if config.optim_args else ""
        raise UserError(f"optim {config.optim.value}{given} cannot be used: {_one_line(error)}") from error
    updates = config.max_steps if config.max_steps > 0 else 1000
    try:
        get_scheduler(
            config.lr_scheduler_type,
            optimizer,
            config.get_warmup_steps(updates),
            updates,
            scheduler_specific_kwargs=config.lr_scheduler_kwargs or {},
        )
    except Exception as error:
        given = f" with lr_scheduler_kwargs {config.lr_scheduler_kwargs}" if config.lr_scheduler_kwargs else ""
        name = config.lr_scheduler_type.value
        raise UserError(f"lr_scheduler_type {name}{given} cannot be used: {_one_line(error)}") from error


def _checkpointing(config: HTPOConfig) -> None:
    known = [*signature(torch.utils.checkpoint.checkpoint).parameters, "preserve_rng_state"]
    for name in config.gradient_checkpointing_kwargs or {}:
        if name not in known:
            raise UserError(f"gradient_checkpointing_kwargs {name}: torch has no such option of checkpointing")


def _compiler(config: HTPOConfig) -> None:
    if not config.torch_compile:
        return
    backends = [kind.value.lower() for kind in DynamoBackend]
    if config.torch_compile_backend.lower() not in backends:
        raise UserError(
            f"torch_compile_backend is {config.torch_compile_backend!r}, needs one of {', '.join(backends)}"
        )
    mode = config.torch_compile_mode
    if mode is not None and mode not in (modes := ["default", *torch._inductor.list_mode_options()]):
        raise UserError(f"torch_compile_mode is {mode!r}, needs one of {', '.join(dict.fromkeys(modes))}")


def _generation(config: HTPOConfig) -> None:
    given = config.generation_kwargs or {}
    if not isinstance(given, dict):
        raise UserError(f"generation_kwargs is {given!r}, needs a mapping as JSON")
    if config.use_vllm:
        return  # vLLM's SamplingParams refuses what it does not know
    known = GenerationConfig().to_dict()
    for name in given:
        if name not in known:
            raise UserError(f"generation_kwargs {name}: transformers has no such option of generation")
    given = {"cache_implementation": config.cache_implementation} | given
    try:
        GenerationConfig(**{"do_sample": True} | given).validate(strict=True)
    except Exception as error:
        raise UserError(f"options of generation {given} cannot be used: {_one_line(error)}") from error


def _hub(config: HTPOConfig) -> None:
    if not config.push_to_hub:
        return
    from huggingface_hub import whoami

    try:
        whoami(token=config.hub_token)
    except Exception as error:
        raise UserError(
            f"push_to_hub cannot reach your account ({_one_line(error)}): check the connection, log in by "
            "`hf auth login`, or leave it out and upload the run's model/ afterwards"
        ) from error


def _vllm_server(config: HTPOConfig) -> None:
    """Wait for the server as long as TRL would, before the model is loaded."""
    if not config.use_vllm or config.vllm_mode != "server":
        return
    address = config.vllm_server_base_url or f"http://{config.vllm_server_host}:{config.vllm_server_port}"
    deadline = time.monotonic() + config.vllm_server_timeout
    while True:
        try:
            httpx.get(f"{address.rstrip('/')}/health", timeout=SERVER_PAUSE, follow_redirects=True)
            return
        except httpx.HTTPError as error:
            if time.monotonic() >= deadline:
                raise UserError(
                    f"no vLLM server answers at {address} ({_one_line(error)}): start `vllm serve` as TRL's "
                    "documents say, or use --vllm_mode colocate"
                ) from error
            time.sleep(min(SERVER_PAUSE, config.vllm_server_timeout))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
