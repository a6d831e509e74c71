"""Prompts of one dataset that are also in another."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from htpo.tasks.overlap import N, find_overlaps, ngrams, words

PROBLEM = (
    "Find the number of ordered pairs (a, b) of positive integers such that a + b = 1000 and neither has a 0 digit."
)


@pytest.mark.parametrize(
    "copy",
    [
        PROBLEM,
        PROBLEM.upper(),
        PROBLEM.replace(" ", "\n  "),
        PROBLEM.replace("(a, b)", "$(a,\\ b)$").replace("a + b = 1000", "$a+b=1000$"),
        PROBLEM.replace(".", " !"),
        "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in PROBLEM),  # full width
    ],
)
def test_the_same_words_in_another_dress_are_the_same_prompt(copy):
    (found,) = find_overlaps(["something else entirely", copy], ["another one", PROBLEM])
    assert (found.first, found.second, found.share, found.exact) == (1, 1, 1.0, True)


def test_a_changed_word_a_longer_text_and_a_part_are_near_but_not_the_same():
    for changed in (
        PROBLEM.replace("1000", "2000"),
        "Let us think. " + PROBLEM + " Give the answer as an integer.",
        PROBLEM.split(" such that ")[0] + " such that a + b",
    ):
        (found,) = find_overlaps([changed], [PROBLEM])
        assert 0.5 <= found.share < 1
        assert not found.exact


def test_a_problem_of_the_same_kind_is_not_near():
    other = "Find the number of ordered triples (x, y, z) of real numbers such that x + y + z = 3 and all are distinct."
    assert find_overlaps([other], [PROBLEM]) == []


def test_the_share_is_of_the_n_grams_of_the_shorter_text():
    text = [f"w{i}" for i in range(20)]
    half = " ".join(text[:14] + ["x"] * 30)
    (found,) = find_overlaps([half], [" ".join(text)])
    assert found.share == pytest.approx((14 - N + 1) / (20 - N + 1))


def test_the_most_alike_is_the_one_that_is_named():
    text = " ".join(f"w{i}" for i in range(30))
    assert find_overlaps([text + " end"], [text.replace("w25", "x"), text])[0].second == 1


def test_short_texts_are_one_n_gram_and_empty_ones_none():
    assert ngrams(words("1 + 1 = ?")) == {("1", "1")}
    assert ngrams(words("?!")) == set()
    assert find_overlaps(["?"], ["1 + 1"]) == []


@settings(deadline=None, max_examples=50, database=None)
@given(st.lists(st.lists(st.integers(0, 3).map(str), max_size=14).map(" ".join), max_size=6))
def test_every_text_that_stands_in_both_lists_is_found(texts):
    found = {overlap.first: overlap for overlap in find_overlaps(texts, texts[::-1])}
    assert all(found[place].exact for place in range(len(texts)))


def test_a_training_set_is_compared_with_math500_in_seconds(shared_data):
    def problems(name):
        with (shared_data / "math" / name).open(encoding="utf-8") as file:
            return [json.loads(line)["problem"] for line in file]

    ours, theirs = problems("train_deepscaler_math_1000.jsonl"), problems("math500.jsonl")
    found = find_overlaps([*ours, theirs[7]], theirs)
    assert (found[-1].first, found[-1].second, found[-1].exact) == (len(ours), 7, True)
    assert len(found) < 50
