"""Data in verl's layout, written and read back: every response gets the verdict it had before."""

import json

import pytest
from pyarrow import parquet

from htpo.errors import UserError
from htpo.tasks import DataOptions, load_task
from htpo.tasks.named_verifier import make_verifier
from htpo.tasks.verl_layout import TEST, TRAIN, export_task
from tests.tasks.data import ADD, sums, write_rows

PRINT = "```python\nprint(sum(map(int, input().split())))\n```"
ADD_FUNCTION = "```python\nclass Solution:\n    def add(self, a, b):\n        return a + b\n```"
CODE = {
    "inputs and outputs": ({"tests": ADD["tests"]}, PRINT),
    "LiveCodeBench": ({"public_test_cases": json.dumps(ADD["tests"]), "private_test_cases": "[]"}, PRINT),
    "LeetCode": ({"tests": {"functional": "def check(candidate):\n    assert candidate(1, 2) == 3"}}, ADD_FUNCTION),
    "HumanEval": (
        {"test": "def check(f):\n    assert f(1, 2) == 3", "entry_point": "add", "prompt": "def add(a, b):\n"},
        "```python\ndef add(a, b):\n    return a + b\n```",
    ),
    "MBPP": ({"test_list": ["assert add(1, 2) == 3"]}, "```python\ndef add(a, b):\n    return a + b\n```"),
    "verl": ({"reward_model": {"ground_truth": json.dumps({"inputs": ["1 2"], "outputs": ["3"]})}}, PRINT),
}
HOSTILE = [
    "",
    "\\boxed{" * 1000,
    "\\boxed{9}" + "x" * 100_000,
    "```python\nwhile True: pass",
    "<think> \\boxed{2}",
    "half a \x00 text",
]


def exported(folder, **options):
    """The task of the options, and of what it was exported to."""
    options = DataOptions(**{"held_out_prompts": 2, **options})
    task = load_task(options, conversational=False)
    export_task(task, options, folder / "out")
    return task, load_task(DataOptions([str(folder / "out" / TRAIN)], held_out_prompts=0), conversational=True)


def assert_same_verdicts(task, again, responses=(), rows=3):
    """On known solutions, each to its own and to the next prompt, and on other responses."""
    try:
        for index in range(min(rows, len(task.train))):
            neighbour = task.train[(index + 1) % len(task.train)]
            row, copy = task.train[index], again.train[index]
            known = [solution for each in (row, neighbour) if (solution := each.get("solution"))]
            tried = [*known, *responses, *HOSTILE]
            expected = task.verifier.judge(tried, [row] * len(tried))
            assert again.verifier.judge(tried, [copy] * len(tried)) == expected
            assert any(verdict.correct for verdict in expected)
            assert not all(verdict.correct for verdict in expected)
    finally:
        task.verifier.close()
        again.verifier.close()


@pytest.mark.parametrize("options", [{}, {"answer_format": "answer_line"}, {"answer_pattern": "answer is (.*)"}])
def test_mathematics(tmp_path, options):
    rows = [*sums(20), {"problem": "a half?", "answer": "\\frac{1}{2}"}]
    path = write_rows(tmp_path / "sums.jsonl", rows)
    if "answer_pattern" in options:
        options = {**options, "prompt_template": "{prompt} Say: the answer is ..."}
    task, again = exported(tmp_path, dataset=[path], verifier="math", **options)
    assert_same_verdicts(task, again, [f"the answer is {n}" for n in range(5)], rows=1)
    assert again.train["prompt"][0] == [{"role": "user", "content": task.train["prompt"][0]}]


@pytest.mark.parametrize("name", CODE)
def test_programs(tmp_path, name):
    tests, right = CODE[name]
    rows = [{"problem": f"Add two numbers ({n}).", **tests} for n in range(3)]
    column = {"prompt_column": "problem"}
    path = write_rows(tmp_path / "add.jsonl", rows)
    task, again = exported(tmp_path, dataset=[path], verifier="code", held_out_prompts=0, **column)
    assert_same_verdicts(task, again, [right, right.replace("+", "-").replace("sum", "max")], rows=1)


def test_functions_of_the_user_s_own_with_partial_scores_and_without_a_verdict(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [{"problem": f"{n}", "target": {"value": n}} for n in range(20)])
    for verifier in ("share_of_vowels", "ends_with_target", "own_verdict", "raises_on_x"):
        (tmp_path / verifier).mkdir()
        task, again = exported(tmp_path / verifier, dataset=[path], verifier=f"tests.verifiers.my_verifiers:{verifier}")
        responses = ["aaa", "yes", *(str(n) for n in range(20))]
        expected = task.verifier.judge(responses, [task.train[0]] * len(responses))
        assert again.verifier.judge(responses, [again.train[0]] * len(responses)) == expected
        assert len({verdict.reward for verdict in expected}) > 1 or verifier == "raises_on_x"


@pytest.mark.parametrize("puzzle", ["number_path", "countdown", "latin_square"])
def test_puzzles(tmp_path, puzzle):
    assert_same_verdicts(*exported(tmp_path, dataset=[puzzle], train_prompts=6))


def test_puzzles_of_reasoning_gym(tmp_path):
    pytest.importorskip("reasoning_gym")
    settings = {"dataset_config": '{"min_terms": 3, "max_terms": 3}'}
    task, again = exported(tmp_path, dataset=["reasoning_gym:chain_sum"], train_prompts=6, **settings)
    assert_same_verdicts(task, again, ["<answer>1</answer>"], rows=1)


def test_mixtures_are_judged_row_by_row_and_keep_their_weights(tmp_path):
    paths = [write_rows(tmp_path / f"{name}.jsonl", sums(10, start)) for name, start in (("one", 0), ("two", 50))]
    task, again = exported(tmp_path, dataset=[*paths, "countdown"], verifier="math", dataset_weights=[1, 1, 2])
    rows = parquet.read_table(tmp_path / "out" / TRAIN).to_pylist()
    assert [row["data_source"] for row in rows] == task.train["source"][:]
    assert {row["data_source"] for row in rows} == {"one", "two", "countdown"}
    assert_same_verdicts(task, again, rows=8)


def test_the_files_are_of_verl_s_layout(tmp_path):
    path = write_rows(tmp_path / "sums.jsonl", sums(30))
    exported(tmp_path, dataset=[path], verifier="math")
    rows = parquet.read_table(tmp_path / "out" / TRAIN).to_pylist()
    held_out = parquet.read_table(tmp_path / "out" / TEST).to_pylist()
    assert (len(rows), len(held_out)) == (28, 2)
    first = rows[0]
    assert first["data_source"] == "sums"
    assert first["reward_model"] == {"style": "rule", "ground_truth": first["extra_info"]["judged_row"][12:13]}
    assert [(row["extra_info"]["index"], row["extra_info"]["split"]) for row in held_out] == [(0, "test"), (1, "test")]
    assert json.loads(first["extra_info"]["judged_by"]) == {"verifier": "math"}
    assert not {row["prompt"][0]["content"] for row in rows} & {row["prompt"][0]["content"] for row in held_out}


def test_a_folder_that_exists_is_left_alone_unless_forced(tmp_path):
    path = write_rows(tmp_path / "sums.jsonl", sums(10))
    options = DataOptions([path], verifier="math", held_out_prompts=0)
    task = load_task(options, conversational=True)
    folder = tmp_path / "out"
    export_task(task, options, folder)
    (folder / "mine").touch()
    with pytest.raises(UserError, match="exists: give another --output, or --force"):
        export_task(task, options, folder)
    assert (folder / "mine").exists()
    export_task(task, options, folder, force=True)
    assert [file.name for file in folder.iterdir()] == [TRAIN]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "sums.jsonl"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"verifier": "no_such"}, "unknown verifier"),
        ({"verifier": "math", "answer_style": "boxed"}, "written by another version"),
        ({}, "written by another version"),
        ({"dataset": "gone.jsonl"}, "has no verifier of its own"),
        ({"verifier": "os.path:no_such"}, "cannot be imported"),
    ],
)
def test_a_verifier_that_cannot_be_made_is_named(named, message):
    with pytest.raises(UserError, match=message):
        make_verifier(named)
