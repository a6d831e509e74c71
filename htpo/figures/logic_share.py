"""The first finding: how often high-entropy tokens begin a logic word, and how often low-entropy ones do."""

from typing import Any

from htpo.analysis.logic_share import LEVELS
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.figures.drawing import BLUE, ORANGE, Drawing, caption, legend_beside, panels

COLOURS = {"high": ORANGE, "low": BLUE}
HATCHES = {"high": "", "low": "//"}


def draw_logic_shares(tokens: TokenAnalysis, title: str) -> Drawing:
    """Logic-word share at high- and low-entropy tokens: by difficulty and answer, and by category."""
    shares = tokens.logic_shares
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
    legend_beside(figure, grid[0])
    caption(
        figure,
        "High: the top 20 % of each response's tokens by entropy, ties included. A word counts at the token with its "
        f"first letter; shares are of all tokens. Lines: {tokens.sample.described}.",
    )
    rows = [
        {"part": part, "name": name, "level": level, **compared[level], "tokens": compared[f"{level}_tokens"]}
        for part, found in shares.items()
        for name, compared in found.items()
        for level in LEVELS
    ]
    return Drawing(figure, rows)


def _label(name: str, compared: dict[str, Any], part: str) -> str:
    if part == "categories":
        return name
    return f"{name}\nn = {compared['high_tokens']:,}\nhigh, {compared['low_tokens']:,} low"
