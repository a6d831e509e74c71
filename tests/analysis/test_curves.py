"""The band of a pass@k figure is the interval of the tables."""

import numpy as np
import pytest

from htpo.analysis.curves import PassCurve
from htpo.statistics import PassRates, mean_over_seeds


def band(runs):
    """(mean, lower end, upper end) at k = 1 and 8."""
    curve = PassCurve.of([run.by_problem for run in runs], [1, 8])
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
