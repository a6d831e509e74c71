"""`load_task`: what is trained on, what is held out, what is refused; and the lengths of prompts."""

import json
import sys
import time
from types import SimpleNamespace

import pytest
from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks import DataOptions
from htpo.tasks.load import load_task
from htpo.tasks.prompt_lengths import limit_prompt_lengths
from htpo.tasks.task import Task
from htpo.verifiers.math.formats import ANSWER_FORMATS
from htpo.verifiers.math.verifier import MathVerifier

PLAIN = "{prompt}"  # a template that adds nothing


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def sums(count, start=0):
    return [{"problem": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(start, start + count)]


def task_of_data(dataset, *, conversational=False, seed=0, **options):
    return load_task(DataOptions(dataset=dataset, **options), conversational=conversational, seed=seed)


def math_task(dataset, **options):
    return task_of_data(dataset, **{"verifier": "math", "prompt_template": PLAIN, **options})


def refusal(dataset, **options):
    with pytest.raises(UserError) as caught:
        math_task(dataset, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def forty(tmp_path):
    return write_rows(tmp_path / "forty.jsonl", sums(40))


# --- what a task holds ---------------------------------------------------------------------------------------------


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


def test_an_answer_pattern_reaches_the_verifier_and_the_description(forty):
    task = math_task(forty, prompt_template="{prompt} End with 'Answer: x'.", answer_pattern=r"Answer: (\S+)")
    row = task.train[0]
    assert task.verifier.judge([f"Answer: {row['answer']}"], [row])[0].correct
    assert "the last match of 'Answer: (\\\\S+)'" in task.description
    task.verifier.close()


# --- gold answers --------------------------------------------------------------------------------------------------


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


# --- real data -----------------------------------------------------------------------------------------------------


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


# --- options that cannot be used -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"verifier": None}, "needs a verifier: set --verifier math"),
        ({"verifier": "maths"}, "unknown verifier 'maths': set --verifier math"),
        (
            {"prompt_template": "Solve it."},
            "prompt_template 'Solve it.' must say where the problem goes",
        ),
        ({"answer_pattern": "("}, "answer_pattern '(' is not a regular expression"),
        ({"answer_pattern": "answer"}, "answer_pattern 'answer' has 0 groups"),
        ({"answer_pattern": "(a)", "prompt_template": None}, "--answer_pattern needs a --prompt_template"),
        ({"held_out_prompts": -1}, "held_out_prompts=-1 must not be negative"),
        ({"train_prompts": 100}, "it counts generated puzzles"),
        ({"dataset_split": "test"}, "it belongs to Hugging Face datasets"),
        ({"dataset_config": "main"}, "it belongs to Hugging Face datasets and reasoning_gym"),
        ({"eval_split": "validation"}, "it needs an --eval_dataset from the Hugging Face Hub"),
        ({"prompt_column": "question"}, "no column 'question' (found: 'problem', 'answer'); set --prompt_column"),
        ({"answer_column": "label"}, "no column 'label' (found: 'problem', 'answer'); set --answer_column"),
        ({"eval_dataset": "none.jsonl"}, "none.jsonl: no such file"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_by_name(forty, options, message):
    assert message in refusal(forty, **options)


def test_an_evaluation_file_takes_no_split(forty):
    assert "it needs an --eval_dataset from" in refusal(forty, eval_dataset=forty, eval_split="validation")


def test_a_template_would_be_ignored_by_chat_messages_and_is_refused(tmp_path):
    row = {"problem": [{"role": "user", "content": "1 + 1?"}], "answer": "2"}
    path = write_rows(tmp_path / "a.jsonl", [row])
    assert "--prompt_template has no effect" in refusal(path, conversational=True)


def test_chat_messages_for_a_model_without_chat_template_are_refused(tmp_path):
    row = {"problem": [{"role": "user", "content": "1 + 1?"}], "answer": "2"}
    path = write_rows(tmp_path / "a.jsonl", [row])
    assert "the model has no chat template" in refusal(path, prompt_template=None)


def test_splits_and_configuration_are_given_to_the_hub_for_each_dataset(monkeypatch):
    asked = []

    def load_dataset(name, config, split):
        asked.append((name, config, split))
        return Dataset.from_list(sums(10, start=100 * len(asked)))

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    math_task("org/data", dataset_config="main", eval_dataset="org/data", eval_split="validation")
    math_task("org/data", dataset_config="main", dataset_split="all", eval_dataset="org/other")
    assert asked == [
        ("org/data", "main", "train"),
        ("org/data", "main", "validation"),
        ("org/data", "main", "all"),
        ("org/other", None, "test"),
    ]


# --- the built-in puzzles ------------------------------------------------------------------------------------------


def test_the_puzzles_are_made_by_their_own_module(monkeypatch):
    asked = []
    module = SimpleNamespace(number_path_task=lambda **options: asked.append(options) or "the task")
    monkeypatch.setitem(sys.modules, "htpo.tasks.puzzles.number_path", module)
    assert task_of_data("number_path", train_prompts=7, held_out_prompts=3, seed=5, conversational=False) == "the task"
    assert asked == [{"train_prompts": 7, "held_out_prompts": 3, "seed": 5}]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("verifier", "math"),
        ("dataset_split", "test"),
        ("dataset_config", "main"),
        ("prompt_column", "question"),
        ("answer_column", "label"),
        ("prompt_template", "{prompt}"),
        ("answer_format", "answer_line"),
        ("answer_pattern", "(a)"),
        ("sandbox", "none"),
        ("max_verifier_failures", 0.1),
        ("skip_bad_rows", True),
        ("eval_dataset", "a.jsonl"),
        ("eval_split", "validation"),
        ("dataset_weights", [1.0]),
    ],
)
def test_an_option_the_puzzles_would_ignore_is_refused(option, value):
    with pytest.raises(UserError, match=f"^--{option} has no effect on number_path: "):
        task_of_data("number_path", **{option: value})


# --- lengths -------------------------------------------------------------------------------------------------------


class WordTokenizer:
    """Counts words; a chat costs two more for each message and one for the turn to answer."""

    def __init__(self, chat_template=None):
        self.chat_template = chat_template

    def __call__(self, text):
        return {"input_ids": [prompt.split() for prompt in text]}

    def apply_chat_template(self, chats, add_generation_prompt, tokenize, return_dict, turn="<assistant>"):
        assert add_generation_prompt
        assert tokenize
        assert return_dict
        texts = [" ".join(f"<{m['role']}> {m['content']} </>" for m in chat) + f" {turn}" for chat in chats]
        return self(texts)


def task_of(prompts, held_out=None):
    def rows(prompts):
        return Dataset.from_list([{"prompt": prompt, "answer": "1", "row": 10 + n} for n, prompt in enumerate(prompts)])

    return Task("words", rows(prompts), rows(held_out) if held_out else None, None, "words")


def test_prompts_of_just_the_allowed_length_pass():
    limit_prompt_lengths(task_of(["a b c"] * 2001, ["a b c"]), WordTokenizer(), 3)


def test_too_long_prompts_are_counted_and_the_longest_is_named():
    prompts = ["a b c"] * 1500 + ["a b c d", "a b c d e"] + ["a"] * 100
    with pytest.raises(UserError) as caught:
        limit_prompt_lengths(task_of(prompts), WordTokenizer(), 3)
    assert str(caught.value) == (
        "2 of 1602 training prompts of words are longer than 3 tokens, the longest has 5 (row 1511): "
        "raise --max_prompt_length, remove them, or leave them out by --filter_overlong_prompts"
    )


def test_held_out_prompts_are_measured_too():
    with pytest.raises(UserError, match=r"1 of 1 held-out prompts .* the longest has 4 \(row 10\)"):
        limit_prompt_lengths(task_of(["a"], ["a b c d"]), WordTokenizer(), 3)


def test_too_long_prompts_are_left_out_and_counted_where_asked_for():
    task = task_of(["a b c d", "a b", "a b c"], ["a b c d e", "a"])
    kept = limit_prompt_lengths(task, WordTokenizer(), 3, leave_out=True)
    assert kept.train["row"] == [11, 12]
    assert kept.held_out["row"] == [11]
    assert kept.description == (
        "words; left out as longer than 3 tokens: 1 of 3 training prompts, 1 of 2 held-out prompts"
    )
    assert limit_prompt_lengths(task, WordTokenizer(), 5, leave_out=True) is task


def test_leaving_out_every_prompt_is_refused():
    with pytest.raises(UserError, match="2 of 2 training prompts .* none would be left: raise --max_prompt_length"):
        limit_prompt_lengths(task_of(["a b", "a b c"]), WordTokenizer(), 1, leave_out=True)


def test_chats_are_counted_with_their_template_and_the_turn_to_answer():
    chat = [{"role": "user", "content": "a b c"}]
    limit_prompt_lengths(task_of([chat]), WordTokenizer("template"), 6)
    limit_prompt_lengths(task_of([chat]), WordTokenizer("template"), 7, {"turn": "<assistant> <think>"})
    with pytest.raises(UserError, match="the longest has 7"):
        limit_prompt_lengths(task_of([chat]), WordTokenizer("template"), 6, {"turn": "<assistant> <think>"})
    with pytest.raises(UserError, match="the longest has 6"):
        limit_prompt_lengths(task_of([chat]), WordTokenizer("template"), 5)


def test_chats_for_a_tokenizer_without_template_are_refused():
    with pytest.raises(UserError, match="no chat template"):
        limit_prompt_lengths(task_of([[{"role": "user", "content": "a"}]]), WordTokenizer(), 5)


def test_a_real_tokenizer_counts_as_it_encodes():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "<user>": 2, "<assistant>": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    turn = "{% if add_generation_prompt %}<assistant>{% endif %}"
    template = "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}" + turn
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", chat_template=template)
    for prompt, length in (("a a a", 3), ([{"role": "user", "content": "a a a"}], 5)):
        limit_prompt_lengths(task_of([prompt, prompt]), tokenizer, length)
        with pytest.raises(UserError, match=f"2 of 2 training prompts .* the longest has {length} "):
            limit_prompt_lengths(task_of([prompt, prompt]), tokenizer, length - 1)
