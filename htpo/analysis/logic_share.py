"""The first finding: how often high-entropy tokens begin a logic word, and how often low-entropy ones do."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from htpo.analysis.left_out import LeftOut
from htpo.analysis.logic_words import WordTable
from htpo.analysis.tokens import CELLS, TokenTable
from htpo.figures.drawing import BLUE, ORANGE, Drawing, caption, panels
from htpo.statistics import Estimate, PromptSample

LEVELS = {"high": True, "low": False}
COLOURS = {"high": ORANGE, "low": BLUE}
HATCHES = {"high": "", "low": "//"}
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


def draw_logic_shares(shares: dict[str, Any], sample: PromptSample, title: str) -> Drawing:
    """Logic-word share at high- and low-entropy tokens: by difficulty and answer, and by category."""
    figure, grid = panels(2, 2, title, height=4.2)
    figure.set_size_inches(12, 5.2)
    for axes, part, heading in zip(grid, ("tokens", "categories"), ("by difficulty and answer", "by category")):
        for offset, level in ((-0.2, "high"), (0.2, "low")):
            shown = {name: c[level] for name, c in shares[part].items() if c[level]["value"] is not None}
            places = [list(shares[part]).index(name) + offset for name in shown]
            heights = [100 * one["value"] for one in shown.values()]
            axes.bar(
                places, heights, 0.38, color=COLOURS[level], hatch=HATCHES[level], edgecolor="white",
                label=f"{level}-entropy tokens",
            )  # fmt: skip
            for place, one in zip(places, shown.values()):
                if one["low"] is not None:
                    axes.vlines(place, 100 * one["low"], 100 * one["high"], color="black", linewidth=1.2)
        labels = [_label(name, compared, part) for name, compared in shares[part].items()]
        axes.set_xticks(range(len(labels)), labels, fontsize="small", rotation=35 if part == "categories" else 0)
        axes.set_title(heading, fontsize="medium")
        axes.set(ylabel="share that begins a logic word, %", ylim=(0, None))
    grid[0].legend(fontsize="small", frameon=False)
    caption(
        figure,
        "High: the top 20 % of each response's tokens by entropy, ties included. A word counts at the token with its "
        f"first letter; shares are of all tokens. Lines: {sample.described}.",
    )
    rows = [
        {"part": part, "name": name, "level": level, **compared[level], "tokens": compared[f"{level}_tokens"]}
        for part, found in shares.items()
        for name, compared in found.items()
        for level in LEVELS
    ]
    return Drawing("logic-words", figure, rows)


def _label(name: str, compared: dict[str, Any], part: str) -> str:
    if part == "categories":
        return name
    return f"{name}\nn = {compared['high_tokens']:,}\nhigh, {compared['low_tokens']:,} low"
