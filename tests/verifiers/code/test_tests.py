"""Tests of programming problems: every format that is read, and what is said of those that cannot be."""

import base64
import json
import pickle
import zlib

import pytest

from htpo.verifiers.code import tests as code_tests
from htpo.verifiers.code.tests import code_prompt, decode_private_tests, normalised_tests


def published(value) -> str:
    """Private tests the way LiveCodeBench publishes them."""
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def read(shared_data, name):
    with open(shared_data / "code" / name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


STDIN = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}]
CALLS = [{"input": '[1, 2]\n"a"', "output": "true", "testtype": "functional"}]


def test_live_code_bench_columns_are_read_public_before_private():
    row = {
        "public_test_cases": json.dumps(STDIN),
        "private_test_cases": published(json.dumps([{**STDIN[0], "input": "5\n"}])),
        "metadata": "{}",
    }
    tests = json.loads(normalised_tests(row))
    assert tests == {"kind": "stdin", "tests": [{"input": "1\n", "output": "2\n"}, {"input": "5\n", "output": "2\n"}]}


def test_functional_arguments_are_one_json_value_a_line():
    row = {"public_test_cases": json.dumps(CALLS), "metadata": '{"func_name": "solve"}'}
    tests = json.loads(normalised_tests(row))
    assert (tests["kind"], tests["entry"]) == ("call", "solve")
    assert tests["tests"] == [{"arguments": [[1, 2], "a"], "output": True}]


@pytest.mark.parametrize("protocol", range(6))
def test_private_tests_are_read_from_every_pickle_protocol(protocol):
    text = json.dumps([{"input": "ä\n" * 500, "output": "😀", "testtype": "stdin"}], ensure_ascii=False)
    encoded = base64.b64encode(zlib.compress(pickle.dumps(text, protocol))).decode()
    assert decode_private_tests(encoded) == json.loads(text)


class Harmful:
    def __reduce__(self):
        return exec, ("raise SystemExit('the pickle was executed')",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (published(Harmful()), "pickle of more than one text"),
        (published([json.dumps(STDIN)]), "pickle of more than one text"),
        (published(json.dumps(STDIN).encode()), "pickle of more than one text"),
        (published("not JSON"), "not JSON"),
        (base64.b64encode(zlib.compress(b"\x80\x04.")).decode(), "pickle of 0 texts"),
        (base64.b64encode(zlib.compress(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f")).decode(), "pickle"),
        (base64.b64encode(zlib.compress(b"")).decode(), "pickle"),
        (base64.b64encode(zlib.compress(pickle.dumps("x" * 99))[:-6]).decode(), "cut off"),
        (base64.b64encode(b"plain").decode(), "neither JSON nor base64 of zlib"),
        ("%%%", "neither JSON nor base64 of zlib"),
        ("[1", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_private_tests_that_are_not_one_text_are_refused_without_executing_anything(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        decode_private_tests(text)
    assert "\n" not in str(caught.value)


def test_a_decompression_bomb_is_refused_at_its_bound(monkeypatch):
    monkeypatch.setattr(code_tests, "LARGEST_TESTS", 2**20)
    bomb = base64.b64encode(zlib.compress(b"0" * 2**24)).decode()
    with pytest.raises(ValueError, match="larger than 1048576 bytes"):
        decode_private_tests(bomb)


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        ({"inputs": ["1"], "outputs": ["2"]}, {"kind": "stdin", "tests": [{"input": "1", "output": "2"}]}),
        ({"inputs": [[1, [2]]], "outputs": [3], "fn_name": "f"}, [{"arguments": [1, [2]], "output": 3}]),
        (
            {"inputs": ["1\n[2]"], "outputs": ["[3]"], "fn_name": "f"},
            [{"arguments": [1, [2]], "output": [3], "or_output": 3}],
        ),
    ],
)
def test_inputs_and_outputs_are_read_from_the_ground_truth_as_text_or_as_they_are(truth, expected):
    for stored in (truth, json.dumps(truth)):
        tests = json.loads(normalised_tests({"reward_model": {"ground_truth": stored, "style": "rule"}}))
        assert (tests if tests["kind"] == "stdin" else tests["tests"]) == expected
    assert json.loads(normalised_tests({"tests": json.dumps(truth)})) == tests


def test_normalised_tests_are_read_again_as_they_are():
    once = normalised_tests({"tests": STDIN})
    assert normalised_tests({"tests": once}) == once


def test_mbpp_reaches_for_the_function_even_when_it_has_the_name_of_a_built_in():
    row = {"test_list": ["assert sum(10, 15) == 6"], "code": "def sum(a, b): pass", "test_imports": []}
    assert json.loads(normalised_tests(row))["names"] == ["sum"]
    row = {"test_list": ["assert math.isclose(f(set(x)), 2)", "x = 3"], "test_imports": ["from os import path as x"]}
    tests = json.loads(normalised_tests(row))
    assert (tests["names"], tests["modules"]) == (["f"], ["math"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "p"}, "no tests: none of the columns 'public_test_cases', .* is filled"),
        ({"tests": []}, "the list of tests is empty"),
        ({"tests": "[}"}, "tests is not JSON"),
        ({"tests": 3}, "'tests' must be a list, not int"),
        ({"tests": [{"input": "1"}]}, "test 1 must have an 'input' and an 'output'"),
        ({"tests": STDIN + CALLS}, r"tests of kind \['functional', 'stdin'\]"),
        ({"tests": [{**STDIN[0], "testtype": "graph"}]}, r"tests of kind \['graph'\]"),
        ({"tests": CALLS}, "need the function's name"),
        ({"tests": [{**CALLS[0], "input": "x"}], "func_name": "f"}, "the input of test 1 is not JSON"),
        ({"tests": [{**CALLS[0], "output": "x"}], "func_name": "f"}, "the output of test 1 is not JSON"),
        ({"tests": {"inputs": ["1"], "outputs": []}}, "two lists of one length"),
        ({"tests": {"inputs": [1], "outputs": [2]}}, "must be texts"),
        ({"tests": {"inputs": [1], "outputs": [2], "fn_name": "f"}}, "input 1 must be the list of arguments"),
        ({"test": "def check(", "entry_point": "f"}, "'test' is not Python"),
        ({"test_list": ["assert 1 == 1"]}, "calls no function"),
        ({"test_list": ["assert f("]}, "'test_list' is not Python"),
    ],
)
def test_rows_that_cannot_be_read_are_named_in_one_line(row, message):
    with pytest.raises(ValueError, match=message) as caught:
        normalised_tests(row)
    assert "\n" not in str(caught.value)


def test_the_prompt_says_what_the_answer_must_look_like():
    assert "standard input" in code_prompt({"tests": STDIN}, "Add.")
    starter = "class Solution:\n    def solve(self, a, b):"
    assert starter in code_prompt({"tests": CALLS, "func_name": "solve", "starter_code": starter}, "Add.")
    asked = code_prompt({"test_list": ["assert add(1, 2) == 3", "assert add(2, 2) == 4"]}, "Add.")
    assert "add(1, 2)" in asked
    assert "add(2, 2)" not in asked  # a model that is shown every test can learn their answers


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("codeforces_rllm_test_408.jsonl", {"stdin": 408}),
        ("humaneval_164.jsonl", {"check": 164}),
        ("leetcode_rllm_test_200.jsonl", {"check": 200}),
        ("livecodebench_v5v6_public_342.jsonl", {"stdin": 217, "call": 125}),
        ("mbpp_399.jsonl", {"check": 399}),
    ],
)
def test_every_real_problem_has_tests_and_a_prompt(shared_data, name, kinds):
    found = dict.fromkeys(kinds, 0)
    for row in read(shared_data, name):
        tests = json.loads(normalised_tests(row))
        found[tests["kind"]] += 1
        assert tests.get("names", [""]) != []
        assert row["problem"].strip() in code_prompt(row, row["problem"])
    assert found == kinds


def test_the_real_private_encoding_gives_the_tests_it_is_known_to_hold(shared_data):
    (row,) = read(shared_data, "livecodebench_private_encoding_sample.jsonl")
    assert decode_private_tests(row["private_test_cases_encoded"]) == row["private_tests"]
    columns = {
        "public_test_cases": json.dumps(row["tests"]),
        "private_test_cases": row["private_test_cases_encoded"],
        "metadata": "{}",
    }
    assert len(json.loads(normalised_tests(columns))["tests"]) == 5
