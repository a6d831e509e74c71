"""Training over time: of one run, of several series on one axis, group by group, and of one group's objective alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from htpo.analysis.curves import TrainingCurve
from htpo.analysis.left_out import LeftOut
from htpo.analysis.subject import Series
from htpo.figures.drawing import (
    BLACK,
    GREY,
    SERIES_STYLES,
    VERMILION,
    Drawing,
    caption,
    group_style,
    legend_beside,
    panels,
)
from htpo.runs import RunRecord

QUANTITIES = {
    "accuracy": "accuracy, share of responses",
    "entropy": "policy entropy, nats per token",
    "completions/mean_length": "response length, tokens",
    "reward": "reward, shaping included",
    "clip/region_fraction": "share of tokens that the clip binds",
}
HELD_OUT = "held_out/pass@1"
ENTROPY = "entropy, nats per token"
MOST_POINTS = 300  # of a drawn curve, which is smooth where there are more updates; the data has all


@dataclass(frozen=True)
class Line:
    """A curve of a panel, and what its rows of data are called."""

    curve: TrainingCurve
    label: str
    colour: str
    style: str = "-"
    linewidth: float = 1.5
    marker: str | None = None
    names: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """Lines on one axis."""

    title: str
    quantity: str
    lines: list[Line]


def draw_run(run: RunRecord, title: str) -> Drawing:
    """Every quantity of one run, with pass@1 on held-out problems, and entropy by group; the data as it was logged."""
    series = Series(run.label, (run,))
    beside = {
        "accuracy": _lines(series, HELD_OUT, "held-out pass@1", VERMILION, marker="o"),
        "entropy": _group_lines(series),
    }
    grid = [
        Panel("", label, [*_lines(series, name, "overall", BLACK, linewidth=2.2), *beside.get(name, [])])
        for name, label in QUANTITIES.items()
    ]
    columns = ["step", *QUANTITIES, HELD_OUT, *(_entropy_of(group) for group in run.objective.labels)]
    rows = [{column: update.get(column) for column in columns} for update in run.updates]
    return _draw(title, [panel for panel in grid if panel.lines], [series], rows=rows)


def draw_training(series: Sequence[Series], title: str) -> Drawing:
    """Accuracy, policy entropy, length, reward and clip share of every series, those that were logged."""
    grid = [
        Panel("", label, [
            line
            for one, (colour, style) in zip(series, cycle(SERIES_STYLES))
            for line in _lines(one, name, one.counted, colour, style, names={"series": one.label, "quantity": name})
        ])
        for name, label in QUANTITIES.items()
    ]  # fmt: skip
    return _draw(title, [panel for panel in grid if panel.lines], series)


def draw_entropy_by_group(series: Sequence[Series], title: str) -> Drawing:
    """Entropy over training of every group of the objective's table; a panel per series that has groups."""
    grid, grouped = [], []
    for one in series:
        groups = _group_lines(one)
        if groups:
            names: dict[str, str | None] = {"series": one.label, "group": "all"}
            overall = _lines(one, "entropy", "all tokens", BLACK, linewidth=2.2, names=names)
            grid.append(Panel(one.counted, ENTROPY, [*overall, *groups]))
            grouped.append(one)
    if not grid:
        raise LeftOut("the objective has no groups, or none was logged")
    return _draw(title, grid, grouped, sharey=True)


def draw_one_group_alone(series: Sequence[Series], title: str) -> Drawing:
    """Policy entropy when the objective of one group alone is switched on; a panel per group that a series has alone.

    The study's reference method, or else its series that has no groups, is the grey curve in every panel.
    """
    alone = sorted((one for one in series if one.only), key=_group_title)
    if not alone:
        raise LeftOut("no method of a study has `only: GROUP` (docs/analyze.md has such a study)")
    others = [one for one in series if not one.only]
    plain = [one for one in others if one.is_reference] + [one for one in others if not one.runs[0].objective.labels]
    base = [
        line
        for one in plain[:1]
        for line in _lines(one, "entropy", one.counted, GREY, "--", names={"series": one.label, "only": ""})
    ]
    grid = []
    for one in alone:
        label = "one group alone" + one.counted.removeprefix(one.label)
        own = _lines(one, "entropy", label, VERMILION, names={"series": one.label, "only": one.only})
        grid.append(Panel(_group_title(one), ENTROPY, [*base, *own]))
    what = "Policy entropy with the objective of one group alone, the base rule elsewhere. "
    return _draw(title, grid, alone, what, columns=4, height=2.9, sharey=True)


def _lines(series: Series, metric: str, label: str, colour: str, style: str = "-", **kept: Any) -> list[Line]:
    """The curve of a metric; none where it was not logged."""
    curve = TrainingCurve.of(series.runs, metric)
    return [] if curve is None else [Line(curve, label, colour, style, **kept)]


def _group_lines(series: Series) -> list[Line]:
    """The entropy of every group that was logged."""
    groups = series.runs[0].objective.labels
    return [
        line
        for index, (group, label) in enumerate(groups.items())
        for line in _lines(
            series, _entropy_of(group), label, *group_style(index, len(groups)),
            names={"series": series.label, "group": group},
        )
    ]  # fmt: skip


def _entropy_of(group: str) -> str:
    return f"group/{group}/entropy"


def _draw(
    title: str,
    grid: Sequence[Panel],
    series: Sequence[Series],
    what: str = "",
    rows: list[dict[str, Any]] | None = None,
    columns: int = 3,
    height: float = 3.3,
    sharey: bool = False,
) -> Drawing:
    """A panel beside the other.

    Args:
        what: said of the figure, before what its curves are.
        rows: of data; those of every line if None.
        sharey: the panels show one quantity on one scale.

    Raises:
        LeftOut: there is no line.
    """
    lines = list({id(line): line for panel in grid for line in panel.lines}.values())  # one may be in every panel
    if not lines:
        raise LeftOut("no update has been logged")
    figure, axes = panels(len(grid), columns, title, height, sharey=sharey)
    for place, panel in zip(axes, grid, strict=True):
        for line in panel.lines:
            _plot(place, line)
        place.set_title(panel.title, fontsize="medium", parse_math=False)
        shown = not sharey or place.get_subplotspec().is_first_col()
        place.set(xlabel="update", ylabel=panel.quantity if shown else "")
        place.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    legend_beside(figure, *axes)
    width = max(line.curve.width for line in lines)
    apart = min(line.curve.apart for line in lines)
    every = "Every update" if apart == 1 else f"A value for every {apart} updates"
    smoothed = every if width == 1 else f"Running mean of {width * apart} updates"
    several = any(len(one.runs) > 1 for one in series)
    over = "mean over seeds, band: their range." if several else "one run per curve (n = 1)."
    caption(figure, f"{what}{smoothed}; {over}")
    return Drawing(figure, rows or [{**line.names, **row} for line in lines for row in line.curve.rows()])


def _plot(axes: Axes, line: Line) -> None:
    smooth = line.curve.smoothed()
    every = max(1, math.ceil(len(smooth.steps) / MOST_POINTS))
    steps, values = (kept[..., ::-every][..., ::-1] for kept in (smooth.steps, smooth.values))
    if not len(steps):
        return
    marker = "." if len(steps) < 3 else line.marker
    axes.plot(
        steps, np.nanmean(values, 0), line.style,
        color=line.colour, label=line.label, linewidth=line.linewidth, marker=marker, markersize=4,
    )  # fmt: skip
    if len(values) > 1:
        low, high = np.nanmin(values, 0), np.nanmax(values, 0)
        axes.fill_between(steps, low, high, color=line.colour, alpha=0.15, linewidth=0)


def _group_title(series: Series) -> str:
    """What `only` names, as the table of the objective calls it where it is a single group."""
    wanted = set(str(series.only).replace("/", " ").split())
    found = [label for label in series.runs[0].objective.labels.values() if wanted <= set(label.split())]
    return found[0] if len(found) == 1 else str(series.only)
