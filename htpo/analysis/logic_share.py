"""The first finding: how often high-entropy tokens begin a logic word, and how often low-entropy ones do."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from htpo.analysis.left_out import LeftOut
from htpo.analysis.logic_words import WordTable
from htpo.analysis.tokens import CELLS, TokenTable
from htpo.statistics import Estimate, PromptSample

LEVELS = {"high": True, "low": False}
MEASURES = {"tokens": "of all tokens", "words": "of tokens that begin a word"}


def logic_shares(table: TokenTable, words: WordTable, sample: PromptSample) -> dict[str, Any]:
    """Shares of tokens that begin a logic word, with intervals, as plain data.

    Keys: `tokens` and `words` (the share is of all tokens, or of those that begin a word), each with `all` and, where
    known, `hard correct`, ...; there `high`, `low` and `difference` as estimates; and `categories`, the
    share of all tokens by category of the list.

    Raises:
        LeftOut: no token begins a logic word.
    """
    if not words.is_logic.any():
        raise LeftOut("no token begins a logic word")
    sums = _Sums(table)
    found: dict[str, Any] = {}
    for measure in MEASURES:
        counted = words.begins_word if measure == "words" else np.ones(len(table.tokens), dtype=bool)
        found[measure] = {
            name: _compare(sums, sample, words.is_logic & member, counted & member) for name, member in _members(table)
        }
    everywhere = np.ones(len(table.tokens), dtype=bool)
    found["categories"] = {
        category: _compare(sums, sample, words.category == index, everywhere)
        for index, category in enumerate(words.categories)
    }
    return found


class _Sums:
    """Counts of tokens by response, apart for high and low entropy."""

    def __init__(self, table: TokenTable):
        self.ids = table.tokens["response_id"].to_numpy()
        self.high = table.tokens["high"].to_numpy()
        self.responses = len(table.responses)

    def __call__(self, member: np.ndarray, high: bool) -> np.ndarray:
        return np.bincount(self.ids[member & (self.high == high)], minlength=self.responses).astype(float)


def _members(table: TokenTable) -> Iterator[tuple[str, np.ndarray]]:
    yield "all", np.ones(len(table.tokens), dtype=bool)
    difficulty, answer = table.of("difficulty"), table.of("answer")
    for cell in CELLS:
        member = (difficulty == cell[0]) & (answer == cell[1])
        if member.any():
            yield " ".join(cell), member


def _compare(sums: _Sums, sample: PromptSample, logic: np.ndarray, counted: np.ndarray) -> dict[str, Any]:
    parts = {level: (sums(logic, high), sums(counted, high)) for level, high in LEVELS.items()}
    of = {level: f"{level}-entropy token" for level in LEVELS}
    compared: dict[str, Estimate] = {
        level: sample.ratio(*part, of[level], within=(0.0, 1.0)) for level, part in parts.items()
    }
    compared["difference"] = sample.difference(parts["high"], parts["low"], (of["high"], of["low"]))
    counts = {f"{level}_tokens": int(part[1].sum()) for level, part in parts.items()}
    return {name: found.to_json() for name, found in compared.items()} | counts
