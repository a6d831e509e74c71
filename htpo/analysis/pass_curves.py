"""pass@k against k with bands: before and after training, and of evaluations."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from htpo.analysis.left_out import LeftOut
from htpo.analysis.sources import Series
from htpo.evaluate.results import TaskSamples, powers_of_two
from htpo.figures.drawing import GREY, SERIES_STYLES, Drawing, caption, legend_beside, panels, scale_by_k
from htpo.statistics import PassRates, means_over_seeds, pass_curves, rate_intervals

WHEN = ("before", "after")
Evaluations = Mapping[str, Mapping[str, TaskSamples]]
"""Label -> task -> its judged samples."""


def draw_pass_at_k(series: Sequence[Series], title: str) -> Drawing:
    """Mean pass@k over held-out problems of every series after training, and of the first one before."""
    measured = {(one.label, when): _rates(one, when) for one in series for when in WHEN}
    shown = [one for one in series if measured[one.label, "after"]]
    if not shown:
        raise LeftOut("no run has measured held-out problems (evaluation_after.json)")
    samples = min(rates.samples for runs in measured.values() for rates in runs)
    if samples < 2:
        raise LeftOut("problems were answered once: pass@k needs --eval_samples of 2 and more")
    ks = powers_of_two(samples)
    curves = [(one, "after", *style) for one, style in zip(shown, SERIES_STYLES * len(shown))]
    if measured[shown[0].label, "before"]:
        curves.insert(0, (shown[0], "before", GREY, ":"))
    figure, (axes,) = panels(1, 1, title, height=4.2)
    rows = []
    for one, when, colour, line in curves:
        rates = measured[one.label, when]
        mean, low, high = pass_band(rates, ks)
        label = f"{one.counted}, {when} training" if len(shown) == 1 else one.counted if when == "after" else "before"
        axes.plot(ks, mean, line, color=colour, label=label, marker="o", markersize=4)
        axes.fill_between(ks, low, high, color=colour, alpha=0.15 if len(curves) < 4 else 0.05, linewidth=0)
        counted = {"problems": sum(r.problems for r in rates), "samples": samples, "runs": len(rates)}
        rows += [
            {"series": one.label, "when": when, "k": k, "pass_at_k": m, "low": lo, "high": hi, **counted}
            for k, m, lo, hi in zip(ks, mean.tolist(), low.tolist(), high.tolist())
        ]
    _label_axes(axes, ks)
    legend_beside(figure, axes)
    seeds = max(len(measured[one.label, "after"]) for one in shown)
    over = "seeds (of a curve with one seed: over problems)" if seeds > 1 else "problems"
    n = f"n = {rows[-1]['problems']} held-out problems x {samples} answers" + (f", {seeds} seeds" if seeds > 1 else "")
    caption(figure, f"Unbiased pass@k; {n}. Bands: 95 % intervals over {over}.")
    return Drawing("pass-at-k", figure, rows)


def draw_evaluations(evaluations: Evaluations, title: str) -> Drawing:
    """Mean pass@k over the problems of every task, a panel each, and a curve for every evaluation that has it."""
    tasks = list(dict.fromkeys(task for found in evaluations.values() for task in found))
    samples = max(found.samples for each in evaluations.values() for found in each.values())
    if samples < 2:
        raise LeftOut("problems were answered once: pass@k needs --samples of 2 and more")
    figure, grid = panels(len(tasks), 3, title, height=3.3)
    rows = []
    for axes, task in zip(grid, tasks):
        for (label, found), (colour, line) in zip(evaluations.items(), SERIES_STYLES * len(evaluations)):
            if task not in found:
                continue
            ks = powers_of_two(found[task].samples)
            mean, low, high = rate_intervals(found[task].pass_curves[:, np.array(ks) - 1])
            axes.plot(ks, mean, line, color=colour, label=label, marker="o", markersize=4)
            axes.fill_between(ks, low, high, color=colour, alpha=0.15, linewidth=0)
            counted = {"problems": found[task].problems, "samples": found[task].samples}
            rows += [
                {"task": task, "evaluation": label, "k": k, "pass_at_k": m, "low": lo, "high": hi, **counted}
                for k, m, lo, hi in zip(ks, mean.tolist(), low.tolist(), high.tolist())
            ]
        axes.set_title(f"{task} (n = {rows[-1]['problems']} problems)", fontsize="small", parse_math=False)
        _label_axes(axes, powers_of_two(samples))
    if len(evaluations) > 1:
        legend_beside(figure, grid[0])
    caption(figure, "Unbiased pass@k. Bands: 95 % intervals over problems.")
    return Drawing("pass-at-k", figure, rows)


def pass_band(runs: Sequence[PassRates], ks: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(k,) mean pass@k over runs and problems, and the ends of its band.

    Several runs are seeds, and the band is over seeds, as in the tables of `htpo study`; that of one run is over
    problems. The ends are NaN where there is no interval.
    """
    tables = [pass_curves(rates.samples, rates.correct)[:, np.array(ks) - 1] for rates in runs]
    if len(tables) == 1:
        return rate_intervals(tables[0])
    return means_over_seeds(np.array([table.mean(0) for table in tables]))


def _label_axes(axes: Axes, ks: Sequence[int]) -> None:
    axes.set(xlabel="k, answers per problem", ylabel="pass@k, share of problems solved", ylim=(-0.02, 1.02))
    scale_by_k(axes, ks)


def _rates(series: Series, when: str) -> list[PassRates]:
    found = [run.read_json(f"evaluation_{when}.json") for run in series.runs]
    return [PassRates.from_json(rates) for rates in found if rates]
