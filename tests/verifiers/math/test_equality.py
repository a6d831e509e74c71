"""When two answers are the same: labelled pairs by family, where lenience stops, and golds of benchmarks."""

import json
from itertools import pairwise

import pytest

from htpo.verifiers.math.equality import is_readable, same_answer
from htpo.verifiers.math.verifier import MathVerifier
from tests.verifiers.math.pairs import PAIRS


@pytest.mark.parametrize("family", dict.fromkeys(family for family, *_ in PAIRS))
def test_labelled_pairs_are_judged_as_labelled(family):
    for _, gold, answer, correct in (pair for pair in PAIRS if pair[0] == family):
        assert same_answer(gold, answer) is correct, (gold, answer)


def test_the_pairs_are_half_right_and_half_wrong():
    right = sum(correct for *_, correct in PAIRS)
    assert len(PAIRS) >= 120
    assert 0.4 < right / len(PAIRS) < 0.6


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("2^{1009}", "2^{1009}+1", False),
        (r"\frac{1}{4^{2016}}", r"-\frac{1}{4^{2016}}", False),
        ("4210_5", "4210_3", False),
        ("4210_5", "4210", True),
        ("f(10) = 1", "f(30) = 1", False),
        (r"C: \sqrt{2}", r"C: \sqrt{5}", False),
        ("11:00", "61:00", False),
        (r"\frac{Rr}{R+r}", r"\frac{RR}{R+r}", False),
        ("R^2", "r^2", True),
        ("2^n", "2^k", False),
        ("3m", "3", False),
        ("listen", "silent", False),
        ("|x|", "x", False),
        (r"\sqrt{x^2}", "|x|", True),
        ("0.5", r"0.5\%", False),
        ("(1, 2)", r"\{1, 2\}", False),
        ("5.0e-9", "7.0e-9", False),
        ("0.0", r"\sin \pi", True),
        ("The graph is not symmetric", "The graph", False),
        ("x = 1", "y = 1", False),
        ("1 \\cdot 3 \\cdots 99", "297", False),
        ("4", "x^2 - 4 = 0", False),
    ],
)
def test_lenience_stops_where_a_wrong_answer_would_pass(gold, answer, correct):
    assert same_answer(gold, answer) is correct


def test_golds_that_can_be_said_in_many_ways_are_not_readable():
    assert is_readable("Petya wins")
    assert not is_readable("The wolf does not catch the hare")
    assert not is_readable("Draw a line through the centre of the cake and the centre of the chocolate")
    assert not is_readable(r"\begin{cases} 1 & n = 1 \\ 2 & n > 1 \end{cases}")


@pytest.mark.parametrize(
    "name", ["math500", "minerva_math", "olympiadbench_oe_to_maths_en", "train_bigmath_tinyv_1000"]
)
def test_benchmark_golds_are_readable_equal_themselves_and_not_the_next(shared_data, name):
    with open(shared_data / "math" / f"{name}.jsonl", encoding="utf-8") as file:
        golds = [gold for line in file if (gold := json.loads(line)["answer"].strip("$ \n"))][:120]
    verifier = MathVerifier(timeout=5.0)
    unreadable = sum(reason is not None for reason in verifier.check_golds(golds))
    rows = [{"answer": gold} for gold in golds]
    rewritten = [gold.replace("\\frac", "\\dfrac").replace(",", ", ") + "." for gold in golds]
    verdicts = verifier.judge([f"\\boxed{{{text}}}" for text in rewritten], rows)
    following = verifier.judge([f"\\boxed{{{text}}}" for text in golds[1:]], rows[:-1])
    verifier.close()
    assert unreadable <= {"train_bigmath_tinyv_1000": 12}.get(name, 2)
    assert sum(not verdict.correct for verdict in verdicts) <= {"train_bigmath_tinyv_1000": 10}.get(name, 0)
    passed = [pair for pair, verdict in zip(pairwise(golds), following) if verdict.correct]
    assert all(gold == other for gold, other in passed if "=" not in other)
