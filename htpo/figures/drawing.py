"""What all figures share: colours, the look of axes, and how a figure is saved with its data."""

import csv
import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

# Okabe & Ito's palette, told apart by colour-blind readers.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GROUP_COLOURS = (SKY, BLUE, ORANGE, VERMILION)  # solid in a table's first half (HTPO: hard prompts), then dashed
SERIES_STYLES = [
    (colour, line) for line, colour in product(("-", "--", "-.", ":"), (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY))
]
GREY = "#777777"  # of what others are compared with
CAPTION_WIDTH = 14  # characters to an inch
LEGEND_WIDTH = 2.2  # inches


@dataclass(frozen=True)
class Drawing:
    """A figure with the data it shows, not yet saved."""

    figure: Figure
    rows: Sequence[dict[str, Any]]  # all with the keys of the first

    def save(self, folder: Path, name: str) -> Path:
        """Save it in a folder, as `save_figure` does; returns the path of the picture."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        save_figure(self.figure, path, list(self.rows[0]), self.rows)
        return path


def group_style(index: int, groups: int) -> tuple[str, str]:
    """Colour and line of the group at `index` in a table of so many."""
    return GROUP_COLOURS[index % len(GROUP_COLOURS)], "-" if index < groups / 2 else "--"


def panels(count: int, columns: int, title: str, height: float = 3.3, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `count` tidied axes, and the axes."""
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(6.5, 4.0 * columns), height * rows + 0.9), layout="constrained")
    headline(figure, title)
    grid = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for spare in grid[count:]:
        spare.remove()
    for axes in grid[:count]:
        tidy(axes)
    return figure, grid[:count]


def headline(figure: Figure, title: str) -> None:
    """Say above a figure what it shows, and of what."""
    figure.suptitle(title, fontsize="medium", x=0.01, ha="left", parse_math=False)


def caption(figure: Figure, text: str) -> None:
    """Say below a figure what it shows, over how many, and what its bands are."""
    lines = textwrap.wrap(text, int(figure.get_figwidth() * CAPTION_WIDTH))
    figure.supxlabel("\n".join(lines), fontsize="small", color="#444444", x=0.01, ha="left", parse_math=False)


def legend_beside(figure: Figure, *grid: Axes) -> None:
    """The legend of the curves in `grid`, right of all panels; below them the layout would set it upon the caption."""
    width, height = figure.get_size_inches()
    found = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.set_size_inches(width + LEGEND_WIDTH, height)
    figure.legend(found.values(), found, loc="outside right upper", fontsize="small", frameon=False, handlelength=3)


@cache
def drawable(character: str, font: str) -> bool:
    """Whether a font has the character; matplotlib's bundled ones lack most scripts and all emoji."""
    return get_font(findfont(font)).get_char_index(ord(character)) != 0


def in_font(text: str, font: str) -> str:
    """The text with a box for every character that the font cannot draw."""
    return "".join(character if drawable(character, font) else "□" for character in text)


def scale_by_k(axes: Axes, ks: Sequence[int]) -> None:
    """A logarithmic axis of answers per problem with a tick at every k."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())


def tidy(axes: Axes) -> None:
    """A light grid, and no lines above and to the right."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Save a figure as `path` (a .png) and as .svg, and the data it shows as .csv, beside each other."""
    path.with_suffix(".csv").write_text(as_csv(columns, rows), encoding="utf-8", newline="")
    for image in (path, path.with_suffix(".svg")):
        figure.savefig(image, dpi=150)
        figure.set_layout_engine("none")  # it has been laid out, which takes as long as drawing it


def as_csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """Rows as CSV, with a header; of each the columns that are named."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_svg(figure: Figure) -> str:
    """The figure as SVG, the same for the same figure."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "htpo"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
