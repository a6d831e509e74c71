"""The band of a pass@k figure is the interval of the tables; curves over training are of what all runs logged."""

import math

import numpy as np
import pytest

from htpo.analysis.curves import PassCurve, TrainingCurve, running_mean
from htpo.runs import RunDirectory, RunRecord
from htpo.statistics import PassRates, mean_over_seeds


def band(runs):
    """(mean, lower end, upper end) at k = 1 and 8."""
    curve = PassCurve.of([run.pass_curves for run in runs], [1, 8])
    return zip(curve.means, curve.low, curve.high)


def test_a_band_is_over_seeds_as_in_the_table_of_a_study_and_over_problems_of_one_run():
    draw = np.random.default_rng(0)
    runs = [PassRates(8, tuple(draw.binomial(8, draw.beta(1, 1, 30)).tolist()), 9.0, 0.0, {}, ()) for _ in range(3)]
    for place, ends in enumerate(band(runs)):
        table = mean_over_seeds([run.pass_at([1, 8][place]) for run in runs])
        assert ends == pytest.approx((table.value, table.low, table.high))
    for place, ends in enumerate(band(runs[:1])):
        table = runs[0].estimate([1, 8][place])
        assert ends == pytest.approx((table.value, table.low, table.high))


def read(path, entropies):
    """A run that logged these entropies, update by update; None where it logged none."""
    run = RunDirectory(path)
    run.create({})
    for step, entropy in enumerate(entropies, start=1):
        run.append_metrics({"step": step, "accuracy": 0.5} | ({} if entropy is None else {"entropy": entropy}))
    return RunRecord.read(run)


def test_a_curve_is_at_the_updates_that_all_runs_logged_with_the_range_of_what_is_known(tmp_path):
    runs = [read(tmp_path / "a", [0.1, None, 0.3, math.nan]), read(tmp_path / "b", [0.5, 0.6, 0.7, math.nan, 0.9])]
    curve = TrainingCurve.of(runs, "entropy")
    assert curve.steps.tolist() == [1, 3, 4]
    assert curve.rows() == [
        {"step": 1, "mean": pytest.approx(0.3), "min": 0.1, "max": 0.5, "n": 2},
        {"step": 3, "mean": pytest.approx(0.5), "min": 0.3, "max": 0.7, "n": 2},
        {"step": 4, "mean": None, "min": None, "max": None, "n": 0},
    ]
    assert curve.smoothed().steps.tolist() == [1, 3]
    assert TrainingCurve.of(runs, "reward") is None


def test_a_running_mean_is_over_the_known_values_of_the_last_updates():
    values = np.array([math.nan, 1.0, 3.0, math.nan, math.nan, math.nan])
    np.testing.assert_allclose(running_mean(values, 3), [math.nan, 1.0, 2.0, 2.0, 3.0, math.nan])


def test_values_are_so_many_updates_apart_as_most_of_them_are():
    def curve(*steps):
        return TrainingCurve(np.array(steps), np.zeros((1, len(steps))))

    assert [curve(*steps).apart for steps in ((7,), (1, 2, 3), (2, 4, 6, 9), (16, 32))] == [1, 1, 2, 16]
