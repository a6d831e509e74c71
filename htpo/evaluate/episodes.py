"""Tasks of an environment that are measured on: loaded, and played."""

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from htpo.environments import EnvironmentLabel, EnvironmentWorkers, TooFewTasks
from htpo.evaluate.answers import Row, numbered
from htpo.evaluate.generators.vocabulary import EpisodeRequest, EpisodeSettings, Generator, Key, Played
from htpo.playing.formats import PROMPT_FORMATS
from htpo.playing.options import PlayOptions
from htpo.playing.tasks import TASK, refuse_unplayable, tasks_as_dataset
from htpo.playing.verdicts import EPISODE, EpisodeVerifier
from htpo.tasks.task import Problems
from htpo.terminal import progress_bar


@dataclass(frozen=True)
class EnvironmentProblems(Problems):
    """Tasks of an environment, whose answers are episodes."""

    settings: EpisodeSettings


def load_environment_problems(
    label: str, play: PlayOptions, told: str, own: Mapping[str, Any], count: int | None, seed: int
) -> EnvironmentProblems:
    """The tasks that a label names.

    Args:
        label: an environment, with or without a split; without, the last that it has.
        told: name of the format in which the policy is told of the environment.
        own: the environment's own options.
        count: how many at most; None: all.
        seed: which ones, where they are made or drawn; and of every episode.

    Raises:
        UserError: the environment cannot be made, or has no such tasks.
    """
    parsed = EnvironmentLabel.parse(label)
    worlds = EnvironmentWorkers(parsed.name, own, max_steps=play.max_turns)
    split = parsed.split or worlds.splits()[-1]
    try:
        rows = worlds.rows(split, count, seed)
    except TooFewTasks:
        rows = worlds.rows(split, None, seed)
    refuse_unplayable(label, worlds, rows)
    name = f"{parsed.name}:{split}"
    limit = "" if play.max_turns is None else f" and {play.max_turns} actions"
    if play.history_length is not None:
        limit += f", of which the last {play.history_length} are shown"
    return EnvironmentProblems(
        name,
        tasks_as_dataset(rows),
        EpisodeVerifier(by_score=True),
        f"{name}: {len(rows)} tasks of an environment, told as {told}, at most {play.max_turn_length} tokens a turn"
        f"{limit}; an episode is correct when it succeeds",
        EpisodeSettings(worlds, PROMPT_FORMATS[told], play.max_turn_length, seed, play.history_length),
    )


def play(
    problems: EnvironmentProblems,
    generator: Generator,
    samples: int,
    keep: Callable[[list[Row]], Any],
    *,
    done: Set[Key] = frozenset(),
    progress: str | None = None,
) -> None:
    """Have a model play every task; arguments as for `answer`, and every list of episodes is kept as answers are."""
    rows = numbered(problems)
    requests = [
        EpisodeRequest(number, sample, json.loads(row[TASK]))
        for number, row in rows.items()
        for sample in range(1, samples + 1)
    ]
    title, shown = progress or "", progress is not None
    try:
        with progress_bar(title, len(requests), "episode", initial=len(done), shown=shown) as bar:
            for played in generator.play(problems.name, problems.settings, requests, done):
                keep([_as_row(problems, episode) for episode in played])
                bar.update(len(played))
    finally:
        problems.settings.worlds.close()


def _as_row(problems: EnvironmentProblems, played: Played) -> Row:
    row, turns = played.row, played.turns
    episode = row.episode
    (verdict,) = problems.verifier.judge([""], [{EPISODE: row}])
    written = [turns.written(turn.ids) for turn in row.turns]
    known = [count for count in played.turn_tokens if count is not None]
    return {
        "problem": played.request.problem,
        "sample": played.request.sample,
        "prompt": turns.text(row.prompt),
        "response": "\n".join(written),
        "tokens": sum(known) if len(known) == len(written) else None,
        "finished": not row.overflowed,
        "correct": verdict.correct,
        "score": verdict.score,
        "extracted": None,
        "failure": verdict.failure,
        "reasoning": played.reasoning,
        "task_type": str(episode.row["task_type"]),
        "step_limit": episode.truncated,
        "actions": list(episode.actions),
        "invalid": list(episode.invalid),
        "written": written,
        "turn_tokens": list(played.turn_tokens),
        "cut_off": list(played.cut_off),
        "shown": [turns.text(ids) for ids in row.shown],
        "forgotten": list(row.forgotten),
        "last_shown": episode.observation.text if episode.actions and episode.failure is None else None,
    }
