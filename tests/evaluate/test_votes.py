"""maj@k votes by what answers mean."""

import pytest

from htpo.evaluate.results import TaskSamples, measures
from htpo.evaluate.samples import SampleStore
from htpo.evaluate.votes import MOST_COMPARED, equivalent_votes
from htpo.verifiers.math.verifier import MathVerifier
from tests.evaluate.test_results import sample


def judged(folder, answers, right):
    """Problem -> its answers, of which the texts in `right` are right."""
    store = SampleStore(folder)
    store.append(
        [
            sample(problem, n, answer, correct=answer in right, failure=None if answer else "unparsable")
            for problem, each in answers.items()
            for n, answer in enumerate(each, start=1)
        ]
    )
    return store


class Halves:
    """Answers are the same when their first letters are; counts what it is asked."""

    def __init__(self):
        self.asked = []

    def equivalent(self, pairs):
        self.asked += pairs
        return [one[0] == other[0] for one, other in pairs]


def test_right_answers_in_several_forms_win_together_and_so_do_wrong_ones(tmp_path):
    right = ["1/2", "0.5", r"\frac{1}{2}", "7"]
    answers = {1: [*right[:3], "3", "3", None], 2: ["7", "7", "3", "3.0", "6/2", None]}
    store = judged(tmp_path / "math", answers, right)
    as_texts = measures(TaskSamples.from_table(store.measured()))
    assert as_texts["maj_at_k"]["6"]["value"] == 0.5  # 3 twice against three texts; 7 twice against three texts
    verifier = MathVerifier(workers=1)
    try:
        store.compact(equivalent_votes(verifier, store))
    finally:
        verifier.close()
    found = TaskSamples.from_table(store.measured())
    assert found.majority(6).tolist() == [1.0, 0.0]
    assert found.vote == [[None, "1/2", "1/2", None, None, None], [None, None, None, "3", "3", None]]
    assert found.extracted[0][1] == "0.5"


def test_problems_without_a_right_answer_are_not_asked_about(tmp_path):
    verifier = Halves()
    store = judged(tmp_path / "letters", {1: ["b1", "b2", "b1"], 2: ["a", "b1", "b2"]}, ["a"])
    assert equivalent_votes(verifier, store) == {(2, 3): "b1"}
    assert verifier.asked == [("b1", "b2")]


def test_the_rarest_of_very_many_wrong_answers_are_compared_as_texts(tmp_path):
    wrong = [f"w{n}" for n in range(MOST_COMPARED + 6)]
    store = judged(tmp_path / "many", {1: ["a", "a2", *wrong, *wrong[6:]]}, ["a", "a2"])
    votes = equivalent_votes(Halves(), store)
    assert votes.pop((1, 2)) == "a"
    assert set(votes.values()) == {"w6"}
    alone = {n for n in range(3, 3 + len(wrong)) if (1, n) not in votes}
    assert alone == {3, 4, 5, 6, 7, 8, 9}  # w0 to w5, and w6 itself


def test_a_verifier_that_cannot_tell_leaves_texts(tmp_path):
    store = judged(tmp_path / "texts", {1: ["1", "1 ", "2"]}, ["1"])
    assert equivalent_votes(object(), store) == {}


@pytest.mark.parametrize("interrupted", [True, False])
def test_votes_are_made_when_all_samples_are_there_also_after_a_stop(tmp_path, interrupted, monkeypatch):
    from htpo.evaluate import collection
    from tests.evaluate.test_collection import FirstLetter, Scripted, problems

    class Judge(FirstLetter, Halves):
        def __init__(self):
            FirstLetter.__init__(self)
            Halves.__init__(self)

    class Numbered(Scripted):
        def generate(self, task, requests, done):
            for responses in super().generate(task, requests, done):
                yield [
                    type(r)(r.request, r.sent, f"{'ab'[r.request.sample % 2]}{r.request.sample}", 1, True)
                    for r in responses
                ]

    def stop(*arguments):
        raise KeyboardInterrupt

    judge = Judge()
    judge.judge = lambda responses, rows: [
        v.__class__(v.correct, r) for v, r in zip(FirstLetter.judge(judge, responses, rows), responses)
    ]
    store = SampleStore(tmp_path / "sums")
    if interrupted:
        with monkeypatch.context() as patched:
            patched.setattr(collection, "equivalent_votes", stop)
            with pytest.raises(KeyboardInterrupt):
                collection.collect(problems(judge), Numbered(), store, 4)
    assert collection.collect(problems(judge), Numbered(), store, 4) == 0
    found = TaskSamples.from_table(store.measured())
    assert found.vote == [[None, None, "b1", "a2"], [None, None, "b1", "a2"], [None] * 4]
    assert found.majority(4).tolist() == [0.5, 0.5, 0.0]
