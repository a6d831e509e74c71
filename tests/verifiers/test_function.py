"""A verifier of the user's own: what it may return, and what happens when it fails."""

import json
import logging

import numpy as np
import pytest

from htpo.errors import UserError
from htpo.tasks import load_task
from htpo.tasks.options import DataOptions
from htpo.verifiers import FunctionVerifier, Verdict
from htpo.verifiers.function import as_verdict
from tests.cli.command import sums, write_problems

HERE = "tests.verifiers.my_verifiers"


def rows(*contents):
    return [{"fields": json.dumps(content)} for content in contents]


def judge(name, *responses, **settings):
    verifier = FunctionVerifier(f"{HERE}:{name}", **settings)
    return verifier.judge(responses, rows(*[{}] * len(responses))), verifier


def test_the_function_sees_the_response_and_the_whole_row_as_it_was_read():
    verifier = FunctionVerifier(f"{HERE}:ends_with_target")
    verdicts = verifier.judge(["so it is 4", "5"], rows({"target": {"value": 4}}, {"target": {"value": 4}}))
    assert [verdict.correct for verdict in verdicts] == [True, False]
    assert [verdict.reward for verdict in verdicts] == [1.0, 0.0]


def test_a_number_is_the_reward_and_correct_from_one_on():
    verdicts, _ = judge("share_of_vowels", "aeiou", "abcd", "xyz")
    assert [verdict.reward for verdict in verdicts] == [1.0, 0.25, 0.0]
    assert [verdict.correct for verdict in verdicts] == [True, False, False]
    verdicts, _ = judge("minus_or_plus_one", "right", "wrong")
    assert [(verdict.correct, verdict.reward) for verdict in verdicts] == [(True, 1.0), (False, -1.0)]


def test_a_verdict_is_taken_as_it_is_and_its_failures_are_counted():
    verdicts, verifier = judge("own_verdict", "yes", "no", "")
    assert verdicts[0] == Verdict(True, "yes")
    assert verifier.failures == {"unparsable": 1}


@pytest.mark.parametrize("result", [np.bool_(True), np.float32(1.0), 1, True])
def test_numpy_s_numbers_are_numbers(result):
    assert as_verdict(result).correct is True


def test_an_exception_is_no_verdict_and_logged_once(caplog):
    with caplog.at_level(logging.WARNING):
        verdicts, verifier = judge("raises_on_x", "a", "x", "xx", "b", "c")
    assert [verdict.failure for verdict in verdicts] == [None, "unscored", "unscored", None, None]
    assert not verdicts[1].correct
    assert verdicts[1].reward is None
    assert verifier.failures == {"unscored": 2}
    assert caplog.text.count("logged once") == 1
    assert "no x please" in caplog.text
    assert "raises_on_x" in caplog.text


@pytest.mark.parametrize("name", ["returns_text", "returns_nan", "returns_none", "returns_infinity"])
def test_a_result_that_is_no_verdict_leaves_the_response_unscored(name):
    verdicts, _ = judge(name, "a")
    assert verdicts == [Verdict(False, failure="unscored")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("takes_only_the_response", "takes 1 positional argument but 2 were given"),
        ("reads_another_column", "KeyError: 'solution'"),
        ("returns_text", "must return a bool, a number or a Verdict, not str"),
        ("returns_none", "it returned no verdict"),
    ],
)
def test_a_function_that_never_gives_a_verdict_is_refused_before_anything_is_loaded(tmp_path, name, said):
    path = write_problems(tmp_path / "rows.jsonl", sums(20))
    options = DataOptions(dataset=[str(path)], verifier=f"{HERE}:{name}")
    with pytest.raises(UserError, match="gave no verdict on any of 6 responses it was tried on") as refused:
        load_task(options, conversational=False, seed=0)
    assert said in str(refused.value)
    if name == "reads_another_column":
        assert "my_verifiers.py" in str(refused.value)
        assert 'row["solution"]' in str(refused.value)
        assert "htpo/verifiers" not in str(refused.value)


def test_a_function_that_fails_on_some_responses_alone_is_taken(tmp_path):
    path = write_problems(tmp_path / "rows.jsonl", sums(20))
    load_task(DataOptions(dataset=[str(path)], verifier=f"{HERE}:raises_on_x"), conversational=False, seed=0)


def test_the_run_stops_when_too_large_a_share_fails():
    verdicts, _ = judge("raises_on_x", *["x"] * 63)
    assert len(verdicts) == 63
    with pytest.raises(UserError, match=r"no verdict on 50% of 64 responses, more than max_verifier_failures \(40%\)"):
        judge("raises_on_x", *["x", "a"] * 32, max_failures=0.4)
    verdicts, _ = judge("raises_on_x", *["x", "a"] * 32, max_failures=0.5)
    assert len(verdicts) == 64


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{HERE}:nothing_there", "cannot be imported"),
        ("no.such.module:f", "cannot be imported"),
        (f"{HERE}:", "cannot be imported"),
        (f"{HERE}:not_a_function", "is int, not a function"),
    ],
)
def test_a_path_that_leads_to_no_function_is_refused(path, message):
    with pytest.raises(UserError, match=message):
        FunctionVerifier(path)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_bound_that_is_no_share_is_refused(share):
    with pytest.raises(UserError, match="max_verifier_failures"):
        FunctionVerifier(f"{HERE}:own_verdict", share)


def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "judge_of_mine.py").write_text("def judge(response, row):\n    return row['a'] in response\n")
    monkeypatch.chdir(tmp_path)
    verifier = FunctionVerifier("judge_of_mine:judge")
    assert verifier.judge(["xyz"], rows({"a": "y"}))[0].correct
