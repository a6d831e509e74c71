"""Answers that mean the same are one class."""

from htpo.verifiers.equivalence import answer_classes
from htpo.verifiers.math.verifier import LONGEST_ANSWER, MathVerifier


def test_equivalent_answers_are_one_class_and_no_answer_is_none():
    verifier = MathVerifier(workers=1)
    answers = [["1/2", None, "2", r"\frac{1}{2}", "0.5", "2.0"], [], ["x", "y", "x"], [None], ["7", "07", "8"]]
    try:
        classes = answer_classes(answers, verifier.equivalent)
    finally:
        verifier.close()
    assert classes == [[0, None, 1, 0, 0, 1], [], [0, 1, 0], [None], [0, 0, 1]]


def test_each_round_asks_once_about_all_problems():
    rounds = []

    def equivalent(pairs):
        rounds.append(pairs)
        return [one[0] == other[0] for one, other in pairs]

    assert answer_classes([["a1", "a2", "b1", "a2"], ["c1", "d1"]], equivalent) == [[0, 0, 1, 0], [0, 1]]
    assert rounds == [[("a1", "a2"), ("a1", "b1"), ("c1", "d1")], []]


def test_two_answers_are_equivalent_when_each_would_be_right_for_the_other():
    verifier = MathVerifier(workers=1, timeout=1.0)
    pairs = [
        ("1/2", "0.50"),
        ("50", r"50\%"),
        ("0.5", r"50\%"),
        ("0.5", "50"),
        ("Petya wins the game.", "Petya"),
        ("7", "9999^{9999^{9999}}"),
        ("1" * 3000, "1" * 3000),
        ("1" * 3000, "1" * LONGEST_ANSWER),
    ]
    try:
        assert verifier.equivalent(pairs) == [True, True, True, False, False, False, True, False]
        assert verifier.equivalent([]) == []
    finally:
        verifier.close()


def test_answers_are_extracted_as_they_are_judged():
    verifier = MathVerifier()
    responses = [r"\boxed{1/2} or \boxed{3}", "none", r"<think>\boxed{4}"]
    rows = [{"answer": "1"}] * 3
    assert verifier.extract(responses, rows) == ["3", None, None]
    assert [verdict.extracted for verdict in verifier.judge(responses, rows)] == ["3", None, None]
