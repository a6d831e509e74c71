"""`htpo data export`: data as another trainer reads it."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from htpo.cli.data import data_options
from htpo.engines.environment_task import load_environment_task, refuse_episode_options
from htpo.engines.episode_options import TaskOptions
from htpo.engines.option_rules import check_values
from htpo.engines.verl.episode_data import HowPlayed, export_episodes
from htpo.environments import is_environment
from htpo.errors import UserError
from htpo.playing.formats import format_name
from htpo.tasks import Task, load_task
from htpo.tasks.selection import find_source
from htpo.tasks.sources.puzzles import Puzzles
from htpo.tasks.verl_layout import TEST, TRAIN, export_task

FORMATS = ("verl",)
NO_TEMPLATE = "'{% for message in messages %}{{ message.content }}{% endfor %}'"
"""A chat template that adds nothing, quoted for hydra."""


@dataclass
class ExportOptions(TaskOptions):
    """What `htpo data export` takes beside the options of the data."""

    format: str = field(default="verl", metadata={"help": f"For which trainer: {', '.join(FORMATS)}."})
    output: str | None = field(default=None, metadata={"help": "A new folder for train.parquet and test.parquet."})
    force: bool = field(default=False, metadata={"help": "Replace the folder if it exists."})
    seed: int = field(default=0, metadata={"help": "Of generated puzzles, of what is held out, and of mixtures."})


def export(arguments: list[str]) -> None:
    """Write a source's rows, and what judges them, for verl, and say how to use them there."""
    options = data_options(ExportOptions, arguments, "htpo data export")
    if options.format not in FORMATS:
        raise UserError(f"--format {options.format}: there is {', '.join(FORMATS)}")
    if options.output is None:
        raise UserError("htpo data export needs an --output, a folder that does not exist yet")
    folder = Path(options.output).expanduser()
    if folder.exists() and not options.force:
        raise UserError(f"{folder} exists: give another --output, or --force to replace it")
    played = any(map(is_environment, options.dataset))
    task = (_export_episodes if played else _export_answers)(options, folder)
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    say(task.description)
    say(f"written: {folder / TRAIN} ({len(task.train)} rows)")
    tested = folder / TEST if task.held_out is not None else folder / TRAIN
    if task.held_out is not None:
        say(f"written: {tested} ({len(task.held_out)} rows)")
    place = shlex.quote(str(folder.resolve() / TRAIN)), shlex.quote(str(tested.resolve()))
    say("\nWith verl, where htpo is installed beside it:\n")
    say(f"  data.train_files={place[0]} \\")
    say(f"  data.val_files={place[1]} \\")
    if task.held_out is None:
        say("  trainer.val_before_train=False trainer.test_freq=-1 \\")
    say("  reward.reward_manager.name=htpo")
    if played:
        say(
            f"\nand data.max_prompt_length, of what an episode begins with, and data.max_response_length, of a whole "
            f"episode, in which a turn of the policy has up to {options.max_turn_length} tokens."
        )
    compact = ", exported with --prompt_format compact" if played else ""
    say(
        f"\nFor a model without a chat template (a base model's, the built-in puzzles'){compact}, which verl cannot do "
        "without:\n"
    )
    say(f'  "actor_rollout_ref.model.custom_chat_template={NO_TEMPLATE}"')


def _export_answers(options: ExportOptions, folder: Path) -> Task:
    refuse_episode_options(options)
    texts = any(isinstance(find_source(label, options), Puzzles) for label in options.dataset)
    task = load_task(options, conversational=not texts, seed=options.seed)
    try:
        export_task(task, options, folder, force=options.force)
    finally:
        task.verifier.close()
    return task


def _export_episodes(options: ExportOptions, folder: Path) -> Task:
    check_values(options)
    told = format_name(options.prompt_format, has_chat_template=True)
    task = load_environment_task(options, options.seed)
    with task.worlds:
        export_episodes(task, HowPlayed.of(options, options.seed, told), folder, force=options.force)
    return task
