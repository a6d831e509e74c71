"""The figures of a study, each as PNG and SVG with its data as CSV beside it."""

import math
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from htpo.figures.drawing import BLACK, BLUE, GREY, SERIES_STYLES, save_figure, scale_by_k, tidy
from htpo.study.tables import SIGNIFICANT

CURVE_LABELS = {
    "accuracy": "accuracy of sampled responses",
    "entropy": "entropy, nats per token",
    "length": "response length, tokens",
}
PANELS_PER_ROW = 3
WIDE_LEGEND, NARROW_LEGEND = 5, 3  # columns


def draw_figures(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw `training-TASK`, `pass-at-k-TASK` and `differences-TASK`; returns the PNGs' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for task, found in results["tasks"].items():
        for name, draw in (("training", _training), ("pass-at-k", _pass_at_k), ("differences", _differences)):
            if name == "differences" and not found["comparisons"]:
                continue
            figure, rows = draw(task, found)
            path = folder / f"{name}-{task.replace(' ', '-')}.png"  # links do not like spaces
            save_figure(figure, path, list(rows[0]), rows)
            drawn.append(path)
    return drawn


def _training(task: str, found: dict[str, Any]) -> tuple[Figure, list[dict[str, Any]]]:
    figure, panels = _panels(f"{task}: training, mean and range over seeds", len(CURVE_LABELS))
    rows: list[dict[str, Any]] = []
    for axes, (name, label) in zip(panels, CURVE_LABELS.items(), strict=True):
        for (method, result), (colour, line) in zip(found["methods"].items(), _styles(found)):
            curves = result["curves"]
            mean, low, high = (curves[f"{name}_{of}"] for of in ("mean", "min", "max"))
            label_in_legend = _method_label(method, result)
            axes.plot(curves["step"], mean, line, color=colour, label=label_in_legend, linewidth=1.6)
            axes.fill_between(curves["step"], low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel=_update_label(found), ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for method, result in found["methods"].items():
        curves = result["curves"]
        names = list(curves)
        rows += [{"method": method, **dict(zip(names, values))} for values in zip(*curves.values())]
    _legend(figure, panels[0])
    return figure, rows


def _pass_at_k(task: str, found: dict[str, Any]) -> tuple[Figure, list[dict[str, Any]]]:
    figure, (axes,) = _panels(f"{task}: held-out pass@k, mean and 95 % interval\n{_measured(found)}", 1)
    curves = {"before training": (found["before"], GREY, ":")}
    for (method, result), (colour, line) in zip(found["methods"].items(), _styles(found)):
        curves[_method_label(method, result)] = (result["pass_at_k"], colour, line)
    for label, (by_k, colour, line) in curves.items():
        estimates = [by_k[str(k)] for k in found["k"]]
        axes.plot(
            found["k"],
            [e["value"] for e in estimates],
            line,
            color=colour,
            label=label,
            marker="o",
            markersize=3,
            clip_on=False,
        )
        low, high = ([_or_nan(e[end]) for e in estimates] for end in ("low", "high"))
        axes.fill_between(found["k"], low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set(xlabel="k, answers per problem", ylabel="pass@k, share of problems solved", ylim=(0, 1))
    scale_by_k(axes, found["k"])
    _legend(figure, axes)
    named = {"before training": found["before"]}
    named |= {method: result["pass_at_k"] for method, result in found["methods"].items()}
    rows = [{"method": name, "k": k, **by_k[str(k)]} for name, by_k in named.items() for k in found["k"]]
    return figure, rows


def _differences(task: str, found: dict[str, Any]) -> tuple[Figure, list[dict[str, Any]]]:
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found["comparisons"]:
        pairs.setdefault((row["method"], row["against"]), []).append(row)
    title = f"{task}: difference of pass@k, mean and 95 % interval (filled: Holm p < {SIGNIFICANT})"
    figure, panels = _panels(f"{title}\n{_measured(found)}", len(pairs), share_y=True)
    for axes, ((method, other), rows) in zip(panels, pairs.items(), strict=True):
        axes.axhline(0, color=BLACK, linewidth=0.8)
        for row in rows:
            shown = row["holm"] is not None and row["holm"] < SIGNIFICANT
            reach = None if row["low"] is None else [[row["value"] - row["low"]], [row["high"] - row["value"]]]
            axes.errorbar(
                row["k"],
                row["value"],
                reach,
                fmt="o",
                color=BLUE,
                capsize=3,
                mfc=BLUE if shown else "white",
                markersize=6,
            )
        axes.set_title(f"{method} - {other} ({_count(rows[0]['seeds'])})", fontsize="medium")
        axes.set(xlabel="k, answers per problem", ylabel="difference of pass@k")
        axes.yaxis.get_label().set_visible(axes.get_subplotspec().is_first_col())
        scale_by_k(axes, found["k"])
    return figure, found["comparisons"]


def _panels(title: str, count: int, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    columns = min(count, PANELS_PER_ROW)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(6.5, 4.2 * columns), 3.6 * rows + 0.9), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=share_y).flat)
    for spare in panels[count:]:
        spare.remove()
    for axes in panels[:count]:
        tidy(axes)
    return figure, panels[:count]


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = min(len(labels), WIDE_LEGEND if figure.get_figwidth() > 8 else NARROW_LEGEND)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize="small", frameon=False, handlelength=3
    )


def _measured(found: dict[str, Any]) -> str:
    return f"{found['problems']} held-out problems per seed x {found['samples']} samples"


def _update_label(found: dict[str, Any]) -> str:
    width = found["running_mean"]
    return "update" if width == 1 else f"update (running mean of {width})"


def _styles(found: dict[str, Any]) -> list[tuple[str, str]]:
    return list(islice(cycle(SERIES_STYLES), len(found["methods"])))


def _method_label(method: str, result: dict[str, Any]) -> str:
    return f"{method} ({_count(len(result['seeds']))})"


def _count(seeds: int) -> str:
    return f"n = {seeds} seed{'s' * (seeds > 1)}"


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
