"""Options of a run as rules: what values they may have, which feature they belong to, which have no use."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from htpo.errors import UserError

RANGES = {
    # sampling
    "temperature": "(0, inf)",
    "top_p": "(0, 1]",
    "top_k": "[0, inf)",
    "min_p": "[0, 1]",
    "repetition_penalty": "(0, inf)",
    "max_completion_length": "[1, inf)",
    # batches
    "num_generations": "[2, inf)",
    "num_generations_eval": "[1, inf)",
    "per_device_train_batch_size": "[1, inf)",
    "per_device_eval_batch_size": "[1, inf)",
    "gradient_accumulation_steps": "[1, inf)",
    "generation_batch_size": "[1, inf)",
    "steps_per_generation": "[1, inf)",
    "num_iterations": "[1, inf)",
    "prompts_per_generation": "[1, inf)",
    "updates_per_generation": "[1, inf)",
    "max_generation_rounds": "[1, inf)",
    "dataloader_num_workers": "[0, inf)",
    "dataloader_prefetch_factor": "[1, inf)",
    # length of training, optimiser
    "num_train_epochs": "(0, inf)",
    "warmup_steps": "[0, inf)",
    "warmup_ratio": "[0, 1]",
    "learning_rate": "[0, inf)",
    "weight_decay": "[0, inf)",
    "adam_beta1": "[0, 1)",
    "adam_beta2": "[0, 1)",
    "adam_epsilon": "[0, inf)",
    "max_grad_norm": "[0, inf)",
    "neftune_noise_alpha": "[0, inf)",
    "torch_empty_cache_steps": "[1, inf)",
    "seed": f"[0, {2**32})",
    # objective
    "beta": "[0, inf)",
    "overlong_factor": "[0, inf)",
    "correctness_threshold": "(-inf, inf)",
    "entropy_coef": "(-inf, inf)",
    "entropy_coef_min": "(-inf, inf)",
    "entropy_coef_max": "(-inf, inf)",
    "entropy_coef_delta": "(0, inf)",
    "entropy_target": "[0, inf)",
    "ref_model_mixup_alpha": "[0, 1]",
    "ref_model_sync_steps": "[1, inf)",
    "router_aux_loss_coef": "[0, inf)",
    # records
    "logging_steps": "(0, inf)",
    "save_steps": "(0, inf)",
    "save_total_limit": "[1, inf)",
    # vLLM, several processes
    "vllm_gpu_memory_utilization": "(0, 1]",
    "vllm_max_model_length": "[1, inf)",
    "vllm_tensor_parallel_size": "[1, inf)",
    "vllm_server_port": "[1, 65535]",
    "vllm_group_port": "[1, 65535]",
    "vllm_server_timeout": "(0, inf)",
    "vllm_importance_sampling_clip_min": "[0, inf)",
    "vllm_importance_sampling_clip_max": "(0, inf)",
    "ddp_timeout": "[1, inf)",
    "ddp_bucket_cap_mb": "[1, inf)",
    # model
    "lora_r": "[1, inf)",
    "lora_alpha": "(0, inf)",
    "lora_dropout": "[0, 1)",
    # data, measurement
    "max_verifier_failures": "[0, 1]",
    "train_prompts": "[1, inf)",
    "held_out_prompts": "[0, inf)",
    "eval_samples": "[0, inf)",
    "eval_every": "[0, inf)",
    "eval_temperature": "[0, 100)",
    "eval_top_p": "(0, 1]",
    "max_prompt_length": "[1, inf)",
    "rollout_every": "[0, inf)",
    "rollouts_kept": "[1, inf)",
}
"""Numbers an option may be, as intervals: `[` and `]` include the end, `(` and `)` do not. None is always allowed."""

CHOICES = {
    "scale_rewards": ("group", "batch", "none"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "vllm_mode": ("colocate", "server"),
    "vllm_model_impl": ("vllm", "transformers", "auto"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    "lora_task_type": ("CAUSAL_LM",),
    "debug": ("", "underflow_overflow", "tpu_metrics_debug"),
}
"""Words an option may be, where the host takes any and fails late. None is always allowed."""


@dataclass(frozen=True)
class Feature:
    """Options that act only while a switch is on: not 0, false, none, no or empty; or one of `among`."""

    switch: str
    options: tuple[str, ...]
    among: tuple[str, ...] = ()

    def is_on(self, value: Any) -> bool:
        """Whether the switch's value, parsed or as written, turns the feature on."""
        words = [str(getattr(v, "value", v)).lower() for v in (value if isinstance(value, list | tuple) else [value])]
        if self.among:
            return any(word in self.among for word in words)
        return not set(words) <= {"none", "no", "false", "0", "0.0", ""}

    def remedy(self) -> str:
        """How to turn it on."""
        return f"it belongs to {self.switch}{' ' + ' or '.join(self.among) if self.among else ''}"


FEATURES = (
    Feature(
        "use_vllm",
        (
            "vllm_mode",
            "vllm_model_impl",
            "vllm_enable_sleep_mode",
            "vllm_structured_outputs_regex",
            "vllm_server_base_url",
            "vllm_server_host",
            "vllm_server_port",
            "vllm_server_timeout",
            "vllm_group_port",
            "vllm_gpu_memory_utilization",
            "vllm_max_model_length",
            "vllm_tensor_parallel_size",
            "vllm_importance_sampling_correction",
            "vllm_importance_sampling_mode",
            "vllm_importance_sampling_clip_max",
            "vllm_importance_sampling_clip_min",
            "vllm_importance_sampling_cap",
        ),
    ),
    Feature(
        "vllm_mode",
        ("vllm_server_base_url", "vllm_server_host", "vllm_server_port", "vllm_server_timeout", "vllm_group_port"),
        among=("server",),
    ),
    Feature(
        "vllm_mode",
        (
            "vllm_gpu_memory_utilization",
            "vllm_max_model_length",
            "vllm_tensor_parallel_size",
            "vllm_enable_sleep_mode",
            "vllm_model_impl",
        ),
        among=("colocate",),
    ),
    Feature(
        "vllm_importance_sampling_correction",
        (
            "vllm_importance_sampling_mode",
            "vllm_importance_sampling_clip_max",
            "vllm_importance_sampling_clip_min",
            "vllm_importance_sampling_cap",
        ),
    ),
    Feature("use_transformers_continuous_batching", ("transformers_continuous_batching_config",)),
    Feature("beta", ("sync_ref_model", "use_bias_correction_kl")),
    Feature("sync_ref_model", ("ref_model_mixup_alpha", "ref_model_sync_steps")),
    Feature("use_adaptive_entropy", ("entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target")),
    Feature("gradient_checkpointing", ("gradient_checkpointing_kwargs",)),
    Feature("use_liger_kernel", ("liger_kernel_config",)),
    Feature("dataloader_num_workers", ("dataloader_persistent_workers", "dataloader_prefetch_factor")),
    Feature("logging_strategy", ("logging_steps",), among=("steps",)),
    Feature("save_strategy", ("save_steps",), among=("steps",)),
    Feature("save_strategy", ("save_total_limit", "save_only_model")),
    Feature("report_to", ("run_name",)),
    Feature(
        "report_to",
        ("project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
        among=("trackio", "all"),
    ),
    Feature("report_to", ("logging_dir",), among=("tensorboard", "all")),
    Feature(
        "push_to_hub",
        ("hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push", "hub_revision"),
    ),
    Feature("fsdp", ("fsdp_config",)),
    Feature(
        "use_peft",
        (
            "lora_r",
            "lora_alpha",
            "lora_dropout",
            "lora_target_modules",
            "lora_target_parameters",
            "lora_modules_to_save",
            "lora_task_type",
            "use_rslora",
            "use_dora",
        ),
    ),
    Feature("load_in_4bit", ("bnb_4bit_quant_type", "use_bnb_nested_quant", "bnb_4bit_quant_storage")),
    Feature("eval_samples", ("eval_temperature", "eval_top_p")),
    Feature("max_prompt_length", ("filter_overlong_prompts",)),
    Feature("rollout_every", ("rollouts_kept",)),
)

_OWN_BATCHES = "the trainer draws its own batches of prompts"
_OWN_LOSS = "the loss is the objective's"
_OWN_MEASUREMENT = (
    "held-out problems (--held_out_prompts, --eval_dataset) are measured before and after training, and during it by "
    "--eval_every N, which keeps the best policy"
)
_OWN_ROLLOUTS = "rollouts are kept token by token: use --rollout_every and --rollouts_kept"
_IN_A_PROGRAM = "it is for programs that read it; `htpo train` always trains"

UNUSED_BY_HOST = {
    "label_smoothing_factor": _OWN_LOSS,
    "average_tokens_across_devices": _OWN_LOSS,
    "label_names": _OWN_LOSS,
    "train_sampling_strategy": _OWN_BATCHES,
    "length_column_name": _OWN_BATCHES,
    "data_seed": f"{_OWN_BATCHES}, by --seed",
    "local_rank": "the launcher says it (LOCAL_RANK)",
}
"""Options that TRL's GRPO trainer inherits and never reads, and why. Refused unless left at their default."""

UNUSED_BY_THE_JOB = {
    "save_strategy best": _OWN_MEASUREMENT,
    **dict.fromkeys(
        [
            "eval_strategy",
            "eval_steps",
            "eval_delay",
            "eval_on_start",
            "eval_accumulation_steps",
            "eval_do_concat_batches",
            "eval_use_gather_object",
            "per_device_eval_batch_size",
            "num_generations_eval",
            "prediction_loss_only",
            "include_for_metrics",
            "batch_eval_metrics",
            "bf16_full_eval",
            "fp16_full_eval",
            "load_best_model_at_end",
            "metric_for_best_model",
            "greater_is_better",
        ],
        _OWN_MEASUREMENT,
    ),
    **dict.fromkeys(
        [
            "log_completions",
            "log_multimodal",
            "log_unique_prompts",
            "log_completions_hub_repo",
            "num_completions_to_print",
        ],
        _OWN_ROLLOUTS,
    ),
    **dict.fromkeys(["do_train", "do_eval", "do_predict"], _IN_A_PROGRAM),
    "resume_from_checkpoint": "give --resume and --output_dir: the run goes on from its last complete checkpoint",
    "ignore_data_skip": "a resumed run goes on with the prompts that come next",
    "restore_callback_states_from_checkpoint": "nothing here has such a state: --resume restores all that a run needs",
    "remove_unused_columns": "the verifier reads the columns of the data",
    "max_tool_calling_iterations": "the policy has no tools here",
    "skip_memory_metrics": "what it would measure is not recorded",
    "parallelism_config": "it is an object of a program: use accelerate launch --config_file",
}
"""Trainer options that `htpo train` has no use for, and what to give instead. Refused unless left at their default."""


SEVERAL_PROCESSES = (
    "ddp_find_unused_parameters",
    "ddp_bucket_cap_mb",
    "ddp_broadcast_buffers",
    "ddp_static_graph",
    "ddp_backend",
    "ddp_timeout",
    "log_on_each_node",
    "log_level_replica",
    "save_on_each_node",
    "ds3_gather_for_generation",
)
"""Options that act with several processes only: a recipe for both may hold them, so they are noted, not refused."""


def remarks(options: Any) -> list[str]:
    """What a user should know of a trainer's options that are in order, but will not act as they may think."""
    found, given = [], changed(options)
    idle = [name for name in SEVERAL_PROCESSES if name in given]
    if options.world_size == 1 and idle:
        found.append(f"{', '.join(idle)} have an effect with several processes only, and this is one")
    if 0 < options.max_steps < options.warmup_steps:
        found.append(
            f"training ends ({options.max_steps} updates) before the warm-up does ({options.warmup_steps:g}): the "
            "learning rate does not reach its full value"
        )
    return found


def check_values(options: Any) -> None:
    """Refuse numbers out of range and unknown words among a dataclass's fields.

    Raises:
        UserError: naming the first such option, its value and what it may be.
    """
    for name in (field.name for field in fields(options)):
        value = getattr(options, name)
        if value is None:
            continue
        if name in RANGES and not _inside(value, RANGES[name]):
            raise UserError(f"{name} is {value}, needs to be {_in_words(RANGES[name])}")
        if name in CHOICES and not _words(value) <= set(CHOICES[name]):
            raise UserError(f"{name} is {value!r}, needs one of {', '.join(filter(None, CHOICES[name]))}")


def refuse_without_feature(options: Any) -> None:
    """Refuse fields that were changed, other than switched off, while what they belong to is off.

    Raises:
        UserError: naming the first such option and the feature.
    """
    given = {name: value for name, value in changed(options).items() if value is not False}
    for feature in FEATURES:
        if hasattr(options, feature.switch) and not feature.is_on(getattr(options, feature.switch)):
            for name in (name for name in feature.options if name in given):
                raise UserError(f"{name}={given[name]!r} has no effect: {feature.remedy()}; give that, or leave it out")


def refuse_unused(options: Any, unused: Mapping[str, str]) -> None:
    """Refuse fields that were changed though nothing reads them.

    Args:
        unused: the reason, or what to give instead, by option, or by option and value where others are used.

    Raises:
        UserError: naming the first such option.
    """
    given = changed(options)
    for name, reason in unused.items():
        option, _, value = name.partition(" ")
        if option in given and value in ("", given[option]):
            raise UserError(f"{option}={given[option]!r} has no effect here: {reason}")


def as_mappings(options: Any, names: Iterable[str]) -> None:
    """Read JSON texts among options that hold mappings, in place.

    Raises:
        UserError: a value is no mapping, naming the option.
    """
    for name in names:
        value = getattr(options, name)
        try:
            value = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise UserError(f"{name} is {value!r}, needs a mapping as JSON: {error}") from error
        if value is not None and not isinstance(value, dict):
            raise UserError(f"{name} must be a mapping, got {value!r}")
        setattr(options, name, value)


def check_config_files(options: Any, names: Iterable[str]) -> None:
    """Refuse options that are neither a mapping nor a JSON file that can be read, and deepspeed where it is missing.

    Raises:
        UserError: naming the option and what is wrong.
    """
    for name in names:
        given = getattr(options, name)
        if not given or not isinstance(given, str | dict):
            continue
        try:
            text = given if isinstance(given, dict) or given.startswith("{") else Path(given).read_text("utf-8")
            content = json.loads(text) if isinstance(text, str) else text
        except (OSError, ValueError) as error:
            raise UserError(
                f"{name}: cannot read {given} ({' '.join(str(error).split())}): give a JSON file"
            ) from error
        if not isinstance(content, dict):
            raise UserError(f"{name}: {given} must hold a JSON mapping")
        if name == "deepspeed" and find_spec("deepspeed") is None:
            raise UserError("deepspeed needs the package deepspeed: pip install deepspeed, or leave it out")


def changed(options: Any) -> dict[str, Any]:
    """The fields of a dataclass whose value is not the default, with that value in plain form."""
    found = {}
    for field in fields(options):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        value = _plain(getattr(options, field.name))
        if value != _plain(default):
            found[field.name] = value
    return found


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _words(value: Any) -> set[str]:
    values = value if isinstance(value, list | tuple) else str(_plain(value)).split(" ")
    return {str(_plain(v)) for v in values}


def _inside(value: Any, interval: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    low, high = map(float, interval[1:-1].split(","))
    above = value > low or (interval[0] == "[" and value == low)
    return above and (value < high or (interval[-1] == "]" and value == high))


def _in_words(interval: str) -> str:
    low, high = interval[1:-1].split(", ")
    parts = []
    if low != "-inf":
        parts.append(f"{'at least' if interval[0] == '[' else 'above'} {low}")
    if high != "inf":
        parts.append(f"{'at most' if interval[-1] == ']' else 'below'} {high}")
    if "inf" in interval:
        parts.append("finite")
    return " and ".join(parts)
