"""`load_task`: what is trained on, what is held out, what is refused."""

import sys
from collections import Counter
from types import SimpleNamespace

import pyarrow
import pytest
from pyarrow import parquet

from htpo.errors import UserError
from htpo.verifiers.math.formats import ANSWER_FORMATS
from tests.tasks.data import load, math_task, refusal, sums, task_of_data, write_rows


def test_every_row_is_trained_on_or_held_out_never_both(forty):
    task = math_task(forty)
    assert (len(task.train), len(task.held_out)) == (36, 4)
    assert set(task.train["prompt"]) | set(task.held_out["prompt"]) == {row["problem"] for row in sums(40)}
    assert not set(task.train["prompt"]) & set(task.held_out["prompt"])
    assert task.train.column_names == ["prompt", "answer", "solution", "row"]
    for row in [*task.train, *task.held_out]:
        assert row["prompt"] == f"What is {row['row'] - 1} + 1?"
        assert row["answer"] == str(row["row"])
    assert task.name == "forty"
    assert "36 prompts to train on" in task.description
    assert "4 others held out" in task.description
    assert "\n" not in task.description


def test_the_division_is_fixed_by_the_seed(forty):
    first, again, other = (math_task(forty, seed=seed) for seed in (3, 3, 4))
    assert first.held_out.to_list() == again.held_out.to_list()
    assert first.train.to_list() == again.train.to_list()
    assert first.held_out.to_list() != other.held_out.to_list()


@pytest.mark.parametrize(("asked", "held_out"), [(1, 1), (3, 3), (4, 4), (40, 4)])
def test_no_more_are_held_out_than_asked_for_or_a_tenth(forty, asked, held_out):
    task = math_task(forty, held_out_prompts=asked)
    assert len(task.held_out) == held_out
    assert len(task.train) == 40 - held_out


def test_nothing_is_held_out_when_none_is_asked_for_or_there_is_only_one_prompt(forty, tmp_path):
    assert math_task(forty, held_out_prompts=0).held_out is None
    single = math_task(write_rows(tmp_path / "one.jsonl", sums(1) * 3))
    assert single.held_out is None
    assert len(single.train) == 3


def test_prompts_that_differ_in_white_space_only_are_not_divided(tmp_path):
    rows = [{"problem": f"What  is {n}\n+ 1? ", "answer": str(n + 1)} for n in range(20)]
    task = math_task(write_rows(tmp_path / "a.jsonl", sums(20) + rows))
    held_out = {" ".join(prompt.split()) for prompt in task.held_out["prompt"]}
    assert len(held_out) == len(task.held_out) == 2
    assert not held_out & {" ".join(prompt.split()) for prompt in task.train["prompt"]}
    assert len(task.train) == 36


def test_held_out_problems_of_another_file_are_not_trained_on(forty, tmp_path):
    other = write_rows(tmp_path / "other.jsonl", sums(20, start=30) + sums(5, start=30))
    task = math_task(forty, eval_dataset=other)
    assert sorted(task.held_out["prompt"]) == sorted(row["problem"] for row in sums(20, start=30))
    assert task.train["prompt"][:] == [row["problem"] for row in sums(30)]
    assert "10 rows left out of training because their prompts are there too" in task.description
    few = math_task(forty, eval_dataset=other, held_out_prompts=5)
    assert len(few.held_out) == 5
    assert set(few.held_out["prompt"]) < set(task.held_out["prompt"])
    assert few.train["prompt"][:] == task.train["prompt"][:]


def test_nothing_left_to_train_on_is_refused(forty):
    assert f"every prompt is also in {forty}" in refusal(forty, eval_dataset=forty)


def test_the_default_template_asks_for_the_box_and_a_given_one_takes_its_place(forty):
    assert task_of_data(forty, verifier="math").train["prompt"][0].endswith("final answer within \\boxed{}.")
    task = math_task(forty, prompt_template="Q: {prompt} {braces} A:", held_out_prompts=0)
    assert task.train["prompt"][0] == "Q: What is 0 + 1? {braces} A:"


def test_text_becomes_a_user_message_for_a_model_with_a_chat_template(forty):
    task = task_of_data(forty, verifier="math", conversational=True, held_out_prompts=0)
    assert task.train["prompt"][0] == [
        {"role": "user", "content": ANSWER_FORMATS["boxed"].prompt_template.replace("{prompt}", "What is 0 + 1?")}
    ]


def test_chat_messages_are_used_as_they_are(tmp_path):
    chats = [
        [{"role": "system", "content": "Box it."}, {"role": "user", "content": row["problem"]}] for row in sums(10)
    ]
    path = write_rows(tmp_path / "a.jsonl", [{"problem": chat, "answer": "1"} for chat in chats])
    task = task_of_data(path, verifier="math", conversational=True, answer_pattern="is (.+)")
    assert len(task.held_out) == 1
    assert sorted(map(str, [*task.train["prompt"], *task.held_out["prompt"]])) == sorted(map(str, chats))


def test_columns_are_chosen_by_name(tmp_path):
    rows = [{"question": f"Q{n}", "solution": "no answer here", "gold": n} for n in range(10)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    task = math_task(path, prompt_column="question", answer_column="gold", held_out_prompts=0)
    assert task.train["prompt"][3] == "Q3"
    assert task.train["answer"][3] == "3"


def test_the_verifier_reads_the_rows_of_its_task(forty):
    task = math_task(forty)
    rows = list(task.train)[:2]
    verdicts = task.verifier.judge([f"\\boxed{{{rows[0]['answer']}}}", "\\boxed{0}"], rows)
    assert [verdict.correct for verdict in verdicts] == [True, False]


def test_gsm8k_is_read_whole_and_divided(shared_data):
    path = shared_data / "math" / "gsm8k_test.jsonl"
    task = math_task(str(path), held_out_prompts=128)
    assert (len(task.train), len(task.held_out)) == (1319 - 128, 128)
    assert not set(task.train["prompt"]) & set(task.held_out["prompt"])
    assert not {"18", "3"} - set(task.train["answer"])
    assert "left out" not in task.description
    rows = list(task.held_out)
    right = task.verifier.judge([f"so \\boxed{{{row['answer']}}}" for row in rows], rows)
    assert all(verdict.correct for verdict in right)


def test_a_benchmark_is_held_out_whole_beside_gsm8k(shared_data):
    task = math_task(
        str(shared_data / "math" / "gsm8k_test.jsonl"),
        eval_dataset=str(shared_data / "math" / "aime2024.jsonl"),
        held_out_prompts=1000,
    )
    assert (len(task.train), len(task.held_out)) == (1319, 30)


def test_a_template_would_be_ignored_by_chat_messages_and_is_refused(tmp_path):
    row = {"problem": [{"role": "user", "content": "1 + 1?"}], "answer": "2"}
    path = write_rows(tmp_path / "a.jsonl", [row])
    assert "--prompt_template has no effect" in refusal(path, conversational=True)


def test_chat_messages_for_a_model_without_chat_template_are_refused(tmp_path):
    row = {"problem": [{"role": "user", "content": "1 + 1?"}], "answer": "2"}
    path = write_rows(tmp_path / "a.jsonl", [row])
    assert "the model has no chat template" in refusal(path, prompt_template=None)


def test_the_puzzles_are_made_by_their_own_module(monkeypatch):
    asked = []
    module = SimpleNamespace(number_path_task=lambda **options: asked.append(options) or "the task")
    monkeypatch.setitem(sys.modules, "htpo.tasks.puzzles.number_path", module)
    assert task_of_data("number_path", train_prompts=7, held_out_prompts=3, seed=5, conversational=False) == "the task"
    assert asked == [{"train_prompts": 7, "held_out_prompts": 3, "seed": 5}]


def test_verl_s_layout_is_known_by_its_columns(tmp_path):
    chat = [[{"role": "user", "content": f"{n} + 1?"}] for n in range(20)]
    truth = [{"style": "rule", "ground_truth": str(n + 1)} for n in range(20)]
    path = str(tmp_path / "train.parquet")
    columns = {"data_source": ["x"] * 20, "prompt": chat, "reward_model": truth, "extra_info": [{"i": 1}] * 20}
    parquet.write_table(pyarrow.table(columns), path)
    task = load(path, verifier="math", conversational=True)
    assert task.train[3]["prompt"] == chat[3]
    assert task.train[3]["answer"] == "4"


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
