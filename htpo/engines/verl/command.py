"""`VerlOptions` as the command of verl's trainer."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from htpo.engines.job_options import JobOptions
from htpo.engines.verl import cpu
from htpo.engines.verl.options import SCHEDULES, VerlOptions
from htpo.engines.verl.overrides import Override, with_given
from htpo.engines.verl.reward import REWARD_MANAGER
from htpo.engines.verl.settings import HOST_AGGREGATION, MODE_PREFIX
from htpo.objectives import fixed_length_mean

MODULE = "verl.trainer.main_ppo"
LEAST_TOKENS = 512
"""Of a micro-batch: rows that verl adds as padding have 128."""
NEVER = 10**9
FLOAT32 = dict.fromkeys(("param_dtype", "reduce_dtype", "buffer_dtype"), "fp32")
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


@dataclass(frozen=True)
class Place:
    """Where the files of a verl run lie, within its run directory."""

    run: Path

    @property
    def folder(self) -> Path:
        """All that is verl's."""
        return self.run / "verl"

    @property
    def data(self) -> Path:
        """train.parquet, and test.parquet where problems are held out."""
        return self.folder / "data"

    @property
    def checkpoints(self) -> Path:
        """global_step_N, as verl writes them."""
        return self.folder / "checkpoints"

    @property
    def log(self) -> Path:
        """What verl prints."""
        return self.folder / "log.txt"

    @property
    def command(self) -> Path:
        """verl's command, to be copied."""
        return self.folder / "command.sh"


@dataclass(frozen=True)
class Facts:
    """What the command needs to know of a run beside its options."""

    policy: str  # folder or Hugging Face id
    prompts: int  # to train on
    held_out: bool  # whether there are held-out problems
    longest_prompt: int  # tokens
    chat_template: str | None  # for a policy without one
    on_cpu: bool


def environment(on_cpu: bool) -> dict[str, str]:
    """What the environment must say."""
    return cpu.ENVIRONMENT if on_cpu else {}


def make_command(options: VerlOptions, job: JobOptions, place: Place, facts: Facts) -> list[str]:
    """The arguments of verl's command.

    Raises:
        UserError: `verl_options` say what an option of ours says.
    """
    ours = [
        *_data(options, place, facts),
        *_objective(options, job, place),
        *_policy(options, facts),
        *_optimiser(options),
        *_rollout(options),
        *_trainer(options, place, facts),
        *(_on_cpu(options) if facts.on_cpu else _on_gpu(options)),
    ]
    return [sys.executable, "-m", MODULE, *with_given(ours, options.verl_options)]


def _data(options: VerlOptions, place: Place, facts: Facts) -> Iterator[Override]:
    train, test = place.data / "train.parquet", place.data / "test.parquet"
    yield Override("data.train_files", str(train), "dataset")
    yield Override("data.val_files", str(test if facts.held_out else train), "dataset")
    yield Override("data.train_batch_size", options.prompts_per_generation, "prompts_per_generation")
    yield Override("data.max_prompt_length", facts.longest_prompt, "max_prompt_length")
    yield Override("data.max_response_length", options.max_completion_length, "max_completion_length")
    yield Override("data.seed", options.seed, "seed")
    yield Override("data.dataloader_num_workers", 0)
    if options.chat_template_kwargs:
        yield Override("+data.apply_chat_template_kwargs", options.chat_template_kwargs, "chat_template_kwargs")
    yield Override("reward.reward_manager.name", REWARD_MANAGER, "verifier")
    if options.overlong_buffer:
        shaping = {
            "enable": True,
            "len": options.overlong_buffer,
            "penalty_factor": options.overlong_factor,
            "log": False,
        }
        yield Override("+reward.reward_kwargs.overlong_buffer_cfg", shaping, "overlong_buffer")
        yield Override("+reward.reward_kwargs.max_resp_len", options.max_completion_length, "max_completion_length")


def _objective(options: VerlOptions, job: JobOptions, place: Place) -> Iterator[Override]:
    objective = options.make_objective()
    yield Override("+htpo.objective", options.objective, "objective")
    assert isinstance(options.objective_options, dict | None), "JSON is read when the options are made"
    for name, value in (options.objective_options or {}).items():
        yield Override(f"+htpo.{name}", value, name)
    yield Override("+htpo.entropy_of", options.entropy_of, "entropy_of")
    yield Override("+htpo.output_dir", str(place.run), "output_dir")
    yield Override(
        "+htpo.rollout_every", math.ceil(job.rollout_every / options.updates_per_generation), "rollout_every"
    )
    yield Override("+htpo.rollouts_kept", job.rollouts_kept, "rollouts_kept")
    yield Override("algorithm.adv_estimator", "grpo", "objective")
    if objective.scale_rewards == "none":
        yield Override("algorithm.norm_adv_by_std_in_grpo", False, "objective")
    yield Override(f"{ACTOR}.loss_agg_mode", HOST_AGGREGATION[objective.aggregate], "objective")
    if objective.aggregate is fixed_length_mean:
        yield Override(f"{ACTOR}.loss_scale_factor", options.max_completion_length, "objective")
    if options.entropy_of == "current":
        yield Override(f"{ACTOR}.calculate_entropy", True, "entropy_of")
    if options.dynamic_sampling:
        yield Override("algorithm.filter_groups.enable", True, "dynamic_sampling")
        yield Override("algorithm.filter_groups.metric", "acc", "dynamic_sampling")
        yield Override("+htpo.max_generation_rounds", options.max_generation_rounds, "max_generation_rounds")
    if options.beta:
        yield Override(f"{ACTOR}.use_kl_loss", True, "beta")
        yield Override(f"{ACTOR}.kl_loss_coef", options.beta, "beta")
        yield Override(f"{ACTOR}.kl_loss_type", "low_var_kl", "beta")


def _policy(options: VerlOptions, facts: Facts) -> Iterator[Override]:
    model = "actor_rollout_ref.model"
    yield Override(f"{model}.path", facts.policy, "model_name_or_path")
    if options.trust_remote_code:
        yield Override(f"{model}.trust_remote_code", True, "trust_remote_code")
        yield Override("data.trust_remote_code", True, "trust_remote_code")
    yield Override(f"{model}.enable_gradient_checkpointing", options.gradient_checkpointing, "gradient_checkpointing")
    yield Override(f"+{model}.override_config.attn_implementation", options.attn_implementation, "attn_implementation")
    if facts.chat_template is not None:
        yield Override(f"{model}.custom_chat_template", facts.chat_template)
    yield Override(f"{ACTOR}.strategy", "fsdp2")
    longest = facts.longest_prompt + options.max_completion_length
    tokens = max(options.per_device_train_batch_size * longest, LEAST_TOKENS)
    yield Override(f"{ACTOR}.use_dynamic_bsz", True, "per_device_train_batch_size")
    yield Override(f"{ACTOR}.ppo_max_token_len_per_gpu", tokens, "per_device_train_batch_size")
    parts = [ACTOR, "actor_rollout_ref.ref"] if options.beta else [ACTOR]
    if options.bf16 is False or (options.bf16 is None and facts.on_cpu):
        for part in parts:
            yield Override(f"+{part}.fsdp_config.mixed_precision", FLOAT32, "bf16")
    for part in parts if facts.on_cpu else ():
        yield Override(f"{part}.fsdp_config.use_torch_compile", False)


def _optimiser(options: VerlOptions) -> Iterator[Override]:
    optim = f"{ACTOR}.optim"
    yield Override(f"{optim}.lr", options.learning_rate, "learning_rate")
    yield Override(f"{optim}.lr_scheduler_type", SCHEDULES[options.lr_scheduler_type], "lr_scheduler_type")
    if options.warmup_steps and options.lr_scheduler_type != "constant":
        generations = math.ceil(options.warmup_steps / options.updates_per_generation)
        yield Override(f"{optim}.lr_warmup_steps", generations, "warmup_steps")
    yield Override(f"{optim}.weight_decay", options.weight_decay, "weight_decay")
    yield Override(f"{optim}.clip_grad", options.max_grad_norm, "max_grad_norm")
    updates = options.prompts_per_generation // options.updates_per_generation
    yield Override(f"{ACTOR}.ppo_mini_batch_size", updates, "updates_per_generation")
    yield Override(f"{ACTOR}.data_loader_seed", options.seed, "seed")
    yield Override(f"{ACTOR}.fsdp_config.seed", options.seed, "seed")


def _rollout(options: VerlOptions) -> Iterator[Override]:
    yield Override(f"{ROLLOUT}.n", options.num_generations, "num_generations")
    yield Override(f"{ROLLOUT}.temperature", options.temperature, "temperature")
    yield Override(f"{ROLLOUT}.top_p", options.top_p, "top_p")
    yield Override(f"{ROLLOUT}.seed", options.seed, "seed")
    yield Override(f"{ROLLOUT}.calculate_log_probs", True)


def _trainer(options: VerlOptions, place: Place, facts: Facts) -> Iterator[Override]:
    yield Override("trainer.v1.trainer_mode", f"{MODE_PREFIX}{options.trainer_mode}", "trainer_mode")
    yield Override("trainer.nnodes", options.nodes, "nodes")
    yield Override("trainer.n_gpus_per_node", options.gpus_per_node, "gpus_per_node")
    length = "max_steps" if options.max_steps > 0 else "num_train_epochs"
    yield Override("trainer.total_training_steps", options.generations(facts.prompts), length)
    yield Override("trainer.total_epochs", NEVER, length)  # dynamic sampling may go through the data more often
    often = options.save_steps // options.updates_per_generation if options.save_strategy == "steps" else NEVER
    yield Override("trainer.save_freq", often, "save_steps")
    yield Override("trainer.max_actor_ckpt_to_keep", options.save_total_limit, "save_total_limit")
    yield Override("trainer.default_local_dir", str(place.checkpoints), "output_dir")
    yield Override("trainer.resume_mode", "auto", "resume")
    yield Override(f"{ACTOR}.checkpoint.save_contents", ["model", "optimizer", "extra", "hf_model"])
    yield Override(f"{ACTOR}.checkpoint.load_contents", ["model", "optimizer", "extra"])
    yield Override("trainer.val_before_train", False, "eval_samples")
    yield Override("trainer.test_freq", -1, "eval_samples")
    yield Override("trainer.logger", ["console"])
    yield Override("trainer.project_name", "htpo")
    yield Override("trainer.experiment_name", place.run.name)
    yield Override("hydra.run.dir", str(place.folder / "hydra"))


def _on_gpu(options: VerlOptions) -> Iterator[Override]:
    yield Override(f"{ROLLOUT}.name", "vllm")
    yield Override(
        f"{ROLLOUT}.gpu_memory_utilization", options.vllm_gpu_memory_utilization, "vllm_gpu_memory_utilization"
    )
    yield Override(
        f"{ROLLOUT}.tensor_model_parallel_size", options.vllm_tensor_parallel_size, "vllm_tensor_parallel_size"
    )


def _on_cpu(options: VerlOptions) -> Iterator[Override]:
    """As few processes as verl runs with."""
    yield Override(f"{ROLLOUT}.name", cpu.rollout.NAME)
    yield Override(f"{ROLLOUT}.tensor_model_parallel_size", 1)
    yield Override(f"{ROLLOUT}.agent.num_workers", 1)
    yield Override("reward.num_workers", 1)
    yield Override("transfer_queue.backend.SimpleStorage.num_data_storage_units", 1)
    yield Override("ray_kwargs.ray_init.num_cpus", 16)  # names only, as are the GPUs
    yield Override("+ray_kwargs.ray_init.num_gpus", options.devices)
    yield Override("+ray_kwargs.ray_init.include_dashboard", False)
