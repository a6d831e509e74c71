"""Word clouds of the tokens that are chosen with the highest and the lowest mean entropy."""

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

from htpo.analysis.token_analysis import TokenAnalysis
from htpo.figures.drawing import Drawing, caption, in_font, panels

SMALLEST = 0.1  # size of the last of them, relative to the first
WIDTH, HEIGHT = 900, 560  # of a cloud, in its own units
FONT = "DejaVu Sans"
COLOURS = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.85, 256)))  # lighter is hard to read on white


def draw_word_clouds(tokens: TokenAnalysis, title: str) -> Drawing:
    """Word clouds of both ends: size by rank, colour by mean entropy."""
    vocabulary = tokens.vocabulary
    ends = {"highest": vocabulary.highest, "lowest": vocabulary.lowest}
    figure, grid = panels(2, 2, title, height=3.4)
    figure.set_size_inches(13, 5.5)
    rows = []
    for axes, (end, ranked) in zip(grid, ends.items(), strict=True):
        scale = Normalize(ranked["mean_entropy"].min(), max(ranked["mean_entropy"].max(), 1e-9))
        _cloud(axes, ranked, scale)
        axes.set_title(f"{len(ranked)} tokens of {end} mean entropy", fontsize="medium")
        bar = figure.colorbar(
            ScalarMappable(scale, COLOURS), ax=axes, location="bottom", shrink=0.7, aspect=40, pad=0.02
        )
        bar.set_label("mean entropy, nats")
        records = ranked.to_dict("records")
        rows += [{"end": end, "rank": rank, **record} for rank, record in enumerate(records, start=1)]
    used = int(vocabulary.highest["count"].sum() + vocabulary.lowest["count"].sum())
    caption(
        figure,
        f"n = {vocabulary.kept} different tokens that occur at least {vocabulary.floor} times; those shown occur "
        f"{used:,} times. The larger, the nearer to the end of the ranking; colour: mean entropy.",
    )
    return Drawing(figure, rows)


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
