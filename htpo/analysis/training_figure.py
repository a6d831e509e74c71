"""Training dynamics of one run: accuracy, entropy by group, response length, reward."""

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from htpo.errors import UserError
from htpo.figures.drawing import BLACK, BLUE, GREEN, VERMILION, group_style, save_figure, tidy
from htpo.runs import RunDirectory

HELD_OUT = "held_out/pass@1"
OVERALL = ("accuracy", "reward", "entropy", "completions/mean_length")


def draw_training_figure(run: RunDirectory) -> Path:
    """Draw `figures/training.png` and `.svg` from the run's metrics, and the data as `.csv`; returns the PNG's path.

    Raises:
        UserError: the run has no metrics yet.
    """
    records = [record for record in run.read_metrics() if "accuracy" in record]
    if not records:
        raise UserError(f"{run.path} has no training metrics to draw: train at least one update")
    found = {key.split("/")[1] for record in records for key in record if key.startswith("group/")}
    groups = sorted(found, key=lambda name: int(name.removeprefix("G")))
    folder = run.path / "figures"
    folder.mkdir(exist_ok=True)
    labels = run.objective.labels
    figure = _draw(records, {name: labels.get(name, name) for name in groups}, _title(run))
    path = folder / "training.png"
    save_figure(figure, path, ["step", *OVERALL, HELD_OUT, *(f"group/{g}/entropy" for g in groups)], records)
    return path


def _title(run: RunDirectory) -> str:
    config = run.config
    options = " ".join(f"{name}={value}" for name, value in (config.get("objective_options") or {}).items())
    return " ".join(filter(None, [config.get("objective", "htpo"), options, f"({run.path.name})"]))


def _draw(records: list[dict[str, Any]], groups: dict[str, str], title: str) -> Figure:
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    figure.suptitle(title)
    accuracy, entropy, length, reward = figure.subplots(2, 2).flat
    _curve(accuracy, records, "accuracy", BLUE)
    held_out = [record for record in records if record.get(HELD_OUT) is not None]
    if held_out:
        _curve(accuracy, held_out, HELD_OUT, VERMILION, label="held-out pass@1", marker="o")
        accuracy.legend(fontsize="x-small")
    accuracy.set(title="accuracy of sampled responses", ylabel="share correct", ylim=(0, 1))
    _curve(entropy, records, "entropy", BLACK, label="all tokens", width=2)
    for index, (name, label) in enumerate(groups.items()):
        colour, style = group_style(index, len(groups))
        _curve(entropy, records, f"group/{name}/entropy", colour, label=label, style=style)
    entropy.set(title="token entropy by group", ylabel="nats per token")
    entropy.legend(fontsize="x-small", ncols=2)
    _curve(length, records, "completions/mean_length", GREEN)
    length.set(title="response length", ylabel="tokens")
    _curve(reward, records, "reward", VERMILION)
    reward.set(title="reward, shaping included", ylabel="mean reward")
    for axes in (accuracy, entropy, length, reward):
        axes.set_xlabel("update")
        tidy(axes)
    return figure


def _curve(
    axes: Axes,
    records: list[dict[str, Any]],
    key: str,
    colour: str,
    label: str | None = None,
    style: str = "-",
    width: float = 1.2,
    marker: str | None = None,
) -> None:
    values = [record.get(key) for record in records]
    heights = [math.nan if value is None else value for value in values]
    marker = "." if len(records) < 3 else marker
    steps = [record["step"] for record in records]
    axes.plot(steps, heights, style, color=colour, label=label, linewidth=width, marker=marker)
