"""What all figures share: colours, the look of axes, and how a figure is saved with its data."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito's palette, told apart by colour-blind readers.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip


def tidy(axes: Axes) -> None:
    """A light grid, and no lines above and to the right."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Save a figure as `path` (a .png) and as .svg, and the data it shows as .csv, beside each other."""
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    for image in (path, path.with_suffix(".svg")):
        figure.savefig(image, dpi=150)
