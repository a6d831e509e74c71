"""From samples to measures, and two evaluations against each other."""

import json

import pytest

from htpo.errors import UserError
from htpo.evaluate import compare
from htpo.evaluate.results import TaskSamples, measures
from htpo.evaluate.samples import SampleStore
from htpo.evaluate.tables import stability_table, summary_table
from htpo.markdown import markdown_table


def sample(problem, number, answer, *, correct=False, failure=None, tokens=10, score=None):
    return {
        "problem": problem,
        "sample": number,
        "prompt": f"problem {problem}",
        "response": answer or "",
        "tokens": tokens,
        "finished": failure != "truncated",
        "correct": correct,
        "score": score,
        "extracted": answer,
        "failure": failure,
    }


def stored(tmp_path, rows):
    store = SampleStore(tmp_path)
    store.append(rows)
    return TaskSamples.from_table(store.measured())


TWO = [
    sample(7, 2, "5"),
    sample(7, 1, "4", correct=True),
    sample(7, 3, "4 ", correct=True, tokens=40),
    sample(7, 4, None, failure="unparsable"),
    sample(3, 1, "1"),
    sample(3, 2, None, failure="truncated", tokens=100),
    sample(3, 3, None, failure="truncated", tokens=None),
    sample(3, 4, "2", correct=True),
]


def test_measures_are_what_the_samples_say(tmp_path):
    found = measures(stored(tmp_path, TWO))
    assert (found["problems"], found["samples"]) == (2, 4)
    assert found["correct"] == {"3": 1, "7": 2}
    assert found["avg"]["value"] == 3 / 8
    assert found["pass_at_k"]["k"] == [1, 2, 3, 4]
    assert found["pass_at_k"]["value"] == pytest.approx([3 / 8, (1 / 2 + 5 / 6) / 2, (3 / 4 + 1) / 2, 1])
    assert found["maj_at_k"]["4"]["value"] == pytest.approx((1 + 0) / 2)
    assert found["truncated"]["value"] == 2 / 8
    assert found["unparsable"]["value"] == 1 / 8
    assert found["failures"] == {"truncated": 2, "unparsable": 1}
    assert found["mean_length"]["value"] == pytest.approx(((10 + 10 + 100) / 3 + (10 + 10 + 40 + 10) / 4) / 2)
    assert found["mean_score"] is None
    json.dumps(found, allow_nan=False)


def test_a_verifier_without_answers_has_no_vote_and_partial_credit_a_mean(tmp_path):
    rows = [sample(p, n, None, correct=n == 1, score=n / 4) for p in (1, 2) for n in (1, 2)]
    found = measures(stored(tmp_path, rows))
    assert found["maj_at_k"] is None
    assert found["mean_score"]["value"] == pytest.approx(3 / 8)
    assert "-" in summary_table({"sums": found})[1][0]


def test_the_table_is_one_row_per_task_in_plain_words(tmp_path):
    header, rows = summary_table({"a|b": measures(stored(tmp_path, TWO))})
    assert header[:5] == ["task", "problems", "avg@4", "pass@4", "maj@4"]
    assert rows[0][1:5] == ["2", "0.375 (0.126 to 0.780)", "1.000 (0.247 to 1.000)", "0.500 (0.017 to 0.983)"]
    assert markdown_table(header, rows).splitlines()[2].startswith("| a\\|b | 2 | 0.375")


def test_g_pass_is_reported_for_every_tau_and_shown_where_samples_are_three_times_k(tmp_path):
    rows = [sample(p, n, "1", correct=n <= c) for p, c in ((1, 6), (2, 3), (3, 0)) for n in range(1, 7)]
    found = measures(stored(tmp_path / "six", rows), [0.5, 1.0])
    assert list(found["g_pass_at_k"]) == list(found["mg_pass_at_k"]) == ["1", "2", "4", "6"]
    assert found["g_pass_at_k"]["2"]["0.5"]["value"] == pytest.approx((1 + 4 / 5 + 0) / 3)
    assert found["g_pass_at_k"]["2"]["1.0"]["value"] == pytest.approx((1 + 1 / 5 + 0) / 3)
    assert found["mg_pass_at_k"]["2"]["value"] == pytest.approx((1 + 1 / 5 + 0) / 3)
    header, rows = stability_table({"sums": found})
    assert header == ["task", "problems", "G-Pass@2 0.5", "G-Pass@2 1.0", "mG-Pass@2"]
    assert [cell[:5] for cell in rows[0][2:]] == ["0.600", "0.400", "0.400"]
    assert stability_table({"sums": measures(stored(tmp_path / "four", TWO))}) is None
    json.dumps(found, allow_nan=False)


def evaluation(tmp_path, name, right, samples=2):
    rows = [
        sample(p, n, "1", correct=n <= count) for p, count in enumerate(right, start=1) for n in range(1, samples + 1)
    ]
    return {"sums": stored(tmp_path / name, rows)}


def test_a_comparison_is_paired_by_problem(tmp_path):
    first, second = (evaluation(tmp_path, n, right) for n, right in (("a", [0] * 12), ("b", [2] * 10 + [0, 1])))
    rows = compare(first, second)
    assert [row["measure"] for row in rows] == ["avg", "pass@2", "maj@2"]
    assert (rows[0]["first"], rows[0]["second"], rows[0]["value"]) == pytest.approx((0, 10.5 / 12, 10.5 / 12))
    assert all(0 < row["p_value"] < 0.01 and 0 < row["low"] < row["high"] for row in rows)
    other_way = compare(second, first)[0]
    assert (other_way["value"], other_way["p_value"]) == pytest.approx((-rows[0]["value"], rows[0]["p_value"]))


def test_numbers_of_samples_may_differ_but_not_the_problems(tmp_path):
    first, second = evaluation(tmp_path, "a", [1, 0, 2]), evaluation(tmp_path, "b", [3, 0, 4], samples=4)
    assert [row["measure"] for row in compare(first, second)] == ["avg", "pass@2", "maj@2"]
    with pytest.raises(UserError, match=r"do not have the same problems \(3 and 2\)"):
        compare(first, evaluation(tmp_path, "c", [1, 1]))
    with pytest.raises(UserError, match="no task in common: sums against other"):
        compare(first, {"other": second["sums"]})
