"""pass@k against k with bands: before and after training, of evaluations, and differences between methods."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes

from htpo.analysis.curves import PassCurve
from htpo.analysis.left_out import LeftOut
from htpo.analysis.subject import Series, StudyTask
from htpo.evaluate.results import TaskSamples
from htpo.figures.drawing import (
    BLACK,
    BLUE,
    GREY,
    SERIES_STYLES,
    Drawing,
    caption,
    legend_beside,
    panels,
    scale_by_k,
)
from htpo.statistics import SIGNIFICANCE, powers_of_two

PASS_AT_K = "pass@k, share of problems solved"
Evaluations = Mapping[str, Mapping[str, TaskSamples]]
"""Label -> task -> its judged samples."""


def draw_pass_at_k(series: Sequence[Series], title: str) -> Drawing:
    """Mean pass@k over held-out problems of every series after training, and before, of the one with most runs."""
    after = [(one, "after", [run.after for run in one.runs if run.after]) for one in series]
    after = [found for found in after if found[-1]]
    if not after:
        raise LeftOut("no run has measured held-out problems (evaluation_after.json)")
    before = [(one, "before", [run.before for run in one.runs if run.before]) for one, _, _ in after]
    shown = [max(before, key=lambda found: len(found[-1])), *after]
    samples = min(rates.samples for _, _, runs in before + after for rates in runs)
    if samples < 2:
        raise LeftOut("problems were answered once: pass@k needs --eval_samples of 2 and more")
    ks = powers_of_two(samples)
    figure, (axes,) = panels(1, 1, title, height=4.2)
    rows: list[dict[str, Any]] = []
    for (one, when, runs), style in zip(shown, [(GREY, ":"), *SERIES_STYLES * len(after)]):
        if runs:
            curve = PassCurve.of([rates.pass_curves for rates in runs], ks)
            label = f"{one.counted}, {when} training" if len(after) == 1 else one.counted if when == "after" else when
            _plot(axes, curve, label, style, 0.15 if len(after) < 4 else 0.05)
            counted = {"problems": curve.problems, "samples": samples, "runs": curve.runs}
            rows += [{"series": one.label, "when": when, **row, **counted} for row in curve.rows()]
    _over_k(axes, ks, PASS_AT_K)
    legend_beside(figure, axes)
    fewest, seeds = (end(row["runs"] for row in rows) for end in (min, max))
    over = "problems" if seeds == 1 else "seeds" if fewest > 1 else "seeds (of a curve with one seed: over problems)"
    n = f"n = {rows[-1]['problems']} held-out problems x {samples} answers" + (f", {seeds} seeds" if seeds > 1 else "")
    caption(figure, f"Unbiased pass@k; {n}. Bands: 95 % intervals over {over}.")
    return Drawing(figure, rows)


def draw_evaluations(evaluations: Evaluations, title: str) -> Drawing:
    """Mean pass@k over the problems of every task, a panel each, and a curve for every evaluation that has it."""
    tasks = list(dict.fromkeys(task for found in evaluations.values() for task in found))
    samples = max(found.samples for each in evaluations.values() for found in each.values())
    if samples < 2:
        raise LeftOut("problems were answered once: pass@k needs --samples of 2 and more")
    figure, grid = panels(len(tasks), 3, title, height=3.3)
    rows: list[dict[str, Any]] = []
    for axes, task in zip(grid, tasks):
        for (label, found), style in zip(evaluations.items(), cycle(SERIES_STYLES)):
            if task in found:
                curve = PassCurve.of([found[task].pass_curves], powers_of_two(found[task].samples))
                _plot(axes, curve, label, style, 0.15)
                counted = {"problems": curve.problems, "samples": found[task].samples}
                rows += [{"task": task, "evaluation": label, **row, **counted} for row in curve.rows()]
        axes.set_title(f"{task} (n = {rows[-1]['problems']} problems)", fontsize="small", parse_math=False)
        _over_k(axes, powers_of_two(samples), PASS_AT_K)
    if len(evaluations) > 1:
        legend_beside(figure, *grid)
    caption(figure, "Unbiased pass@k. Bands: 95 % intervals over problems.")
    return Drawing(figure, rows)


def draw_differences(task: StudyTask, title: str) -> Drawing:
    """Differences of pass@k between methods, a panel per pair."""
    found = task.results
    comparisons = found["comparisons"]
    if not comparisons:
        raise LeftOut("no methods are compared")
    pairs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in comparisons:
        pairs.setdefault((row["method"], row["against"]), []).append(row)
    figure, grid = panels(len(pairs), 3, title, sharey=True)
    for axes, ((method, other), rows) in zip(grid, pairs.items(), strict=True):
        axes.axhline(0, color=BLACK, linewidth=0.8)
        for row in rows:
            shown = row["holm"] is not None and row["holm"] < SIGNIFICANCE
            reach = None if row["low"] is None else [[row["value"] - row["low"]], [row["high"] - row["value"]]]
            filled = BLUE if shown else "white"
            axes.errorbar(row["k"], row["value"], reach, fmt="o", color=BLUE, capsize=3, mfc=filled, markersize=6)
        seeds = rows[0]["seeds"]
        heading = f"{method} - {other} (n = {seeds} seed{'s' * (seeds > 1)})"
        axes.set_title(heading, fontsize="medium", parse_math=False)
        first = axes.get_subplotspec().is_first_col()
        _over_k(axes, [row["k"] for row in rows], "difference of pass@k" if first else "")
    caption(
        figure,
        f"Mean and 95 % interval over seeds; filled: p < {SIGNIFICANCE} after Holm. "
        f"{found['problems']} held-out problems per seed x {found['samples']} samples.",
    )
    return Drawing(figure, comparisons)


def _plot(axes: Axes, curve: PassCurve, label: str, style: tuple[str, str], alpha: float) -> None:
    colour, line = style
    axes.plot(curve.ks, curve.means, line, color=colour, label=label, marker="o", markersize=4)
    axes.fill_between(curve.ks, curve.low, curve.high, color=colour, alpha=alpha, linewidth=0)
    axes.set_ylim(-0.02, 1.02)


def _over_k(axes: Axes, ks: Sequence[int], label: str) -> None:
    axes.set(xlabel="k, answers per problem", ylabel=label)
    scale_by_k(axes, ks)
