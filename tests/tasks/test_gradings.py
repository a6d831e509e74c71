"""`load_task` with every verifier, from every kind of source: what a row becomes, and what is refused."""

import json
from collections import Counter

import pyarrow
import pytest
from datasets import Dataset
from pyarrow import parquet

from htpo.errors import UserError
from htpo.tasks import BENCHMARKS, DataOptions, load_task

ADD = {
    "problem": "Read two numbers and print their sum.",
    "tests": [{"input": "1 2", "output": "3", "testtype": "stdin"}],
    "answer": "print(sum(map(int, input().split())))",
}
DOUBLE = {
    "problem": "Write a function `double` that doubles a number.",
    "test_list": ["assert double(2) == 4"],
    "test_imports": [],
}
LOCAL_FILES = {
    "aime24": ("math/aime2024.jsonl", 30),
    "aime25": ("math/aime2025.jsonl", 30),
    "amc23": ("math/amc2023_40.jsonl", 40),
    "minerva": ("math/minerva_math.jsonl", 272),
    "olympiadbench": ("math/olympiadbench_oe_to_maths_en.jsonl", 675),
    "math500": ("math/math500.jsonl", 500),
    "gsm8k": ("math/gsm8k_test.jsonl", 1319),
    "livecodebench": ("code/livecodebench_v5v6_public_342.jsonl", 342),
    "humaneval": ("code/humaneval_164.jsonl", 164),
    "mbpp": ("code/mbpp_399.jsonl", 399),
}


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def load(*datasets, conversational=False, **options):
    options = {"held_out_prompts": 0, **options}
    return load_task(DataOptions(dataset=list(datasets), **options), conversational=conversational)


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


def test_a_function_of_the_user_s_own_sees_the_row_as_it_was_read(tmp_path):
    rows = [{"problem": f"Say {n}", "target": {"value": n}} for n in range(20)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    task = load(path, verifier="tests.verifiers.my_verifiers:ends_with_target", held_out_prompts=2)
    assert (len(task.train), len(task.held_out)) == (18, 2)
    assert task.train[0]["prompt"].startswith("Say ")
    row = task.train[4]
    verdicts = task.verifier.judge([f"it is {row['row'] - 1}", "no"], [row, row])
    assert [verdict.correct for verdict in verdicts] == [True, False]


def test_verl_s_layout_is_known_by_its_columns(tmp_path):
    chat = [[{"role": "user", "content": f"{n} + 1?"}] for n in range(20)]
    truth = [{"style": "rule", "ground_truth": str(n + 1)} for n in range(20)]
    path = str(tmp_path / "train.parquet")
    columns = {"data_source": ["x"] * 20, "prompt": chat, "reward_model": truth, "extra_info": [{"i": 1}] * 20}
    parquet.write_table(pyarrow.table(columns), path)
    task = load(path, verifier="math", conversational=True)
    assert task.train[3]["prompt"] == chat[3]
    assert task.train[3]["answer"] == "4"


def test_the_answer_line_is_asked_for_and_read(tmp_path):
    rows = [{"problem": f"{n} + 1?", "answer": n + 1} for n in range(10)]
    task = load(write_rows(tmp_path / "a.jsonl", rows), verifier="math", answer_format="answer_line")
    row = task.train[2]
    assert "Answer:" in row["prompt"]
    assert row["solution"] == "Answer: 3"
    verdicts = task.verifier.judge(["Answer: 3", "\\boxed{3}"], [row, row])
    assert [verdict.correct for verdict in verdicts] == [True, False]


def test_prompts_that_stand_twice_with_different_answers_are_refused_or_left_out(tmp_path):
    rows = [{"problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(5)]
    rows += [{"problem": "2  + 1?", "answer": "3.0"}, {"problem": "3 + 1?", "answer": "5"}]
    path = write_rows(tmp_path / "a.jsonl", rows)
    with pytest.raises(UserError) as caught:
        load(path, verifier="math")
    assert str(caught.value) == (
        f"{path}: line 7: the prompt of line 4 again, with another gold answer; fix or remove it, or --skip_bad_rows"
    )
    task = load(path, verifier="math", skip_bad_rows=True)
    assert task.train["row"][:] == [1, 2, 3, 4, 5, 6]
    assert "line 7: the prompt of line 4 again" in task.description


def test_a_file_of_bad_rows_alone_is_refused_even_when_they_may_be_skipped(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"problem": "", "answer": "1"}] * 2)
    with pytest.raises(UserError, match="no row can be used"):
        load(path, verifier="math", skip_bad_rows=True)


def test_several_sources_are_one_task_each_judged_by_its_own(tmp_path):
    sums = write_rows(tmp_path / "sums.jsonl", [{"problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(30)])
    task = load(sums, "number_path", verifier="math", train_prompts=20, held_out_prompts=6)
    assert Counter(task.train["source"]) == {"sums": 27, "number_path": 20}
    assert Counter(task.held_out["source"]) == {"sums": 3, "number_path": 3}
    rows = list(task.train)
    assert all(verdict.correct for verdict in task.verifier.judge([row["solution"] for row in rows], rows))
    weighted = load(sums, "number_path", verifier="math", train_prompts=20, dataset_weights=[1.0, 4.0])
    assert Counter(weighted.train["source"])["number_path"] > 2 * Counter(weighted.train["source"])["sums"]


def test_an_evaluation_set_is_held_out_once_beside_several_sources(tmp_path):
    def sums(start):
        return [{"problem": f"{n} + 1?", "answer": str(n + 1)} for n in range(start, start + 20)]

    first, second = (write_rows(tmp_path / f"{name}.jsonl", sums(start)) for name, start in (("a", 0), ("b", 20)))
    other = write_rows(tmp_path / "other.jsonl", sums(10)[:15])
    task = load(first, second, verifier="math", eval_dataset=other, held_out_prompts=100)
    assert len(task.held_out) == 15
    assert Counter(task.train["source"]) == {"a": 10, "b": 15}


@pytest.mark.parametrize(
    ("datasets", "options", "message"),
    [
        (["aime99=a.jsonl"], {}, "'aime99' is no benchmark, there are dapo-math-17k"),
        (["aime24=a.txt"], {}, "'a.txt' is no .jsonl"),
        (["aime24=none.jsonl"], {}, "no such file"),
        (["number_path", "number_path"], {}, "give each once"),
        (["number_path", "countdown"], {"dataset_weights": [1.0]}, "one positive number for each of the 2"),
        (["number_path"], {"dataset_weights": [1.0]}, "--dataset_weights has no effect on number_path"),
        (["aime24=a.jsonl"], {"eval_dataset": "countdown"}, "puzzles are held out by themselves"),
        (["number_path"], {"max_verifier_failures": 0.1}, "it belongs to a verifier of your own"),
        (["aime24=a.jsonl"], {"sandbox": "none"}, "it belongs to the code verifier"),
        (["humaneval=a.jsonl"], {"answer_format": "boxed"}, "it belongs to the math verifier"),
    ],
)
def test_what_cannot_be_meant_is_refused(datasets, options, message):
    with pytest.raises(UserError, match=message):
        load(*datasets, **options)


@pytest.mark.parametrize("name", LOCAL_FILES)
def test_every_benchmark_is_read_from_its_local_file(shared_data, name):
    file, count = LOCAL_FILES[name]
    task = load(f"{name}={shared_data / file}")
    task.verifier.close()
    assert 0.97 * count <= len(task.train) <= count
    assert task.name == name
    assert str(count - len(task.train)) in task.description or len(task.train) == count


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_by_name_alone_is_asked_of_the_hub(monkeypatch, name):
    asked = []

    def load_dataset(*arguments, **options):
        asked.append((arguments, options))
        known = BENCHMARKS[name]
        row = {known.prompt_columns[0]: "2 + 2?", known.answer_columns[0]: "4"}
        return Dataset.from_list([row | ({"tests": ADD["tests"]} if known.verifier == "code" else {})])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    task = load(name)
    assert len(task.train) == 1
    (((first, *_), options),) = asked
    known = BENCHMARKS[name]
    if known.data_files:
        assert first == "json"
        assert options["data_files"][0] == f"hf://datasets/{known.hub_id}/{known.data_files[0]}"
    else:
        assert asked == [((known.hub_id, known.config), {"split": known.split})]


def test_a_benchmark_s_own_split_gives_way_to_the_one_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "datasets.load_dataset",
        lambda *a, split: asked.append(split) or Dataset.from_list([{"question": "2 + 2?", "answer": "#### 4"}]),
    )
    load("gsm8k", dataset_split="train")
    load("gsm8k")
    assert asked == ["train", "test"]
