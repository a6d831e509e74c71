"""Kinds of answers on which other verifiers were found wrong: every label must be met."""

import json

import pytest

from htpo.verifiers.math.verifier import MathVerifier
from tests.verifiers.math.kind_pairs import KIND_PAIRS
from tests.verifiers.math.later_pairs import LATER_PAIRS

ALL_PAIRS = [*KIND_PAIRS, *LATER_PAIRS]


@pytest.fixture(scope="module")
def verifier():
    verifier = MathVerifier()
    yield verifier
    verifier.close()


def response(answer: str) -> str:
    return answer if "\\boxed" in answer else f"\\boxed{{{answer}}}"


def wrongly_judged(verifier, pairs):
    """The (gold, answer, label) of the pairs that are not judged as labelled."""
    verdicts = verifier.judge([response(answer) for _, answer, _ in pairs], [{"answer": gold} for gold, *_ in pairs])
    return [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.correct != pair[2]]


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, *_ in ALL_PAIRS))
def test_each_kind_is_judged_as_labelled(verifier, kind):
    pairs = [(gold, answer, correct) for name, gold, answer, correct in ALL_PAIRS if name == kind]
    assert wrongly_judged(verifier, pairs) == []


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, *_ in KIND_PAIRS))
def test_each_kind_has_right_and_wrong_answers(kind):
    labels = [correct for name, *_, correct in KIND_PAIRS if name == kind]
    assert set(labels) == {True, False}
    assert len(labels) >= 4


@pytest.mark.parametrize("name", ["kinds_dev", "public_reports_dev"])
def test_all_labels_of_the_reported_kinds_are_met(shared_data, verifier, name):
    with open(shared_data / "grading" / f"{name}.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert wrongly_judged(verifier, [(row["gold"], row["answer"], row["label"]) for row in rows]) == []
