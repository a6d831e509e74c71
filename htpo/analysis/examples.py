"""Which responses are shown token by token, and what is said of each token."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd

from htpo.analysis.left_out import LeftOut
from htpo.analysis.tokens import CELLS, TokenTable
from htpo.verifiers.verdict import FAILURES

LONGEST = 2000  # tokens of a response that are shown
EPISODE_FAILURES = {
    "timeout": "the environment took too long",
    "crash": "the environment failed",
    "truncated": "it was given up, as another turn would not have fitted",
}
"""Why an episode ended before its time."""


@dataclass(frozen=True)
class ShownTurn:
    """A turn of an episode: its tokens, counted, the action found in it, and what the environment showed then."""

    tokens: int
    action: str | None
    invalid: bool | None  # None where the environment failed on it
    shown: str | None  # None after the last turn


@dataclass(frozen=True)
class Example:
    """One response."""

    title: str  # "hard prompt, correct answer"
    prompt: str
    judged: list[tuple[str, str]]  # what is known of its judgement, or of an episode how it went: a name, a text
    step: int | None
    group_accuracy: float | None
    tokens: pd.DataFrame  # rows of the token table
    length: int  # tokens of the whole response
    turns: list[ShownTurn]  # of an episode; else none


def choose_examples(table: TokenTable) -> list[Example]:
    """One response each for hard/easy x correct/wrong, where there is one; or one of any kind if none is judged.

    Shown is the response of median length among those of the last update that has any, the first in order of several.

    Raises:
        LeftOut: no response has tokens.
    """
    responses = table.responses[table.responses["tokens"] > 0]
    if responses.empty:
        raise LeftOut("no response has tokens")
    examples = []
    for difficulty, answer in CELLS:
        fitting = responses[(responses["difficulty"] == difficulty) & (responses["answer"] == answer)]
        if len(fitting):
            examples.append(_example(table, fitting, f"{difficulty} prompt, {answer} answer"))
    for answer in ("correct", "wrong") if not examples else ():
        fitting = responses[responses["answer"] == answer]
        if len(fitting):
            examples.append(_example(table, fitting, f"{answer} answer, difficulty not known"))
    return examples or [_example(table, responses, "a response")]


def _example(table: TokenTable, fitting: pd.DataFrame, title: str) -> Example:
    latest = fitting[fitting["step"] == fitting["step"].max()] if fitting["step"].notna().any() else fitting
    lengths = latest["tokens"]
    response_id = (lengths - np.median(lengths)).abs().idxmin()
    row = table.responses.loc[response_id]
    tokens = table.tokens[table.tokens["response_id"] == response_id].head(LONGEST)
    return Example(
        title,
        row["prompt"],
        judgement_lines(row),
        None if np.isnan(row["step"]) else int(row["step"]),
        None if np.isnan(row["group_accuracy"]) else float(row["group_accuracy"]),
        tokens,
        int(row["tokens"]),
        shown_turns(row),
    )


def judgement_lines(response: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known of how a response (a row of the token table's `responses`) was judged: a name and a text each.

    Of an episode, how it went.
    """
    failure = response["failure"]
    if response["turn_tokens"] is not None:
        named = {"episode": episode_outcome(response), "failure": _meant(failure, EPISODE_FAILURES, "")}
    else:
        meaning = _meant(failure, FAILURES, "it ")
        named = {"right answer": response["gold"], "answer found": response["extracted"], "failure": meaning}
    return [(name, text) for name, text in named.items() if text is not None]


def _meant(failure: str | None, meanings: Mapping[str, str], it: str) -> str | None:
    return f"{failure}: {it}{meanings[failure]}" if failure in meanings else failure


def shown_turns(response: Mapping[str, Any]) -> list[ShownTurn]:
    """The turns of a response (a row of the token table's `responses`) that is an episode; else none."""
    if response["turn_tokens"] is None:
        return []
    parts = (response[name] for name in ("turn_tokens", "actions", "invalid", "shown"))
    return [ShownTurn(*turn) for turn in zip_longest(*parts)]


def episode_outcome(response: Mapping[str, Any]) -> str:
    """Task type, success, score, turns and invalid actions of a response that is an episode.

    Where that is known, how many turns were cut off, and the first before which the oldest had left what the policy was
    shown.
    """
    turns, invalid = len(response["turn_tokens"]), sum(response["invalid"])
    success = "success" if response["correct"] == 1 else "no success"
    said = (
        f"{response['task_type']}: {success}, score {response['score']:.2f}, turns {turns}, invalid actions {invalid}"
    )
    cut_off = sum(response.get("cut_off") or ())
    if cut_off:
        said += f", turns cut off {cut_off}"
    first = next((number for number, left in enumerate(response.get("forgotten") or (), 1) if left), None)
    return said if first is None else f"{said}; from turn {first} on the oldest were no longer shown"
