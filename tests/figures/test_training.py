"""The training figure is drawn from the run's metrics and leaves its data beside it."""

import csv
import math

import pytest
from matplotlib.image import imread

from htpo.analysis.subject import find_subject
from htpo.errors import UserError
from htpo.figures.run_folder import draw_training_figure
from htpo.figures.training import MOST_POINTS, draw_training
from htpo.runs import RunDirectory
from tests.analysis.finished_run import write_run


def make_run(path, updates, groups=("G1", "G2")):
    run = RunDirectory(path / "run")
    run.create({"objective": "htpo", "objective_options": {"variant": "release"}})
    cell = {"levels": {"difficulty": "hard", "correctness": "wrong"}, "rule": "ppo", "rule_options": {}}
    described = [{"name": name, **cell, "detach": None, "meaning": ""} for name in groups]
    run.write_json("objective.json", {"name": "htpo", "options": {}, "summary": "", "groups": described})
    for step in range(1, updates + 1):
        entropies = {f"group/{name}/entropy": math.nan if step == 2 else 1 / step for name in groups}
        overall = {"accuracy": step / 20, "reward": 0.1, "entropy": 0.3, "completions/mean_length": 17.0}
        run.append_metrics({"step": step, **overall, **entropies})
    run.append_metrics({"step": updates, "train_loss": 0.1})
    return run


@pytest.mark.parametrize("groups", [("G1", "G2", "G8"), ()])
def test_the_figure_and_its_data_are_written(tmp_path, groups):
    run = make_run(tmp_path, 10, groups)
    path = draw_training_figure(run)
    assert path == run.path / "figures" / "training.png"
    assert imread(path).std() > 0.05  # something was drawn
    drawn = (run.path / "figures" / "training.svg").read_text()
    assert drawn.startswith("<?xml")
    assert all(f"<!-- {name} hard wrong -->" in drawn for name in groups)
    with (run.path / "figures" / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["accuracy"] for row in rows] == [str(step / 20) for step in range(1, 11)]
    assert all(rows[1][f"group/{name}/entropy"] == "" for name in groups)  # a group without tokens has no entropy


def test_a_run_without_metrics_is_refused(tmp_path):
    with pytest.raises(UserError, match="no training metrics"):
        draw_training_figure(make_run(tmp_path, 0))


def test_a_long_curve_is_drawn_with_fewer_points_and_its_data_has_all(tmp_path):
    run = write_run(tmp_path / "long", updates=1000, every=1000)
    drawing = draw_training(find_subject([run.path]).tasks[""], "long")
    (line,) = drawing.figure.axes[0].lines
    assert 200 < len(line.get_xdata()) <= MOST_POINTS
    assert line.get_xdata()[-1] == 1000
    assert len([row for row in drawing.rows if row["quantity"] == "accuracy"]) == 1000
