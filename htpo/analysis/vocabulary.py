"""Which tokens are chosen with the highest and the lowest mean entropy: tables and word clouds."""

from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from wordcloud import WordCloud

from htpo.analysis.left_out import LeftOut
from htpo.analysis.token_text import visible
from htpo.analysis.tokens import TokenTable
from htpo.figures.drawing import Drawing, caption, in_font, panels

SHOWN = 100  # tokens at either end
FEWEST = 4  # different tokens: with fewer, the ends say nothing
SMALLEST = 0.1  # size of the last of them, relative to the first
WIDTH, HEIGHT = 900, 560  # of a cloud, in its own units
FONT = "DejaVu Sans"
COLOURS = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.85, 256)))  # lighter is hard to read on white


@dataclass(frozen=True)
class Vocabulary:
    """Tokens that occur often enough, by mean entropy."""

    highest: pd.DataFrame  # `token`, `count`, `mean_entropy` (nats); the most uncertain first
    lowest: pd.DataFrame  # the most certain first
    kept: int  # different tokens at or above the floor
    floor: int


def token_vocabulary(table: TokenTable, floor: int) -> Vocabulary:
    """The tokens with highest and lowest mean entropy, up to 100 each and no token in both.

    A token is its text without the spaces around it; one that is nothing but spaces is shown as signs.

    Args:
        floor: tokens that occur less often are left out, for their mean says little.

    Raises:
        LeftOut: fewer than four tokens remain.
    """
    texts = table.tokens["text"].cat
    shown = pd.Series([visible(text).strip() or visible(text) for text in texts.categories], dtype=object)
    names = shown.to_numpy()[texts.codes.to_numpy()]
    means = table.tokens["entropy"].groupby(names).agg(["size", "mean"])
    means = means[means["size"] >= floor].rename_axis("token").reset_index()
    means.columns = ["token", "count", "mean_entropy"]
    if len(means) < FEWEST:
        raise LeftOut(
            f"{len(means)} different tokens occur {floor} times or more: lower --min_count, or give more text"
        )
    ranked = means.sort_values(["mean_entropy", "token"], ascending=[False, True], ignore_index=True)
    count = min(SHOWN, len(ranked) // 2)
    return Vocabulary(ranked.head(count), ranked.tail(count)[::-1].reset_index(drop=True), len(ranked), floor)


def draw_word_clouds(vocabulary: Vocabulary, title: str) -> Drawing:
    """Word clouds of both ends: size by rank, colour by mean entropy."""
    ends = {"highest": vocabulary.highest, "lowest": vocabulary.lowest}
    figure, grid = panels(2, 2, title, height=3.4)
    figure.set_size_inches(13, 5.5)
    rows = []
    for axes, (end, tokens) in zip(grid, ends.items(), strict=True):
        scale = Normalize(tokens["mean_entropy"].min(), max(tokens["mean_entropy"].max(), 1e-9))
        _cloud(axes, tokens, scale)
        axes.set_title(f"{len(tokens)} tokens of {end} mean entropy", fontsize="medium")
        bar = figure.colorbar(
            ScalarMappable(scale, COLOURS), ax=axes, location="bottom", shrink=0.7, aspect=40, pad=0.02
        )
        bar.set_label("mean entropy, nats")
        records = tokens.to_dict("records")
        rows += [{"end": end, "rank": rank, **record} for rank, record in enumerate(records, start=1)]
    used = int(vocabulary.highest["count"].sum() + vocabulary.lowest["count"].sum())
    caption(
        figure,
        f"n = {vocabulary.kept} different tokens that occur at least {vocabulary.floor} times; those shown occur "
        f"{used:,} times. The larger, the nearer to the end of the ranking; colour: mean entropy.",
    )
    return Drawing("word-clouds", figure, rows)


def _cloud(axes: Axes, tokens: pd.DataFrame, scale: Normalize) -> None:
    font = font_manager.findfont(FONT)
    sizes = dict(zip(tokens["token"], np.linspace(1, SMALLEST, len(tokens))))
    cloud = WordCloud(
        width=WIDTH, height=HEIGHT, font_path=font, prefer_horizontal=1.0, random_state=0, min_font_size=9, margin=4,
    ).generate_from_frequencies(sizes)  # fmt: skip
    entropy = dict(zip(tokens["token"], tokens["mean_entropy"]))
    properties = font_manager.FontProperties(fname=font)
    for (word, _), size, (top, left), _, _ in cloud.layout_:
        outline = TextPath((0, 0), in_font(word, FONT).replace("$", r"\$"), size=size, prop=properties)
        height = outline.get_extents().ymax  # the layout puts the ink, not the line, at the top
        outline = outline.transformed(Affine2D().scale(1, -1).translate(left, top + height))
        axes.add_patch(PathPatch(outline, facecolor=COLOURS(scale(entropy[word])), linewidth=0))
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), aspect="equal")
    axes.axis("off")
