"""Gold answers: which are read, which are left out, which are refused."""

import json
import time

import pytest

from htpo.verifiers.math.verifier import MathVerifier
from tests.tasks.data import load, math_task, refusal, sums, write_rows


def test_the_answer_line_is_asked_for_and_read(tmp_path):
    rows = [{"problem": f"{n} + 1?", "answer": n + 1} for n in range(10)]
    task = load(write_rows(tmp_path / "a.jsonl", rows), verifier="math", answer_format="answer_line")
    row = task.train[2]
    assert "Answer:" in row["prompt"]
    assert row["solution"] == "Answer: 3"
    verdicts = task.verifier.judge(["Answer: 3", "\\boxed{3}"], [row, row])
    assert [verdict.correct for verdict in verdicts] == [True, False]


def test_an_answer_pattern_reaches_the_verifier_and_the_description(forty):
    task = math_task(forty, prompt_template="{prompt} End with 'Answer: x'.", answer_pattern=r"Answer: (\S+)")
    row = task.train[0]
    assert task.verifier.judge([f"Answer: {row['answer']}"], [row])[0].correct
    assert "the last match of 'Answer: (\\\\S+)'" in task.description
    task.verifier.close()


def test_gsm8k_solutions_are_cut_to_the_answer_after_the_mark(tmp_path):
    rows = [{"problem": f"Q{n}", "answer": f"{n} * 1000 = <<{n}*1000>>\n#### {n},000"} for n in range(1, 11)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    task = math_task(path, held_out_prompts=0)
    assert task.train["answer"][:] == [f"{n},000" for n in range(1, 11)]
    assert task.verifier.judge(["\\boxed{1000}"], [task.train[0]])[0].correct
    assert f"10 gold answers of {path} are solutions: their answer is what follows the last ####" in task.description
    task.verifier.close()


def test_solutions_give_the_answer_that_they_state_wherever_they_stand(tmp_path):
    solutions = [
        "1 #### 2",
        "We add, and so get $x = \\boxed{7}$.",
        "Not \\boxed{1}, but \\boxed{\\frac{1}{2}}",
        "#### $\\boxed{3}$",
    ]
    rows = [*sums(10), *({"problem": f"Q{n}", "answer": solution} for n, solution in enumerate(solutions))]
    path = write_rows(tmp_path / "a.jsonl", rows)
    task = math_task(path, held_out_prompts=0)
    assert task.train["answer"][:] == [*(str(n + 1) for n in range(10)), "2", "7", "\\frac{1}{2}", "3"]
    assert task.train["solution"][11] == "\\boxed{7}"
    assert f"4 gold answers of {path} are solutions" in task.description


def test_a_sentence_or_a_solution_without_a_final_answer_is_refused_with_its_row(tmp_path):
    rows = [
        *sums(3),
        {"problem": "Q", "answer": "We have $2x = 6$, so $x = 3$."},
        {"problem": "R", "answer": "$x = 3$"},
    ]
    path = write_rows(tmp_path / "a.jsonl", rows)
    assert refusal(path) == (
        f"{path}: line 4: the gold answer 'We have $2x = 6$, so $x = 3$.' is a sentence or a solution, not a final "
        "answer; fix or remove it, or --skip_bad_rows"
    )


def test_solution_columns_of_benchmarks_are_as_good_as_their_answers(shared_data):
    for name in ("math500", "gsm8k_test"):
        with open(shared_data / "math" / f"{name}.jsonl", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file][:200]
        verifier = MathVerifier()
        golds = [{"answer": row["solution"]} for row in rows]
        try:
            assert set(verifier.check_golds([gold["answer"] for gold in golds])) == {None}
            verdicts = verifier.judge([f"\\boxed{{{row['answer']}}}" for row in rows], golds)
        finally:
            verifier.close()
        assert all(verdict.correct for verdict in verdicts)


@pytest.mark.parametrize("answer", ["", "  ", "$$", "$ $"])
def test_an_empty_gold_answer_is_refused_with_its_row(tmp_path, answer):
    path = write_rows(tmp_path / "a.jsonl", [*sums(3), {"problem": "Q", "answer": answer}])
    assert (
        refusal(path)
        == f"{path}: line 4: the gold answer (column 'answer') is empty; fix or remove it, or --skip_bad_rows"
    )


def test_an_empty_answer_after_the_mark_is_refused_with_its_row(tmp_path):
    path = write_rows(
        tmp_path / "a.jsonl", [{"problem": "P", "answer": "a #### 1"}, {"problem": "Q", "answer": "####"}]
    )
    assert "line 2: the gold answer (column 'answer') is empty" in refusal(path)


def test_rows_whose_gold_answer_is_no_mathematics_are_left_out_and_counted(tmp_path):
    rows = [
        *sums(3),
        {"problem": "Who wins?", "answer": "It depends on who of the two begins."},
        {"problem": "Can it?", "answer": "It cannot be done."},
    ]
    path = write_rows(tmp_path / "a.jsonl", rows)
    task = math_task(path, held_out_prompts=0)
    assert task.train["row"][:] == [1, 2, 3]
    assert (
        f"2 rows of {path} left out (line 4: cannot read the gold answer 'It depends on who of the two begins.')"
        in (task.description)
    )


def test_a_column_of_prose_is_refused_as_the_wrong_one(tmp_path):
    rows = [{"problem": f"Q{n}", "answer": "It cannot be done."} for n in range(3)]
    message = refusal(write_rows(tmp_path / "a.jsonl", rows))
    assert "3 of the 3 gold answers in column 'answer' cannot be judged (line 1: cannot read" in message
    assert "set --answer_column" in message


def test_an_empty_gold_answer_in_published_data_is_found(shared_data):
    path = str(shared_data / "math" / "train_deepscaler_math_1000.jsonl")
    with open(path, encoding="utf-8") as file:
        number = 1 + [json.loads(line)["answer"].strip() for line in file].index("")
    assert (
        refusal(path)
        == f"{path}: line {number}: the gold answer (column 'answer') is empty; fix or remove it, or --skip_bad_rows"
    )


def test_seventeen_thousand_integer_answers_take_seconds_and_no_worker(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{**row, "problem": row["problem"] * 20} for row in sums(17_000)])
    start = time.monotonic()
    task = math_task(path)
    assert time.monotonic() - start < 10
    assert len(task.train) == 17_000 - 128
    assert task.verifier._pool._workers == []
