"""Prompts that taught nothing lately are drawn rarely, and none is lost."""

import numpy as np

from htpo.engines.prompt_memory import PromptMemory


def test_the_chance_falls_with_every_visit_in_vain_down_to_the_floor_and_comes_back():
    memory = PromptMemory(3, floor=0.3)
    memory.visit([0, 1], ["too_easy", "unscored"])
    assert memory.chances().tolist() == [0.5, 1, 1]
    for _ in range(5):
        memory.visit([0, 2], ["too_hard", "cut_off"])
    assert memory.chances().tolist() == [0.3, 1, 0.3]
    memory.visit([0], [None])
    assert memory.chances().tolist() == [1, 1, 0.3]


def test_prompts_that_are_passed_over_come_last_and_none_is_left_out():
    memory = PromptMemory(40, floor=0.1)
    for _ in range(20):
        memory.visit(range(20), ["too_hard"] * 20)
    order, skipped = memory.order(range(10, 30), [*range(10), *range(30, 40)], np.random.default_rng(0))
    asked = list(order)
    assert sorted(asked) == list(range(40))
    assert len(skipped) > 5
    assert set(skipped) <= set(range(10, 20))
    assert set(range(20, 40)) <= set(asked[:25])
    assert asked[-len(skipped) - 1] < 20
    again, _ = memory.order(range(10, 30), [*range(10), *range(30, 40)], np.random.default_rng(0))
    assert list(again) == asked
