"""TRL's options that have no use under an objective or in `htpo train`, and why: refused, not ignored."""

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
    "use_transformers_paged": "it is called use_transformers_continuous_batching now",
    "vllm_importance_sampling_cap": "it is called vllm_importance_sampling_clip_max now",
}
"""TRL's options that its GRPO trainer never reads or will drop, and why. Refused unless left at their default."""

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
    **dict.fromkeys(["correctness_reward", "correctness_threshold"], "the verifier says what is correct"),
    "resume_from_checkpoint": "give --resume and --output_dir: the run goes on from its last complete checkpoint",
    "enable_jit_checkpoint": "Ctrl-C and SIGTERM end a run with a checkpoint as it is",
    "ignore_data_skip": "a resumed run goes on with the prompts that come next",
    "restore_callback_states_from_checkpoint": "nothing here has such a state: --resume restores all that a run needs",
    "remove_unused_columns": "the verifier reads the columns of the data",
    "max_tool_calling_iterations": "the policy has no tools here",
    "skip_memory_metrics": "what it would measure is not recorded",
    "parallelism_config": "it is an object of a program: use accelerate launch --config_file",
}
"""Trainer options that `htpo train` has no use for, and what to give instead. Refused unless left at their default."""


_CLIP_REASON = "the clip range belongs to the objective: set {} in objective_options"
_LOSS_REASON = "the objective replaces TRL's loss"
WITHOUT_EFFECT = {
    "loss_type": "the objective decides how the loss is computed and aggregated",
    "epsilon": _CLIP_REASON.format("clip_low"),
    "epsilon_high": _CLIP_REASON.format("clip_high"),
    "delta": _CLIP_REASON.format("dual_clip"),
    "importance_sampling_level": "the objective decides which ratio it takes (gspo: the response's)",
    "top_entropy_quantile": "it would drop tokens behind the objective's back",
    "off_policy_mask_threshold": "it reads the sign of the advantage after the objective has weighted it",
    **dict.fromkeys(["sapo_temperature_neg", "sapo_temperature_pos"], _LOSS_REASON),
    **dict.fromkeys(["vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg", "vespo_lambda_neg"], _LOSS_REASON),
}
"""TRL options that an objective would ignore, and why. They are refused unless left at TRL's default."""

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
