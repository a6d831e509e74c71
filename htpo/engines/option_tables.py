"""What values options of a run may have, and which feature each belongs to; `option_rules` applies it."""

from dataclasses import dataclass
from typing import Any

from htpo.engines.entropy_of import ENTROPIES
from htpo.engines.episode_options import REWARDS
from htpo.playing.formats import PROMPT_FORMATS

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
    "screening_samples": "[0, inf)",
    "settled_prompt_floor": "(0, 1]",
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
    "nodes": "[1, inf)",
    "gpus_per_node": "[1, inf)",
    "ddp_timeout": "[1, inf)",
    "ddp_bucket_cap_mb": "[1, inf)",
    # model
    "lora_r": "[1, inf)",
    "lora_alpha": "(0, inf)",
    "lora_dropout": "[0, 1)",
    # episodes
    "max_turn_length": "[1, inf)",
    "max_turns": "[1, inf)",
    "history_length": "[1, inf)",
    "invalid_action_penalty": "[0, inf)",
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
    "entropy_of": tuple(ENTROPIES),
    "prompt_format": tuple(PROMPT_FORMATS),
    "episode_reward": REWARDS,
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
