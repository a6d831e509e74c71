"""Training over time, several series on one axis: dynamics, entropy by group, and one group's objective alone."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from htpo.analysis.left_out import LeftOut
from htpo.analysis.sources import Series
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

CURVES = {
    "accuracy": "accuracy, share of responses",
    "entropy": "policy entropy, nats per token",
    "completions/mean_length": "response length, tokens",
    "reward": "reward, shaping included",
    "clip/region_fraction": "share of tokens that the clip binds",
}
SMOOTHED_SHARE = 0.05  # curves are running means over this share of the updates
MOST_POINTS = 300  # of a drawn curve, which is smooth where there are more updates; the data has all
SPREAD = "mean over seeds, band: their range"
Curve = tuple[list[int], np.ndarray]  # updates, and (seeds, updates) values with NaN where not known


def draw_dynamics(series: Sequence[Series], title: str) -> Drawing:
    """Accuracy, policy entropy, length, reward and clip share of every series."""
    figure, grid = panels(len(CURVES), 3, title)
    rows = []
    width = 1
    for axes, (name, label) in zip(grid, CURVES.items(), strict=True):
        for one, (colour, line) in zip(series, SERIES_STYLES * len(series)):
            curve = read_curve(one, name)
            if curve is None:
                continue
            width = _plot(axes, curve, colour, line, one.counted)
            rows += curve_rows({"series": one.label, "quantity": name}, curve)
        _over_updates(axes, label)
    if not rows:
        raise LeftOut("no update has been logged")
    legend_beside(figure, grid[0])
    caption(figure, _described(series, width))
    return Drawing("training-dynamics", figure, rows)


def draw_entropy_by_group(series: Sequence[Series], title: str) -> Drawing:
    """Entropy over training of every group of the objective's table; a panel per series that has groups."""
    labels = {one.label: one.runs[0].objective.labels for one in series}
    curves = {
        one.label: {g: curve for g in labels[one.label] if (curve := read_curve(one, f"group/{g}/entropy")) is not None}
        for one in series
    }
    grouped = [one for one in series if curves[one.label]]
    if not grouped:
        raise LeftOut("the objective has no groups, or none was logged")
    figure, grid = panels(len(grouped), 3, title, sharey=True)
    rows = []
    width = 1
    for axes, one in zip(grid, grouped, strict=True):
        overall = read_curve(one, "entropy")
        if overall is not None:
            _plot(axes, overall, BLACK, "-", "all tokens", linewidth=2.2)
            rows += curve_rows({"series": one.label, "group": "all"}, overall)
        for index, (group, label) in enumerate(labels[one.label].items()):
            if group in curves[one.label]:
                curve = curves[one.label][group]
                width = _plot(axes, curve, *group_style(index, len(labels[one.label])), label)
                rows += curve_rows({"series": one.label, "group": group}, curve)
        axes.set_title(one.counted, fontsize="medium")
        _over_updates(axes, "entropy, nats per token" if axes.get_subplotspec().is_first_col() else "")
    legend_beside(figure, grid[0])
    caption(figure, _described(grouped, width))
    return Drawing("entropy-by-group", figure, rows)


def draw_one_group_alone(series: Sequence[Series], reference: str | None, title: str) -> Drawing:
    """Policy entropy when the objective of one group alone is switched on; a panel per group that a series has alone.

    The study's reference method, or else its series that has no groups, is the grey curve in every panel.
    """
    alone = [one for one in series if one.only]
    if not alone:
        raise LeftOut("no method of a study has `only: GROUP` (docs/analyze.md has such a study)")
    others = [one for one in series if not one.only]
    plain = [one for one in others if one.label == reference]
    plain += [one for one in others if not one.runs[0].objective.labels]
    base = plain[0] if plain else None
    figure, grid = panels(len(alone), 4, title, height=2.9, sharey=True)
    rows = curve_rows({"series": base.label, "only": ""}, read_curve(base, "entropy")) if base else []
    width = 1
    for axes, one in zip(grid, sorted(alone, key=_first_group), strict=True):
        if base:
            _plot(axes, read_curve(base, "entropy"), GREY, "--", base.counted)
        curve = read_curve(one, "entropy")
        if curve is not None:
            width = _plot(axes, curve, VERMILION, "-", "one group alone" + one.counted.removeprefix(one.label))
            rows += curve_rows({"series": one.label, "only": one.only}, curve)
        axes.set_title(_group_title(one), fontsize="medium")
        _over_updates(axes, "entropy, nats per token" if axes.get_subplotspec().is_first_col() else "")
    if not rows:
        raise LeftOut("no update has been logged")
    legend_beside(figure, grid[0])
    what = "Policy entropy with the objective of one group alone, the base rule elsewhere."
    caption(figure, f"{what} {_described(alone, width)}")
    return Drawing("one-group-alone", figure, rows)


def read_curve(series: Series, name: str) -> Curve | None:
    """A metric at the updates that all the series' runs logged; None where none did."""
    by_run = []
    for run in series.runs:
        records = [record for record in run.read_metrics() if "accuracy" in record]
        by_run.append({r["step"]: math.nan if r[name] is None else r[name] for r in records if name in r})
    steps = sorted(set.intersection(*(set(known) for known in by_run)))
    if not steps:
        return None
    return steps, np.array([[known[step] for step in steps] for known in by_run], dtype=float)


def curve_rows(names: dict[str, str | None], curve: Curve) -> list[dict]:
    """The data of a curve: mean, smallest and largest over seeds at every update; None where not known."""
    steps, values = curve
    rows = []
    for step, column in zip(steps, values.T):
        known = column[~np.isnan(column)]
        spread = [float(f(known)) for f in (np.mean, np.min, np.max)] if known.size else [None] * 3
        rows.append({**names, "step": step, **dict(zip(("mean", "min", "max"), spread)), "n": int(known.size)})
    return rows


def running_mean(values: Sequence[float] | np.ndarray, width: int) -> np.ndarray:
    """(updates,) the mean of the last `width` values at each update, NaN left out; NaN where there is nothing."""
    known = ~np.isnan(values)
    window = np.ones(width)
    total = np.convolve(np.where(known, values, 0.0), window)[: len(values)]
    count = np.convolve(known.astype(float), window)[: len(values)]
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def _plot(axes: Axes, curve: Curve, colour: str, line: str, label: str, linewidth: float = 1.5) -> int:
    steps, values = curve
    width = max(1, round(SMOOTHED_SHARE * len(steps)))
    smooth = np.array([running_mean(run, width) for run in values])
    known = ~np.isnan(smooth).all(0)
    if known.any():
        every = math.ceil(known.sum() / MOST_POINTS)
        steps, smooth = (kept[..., ::-every][..., ::-1] for kept in (np.array(steps)[known], smooth[:, known]))
        axes.plot(
            steps, np.nanmean(smooth, 0), line, color=colour, label=label, linewidth=linewidth,
            marker="." if len(steps) < 3 else None,
        )  # fmt: skip
        if len(values) > 1:
            axes.fill_between(steps, np.nanmin(smooth, 0), np.nanmax(smooth, 0), color=colour, alpha=0.15, linewidth=0)
    return width


def _over_updates(axes: Axes, label: str) -> None:
    axes.set(xlabel="update", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _described(series: Sequence[Series], width: int) -> str:
    smoothed = "every update" if width == 1 else f"running mean of {width} updates"
    most = max(len(one.runs) for one in series)
    return f"{smoothed[0].upper()}{smoothed[1:]}; " + (f"{SPREAD}." if most > 1 else "one run per curve (n = 1).")


def _group_title(series: Series) -> str:
    """What `only` names, as the table of the objective calls it where it is a single group."""
    wanted = set(str(series.only).replace("/", " ").split())
    found = [label for label in series.runs[0].objective.labels.values() if wanted <= set(label.split())]
    return found[0] if len(found) == 1 else str(series.only)


def _first_group(series: Series) -> str:
    return _group_title(series)
