"""`HTPOConfig`: TRL's `GRPOConfig` with an objective by name, dynamic sampling and batch sizes in the field's words."""

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar

import torch
from trl import GRPOConfig

from htpo.engines.batch_shape import BatchShape, cut_update
from htpo.engines.entropy_of import check_entropy_of
from htpo.engines.method import settle_overlong_buffer
from htpo.engines.objective_options import ObjectiveOptions
from htpo.engines.option_rules import (
    as_mappings,
    check_config_files,
    check_values,
    refuse_unused,
    refuse_without_feature,
)
from htpo.engines.rewards import SIGNALS
from htpo.engines.trl.unused_options import UNUSED_BY_HOST, WITHOUT_EFFECT
from htpo.errors import UserError
from htpo.objectives import OBJECTIVES, TableObjective, fixed_length_mean, make_objective, sequence_mean, token_mean

READ_FROM_FILES = ("accelerator_config", "fsdp_config", "deepspeed")  # a mapping, or the name of a JSON file

HOST_LOSS = {token_mean: "dapo", sequence_mean: "grpo", fixed_length_mean: "dr_grpo"}
"""TRL's loss type with the same aggregation as the objective's."""

WITH_DYNAMIC_SAMPLING = [name for name in OBJECTIVES if make_objective(name).dynamic_sampling]


@dataclass
class HTPOConfig(ObjectiveOptions, GRPOConfig):
    """Configuration of `HTPOTrainer`: everything `GRPOConfig` and `ObjectiveOptions` have, and what stands
    below.

    Raises:
        UserError: an option is unknown to the objective, unusable, would be ignored, or does not divide; one line that
            names it and the remedy.
    """

    if TYPE_CHECKING:  # fields of the host's that are settled here
        bf16: bool | None = None
        scale_rewards: str = "group"
        per_device_train_batch_size: int = 8
        gradient_accumulation_steps: int = 1
        steps_per_generation: int = 1

    _VALID_DICT_FIELDS: ClassVar[list[str]] = [*GRPOConfig._VALID_DICT_FIELDS, "objective_options"]

    logging_steps: float = field(default=1, metadata={"help": "Log metrics every so many updates."})
    dynamic_sampling: bool | None = field(
        default=None,
        metadata={
            "help": "Replace prompts whose answers carry no signal by fresh ones until the batch is full. Default: "
            f"as the method was published ({', '.join(WITH_DYNAMIC_SAMPLING)}: yes)."
        },
    )
    dynamic_sampling_signal: str = field(
        default="reward",
        metadata={
            "help": "What must differ within a prompt's answers: 'reward' (before the soft overlong punishment; the "
            "same as published where the reward is correctness) or 'correctness' (right and wrong answers)."
        },
    )
    screening_samples: int = field(
        default=0,
        metadata={
            "help": "With dynamic sampling, judge so many answers to a prompt first, and sample the rest of "
            "num_generations only where these carry a signal (SPEED-RL, 2506.09016; docs/performance.md says what that "
            "does to the prompts trained on). 0: all at once, as methods were published."
        },
    )
    settled_prompt_floor: float = field(
        default=1.0,
        metadata={
            "help": "With dynamic sampling, draw a prompt whose answers carried no signal at its last c visits with "
            "probability 1 / (1 + c), but at least this. 1: all alike, as methods were published."
        },
    )
    overlong_buffer: int | None = field(
        default=None,
        metadata={
            "help": "Soft overlong punishment: the reward falls linearly over this many tokens before "
            "max_completion_length; 0 switches it off. Default: as the method was published (a fifth of "
            "max_completion_length where it has dynamic sampling, else 0)."
        },
    )
    overlong_factor: float = field(
        default=1.0, metadata={"help": "Size of the soft overlong punishment at max_completion_length."}
    )
    correctness_reward: list[str] | None = field(
        default=None,
        metadata={
            "help": "Name of the reward function that judges correctness, before any shaping; several names where each "
            "judges its own kind of task and returns None for the others. Needed with more than one reward function."
        },
    )
    prompts_per_generation: int | None = field(
        default=None,
        metadata={
            "help": "Prompts per generation batch over all processes. With updates_per_generation it fixes the batch "
            "whatever the number of processes; gradient accumulation follows from per_device_train_batch_size."
        },
    )
    updates_per_generation: int | None = field(
        default=None, metadata={"help": "Optimiser updates per generation batch, each on an equal share of it."}
    )

    def __post_init__(self) -> None:
        if isinstance(self.correctness_reward, str):
            self.correctness_reward = [self.correctness_reward]
        if self.dynamic_sampling_signal not in SIGNALS:
            raise UserError(
                f"dynamic_sampling_signal is {self.dynamic_sampling_signal!r}, needs one of {', '.join(SIGNALS)}"
            )
        self._check_options()
        if (self.prompts_per_generation is None) != (self.updates_per_generation is None):
            raise UserError("prompts_per_generation and updates_per_generation go together: give both or neither")
        if self.prompts_per_generation is not None and self.updates_per_generation is not None:
            self._derive_batch_sizes(self.prompts_per_generation, self.updates_per_generation)
        if not torch.accelerator.is_available():
            self.dataloader_pin_memory = False
            self.bf16 = bool(self.bf16)  # unset means true to the host, which then refuses
            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                self.use_cpu = True  # else the host has each process train alone, all into one directory
        objective = self.make_objective()
        check_entropy_of(objective, self.entropy_of)
        self._refuse_options_without_effect(objective)
        super().__post_init__()
        if self.steps_per_generation % self.gradient_accumulation_steps:
            raise UserError(
                f"steps_per_generation ({self.steps_per_generation}) is not a multiple of gradient_accumulation_steps "
                f"({self.gradient_accumulation_steps}): an update would mix two generation batches; make it a multiple"
            )
        if self.dynamic_sampling is None:
            self.dynamic_sampling = objective.dynamic_sampling
        self._check_drawing()
        self.overlong_buffer = settle_overlong_buffer(objective, self.overlong_buffer, self.max_completion_length)
        self._check_save_steps()

    def _check_options(self) -> None:
        words = {"true": "group", "false": "none"}  # what a flag or YAML makes of TRL's True and False
        self.scale_rewards = words.get(str(self.scale_rewards).lower(), self.scale_rewards)
        as_mappings(self, [name for name in self._VALID_DICT_FIELDS if name not in READ_FROM_FILES])
        check_values(self)
        refuse_without_feature(self)
        refuse_unused(self, UNUSED_BY_HOST)
        check_config_files(self, READ_FROM_FILES)
        if self.max_steps != -1 and self.max_steps < 1:
            raise UserError(f"max_steps is {self.max_steps}, needs at least 1, or -1 for num_train_epochs")
        if self.max_steps != -1 and self.num_train_epochs != GRPOConfig.num_train_epochs:
            raise UserError(
                f"max_steps ({self.max_steps}) and num_train_epochs ({self.num_train_epochs}) both say when training "
                "ends: give one of them"
            )
        size = self.pad_to_multiple_of
        if size not in (None, "auto", "none") and not (str(size).isdigit() and int(size) > 0):
            raise UserError(f"pad_to_multiple_of is {size!r}, needs a number of tokens above 0, auto or none")

    @property
    def device(self) -> torch.device:
        """This process's device. With several processes the host says "cpu:0", to which torch loads no checkpoint."""
        device = super().device
        return torch.device("cpu") if device.type == "cpu" else device

    @property
    def updates_per_batch(self) -> int:
        """Optimiser updates between two generations."""
        return self.steps_per_generation * self.num_iterations // self.gradient_accumulation_steps

    @property
    def batch_shape(self) -> BatchShape:
        """How a generation batch is cut."""
        return BatchShape(
            prompts=self.generation_batch_size // self.num_generations,
            samples=self.num_generations,
            updates=self.updates_per_batch,
            processes=self.world_size,
            micro_batches=self.gradient_accumulation_steps,
            micro_batch=self.per_device_train_batch_size,
            max_tokens=self.max_completion_length or 0,
        )

    def _derive_batch_sizes(self, prompts: int, updates: int) -> None:
        for name in ("generation_batch_size", "steps_per_generation"):
            if getattr(self, name) is not None:
                raise UserError(f"{name} follows from prompts_per_generation and updates_per_generation: drop one side")
        if self.gradient_accumulation_steps != 1:
            raise UserError("gradient_accumulation_steps follows from prompts_per_generation: drop one of the two")
        self.per_device_train_batch_size, self.gradient_accumulation_steps = cut_update(
            prompts * self.num_generations,
            updates=updates,
            processes=int(os.environ.get("WORLD_SIZE", "1")),
            fits=self.per_device_train_batch_size,
        )
        self.steps_per_generation = self.gradient_accumulation_steps * updates

    def _refuse_options_without_effect(self, objective: TableObjective) -> None:
        defaults = {f.name: f.default for f in fields(GRPOConfig)}
        loss_type = HOST_LOSS[objective.aggregate]
        for name, reason in WITHOUT_EFFECT.items():
            value = getattr(self, name)
            if value != defaults[name] and (name, value) != ("loss_type", loss_type):
                raise UserError(f"{name}={value!r} would have no effect under objective {self.objective!r}: {reason}")
        self.loss_type = loss_type
        if objective.scale_rewards == "none":
            if self.scale_rewards not in (defaults["scale_rewards"], "none", False):
                raise UserError(f"scale_rewards={self.scale_rewards!r}: {self.objective} is defined without, drop it")
            self.scale_rewards = "none"

    def _check_drawing(self) -> None:
        screening, samples = self.screening_samples, self.num_generations
        for name, given in (
            ("screening_samples", screening > 0),
            ("settled_prompt_floor", self.settled_prompt_floor < 1),
        ):
            if given and not self.dynamic_sampling:
                raise UserError(f"{name}={getattr(self, name)} has no effect without dynamic_sampling: switch that on")
        if not screening:
            return
        if not 2 <= screening < samples:
            raise UserError(
                f"screening_samples is {screening}, needs at least 2 (one answer cannot differ) and fewer than "
                f"num_generations ({samples}), or 0 for none"
            )
        if self.scale_rewards == "batch" or self.multi_objective_aggregation != "sum_then_normalize":
            raise UserError(
                "screening_samples: advantages are of whole groups, which scale_rewards=batch and "
                "multi_objective_aggregation=normalize_then_sum are not; leave these or screening out"
            )
        prompts = self.generation_batch_size // samples
        if prompts % self.world_size:
            raise UserError(
                f"screening_samples needs whole groups on every process: {prompts} prompts per generation do not "
                f"divide by {self.world_size} processes"
            )

    def _check_save_steps(self) -> None:
        if str(getattr(self.save_strategy, "value", self.save_strategy)) != "steps" or self.save_steps < 1:
            return
        if self.save_steps % self.updates_per_batch:
            nearest = max(round(self.save_steps / self.updates_per_batch), 1) * self.updates_per_batch
            raise UserError(
                f"save_steps ({int(self.save_steps)}) is not a multiple of the {self.updates_per_batch} updates per "
                f"generation, so a resumed run would differ from an uninterrupted one: use {nearest}"
            )
