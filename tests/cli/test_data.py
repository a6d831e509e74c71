"""`htpo data`: what is shown, what is found, and training on it with every verifier."""

import json

import pytest

from htpo.runs import RunDirectory
from tests.cli.command import OWN_DATA, htpo, htpo_afresh, sums, write_problems

ADD = {"problem": "Read two numbers, print their sum.", "tests": [{"input": "1 2", "output": "3", "testtype": "stdin"}]}


def test_the_list_names_every_benchmark_and_what_judges_it():
    shown = htpo("data", "list").stdout
    for name in ("number_path", "latin_square", "dapo-math-17k", "aime25", "olympiadbench", "livecodebench"):
        assert name in shown
    assert "reasoning_gym:NAME" in shown
    for name in ("math", "code", "package.module:function"):
        assert f"--verifier {name}: " in shown


def test_a_row_is_shown_as_the_model_sees_it_with_a_right_and_a_wrong_answer_judged(tmp_path):
    path = write_problems(tmp_path / "sums.jsonl", sums(4))
    done = htpo_afresh("data", "show", path, "--verifier", "math", "--rows", "1")
    assert done.returncode == 0, done.stderr
    assert "prompt: 0+0=" in done.stdout
    assert "put your final answer within \\boxed{}" in done.stdout
    assert "answer: 0" in done.stdout
    assert "\\boxed{0}\n  judged right, reward 1" in done.stdout
    assert "\\boxed{2}\n  judged wrong , reward 0" in done.stdout


def test_a_model_s_chat_template_is_shown(tmp_path, tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|turn|>"
    tokenizer.save_pretrained(tmp_path / "model")
    path = write_problems(tmp_path / "sums.jsonl", sums(4))
    arguments = ["--verifier", "math", "--rows", "1", "--model_name_or_path", tmp_path / "model"]
    assert "prompt: <|user|>0+0=" in htpo("data", "show", path, *arguments).stdout


def test_chat_prompts_are_shown_role_by_role_without_a_model(tmp_path):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1="}]
    path = write_problems(tmp_path / "chats.jsonl", [{"problem": chat, "answer": "2"}])
    done = htpo("data", "show", path, "--verifier", "math")
    assert done.returncode == 0, done.stderr
    assert "prompt: system: Be brief.\nuser: 1+1=\n" in done.stdout


def test_puzzles_are_shown_with_their_solutions():
    done = htpo("data", "show", "latin_square", "--rows", "1")
    assert "a right response: " in done.stdout
    assert "judged right" in done.stdout


def test_bad_rows_repeats_and_benchmark_problems_are_found(tmp_path):
    text = "What is the sum of all positive integers below one hundred that are divisible by seven or by eleven?"
    rows = [*sums(6), sums(1)[0], {"problem": "", "answer": "1"}, {"problem": text.upper(), "answer": "1"}]
    mine = write_problems(tmp_path / "mine.jsonl", rows)
    benchmark = write_problems(tmp_path / "aime.jsonl", [{"problem": text, "answer": "1"}, *sums(1)])
    done = htpo("data", "check", mine, "--verifier", "math", "--against", f"aime24={benchmark}")
    assert done.returncode == 1, done.stderr
    assert "8 rows can be used" in done.stdout
    assert "line 8: the prompt (column 'problem') is empty" in done.stdout
    assert "1 rows repeat a prompt" in done.stdout
    assert f"in aime24={benchmark}: 3 the same, 0 nearly" in done.stdout
    assert "row 9 is row 1 (100%)" in done.stdout


def test_overlong_prompts_are_counted_as_the_model_will_see_them(tmp_path, tiny_model):
    path = write_problems(tmp_path / "sums.jsonl", sums(30))  # ten of four characters, twenty of six
    options = ["--verifier", "math", "--prompt_template", "{prompt}", "--model_name_or_path", tiny_model]
    done = htpo("data", "check", path, *options, "--max_prompt_length", "5")
    assert done.returncode == 1, done.stderr
    assert "20 of 30 prompts are longer than 5 tokens, the longest has 6" in done.stdout
    assert htpo("data", "check", path, *options, "--max_prompt_length", "6").returncode == 0


def test_data_without_faults_ends_with_zero(tmp_path):
    done = htpo("data", "check", write_problems(tmp_path / "sums.jsonl", sums(6)), "--verifier", "math")
    assert done.returncode == 0, done.stderr
    assert "6 rows can be used" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "htpo data show needs a source"),
        (["show", "number_path", "--no_such_option", "1"], "unknown option 'no_such_option'"),
        (["show", "number_path", "--row", "1"], "did you mean 'rows'?"),
        (["show", "none.jsonl", "--verifier", "math"], "no such file"),
        (["show", "number_path", "--rows", "many"], "invalid int value"),
        (["check", "number_path"], "check data that is read"),
        (["show", "household"], "household is an environment, whose tasks are played and not answered"),
        (["check", "my_worlds:World"], "htpo data export my_worlds:World"),
        (["show", "number_path", "countdown", "--model_name_or_path", "/none"], "'/none': there is no such folder."),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, message):
    done = htpo("data", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("verifier", ["math", "code", "tests.verifiers.my_verifiers:share_of_vowels"])
def test_training_runs_end_to_end_with_every_verifier(tmp_path, tiny_model, verifier):
    rows = [{**ADD, "problem": f"{n}{n}=", "answer": str(n)} for n in range(60)]
    path = write_problems(tmp_path / "rows.jsonl", rows)
    options = ["--model_name_or_path", tiny_model, "--verifier", verifier, "--prompt_template", "{prompt}"]
    options += ["--max_completion_length", "12", "--dynamic_sampling", "false", "--output_dir", tmp_path / "run"]
    done = htpo("train", "--dataset", path, *options, *OWN_DATA)
    assert done.returncode == 0, done.stderr
    records = RunDirectory(tmp_path / "run").read_metrics()
    assert len(records) == 4
    shares = [
        sum(r[f"verifier/{kind}_share"] for kind in ("unparsable", "truncated", "timeout", "crash")) for r in records
    ]
    if "vowels" in verifier:
        assert all("rewards/partial_credit/mean" in record for record in records)
    else:
        assert all(share == pytest.approx(1 - record["accuracy"], abs=0.05) for share, record in zip(shares, records))


def test_a_mixture_of_puzzles_trains_with_weights(tmp_path, tiny_model):
    options = ["--model_name_or_path", tiny_model, "--max_completion_length", "12", "--train_prompts", "40"]
    options += ["--dataset_weights", "1", "3", "--dynamic_sampling", "false", "--output_dir", tmp_path / "run"]
    done = htpo("train", "--dataset", "number_path", "countdown", *options, *OWN_DATA)
    assert done.returncode == 0, done.stderr
    assert "number_path 25%, countdown 75%" in " ".join(done.stdout.split())
    rates = json.loads((tmp_path / "run" / "evaluation_after.json").read_text())
    assert len(rates["correct"]) == 8
