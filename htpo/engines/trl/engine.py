"""The TRL engine: a training job on `HTPOTrainer`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from accelerate.utils import broadcast_object_list
from transformers import PrinterCallback, ProgressCallback
from trl import ModelConfig, get_peft_config, get_quantization_config

from htpo.engines.engine import Checkpoint, Engine, Training
from htpo.engines.environment_task import EnvironmentTask
from htpo.engines.job_options import JobOptions
from htpo.engines.judging import Judge
from htpo.engines.method import settle_overlong_buffer
from htpo.engines.option_rules import changed, check_values, refuse_unused, refuse_without_feature
from htpo.engines.trl.availability import refuse_unavailable
from htpo.engines.trl.callbacks import MetricsWriter, ProgressBar
from htpo.engines.trl.config import HTPOConfig
from htpo.engines.trl.held_out import HeldOut, MeasureEvery
from htpo.engines.trl.rollout_writer import RolloutWriter
from htpo.engines.trl.stop import StopOnSignal
from htpo.engines.trl.trackers import outlive_trackers
from htpo.engines.trl.trainer import HTPOTrainer
from htpo.engines.trl.unused_options import SEVERAL_PROCESSES, UNUSED_BY_THE_JOB
from htpo.engines.trl.verifier_reward import correct, partial_credit
from htpo.errors import Interrupted, UserError
from htpo.evaluate import SAFELY, load_tokenizer
from htpo.runs import RunDirectory, step_of
from htpo.statistics import PassRates
from htpo.tasks import Task
from htpo.tasks.prompts import as_sent

CHECKPOINT_COPIES = 4  # a parameter in a checkpoint: itself, its gradient's two moments, and slack for the rest


@dataclass
class TrlEngine(Engine):
    """An `Engine` on TRL's GRPO trainer."""

    OPTIONS: ClassVar[tuple[type, ...]] = (HTPOConfig, ModelConfig)

    config: HTPOConfig
    model: ModelConfig

    def __post_init__(self) -> None:
        check_values(self.model)
        refuse_without_feature(self.model)
        refuse_unused(self.config, UNUSED_BY_THE_JOB)
        self.objective = self.config.make_objective()
        self.main = self.config.process_index == 0
        self.processes = self.config.world_size
        self.policy = self.model.model_name_or_path
        self.output_dir = self.config.output_dir
        self.seed = self.config.seed
        self.template_options = self.config.chat_template_kwargs
        self.batch_shape = self.config.batch_shape
        self.max_rounds = self.config.max_generation_rounds if self.config.dynamic_sampling else 0
        self.overlong_buffer = self.config.overlong_buffer or 0

    def refuse_unavailable(self) -> None:
        refuse_unavailable(self.config, self.model)

    def remarks(self) -> list[str]:
        found, given = [], changed(self.config)
        idle = [name for name in SEVERAL_PROCESSES if name in given]
        if self.processes == 1 and idle:
            found.append(f"{', '.join(idle)} have an effect with several processes only, and this is one")
        if self.config.entropy_of == "old":
            shown = "entropies in metrics and rollouts are those of the policy that sampled"
            same = "that is the policy in training, as one update is made of each batch"
            found.append(f"entropy_of=old: {shown if self.config.updates_per_batch > 1 else same}")
        updates, warmup = self.config.max_steps, self.config.warmup_steps
        if 0 < updates < warmup:
            found.append(
                f"training ends ({updates} updates) before the warm-up does ({warmup:g}): the learning rate does not "
                "reach its full value"
            )
        return found

    def plan(self) -> dict[str, str]:
        found, first = {}, self.config.screening_samples
        if first:
            found["screening"] = f"{first} of {self.config.num_generations} answers first, the rest where these differ"
        if self.config.settled_prompt_floor < 1:
            found["memory"] = (
                "prompts that taught nothing at their last c visits are drawn with probability 1 / (1 + c), at least "
                f"{self.config.settled_prompt_floor:g}"
            )
        return found

    def load_tokenizer(self, policy: str) -> Any:
        return load_tokenizer(policy, self.model.model_revision, self.config.trust_remote_code)

    def latest_checkpoint(self, run: RunDirectory) -> tuple[Checkpoint | None, dict[Path, str]]:
        """As the first process finds it, which alone reads the checkpoints."""
        found, faults = run.latest_complete_checkpoint() if self.main else (None, {})
        found, faults = broadcast_object_list([found, faults])
        return (None if found is None else Checkpoint(found, step_of(found))), faults

    def prepare(self, options: JobOptions, policy: str, task: Task, tokenizer: Any, run: RunDirectory) -> "TrlTraining":
        """An `Engine` on TRL's GRPO trainer."""
        trainer = self._trainer(options, policy, task, tokenizer, run)
        held_out = HeldOut(options, task, run, trainer, tokenizer)
        if options.eval_every:
            trainer.add_callback(MeasureEvery(held_out, options.eval_every))
        return TrlTraining(trainer, held_out)

    def _trainer(self, options: JobOptions, policy: str, task: Task, tokenizer: Any, run: RunDirectory) -> HTPOTrainer:
        init = {**SAFELY, "revision": self.model.model_revision, "dtype": self.model.dtype}
        if self.model.attn_implementation:
            init["attn_implementation"] = self.model.attn_implementation
        self.config.model_init_kwargs = {**init, **(self.config.model_init_kwargs or {})}
        judge = Judge(
            task.verifier,
            as_sent=lambda prompt: as_sent(prompt, tokenizer, self.template_options),
            answer_column=options.answer_column,
        )
        player = None
        if isinstance(task, EnvironmentTask):
            limit = self.config.max_completion_length
            if options.history_length is not None:
                self._leave_out_overlong_shaping()
            player = task.player(options, tokenizer, self.template_options, limit)
        partial = [partial_credit] if getattr(task.verifier, "graded", False) else []
        try:
            trainer = HTPOTrainer(
                policy,
                [correct, *partial],
                self.config,
                train_dataset=task.train,
                processing_class=tokenizer,
                quantization_config=get_quantization_config(self.model),
                peft_config=get_peft_config(self.model),
                callbacks=[MetricsWriter(run), ProgressBar()],
                judge=judge,
                player=player,
                rollout_recorder=RolloutWriter(run, tokenizer, options.rollout_every, options.rollouts_kept, self.seed),
            )
        except (OSError, ValueError, ImportError, TypeError, NotImplementedError) as error:
            raise UserError(f"cannot set up training of {policy}: {' '.join(str(error).split())}") from error
        self._check_adapter(trainer)
        outlive_trackers(trainer.callback_handler.callbacks)
        for host_display in (ProgressCallback, PrinterCallback):
            trainer.remove_callback(host_display)
        return trainer

    def _leave_out_overlong_shaping(self) -> None:
        """Whose limit bounds what is shown where old turns leave, and not an episode."""
        config = self.config
        usual = settle_overlong_buffer(self.objective, None, config.max_completion_length)
        if config.overlong_buffer not in (0, usual):
            raise UserError(
                f"overlong_buffer={config.overlong_buffer} punishes responses close to max_completion_length, which "
                "with history_length bounds what the policy is shown, and no episode: leave it out"
            )
        config.overlong_buffer = self.overlong_buffer = 0

    def _check_adapter(self, trainer: HTPOTrainer) -> None:
        """Refuse names of layers that the adapter silently leaves out."""
        names = [name for name, _ in (*trainer.model.named_modules(), *trainer.model.named_parameters())]
        for option in ("lora_modules_to_save", "lora_target_parameters"):
            for layer in getattr(self.model, option) or []:
                if not any(re.search(rf"(^|\.){re.escape(layer)}(\.|$)", name) for name in names):
                    raise UserError(f"{option} {layer}: the model has no such layer")


class TrlTraining(Training):
    """A `Training` by an `HTPOTrainer`."""

    def __init__(self, trainer: HTPOTrainer, held_out: HeldOut):
        self.trainer, self.held_out = trainer, held_out
        parameters = list(trainer.model.parameters())
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        self.parameters = sum(p.numel() for p in parameters), sum(p.numel() for p in trained)
        self.measured = held_out.in_words()
        self.disk_needed = self._disk_needed(sum(p.numel() * p.element_size() for p in trained))

    def _disk_needed(self, size: int) -> int:
        args = self.trainer.args
        if not self._saves:
            return 0
        kept = args.save_total_limit or 2
        best = 2 * size if self.held_out.options.eval_every else 0  # the best so far, and the next one beside it
        return CHECKPOINT_COPIES * size * (kept + 1) + best

    @property
    def _saves(self) -> bool:
        """Whether checkpoints are written."""
        strategy = self.trainer.args.save_strategy
        return str(getattr(strategy, "value", strategy)) != "no"

    def before(self) -> PassRates | None:
        return self.held_out.before()

    def train(self, checkpoint: Path | None) -> int:
        args, run = self.trainer.args, self.held_out.directory
        stop = StopOnSignal(args.updates_per_batch, self._saves)
        self.trainer.add_callback(stop)
        with stop.watching():
            self.trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        updates, planned = int(self.trainer.state.global_step), self.trainer.state.max_steps
        if stop.received is not None and updates < planned:
            how = f"`htpo train --resume --output_dir {run.path}` goes on after update {updates} of {planned}"
            raise Interrupted(stop.received, how if self._saves else "no checkpoint is kept, as save_strategy is no")
        return updates

    def save(self, folder: Path) -> None:
        self.trainer.save_model(str(folder))

    def after(self) -> PassRates | None:
        return self.held_out.after()

    def best(self) -> dict[str, Any] | None:
        return self.held_out.best

    def close(self) -> None:
        self.trainer.accelerator.wait_for_everyone()
        self.trainer.accelerator.end_training()
        if self.trainer.player is not None:
            self.trainer.player.worlds.close()
