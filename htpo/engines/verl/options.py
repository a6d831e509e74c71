"""`VerlOptions`: the options of `htpo train --engine verl`, with the names and meanings that they have under TRL."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from htpo.engines.batch_shape import BatchShape, cut_update
from htpo.engines.method import settle_overlong_buffer
from htpo.engines.objective_options import ObjectiveOptions
from htpo.engines.option_rules import as_mappings, check_values
from htpo.engines.verl.settings import HOST_MODES
from htpo.errors import UserError

SCHEDULES = {"constant_with_warmup": "constant", "constant": "constant", "cosine": "cosine"}
"""Our `lr_scheduler_type`, named as in transformers, and verl's."""
SAVING = ("steps", "no")


@dataclass
class VerlOptions(ObjectiveOptions):
    """Everything that `htpo train` can say to verl. Updates are counted as under TRL; verl counts generation batches.

    Raises:
        UserError: an option is unusable, or does not divide; one line that names it and the remedy.
    """

    DICTIONARIES: ClassVar[tuple[str, ...]] = ("objective_options", "chat_template_kwargs")

    # what is trained, and where
    model_name_or_path: str | None = field(default=None, metadata={"help": "Hugging Face id or folder."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code from the model's repository."})
    attn_implementation: str = field(
        default="sdpa", metadata={"help": "Attention of the policy in training, as transformers names it."}
    )
    bf16: bool | None = field(
        default=None, metadata={"help": "Compute in bfloat16, or in float32. Default: bfloat16, on a CPU float32."}
    )
    gradient_checkpointing: bool = field(default=True, metadata={"help": "Less memory, for a third more time."})
    chat_template_kwargs: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Options of the chat template as JSON, as in '{\"enable_thinking\": false}'."}
    )
    output_dir: str | None = field(default=None, metadata={"help": "The run directory."})
    seed: int = field(default=42, metadata={"help": "Of data, sampling and training. verl's runs differ all the same."})

    # batches
    prompts_per_generation: int = field(default=32, metadata={"help": "Prompts per generation batch."})
    num_generations: int = field(default=8, metadata={"help": "Responses to each prompt."})
    updates_per_generation: int = field(
        default=4, metadata={"help": "Optimiser updates per generation batch, each on an equal share of its prompts."}
    )
    per_device_train_batch_size: int = field(
        default=8,
        metadata={"help": "A micro-batch has at most as many tokens as so many sequences of the greatest length."},
    )
    dynamic_sampling: bool | None = field(
        default=None,
        metadata={
            "help": "Replace prompts whose answers are all right or all wrong by fresh ones until the batch is full. "
            "Default: as the method was published."
        },
    )
    overlong_buffer: int | None = field(
        default=None,
        metadata={
            "help": "Soft overlong punishment: the reward falls linearly over this many tokens before "
            "max_completion_length; 0 switches it off. Default: as the method was published."
        },
    )
    overlong_factor: float = field(
        default=1.0, metadata={"help": "Size of the soft overlong punishment at max_completion_length."}
    )

    # sampling
    max_completion_length: int = field(default=512, metadata={"help": "Tokens of a response at most."})
    temperature: float = field(default=1.0, metadata={"help": "Of sampling; what is learnt is at that temperature."})
    top_p: float = field(default=1.0, metadata={"help": "Nucleus of sampling."})
    vllm_gpu_memory_utilization: float = field(
        default=0.5, metadata={"help": "Share of each GPU's memory that vLLM takes while it samples."}
    )
    vllm_tensor_parallel_size: int = field(default=1, metadata={"help": "GPUs over which vLLM splits the model."})

    # optimiser
    learning_rate: float = field(default=1e-6, metadata={"help": "Of AdamW."})
    lr_scheduler_type: str = field(
        default="constant_with_warmup",
        metadata={"help": f"{', '.join(SCHEDULES)}; it moves with each generation batch, not with each update."},
    )
    warmup_steps: float = field(default=0, metadata={"help": "Updates over which the learning rate rises."})
    weight_decay: float = field(default=0.0, metadata={"help": "Of AdamW."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Gradients are clipped to this norm."})
    beta: float = field(default=0.0, metadata={"help": "Coefficient of the KL term; 0: none, and no reference model."})
    max_steps: int = field(default=-1, metadata={"help": "Updates in all; -1: num_train_epochs."})
    num_train_epochs: float = field(default=3.0, metadata={"help": "Passes over the data, where max_steps is -1."})

    # checkpoints
    save_strategy: str = field(default="steps", metadata={"help": "steps, or no: only at the end."})
    save_steps: int = field(default=500, metadata={"help": "Updates between two checkpoints."})
    save_total_limit: int | None = field(default=None, metadata={"help": "Checkpoints kept at most."})

    # verl
    nodes: int = field(default=1, metadata={"help": "Machines; more than one need a Ray cluster (RAY_ADDRESS)."})
    gpus_per_node: int | None = field(default=None, metadata={"help": "Default: all of this machine."})
    trainer_mode: str = field(default="sync", metadata={"help": f"verl's: {', '.join(HOST_MODES)}."})
    verl_options: list[str] = field(
        default_factory=list,
        metadata={"help": "More options of verl's, as in its command: actor_rollout_ref.model.use_liger=True ..."},
    )
    print_command: bool = field(
        default=False, metadata={"help": "Write the data and print verl's command, and do not run it."}
    )

    def __post_init__(self) -> None:
        if self.output_dir is None:
            raise UserError("output_dir is missing: give a folder for the run")
        if self.gpus_per_node is None:
            self.gpus_per_node = max(torch.accelerator.device_count(), 1)
        as_mappings(self, self.DICTIONARIES)
        check_values(self)
        for name, known in (("lr_scheduler_type", SCHEDULES), ("save_strategy", SAVING), ("trainer_mode", HOST_MODES)):
            if getattr(self, name) not in known:
                raise UserError(f"{name} is {getattr(self, name)!r}; the engine verl knows {', '.join(known)}")
        if self.correctness_threshold is not None:
            raise UserError(
                f"correctness_threshold={self.correctness_threshold} has no effect here: the verifier says what is "
                "correct"
            )
        if self.max_grad_norm == 0:
            raise UserError("max_grad_norm=0 would let verl train nothing: give a large number for no clipping")
        objective = self.make_objective()
        if self.dynamic_sampling is None:
            self.dynamic_sampling = objective.dynamic_sampling
        self.overlong_buffer = settle_overlong_buffer(objective, self.overlong_buffer, self.max_completion_length)
        self._check_division()

    @property
    def devices(self) -> int:
        """GPUs on all nodes; on a machine without, processes that train."""
        assert self.gpus_per_node is not None, "it is settled when the options are made"
        return self.nodes * self.gpus_per_node

    @property
    def batch_shape(self) -> BatchShape:
        """How a generation batch is cut at most: verl packs as many sequences into a micro-batch as find room."""
        micro_batch, micro_batches = cut_update(
            self.prompts_per_generation * self.num_generations,
            updates=self.updates_per_generation,
            processes=self.devices,
            fits=self.per_device_train_batch_size,
        )
        return BatchShape(
            prompts=self.prompts_per_generation,
            samples=self.num_generations,
            updates=self.updates_per_generation,
            processes=self.devices,
            micro_batches=micro_batches,
            micro_batch=micro_batch,
            max_tokens=self.max_completion_length,
        )

    def generations(self, prompts: int) -> int:
        """Generation batches in all, with so many prompts in the data."""
        if self.max_steps > 0:
            return self.max_steps // self.updates_per_generation
        return max(1, int(self.num_train_epochs * prompts) // self.prompts_per_generation)

    def _check_division(self) -> None:
        updates = self.updates_per_generation
        if self.prompts_per_generation % updates:
            raise UserError(
                f"prompts_per_generation ({self.prompts_per_generation}) does not divide into {updates} "
                "updates_per_generation, and verl makes updates of whole prompts: change one of them"
            )
        if self.max_steps != -1 and self.max_steps < 1:
            raise UserError(f"max_steps is {self.max_steps}, needs at least 1, or -1 for num_train_epochs")
        counted = {"max_steps": self.max_steps} if self.max_steps > 0 else {}
        if self.save_strategy == "steps":
            counted["save_steps"] = self.save_steps
        for name, value in counted.items():
            if value % updates:
                nearest = max(round(value / updates), 1) * updates
                raise UserError(
                    f"{name} ({value}) is not a multiple of the {updates} updates per generation, by which verl "
                    f"counts: use {nearest}"
                )
        cut_update(
            self.prompts_per_generation * self.num_generations,
            updates=updates,
            processes=self.devices,
            fits=self.per_device_train_batch_size,
        )
