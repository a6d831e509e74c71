"""From stored samples to the measures of a task, as plain data."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from htpo.evaluate.votes import as_vote
from htpo.statistics import (
    Estimate,
    g_pass_at_k,
    majority_at_k,
    mean_g_pass_at_k,
    mean_interval,
    pass_curves,
    powers_of_two,
    rate_interval,
    rate_intervals,
)

TAUS = (0.5, 0.75, 1.0)
"""Shares of k answers that G-Pass@k wants right, if nothing else is asked for."""


@dataclass(frozen=True)
class TaskSamples:
    """The judged samples of one task, problem by problem: equally many of each.

    All arrays are (problems, samples), or (problems,).
    """

    numbers: tuple[int, ...]  # of the problems, ascending
    correct: NDArray[np.bool_]
    finished: NDArray[np.bool_]
    tokens: NDArray[np.float64]  # NaN where it is not known
    score: NDArray[np.float64]  # the reward; NaN where the verifier gives no partial credit
    extracted: list[list[str | None]]
    failure: list[list[str | None]]
    vote: list[list[str | None]]  # the answer that stands for all that mean the same, where it is another
    episodes: "EpisodeSamples | None" = None

    @classmethod
    def from_table(cls, table: pa.Table) -> "TaskSamples":
        """From the complete table of `SampleStore.measured`."""
        numbers = tuple(dict.fromkeys(table["problem"].to_pylist()))
        shape = (len(numbers), table.num_rows // len(numbers))

        def grid(name: str, kind: type) -> NDArray[Any]:
            return np.array(table[name].to_pylist(), dtype=kind).reshape(shape)

        def lists(name: str) -> list[list[str | None]]:
            values = table[name].to_pylist()
            return [values[start : start + shape[1]] for start in range(0, len(values), shape[1])]

        return cls(
            numbers,
            grid("correct", bool),
            grid("finished", bool),
            grid("tokens", float),
            grid("score", float),
            lists("extracted"),
            lists("failure"),
            lists("vote"),
            EpisodeSamples.from_table(table, shape) if table["task_type"].null_count == 0 else None,
        )

    @property
    def problems(self) -> int:
        """How many."""
        return len(self.numbers)

    @property
    def samples(self) -> int:
        """Of every problem."""
        return int(self.correct.shape[1])

    @cached_property
    def counts(self) -> list[int]:
        """(problems,) correct samples."""
        return [int(count) for count in self.correct.sum(1)]

    @cached_property
    def pass_curves(self) -> NDArray[np.float64]:
        """(problems, samples) pass@k for k = 1..samples."""
        return pass_curves(self.samples, self.counts)

    @property
    def episode_scores(self) -> NDArray[np.float64] | None:
        """(problems,) mean scores of episodes; None of other samples."""
        return None if self.episodes is None else self.score.mean(1)

    def majority(self, k: int) -> NDArray[np.float64] | None:
        """(problems,) maj@k; None where the verifier reads no answers to vote with, and of episodes."""
        if self.episodes is not None:
            return None
        flat = zip((a for row in self.extracted for a in row), (f for row in self.failure for f in row))
        if any(answer is None and failure is None for answer, failure in flat):
            return None
        voted = []
        for place, right in enumerate(self.correct.tolist()):
            answers = zip(self.extracted[place], self.failure[place], self.vote[place])
            votes = [None if failure else vote or as_vote(answer) for answer, failure, vote in answers]
            voted.append(majority_at_k(votes, right, k, seed=place))
        return np.array(voted)

    def share_failed(self, kind: str) -> NDArray[np.float64]:
        """(problems,) share of samples with this failure."""
        failed = np.array([[failure == kind for failure in row] for row in self.failure])
        shares: NDArray[np.float64] = failed.mean(1)
        return shares


@dataclass(frozen=True)
class EpisodeSamples:
    """What is known of samples that are episodes. All arrays are (problems, samples)."""

    task_types: list[str]  # by problem
    steps: NDArray[np.float64]  # actions
    invalid_actions: NDArray[np.float64]
    step_limit: NDArray[np.bool_]  # ended for their number of actions
    cut_off: NDArray[np.float64]  # share of the turns that came to the limit of a turn; NaN where that is not known
    shortened: NDArray[np.bool_]  # the oldest turns left what the policy was shown

    @classmethod
    def from_table(cls, table: pa.Table, shape: tuple[int, int]) -> "EpisodeSamples":
        """From the complete table of `SampleStore.measured`.

        Args:
            shape: (problems, samples).
        """
        invalid = table["invalid"].to_pylist()
        return cls(
            table["task_type"].to_pylist()[:: shape[1]],
            np.array([len(actions) for actions in invalid], dtype=float).reshape(shape),
            np.array([sum(actions) for actions in invalid], dtype=float).reshape(shape),
            np.array(table["step_limit"].to_pylist(), dtype=bool).reshape(shape),
            np.array([np.mean(turns) if turns else np.nan for turns in table["cut_off"].to_pylist()]).reshape(shape),
            np.array([any(turns or ()) for turns in table["forgotten"].to_pylist()], dtype=bool).reshape(shape),
        )


def measures(found: TaskSamples, taus: Sequence[float] = TAUS) -> dict[str, Any]:
    """Every measure of a task as plain data; `docs/evaluate.md` says what each is.

    Args:
        taus: of G-Pass@k.
    """
    means, low, high = rate_intervals(found.pass_curves)
    votes = {k: found.majority(k) for k in powers_of_two(found.samples)}
    lengths = _known_means(found.tokens)
    scores = _known_means(found.score)
    return {
        "problems": found.problems,
        "samples": found.samples,
        "avg": rate_interval(found.correct.mean(1)).to_json(),
        "pass_at_k": {
            "k": list(range(1, found.samples + 1)),
            **{name: column.tolist() for name, column in (("value", means), ("low", low), ("high", high))},
        },
        "maj_at_k": {str(k): rate_interval(vote).to_json() for k, vote in votes.items() if vote is not None} or None,
        "g_pass_at_k": {
            str(k): {
                str(tau): rate_interval(g_pass_at_k(found.samples, found.counts, k, tau)).to_json() for tau in taus
            }
            for k in powers_of_two(found.samples)
        },
        "mg_pass_at_k": {
            str(k): rate_interval(mean_g_pass_at_k(found.samples, found.counts, k)).to_json()
            for k in powers_of_two(found.samples)
        },
        "truncated": rate_interval(1 - found.finished.mean(1)).to_json(),
        "unparsable": rate_interval(found.share_failed("unparsable")).to_json(),
        "mean_length": None if lengths is None else mean_interval(lengths).to_json(),
        "mean_score": None if scores is None else _score_interval(scores).to_json(),
        "failures": dict(Counter(failure for row in found.failure for failure in row if failure)),
        "episodes": None if found.episodes is None else _episode_measures(found, found.episodes),
        "correct": dict(zip(map(str, found.numbers), found.counts)),
    }


def _episode_measures(found: TaskSamples, episodes: EpisodeSamples) -> dict[str, Any]:
    """Of episodes: of all, and by type of task, in the order of their names."""
    types = np.array(episodes.task_types)
    of_types = {name: types == name for name in sorted(set(episodes.task_types))}
    cut_off = _known_means(episodes.cut_off)
    return {
        "steps": mean_interval(episodes.steps.mean(1)).to_json(),
        "invalid_actions": mean_interval(episodes.invalid_actions.mean(1)).to_json(),
        "step_limit": rate_interval(episodes.step_limit.mean(1)).to_json(),
        "cut_off": None if cut_off is None else rate_interval(cut_off).to_json(),
        "shortened": rate_interval(episodes.shortened.mean(1)).to_json(),
        "by_task_type": {
            name: {
                "problems": int(chosen.sum()),
                "avg": rate_interval(found.correct[chosen].mean(1)).to_json(),
                "pass_at_n": rate_interval(found.pass_curves[chosen, -1]).to_json(),
                "mean_score": _score_interval(found.score[chosen].mean(1)).to_json(),
                "steps": mean_interval(episodes.steps[chosen].mean(1)).to_json(),
                "invalid_actions": mean_interval(episodes.invalid_actions[chosen].mean(1)).to_json(),
            }
            for name, chosen in of_types.items()
        },
    }


def _score_interval(scores: NDArray[np.float64]) -> Estimate:
    """Of scores, which are rates unless one is below 0 or above 1."""
    of_rates = bool(((scores >= 0) & (scores <= 1)).all())
    return rate_interval(scores) if of_rates else mean_interval(scores)


def _known_means(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(problems,) means over the known values, of problems that have any; None when none has."""
    some = values[~np.isnan(values).all(1)]
    means: NDArray[np.float64] = np.nanmean(some, axis=1)
    return means if len(means) else None
