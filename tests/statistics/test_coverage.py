"""Intervals hold the truth in about 95 of 100 simulated studies: `benchmarks/coverage.py`, small here.

Few problems that count 0 or 1 make any method jump between too often and too rarely; there the intervals are too wide
rather than too narrow (`docs/statistics.md`).
"""

import numpy as np
import pytest

from benchmarks.coverage import over_pairs, over_problems, over_prompts, over_seeds

ERROR = 0.015  # of a mean share of so few trials


@pytest.mark.parametrize(
    ("problems", "most"), [(2, 1.0), (5, 0.985), (10, 0.985), (30, 0.975), (100, 0.97), (1000, 0.97)]
)
def test_rates_over_problems(problems, most):
    shares = over_problems(problems, 200, np.random.default_rng(problems))
    assert 0.95 - ERROR < np.mean(shares) < most + ERROR
    assert min(shares) > 0.88


@pytest.mark.parametrize(("problems", "most"), [(5, 0.99), (10, 0.985), (30, 0.975), (100, 0.97)])
def test_paired_differences_over_problems(problems, most):
    shares = over_pairs(problems, 200, np.random.default_rng(problems))
    assert 0.94 - ERROR < np.mean(shares) < most + ERROR


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("problems", [16, 128])
def test_means_over_seeds(seeds, problems):
    shares = over_seeds(seeds, problems, 300, np.random.default_rng(seeds))
    assert 0.95 - ERROR < np.mean(shares) < 0.97 + ERROR
    assert min(shares) > 0.9


@pytest.mark.parametrize(("updates", "prompts"), [(1, 2), (1, 4), (1, 64), (10, 1), (10, 2), (10, 4), (10, 16)])
def test_ratios_over_prompts(updates, prompts):
    shares = over_prompts(updates, prompts, 200, np.random.default_rng(prompts))
    assert 0.95 - ERROR < np.mean(shares) < 0.97 + ERROR
