"""Rows with tests."""

import pytest

from htpo.errors import UserError
from htpo.tasks import DataOptions, load_task
from tests.tasks.data import ADD, load, write_rows

DOUBLE = {
    "problem": "Write a function `double` that doubles a number.",
    "test_list": ["assert double(2) == 4"],
    "test_imports": [],
}


def test_a_programming_problem_asks_for_a_code_block_and_runs_it(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [ADD, DOUBLE])
    task = load(path, verifier="code")
    first, second = task.train
    assert "standard input" in first["prompt"]
    assert "assert double(2) == 4" in second["prompt"]
    assert first["prompt"].endswith("the code, a line ```.")
    right = "```python\ndef double(x):\n    return 2 * x\n```"
    try:
        verdicts = task.verifier.judge([first["solution"], right, right], [first, second, first])
    finally:
        task.verifier.close()
    assert [verdict.correct for verdict in verdicts] == [True, True, False]
    assert second["solution"] is None
    assert "sandbox" in task.description


def test_a_solution_is_kept_where_the_first_row_has_none(tmp_path):
    tests = [{"input": "1", "output": "1"}]
    rows = [{"problem": "a", "tests": tests}, {"problem": "b", "tests": tests, "solution": "print(input())"}]
    path = write_rows(tmp_path / "code.jsonl", rows)
    task = load_task(DataOptions(dataset=[str(path)], verifier="code", held_out_prompts=0))
    assert task.train["solution"][:] == [None, "```python\nprint(input())\n```"]


def test_a_programming_problem_without_tests_is_named(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [ADD, {"problem": "Add."}])
    with pytest.raises(UserError, match="line 2: no tests"):
        load(path, verifier="code")
    assert len(load(path, verifier="code", skip_bad_rows=True).train) == 1
