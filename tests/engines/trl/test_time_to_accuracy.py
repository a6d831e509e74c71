"""What `benchmarks/time_to_accuracy.py` makes of curves."""

import numpy as np
import pytest

from benchmarks.time_to_accuracy import as_markdown, draw, ratio, reached, summarise


def curve(pace: float, end: float = 0.6) -> list[dict[str, float]]:
    places = (0, 1, 2, 4)
    return [
        {
            "update": place,
            "seconds": place * pace,
            "tokens": 100 * place * pace,
            "accuracy": 0.2 + (end - 0.2) * place / 4,
        }
        for place in places
    ]


def test_a_level_is_reached_on_the_line_between_two_measurements():
    assert reached(curve(3.0), 0.45, "seconds") == pytest.approx(3 * 2.5)
    assert reached(curve(3.0), 0.2, "seconds") == 0
    assert reached(curve(3.0), 0.7, "seconds") is None


def test_ratios_are_paired_by_seed_and_need_all():
    middle, low, high = ratio([2.0, 8.0], [1.0, 2.0])
    assert middle == pytest.approx(np.sqrt(8))
    assert low < middle < high
    assert ratio([2.0, None], [1.0, 2.0]) is None


def test_the_table_and_the_figure_have_every_arm(tmp_path):
    runs = [
        {"task": "number_path", "arm": arm, "seed": seed, "curve": curve(pace * (1 + seed / 10), end)}
        for arm, pace, end in (("trl", 4, 0.3), ("dapo", 2, 0.6), ("ours", 1, 0.6))
        for seed in range(2)
    ]
    rows = summarise(runs, {"number_path": 0.4})
    table = as_markdown(rows).splitlines()
    assert "0.4 by 0 of 2 | not reached by all | not reached by all | - | - |" in table[2]
    assert "| 1.00 (1.00 to 1.00) |" in table[3]
    assert "| 0.50 (0.50 to 0.50) | 0.50 (0.50 to 0.50) | 0.600 |" in table[4]
    draw(runs, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
