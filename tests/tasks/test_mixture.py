"""Several sources as one task."""

from collections import Counter

import pytest
from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks import Task
from htpo.tasks.mixture import MixtureVerifier, mix_tasks
from htpo.verifiers import Verdict


class SaysItsName:
    """Right when the response is its own name."""

    def __init__(self, name):
        self.name, self.closed = name, False

    def judge(self, responses, rows):
        assert {row["source"] for row in rows} == {self.name}
        return [Verdict(response == self.name, self.name) for response in responses]

    def close(self):
        self.closed = True


def task(name, count, **columns):
    rows = [{"prompt": f"{name} {n}", **columns, "row": n + 1} for n in range(count)]
    return Task(name, Dataset.from_list(rows), Dataset.from_list(rows[:2]), SaysItsName(name), f"about {name}")


def test_without_weights_every_prompt_is_there_once():
    mixed = mix_tasks(["a", "b"], [task("a", 5, answer="1"), task("b", 3, tests="[]")], None, seed=0)
    assert Counter(mixed.train["source"]) == {"a": 5, "b": 3}
    assert mixed.train.to_list()[6] == {"prompt": "b 1", "answer": None, "tests": "[]", "row": 2, "source": "b"}
    assert Counter(mixed.held_out["source"]) == {"a": 2, "b": 2}
    assert mixed.name == "a+b"
    assert "about a; about b" in mixed.description


def test_weights_are_the_shares_of_what_is_drawn_and_no_prompt_is_lost():
    mixed = mix_tasks(["a", "b"], [task("a", 400), task("b", 20)], [3, 1], seed=0)
    counts = Counter(mixed.train["source"])
    assert counts["a"] / len(mixed.train) == pytest.approx(0.75, abs=0.06)
    assert set(mixed.train["prompt"]) == {f"a {n}" for n in range(400)} | {f"b {n}" for n in range(20)}
    again = mix_tasks(["a", "b"], [task("a", 400), task("b", 20)], [3, 1], seed=0)
    assert again.train["prompt"][:] == mixed.train["prompt"][:]
    assert "a 75%, b 25%" in mixed.description


def test_every_response_goes_to_the_verifier_of_its_source_and_comes_back_in_order():
    verifiers = {name: SaysItsName(name) for name in "abc"}
    mixed = MixtureVerifier(verifiers)
    rows = [{"source": name} for name in "abacb"]
    verdicts = mixed.judge(["a", "b", "x", "c", "a"], rows)
    assert [(verdict.extracted, verdict.correct) for verdict in verdicts] == [
        ("a", True),
        ("b", True),
        ("a", False),
        ("c", True),
        ("b", False),
    ]
    assert mixed.judge([], []) == []
    mixed.close()
    assert all(verifier.closed for verifier in verifiers.values())


@pytest.mark.parametrize("weights", [[1], [1, 2, 3], [1, 0], [1, -1], [1, float("nan")]])
def test_weights_that_are_not_one_positive_number_for_each_are_refused(weights):
    with pytest.raises(UserError, match="one positive number for each of the 2 datasets"):
        mix_tasks(["a", "b"], [task("a", 5), task("b", 5)], weights, seed=0)


def test_one_source_twice_is_refused():
    with pytest.raises(UserError, match="give each once"):
        mix_tasks(["a", "a"], [task("a", 5), task("a", 5)], None, seed=0)


def test_chat_and_text_prompts_are_not_mixed():
    chat = task("b", 2)
    chats = Dataset.from_list([{"prompt": [{"role": "user", "content": "x"}], "row": 1}])
    with pytest.raises(UserError, match=r"cannot be mixed \(a: text, b: chat\)"):
        mix_tasks(["a", "b"], [task("a", 5), Task("b", chats, None, chat.verifier, "")], None, seed=0)
