"""What is read of a run: its metrics as numbers, its means at the start and the end, and what was measured."""

import math

import numpy as np
import pytest

from htpo.errors import UserError
from htpo.runs import RunDirectory, RunRecord


def written(path, updates) -> RunDirectory:
    run = RunDirectory(path / "a run")
    run.create({"seed": 3})
    for step, metrics in enumerate(updates, start=1):
        run.append_metrics({"step": step, "accuracy": 0.5, **metrics})
    run.append_metrics({"step": len(updates), "train_loss": 0.1})  # TRL's last line, of no update
    return run


def test_a_metric_is_a_curve_over_the_updates_that_logged_it(tmp_path):
    record = RunRecord.read(written(tmp_path, [{"held_out": 0.1}, {}, {"held_out": math.nan}, {"held_out": 0.4}]))
    steps, values = record.curve("held_out")
    assert steps.tolist() == [1, 3, 4]
    np.testing.assert_array_equal(values, [0.1, math.nan, 0.4])
    assert [part.shape for part in record.curve("unknown")] == [(0,), (0,)]
    assert record.logged("held_out")
    assert not record.logged("unknown")
    assert len(record.updates) == 4


def test_the_start_and_the_end_are_tenths_of_the_updates_and_what_is_not_known_is_left_out(tmp_path):
    updates = [{"entropy": math.nan if step == 20 else float(step)} for step in range(1, 21)]
    record = RunRecord.read(written(tmp_path, updates))
    assert (record.at_start("entropy"), record.at_end("entropy")) == (1.5, 19.0)
    assert record.throughout("entropy") == 10.0
    assert record.throughout("unknown") is None


def test_what_a_run_has_not_written_is_empty_and_it_is_called_after_its_folder(tmp_path):
    run = written(tmp_path, [])
    record = RunRecord.read(run)
    assert (record.label, RunRecord.read(run, "mine").label) == ("a run", "mine")
    assert (record.updates, record.before, record.summary, record.objective.labels) == ([], None, None, {})
    assert record.at_end("accuracy") is None
    assert record.held_out_change(1) is None


def test_a_measurement_that_is_not_ours_is_named_with_the_remedy(tmp_path):
    run = written(tmp_path, [{}])
    run.write_json("evaluation_before.json", {"samples": 4})
    with pytest.raises(UserError, match=r"evaluation_before\.json is not as htpo writes it .* remove it"):
        RunRecord.read(run)
