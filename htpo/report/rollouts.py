"""Sample rollouts for the page's browser, as plain data."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from htpo.analysis.examples import LONGEST, ShownTurn, judgement_lines, shown_turns
from htpo.analysis.token_text import visible
from htpo.analysis.tokens import TokenTable
from htpo.figures.shading import BY_ENTROPY, BY_PULL, ramp

TOKENS_SHOWN = 60_000  # on the whole page, to keep it small
PER_TOKEN = ("text", "entropy", "logProb", "weight", "group", "high")
CHARACTERS = 40  # of what an environment showed, that take as much of the page as a token with its numbers


def rollouts_for_browser(tables: dict[str, TokenTable]) -> dict[str, Any]:
    """Responses with their tokens, and the scales and names to show them with.

    Where there are too many tokens for a page, responses are chosen at random (seed fixed), as evenly as can be over
    runs, updates, and right and wrong answers.

    Args:
        tables: of every run that kept rollouts, by label.
    """
    shown = within_page(_rollout(label, table, number) for label, table, number in _in_turn(tables))
    shown.sort(key=lambda one: (list(tables).index(one["run"]), one["update"] or 0, one["prompt"]))
    return {
        "rollouts": shown,
        "kept": sum(len(table.responses) for table in tables.values()),
        "episodes": all(one["turns"] for one in shown),
        "runs": list(tables),
        "groups": {label: table.groups for label, table in tables.items()},
        "groupedInTraining": {label: table.grouped_in_training for label, table in tables.items()},
        "scales": {"entropy": ramp(BY_ENTROPY), "pull": ramp(BY_PULL)},
        "highest": {
            "entropy": _typical_largest([h for one in shown for h in one["entropy"] if h is not None]),
            "pull": _typical_largest([abs(w * one["advantage"]) for one in shown if one["advantage"] is not None
                                      for w in one["weight"] if w is not None]),
        },
    }  # fmt: skip


def without_tokens(rollouts: list[dict[str, Any]], kept: int, runs: list[str]) -> dict[str, Any]:
    """The same of rollouts that have `written` texts in place of tokens.

    Args:
        kept: how many there are beside those that are shown.
        runs: what they are of.
    """
    return {
        "rollouts": [rollout | {name: [] for name in PER_TOKEN} for rollout in rollouts],
        "kept": kept,
        "episodes": all(one["turns"] for one in rollouts),
        "runs": runs,
        "groups": {label: {} for label in runs},
        "groupedInTraining": dict.fromkeys(runs, False),
        "scales": {"entropy": ramp(BY_ENTROPY), "pull": ramp(BY_PULL)},
        "highest": {"entropy": 0.0, "pull": 0.0},
    }


def within_page(rollouts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first ones that a page has room for."""
    shown, room = [], TOKENS_SHOWN
    for one in rollouts:
        room -= one["size"]
        if room < 0:
            break
        shown.append(one)
    return shown


def as_turns(turns: Sequence[ShownTurn]) -> list[dict[str, Any]]:
    """Turns of an episode as plain data."""
    return [{"tokens": t.tokens, "action": t.action, "invalid": t.invalid, "shown": t.shown} for t in turns]


def page_size(tokens: int, turns: Sequence[ShownTurn]) -> int:
    """How much of a page a rollout takes, in tokens."""
    return tokens + sum(len(turn.shown or "") for turn in turns) // CHARACTERS


def _typical_largest(values: list[float]) -> float:
    """What all but a hundredth stay below: a few extreme values would leave all others in one shade."""
    return float(np.quantile(values, 0.99)) if values else 0.0


def _in_turn(tables: dict[str, TokenTable]) -> Iterator[tuple[str, TokenTable, int]]:
    """Every response once: one of each run, update and verdict, then the next of each."""
    random = np.random.default_rng(0)
    waiting: dict[tuple, list[int]] = defaultdict(list)
    for label, table in tables.items():
        order = random.permutation(len(table.responses))
        responses = table.responses.iloc[order]
        for number, step, answer in zip(responses.index, responses["step"], responses["answer"]):
            waiting[label, step, answer].append(int(number))
    queues = list(waiting.items())
    while queues:
        for (label, _, _), numbers in queues:
            yield label, tables[label], numbers.pop()
        queues = [(key, numbers) for key, numbers in queues if numbers]


def _rollout(label: str, table: TokenTable, number: int) -> dict[str, Any]:
    response = table.responses.loc[number]
    first = int(table.responses["tokens"].iloc[:number].sum())
    length = int(response["tokens"])
    tokens, turns = table.tokens.iloc[first : first + min(length, LONGEST)], shown_turns(response)
    return {
        "run": label,
        "update": _number(response["step"], 0),
        "prompt": response["prompt"],
        "judged": judgement_lines(response),
        "correct": None if pd.isna(response["correct"]) else bool(response["correct"]),
        "accuracy": _number(response["group_accuracy"], 3),
        "advantage": _number(response["advantage"], 4),
        "length": length,
        "size": page_size(len(tokens), turns),
        "turns": as_turns(turns),
        "written": None,
        "text": [visible(text) for text in tokens["text"]],
        "entropy": _numbers(tokens["entropy"], 4),
        "logProb": _numbers(tokens["log_prob"], 3),
        "weight": _numbers(tokens["weight"], 3),
        "group": tokens["group"].tolist(),
        "high": [int(high) for high in tokens["high"]],
    }


def _numbers(values: pd.Series, digits: int) -> list[float | None]:
    return [_number(value, digits) for value in values]


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None  # JSON has no others
