"""Prompts that would score nothing without a word, and the system message."""

import pytest
from transformers import AutoTokenizer

from htpo.errors import UserError
from htpo.tasks import load_task
from htpo.tasks.load import load_problems
from htpo.tasks.options import DataOptions
from htpo.tasks.prompts import as_sent, check_template
from tests.cli.command import htpo, write_problems
from tests.engines.tiny import save_tiny_model


def described(tmp_path, problem, **options) -> str:
    """What is said of 20 prompts, numbered where the problem has `#?`."""
    problems = [{"problem": problem.replace("#?", f"{i}?"), "answer": "5"} for i in range(20)]
    path = write_problems(tmp_path / "rows.jsonl", problems)
    task = load_task(DataOptions(dataset=[str(path)], verifier="math", **options))
    task.verifier.close()
    return task.description


@pytest.mark.parametrize(
    "problem",
    [
        "<|im_start|>user\nWhat is #?<|im_end|>\n<|im_start|>assistant\n",
        "<|start_header_id|>user<|end_header_id|>\n\nWhat is #?",
        "[INST] What is #? [/INST]",
        "<start_of_turn>user\nWhat is #?<end_of_turn>",
        "<\uff5cUser\uff5c>What is #?<\uff5cAssistant\uff5c>",
    ],
)
def test_a_prompt_that_went_through_a_template_is_warned_of(tmp_path, problem):
    said = described(tmp_path, problem)
    assert "WARNING: 20 of 20 prompts" in said
    assert "went through a chat template already" in said
    assert "line 1: " + problem[:6] in said


@pytest.mark.parametrize(
    ("problem", "options", "mark"),
    [
        ("What is #? The last line must be of the form Answer: $Answer.", {}, "Answer:"),
        ("What is #? End with '#### ' and the number.", {}, "####"),
        ("What is #? Put it in \\boxed{}.", {"answer_format": "answer_line"}, "\\boxed"),
        ("What is #? Write <answer>...</answer>.", {}, "<answer>"),
        ("What is #? Put it in \\boxed{}.", {}, None),
        ("What is #? Put it in \\boxed{}, after Answer:.", {}, None),
        ("What is #?", {}, None),
    ],
)
def test_a_prompt_that_asks_for_another_form_is_warned_of(tmp_path, problem, options, mark):
    said = described(tmp_path, problem, **options)
    assert ("ask for another form of answer" in said) == (mark is not None)
    if mark is not None:
        assert f"(line 1: {mark})" in said


def test_a_mark_in_a_prompt_or_two_by_chance_is_no_warning(tmp_path):
    problems = [{"problem": f"What is {i}?", "answer": "5"} for i in range(200)]
    problems[3]["problem"] = "What does [INST] mean? Answer: 5 or 6?"
    path = write_problems(tmp_path / "rows.jsonl", problems)
    task = load_task(DataOptions(dataset=[str(path)], verifier="math"))
    task.verifier.close()
    assert "WARNING" not in task.description


def test_data_check_fails_on_it_and_data_show_says_it(tmp_path):
    problems = [{"problem": f"<|im_start|>user\n{i}?", "answer": "5"} for i in range(20)]
    path = write_problems(tmp_path / "rows.jsonl", problems)
    checked = htpo("data", "check", path, "--verifier", "math")
    assert checked.returncode == 1
    assert "went through a chat template already" in " ".join(checked.stdout.split())
    shown = htpo("data", "show", path, "--verifier", "math")
    assert "went through a chat template already" in " ".join(shown.stdout.split())


TEMPLATES = {
    "takes": "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}",
    "refuses": "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    "{{ m.content }}{% endfor %}",
    "drops": "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}",
}


def rows_file(tmp_path):
    return write_problems(tmp_path / "rows.jsonl", [{"problem": f"{i}+{i}=", "answer": str(2 * i)} for i in range(20)])


def test_a_system_message_stands_before_every_prompt_in_training_and_measuring(tmp_path):
    options = DataOptions(dataset=[str(rows_file(tmp_path))], verifier="math", system_prompt="Be brief.")
    task, (problems,) = load_task(options, conversational=True), load_problems(options, conversational=True)
    for rows in (task.train, task.held_out, problems.rows):
        assert all(prompt[0] == {"role": "system", "content": "Be brief."} for prompt in rows["prompt"])
        assert all([message["role"] for message in prompt] == ["system", "user"] for prompt in rows["prompt"])
    task.verifier.close()
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_model(tmp_path / "model", TEMPLATES["takes"]))
    check_template(task.train[0]["prompt"], tokenizer)
    assert as_sent(task.train[0]["prompt"], tokenizer).startswith("system Be brief. user ")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("refuses", r"does not take the prompts \(no system here\): leave out the system message"),
        ("drops", "leaves out the system message"),
    ],
)
def test_a_template_without_a_system_role_is_said_so(tmp_path, template, said):
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_model(tmp_path / "model", TEMPLATES[template]))
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1="}]
    check_template(prompt[1:], tokenizer)
    with pytest.raises(UserError, match=said):
        check_template(prompt, tokenizer)


def test_training_refuses_it_before_the_model_is_loaded(tmp_path):
    model = save_tiny_model(tmp_path / "model", TEMPLATES["refuses"])
    given = ["--model_name_or_path", model, "--dataset", rows_file(tmp_path), "--verifier", "math"]
    given += ["--prompts_per_generation", "4", "--system_prompt", "Be brief.", "--output_dir", tmp_path / "run"]
    done = htpo("train", *given)
    assert done.returncode == 2
    assert "does not take the prompts (no system here): leave out the system message" in done.stderr
    assert not (tmp_path / "run").exists()


def test_where_it_cannot_stand_it_is_refused(tmp_path):
    options = DataOptions(dataset=[str(rows_file(tmp_path))], verifier="math", system_prompt="Be brief.")
    with pytest.raises(UserError, match="needs prompts that are chat messages, and these are text"):
        load_task(options, conversational=False)
    with pytest.raises(UserError, match="--system_prompt has no effect on number_path"):
        load_task(DataOptions(system_prompt="Be brief."))
