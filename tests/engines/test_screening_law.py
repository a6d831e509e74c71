"""The formulas of docs/performance.md against draws of groups, and against each other."""

import numpy as np
import pytest

from benchmarks.screening_law import (
    answers_per_group,
    cost,
    gradient_weight,
    mean_accuracy,
    mixed,
    simulate,
    visit_rate,
)
from htpo.engines.prompt_memory import PromptMemory


@pytest.mark.parametrize(("samples", "screening"), [(8, 2), (8, 4), (16, 3), (4, 3)])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_what_screening_keeps_is_what_the_formulas_say(p, samples, screening):
    draws = 200_000
    found = simulate(p, samples, screening, draws)
    error = 5 / np.sqrt(draws * found.kept)  # five standard errors of a mean of numbers between 0 and 1, or more
    assert found.kept == pytest.approx(mixed(p, screening), abs=error)
    assert found.accuracy == pytest.approx(mean_accuracy(p, samples, screening), abs=error)
    assert found.weight == pytest.approx(gradient_weight(p, samples, screening), rel=error + 0.01)
    assert found.answers == pytest.approx(answers_per_group(p, samples, screening), rel=error + 0.01)


def test_screening_all_answers_is_dapos_rule():
    assert gradient_weight(0.2, 8, 8) == 1
    assert mean_accuracy(0.2, 8, 8) == pytest.approx(0.2 * (1 - 0.2**7) / (1 - 0.2**8 - 0.8**8))
    assert answers_per_group(0.2, 8, 8) == pytest.approx(8 / mixed(0.2, 8))


def test_hard_prompts_keep_k_in_g_of_their_weight():
    assert gradient_weight(1e-6, 8, 4) == pytest.approx(4 / 8, abs=1e-4)
    assert gradient_weight(1 - 1e-6, 8, 2) == pytest.approx(2 / 8, abs=1e-4)


def test_screening_saves_only_where_prompts_are_settled():
    for p in np.linspace(0.01, 0.99, 50):
        assert answers_per_group(p, 8, 4) > answers_per_group(p, 8, 8)
    assert cost([0.5], 0.0, 8, 4) > cost([0.5], 0.0, 8, 8)
    assert cost([0.5], 0.5, 8, 4) < cost([0.5], 0.5, 8, 8)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.8])
def test_prompts_with_a_memory_are_visited_as_often_as_the_formula_says(share):
    floor, prompts, turns = 0.1, 2000, 600
    memory, draws = PromptMemory(prompts, floor), np.random.default_rng(0)
    visits = 0
    for turn in range(turns):
        order, skipped = memory.order(range(prompts), [], draws)
        drawn = [next(order) for _ in range(prompts - len(skipped))]
        mixed_ones = draws.random(len(drawn)) < share
        memory.visit(drawn, [None if good else "too_hard" for good in mixed_ones])
        visits += len(drawn) if turn >= turns // 2 else 0
    expected = share / (1 - (1 - share) ** 10)
    assert visit_rate(share, floor) == pytest.approx(expected)
    assert visits / (turns - turns // 2) / prompts == pytest.approx(expected, rel=0.05)
