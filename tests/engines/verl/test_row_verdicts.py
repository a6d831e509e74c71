"""Rows of verl's layout get the verdicts that the verifiers give, whatever the responses are."""

import asyncio

import numpy as np
import pytest
from pyarrow import parquet

from htpo.engines.verl.row_verdicts import RowVerdicts, run_grading
from htpo.errors import UserError
from htpo.tasks import DataOptions, load_task
from htpo.tasks.verl_layout import TRAIN, export_task
from tests.tasks.data import ADD, sums, write_rows

FOREIGN = {"data_source": "sums", "prompt": [{"role": "user", "content": "2+2="}], "extra_info": {"index": 0}}
HOSTILE = ["", "\\boxed{" * 1000, "\\boxed{9**9**9**9}", "<think>\\boxed{4}", "x" * 100_000, "\ud800"]
ENDLESS = "```python\nwhile True:\n    pass\n```"


def verdicts_on(pairs, block=None, sent=""):
    """On (response, row) pairs, all at once."""
    verdicts = RowVerdicts(block or {})

    async def run():
        return await asyncio.gather(*[verdicts(response, row, sent) for response, row in pairs])

    try:
        return asyncio.run(run())
    finally:
        verdicts.close()


def exported(folder, **options):
    """A task, and its rows as verl reads them."""
    options = DataOptions(held_out_prompts=0, **options)
    task = load_task(options)
    export_task(task, options, folder / "out")
    return task, parquet.read_table(folder / "out" / TRAIN).to_pylist()


def test_a_mixture_of_mathematics_programs_puzzles_and_a_function_at_once(tmp_path):
    maths, code = write_rows(tmp_path / "maths.jsonl", sums(4)), write_rows(tmp_path / "code.jsonl", [ADD] * 2)
    for name, options in {
        "maths": {"dataset": [maths, "countdown"], "verifier": "math", "train_prompts": 4},
        "code": {"dataset": [code], "verifier": "code"},
        "own": {"dataset": [maths], "verifier": "tests.verifiers.my_verifiers:share_of_vowels"},
    }.items():
        (tmp_path / name).mkdir()
        task, rows = exported(tmp_path / name, **options)
        solutions = [row.get("solution") or "aei" for row in task.train]
        tried = [*zip(solutions, range(len(rows))), *((text, 0) for text in HOSTILE[:-1])]
        expected = task.verifier.judge([text for text, _ in tried], [task.train[index] for _, index in tried])
        task.verifier.close()
        assert verdicts_on([(text, rows[index]) for text, index in tried]) == expected
        assert [verdict.correct for verdict in expected[: len(rows)]] == [True] * len(rows)


def test_a_program_without_end_is_a_counted_failure_and_the_others_beside_it_are_judged(tmp_path):
    task, rows = exported(tmp_path, dataset=[write_rows(tmp_path / "a.jsonl", [ADD])], verifier="code")
    right = task.train[0]["solution"]
    verdicts = verdicts_on([(right, rows[0]), (ENDLESS, rows[0]), (right, rows[0])])
    assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [
        (True, None),
        (False, "timeout"),
        (True, None),
    ]


def test_reasoning_that_the_prompt_has_opened_is_no_answer(tmp_path):
    _, rows = exported(tmp_path, dataset=[write_rows(tmp_path / "a.jsonl", sums(4))], verifier="math")
    answer = f"\\boxed{{{rows[0]['reward_model']['ground_truth']}}}"
    assert verdicts_on([(answer, rows[0])])[0].correct
    assert not verdicts_on([(answer, rows[0])], sent="1 + 1?\n<think>\n")[0].correct
    assert verdicts_on([(f"so </think> {answer}", rows[0])], sent="1 + 1?\n<think>\n")[0].correct


def test_rows_that_were_not_exported_are_judged_by_the_verifier_of_the_run():
    row = {**FOREIGN, "reward_model": {"style": "rule", "ground_truth": "4"}}
    row["prompt"] = np.array(row["prompt"], dtype=object)  # as it comes out of verl
    block = {"verifier": "math", "answer_format": "answer_line"}
    right, wrong, other = verdicts_on([("so\nAnswer: $4$", row), ("Answer: 5", row), ("\\boxed{4}", row)], block)
    assert (right.correct, wrong.correct, other.failure) == (True, False, "unparsable")
    tests = {**FOREIGN, "reward_model": {"ground_truth": '{"inputs": ["1 2"], "outputs": ["3"]}'}}
    program = "```python\nprint(sum(map(int, input().split())))\n```"
    assert verdicts_on([(program, tests)], {"verifier": "code"})[0].correct


def test_a_function_of_the_user_s_own_sees_a_row_as_plain_data():
    row = {**FOREIGN, "target": {"value": np.int64(3)}, "reward_model": {"ground_truth": ""}}
    block = {"verifier": "tests.verifiers.my_verifiers:ends_with_target"}
    assert [verdict.correct for verdict in verdicts_on([("is 3", row), ("is 4", row)], block)] == [True, False]


def test_a_row_that_does_not_say_how_it_is_judged_is_refused():
    with pytest.raises(UserError, match=r"`htpo data export` writes data that does, or \+htpo.verifier="):
        verdicts_on([("4", {**FOREIGN, "reward_model": {"ground_truth": "4"}})])
    with pytest.raises(UserError, match="cannot be judged: the gold answer .* is missing"):
        verdicts_on([("4", FOREIGN)], {"verifier": "math"})


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"verifier": "maths"}, r"\+htpo.verifier is 'maths', needs math, code, or"),
        ({"verifier": "math", "sandbox": "none"}, r"\+htpo.sandbox has no effect on \+htpo.verifier=math"),
        ({"answer_format": "boxed"}, r"give \+htpo.verifier, too"),
        ({"verifier": "math", "answer_format": "box"}, "answer_format 'box' is unknown"),
        ({"verifier": "tests.verifiers.my_verifiers:gone"}, "cannot be imported"),
    ],
)
def test_what_the_run_says_of_its_verifier_is_checked(block, message):
    with pytest.raises(UserError, match=message):
        run_grading(block)
