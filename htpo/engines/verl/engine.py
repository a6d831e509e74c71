"""The verl engine: a training job by verl's own command, on Ray, as a process of its own."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from htpo.engines.engine import Checkpoint, Engine
from htpo.engines.environment_task import EnvironmentTask
from htpo.engines.held_out import HeldOutProblems
from htpo.engines.job_options import JobOptions
from htpo.engines.verl.availability import refuse_unavailable
from htpo.engines.verl.command import Facts, Place, make_command
from htpo.engines.verl.episode_data import HowPlayed
from htpo.engines.verl.options import VerlOptions
from htpo.engines.verl.records import VERL_STEP
from htpo.engines.verl.settings import WORKING_VERL, check_batch_quantiles
from htpo.engines.verl.training import VerlTraining
from htpo.errors import UserError
from htpo.evaluate import load_tokenizer
from htpo.playing.formats import format_name
from htpo.playing.player import Player
from htpo.playing.tasks import TASK
from htpo.runs import RunDirectory
from htpo.tasks import Task
from htpo.tasks.prompt_lengths import prompt_lengths

LOOKED_AT = 64
"""Tasks of an environment whose first prompts are made before training."""
ROOM = 2
"""How many times as long as the longest of them a first prompt may be before it takes of its episode's tokens."""
LATEST = "latest_checkpointed_iteration.txt"
"""Which verl writes when a checkpoint is whole."""


@dataclass
class VerlEngine(Engine):
    """An `Engine` on verl's trainers."""

    OPTIONS: ClassVar[tuple[type, ...]] = (VerlOptions,)

    options: VerlOptions

    def __post_init__(self) -> None:
        options = self.options
        self.objective = options.make_objective()
        check_batch_quantiles(self.objective, options.entropy_of, option="entropy_of")
        self.main, self.processes = True, 1  # of our own: verl's are started by Ray
        self.policy, self.seed = options.model_name_or_path, options.seed
        assert options.output_dir is not None
        self.output_dir = options.output_dir
        assert isinstance(options.chat_template_kwargs, dict | None), "JSON is read when the options are made"
        self.template_options = options.chat_template_kwargs
        self.batch_shape = options.batch_shape
        self.max_rounds = options.max_generation_rounds if options.dynamic_sampling else 0
        self.overlong_buffer = options.overlong_buffer or 0
        self.on_cpu = not torch.accelerator.is_available()

    def refuse_unavailable(self) -> None:
        refuse_unavailable(self.options, self.on_cpu)

    def remarks(self) -> list[str]:
        options, found = self.options, []
        if self.on_cpu:
            found.append(
                "there is no GPU, so verl runs on the CPU: for trying a configuration, not for training (docs/verl.md)"
            )
        moves = options.lr_scheduler_type == "cosine" or options.warmup_steps
        if options.updates_per_generation > 1 and moves:
            found.append(
                f"verl changes the learning rate with each generation batch, of {options.updates_per_generation} "
                "updates, not with each update"
            )
        return found

    def plan(self) -> dict[str, str]:
        options = self.options
        where = "the CPU" if self.on_cpu else f"{options.nodes} x {options.gpus_per_node} GPUs"
        return {"engine": f"verl {WORKING_VERL}, trainer mode {options.trainer_mode}, on {where}"}

    def load_tokenizer(self, policy: str) -> Any:
        return load_tokenizer(policy, trust_remote_code=self.options.trust_remote_code)

    def latest_checkpoint(self, run: RunDirectory) -> tuple[Checkpoint | None, dict[Path, str]]:
        folder = Place(run.path).checkpoints
        try:
            step = int((folder / LATEST).read_text())
        except (OSError, ValueError):
            return None, {}
        updates = {record.get(VERL_STEP): record["step"] for record in run.read_metrics()}
        done = updates.get(step, step * self.options.updates_per_generation)
        return Checkpoint(folder / f"global_step_{step}", done), {}

    def prepare(self, options: JobOptions, policy: str, task: Task, tokenizer: Any, run: RunDirectory) -> VerlTraining:
        if options.eval_every:
            raise UserError(
                f"eval_every={options.eval_every}: with the engine verl, problems are measured before and after "
                "training; leave it out, or have verl validate by --verl_options trainer.test_freq=N"
            )
        played, player = None, None
        if isinstance(task, EnvironmentTask):
            limit = self.options.max_completion_length
            player = task.player(options, tokenizer, self.template_options, limit)
            told = format_name(options.prompt_format, has_chat_template=tokenizer.chat_template is not None)
            played = HowPlayed.of(options, self.seed, told)
            longest = ROOM * max(first_prompt_lengths(task, player, self.seed))
        else:
            parts = [rows for rows in (task.train, task.held_out) if rows is not None]
            longest = max(max(prompt_lengths(rows, tokenizer, self.template_options).lengths) for rows in parts)
        place = Place(Path(run.path).absolute())
        facts = Facts(
            policy=str(Path(policy).absolute()) if Path(policy).is_dir() else policy,
            prompts=len(task.train),
            held_out=task.held_out is not None,
            longest_prompt=options.max_prompt_length or longest,
            chat_template=None if tokenizer.chat_template is not None else bare_template(tokenizer),
            on_cpu=self.on_cpu,
        )
        return VerlTraining(
            options=self.options,
            held_out=HeldOutProblems(options, task, run),
            tokenizer=tokenizer,
            policy=policy,
            place=place,
            command=make_command(self.options, options, place, facts),
            generations=self.options.generations(len(task.train)),
            size=_count_parameters(policy, self.options.trust_remote_code),
            on_cpu=self.on_cpu,
            played=played,
            player=player,
        )


def first_prompt_lengths(task: EnvironmentTask, player: Player, seed: int) -> list[int]:
    """Tokens of the first prompts of episodes: of tasks evenly out of all, as each has to be reset."""
    rows = task.train.select(range(0, len(task.train), -(-len(task.train) // LOOKED_AT)))
    begun = player.begin([json.loads(row) for row in rows[TASK]], [seed] * len(rows))
    player.worlds.end([row.episode for row in begun])
    return [len(row.prompt) for row in begun]


def bare_template(tokenizer: Any) -> str:
    """A chat template that adds nothing but what the tokenizer adds to any text: verl cannot do without one."""
    start = tokenizer("").input_ids
    begins = "{{ bos_token }}" if start and start[0] == tokenizer.bos_token_id else ""
    return begins + "{% for message in messages %}{{ message.content }}{% endfor %}"


def _count_parameters(policy: str, trust_remote_code: bool) -> int:
    """Of a model that is not loaded."""
    try:
        config = AutoConfig.from_pretrained(policy, trust_remote_code=trust_remote_code)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"cannot set up training of {policy}: {' '.join(str(error).split())}") from error
    return sum(parameter.numel() for parameter in model.parameters())
