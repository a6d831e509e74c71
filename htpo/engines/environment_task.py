"""From options to a task whose prompts are played: a dataset that is an environment."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from htpo.engines.episode_options import TaskOptions, changed_episode_options
from htpo.environments import ENVIRONMENTS, EnvironmentLabel, EnvironmentWorkers, is_environment
from htpo.errors import UserError
from htpo.objectives import TableObjective
from htpo.playing.formats import prompt_format
from htpo.playing.player import Player
from htpo.playing.tasks import environment_options, refuse_unplayable, tasks_as_dataset
from htpo.playing.turn_tokens import TurnTokens
from htpo.playing.verdicts import EpisodeVerifier
from htpo.tasks import Task
from htpo.tasks.selection import given_options

OF_ENVIRONMENTS = {"dataset", "dataset_config", "eval_dataset", "train_prompts", "held_out_prompts"}
"""Options of the data that have an effect on an environment; `dataset_config` is its own options as JSON."""


@dataclass(frozen=True)
class EnvironmentTask(Task):
    """A task whose rows have a `TASK` and whose responses are episodes.

    Attributes:
        worlds: where the episodes are played.
    """

    worlds: EnvironmentWorkers

    def player(
        self, options: TaskOptions, tokenizer: Any, template: Mapping[str, Any] | None, max_tokens: int
    ) -> Player:
        """What has a policy play.

        Args:
            template: options of the tokenizer's chat template.
            max_tokens: of an episode.

        Raises:
            UserError: a turn is allowed to be longer than an episode, or the format cannot be used with this tokenizer.
        """
        if options.max_turn_length > max_tokens:
            raise UserError(
                f"max_turn_length ({options.max_turn_length}) is above max_completion_length ({max_tokens}), which is "
                "that of a whole episode: lower the first or raise the second"
            )
        told = prompt_format(options.prompt_format, has_chat_template=tokenizer.chat_template is not None)
        turns = TurnTokens(told, tokenizer, template)
        turns.check()
        return Player(
            self.worlds,
            turns,
            options.max_turn_length,
            max_tokens,
            oldest_leave=options.history_length is not None,
            history_length=options.history_length,
        )


def refuse_episode_options(options: TaskOptions) -> None:
    """Raise `UserError` where an option of episodes was given and there are none."""
    for name in changed_episode_options(options):
        raise UserError(
            f"{name}={getattr(options, name)!r} has no effect: it belongs to a dataset that is an environment "
            f"({', '.join(ENVIRONMENTS)}, or your own as package.module:Class)"
        )


def refuse_beside_others(options: TaskOptions) -> None:
    """Raise `UserError` where an environment is one of several sources of data."""
    if len(options.dataset) > 1 and any(map(is_environment, options.dataset)):
        raise UserError(f"--dataset {' '.join(options.dataset)}: an environment is trained on alone so far")


def refuse_without_episodes(objective: TableObjective) -> None:
    """Raise `UserError` where the objective reads what episodes alone have, and there are none."""
    if objective.reads:
        raise UserError(
            f"objective {objective.name!r} tells tokens apart by their {' and '.join(objective.reads)}, which episodes "
            f"alone have: --dataset {' or '.join(ENVIRONMENTS)}, or leave that axis or scope out"
        )


def load_environment_task(options: TaskOptions, seed: int) -> EnvironmentTask:
    """The tasks to play in training, and those held out.

    Without `eval_dataset`, the latter are drawn from the same split, at most a tenth of it.

    Args:
        seed: of the tasks where they are made, and of the division.

    Raises:
        UserError: the environment cannot be made, or an option contradicts it or would have no effect.
    """
    refuse_beside_others(options)
    for name in given_options(options).keys() - OF_ENVIRONMENTS:
        raise UserError(f"{name}={getattr(options, name)!r} has no effect on {options.dataset[0]}, an environment")
    label = EnvironmentLabel.parse(options.dataset[0])
    worlds = EnvironmentWorkers(label.name, environment_options(options.dataset_config), max_steps=options.max_turns)
    count = options.held_out_prompts
    if options.eval_dataset is None:
        rows = worlds.rows(label.split, options.train_prompts + count, seed)
        random.Random(seed).shuffle(rows)
        kept = min(count, max(1, len(rows) // 10))
        held_out, train = rows[:kept], rows[kept:]
    else:
        other = EnvironmentLabel.parse(options.eval_dataset)
        if other.name != label.name:
            raise UserError(f"--eval_dataset {options.eval_dataset} is another environment than {label.name}")
        train, held_out = (
            worlds.rows(label.split, options.train_prompts, seed),
            worlds.rows(other.split, count, seed) if count else [],
        )
    refuse_unplayable(options.dataset[0], worlds, train)
    earns = f"reward is {options.episode_reward}"
    if options.invalid_action_penalty:
        earns += f", less {options.invalid_action_penalty:g} for every invalid action"
    shown = ""
    if options.history_length is not None:
        shown = f"; the policy is shown its last {options.history_length} turns at most"
    return EnvironmentTask(
        name=label.name,
        train=tasks_as_dataset(train),
        held_out=tasks_as_dataset(held_out) if held_out else None,
        verifier=episode_verifier(options),
        description=f"{options.dataset[0]}: {len(train)} tasks to train on, {len(held_out)} held out from "
        f"{options.eval_dataset or 'the same'}; an episode is correct when it succeeds, its {earns}{shown}",
        worlds=worlds,
    )


def episode_verifier(options: TaskOptions) -> EpisodeVerifier:
    """What an episode is worth by the options."""
    return EpisodeVerifier(options.episode_reward == "score", options.invalid_action_penalty)
