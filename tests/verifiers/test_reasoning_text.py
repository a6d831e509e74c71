"""Reasoning between `<think>` and `</think>` holds no answer."""

import pytest

from htpo.verifiers.math.verifier import MathVerifier
from htpo.verifiers.reasoning_text import after_reasoning, answer_part, opens_reasoning
from htpo.verifiers.verdict import judge_finished
from tests.verifiers.linear_time import too_slow


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("5", "5"),
        ("<think>\n4?\n</think>\n5", "\n5"),
        ("4?\n</think>5", "5"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<think><think>a</think>b</think>c", "c"),
        ("<think>4", None),
        ("<think>4</think>5<think>6", None),
        ("<think>4</think>", ""),
        ("", ""),
    ],
)
def test_what_follows_the_last_reasoning_is_read(response, answer):
    assert after_reasoning(response) == answer


@pytest.mark.parametrize(("response", "answer"), [("4", None), ("4</think>5", "5"), ("<think>4</think>5", "5")])
def test_reasoning_that_the_prompt_opened_must_be_closed_by_the_response(response, answer):
    assert after_reasoning(response, opened=True) == answer
    assert answer_part(response, {"prompt": "1 + 1?", "sent": "<|user|>1 + 1?<|assistant|><think>\n"}) == answer


def test_a_prompt_opens_reasoning_only_at_its_end():
    assert opens_reasoning("1 + 1?\n<think>\n")
    assert not opens_reasoning("Reason between <think> and </think>. 1 + 1?")
    assert not opens_reasoning("1 + 1?<think>\n\n</think>\n\n")  # a template with reasoning switched off
    assert not opens_reasoning([{"role": "user", "content": "<think>"}])


def test_an_answer_within_reasoning_is_none_to_the_math_verifier():
    verifier = MathVerifier(workers=1)
    responses = ["<think>\\boxed{5}", "<think>\\boxed{4}</think> \\boxed{5}", "<think>\\boxed{5}</think> so?"]
    verdicts = verifier.judge(responses, [{"answer": "5"}] * 3)
    assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [
        (False, "unparsable"),
        (True, None),
        (False, "unparsable"),
    ]
    # Where the template has opened it, the response alone does not tell.
    responses = ["so \\boxed{5}", "\\boxed{4}</think>\\boxed{5}"]
    verdicts = judge_finished(verifier, responses, [{"answer": "5"}] * 2, [True] * 2, sent=["5?<think>\n"] * 2)
    assert [verdict.correct for verdict in verdicts] == [False, True]
    assert all(verdict.correct for verdict in judge_finished(verifier, responses, [{"answer": "5"}] * 2, [True] * 2))


def test_it_is_read_in_linear_time():
    assert too_slow({"after_reasoning": after_reasoning}) == []
