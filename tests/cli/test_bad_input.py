"""Bad input: one clear line that names the thing and the remedy, exit code 2, nothing written or harmed."""

import re
import shutil
import sys

import pytest

from htpo.cli import main
from htpo.runs import RunDirectory
from tests.cli.command import SMALL, sums, write_problems


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """Runs `htpo train` with arguments that must be refused; returns what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["htpo", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert stopped.value.code == 2
        assert message.startswith("htpo: ")
        return message

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "no recipe 'nonsense'.*quickstart"),
        (["missing.yaml"], "cannot read missing.yaml"),
        (["--learning_rat", "1"], "unknown option 'learning_rat'.*'learning_rate'"),
        (["--objective", "reinforce++"], r"unknown objective 'reinforce\+\+', there are htpo, dapo"),
        (["--variant", "mine"], "variant is 'mine', needs one of 'paper', 'release'"),
        (["--clip_high", "-1"], "clip_high is -1"),
        (["--objective", "dapo", "--variant", "paper"], "variant is an option of htpo; the objective is dapo"),
        (
            ["--objective", "grpo", "--entropy_scope", "batch"],
            "entropy_scope is an option of htpo and entropy_mask; .* grpo",
        ),
        (["--objective", "dapo", "--objective_options", "{variant: paper}"], "'dapo' has no option 'variant'"),
        (["--learning_rate", "fast"], "learning_rate.*fast"),
        (["--loss_type", "sapo"], "loss_type='sapo' would have no effect"),
        (["--prompts_per_generation", "3", "--updates_per_generation", "5"], "24 sequences.*does not divide"),
        (["--save_steps", "3"], "save_steps.*use 4"),
        (["--dataset", "nowhere.jsonl", "--verifier", "math"], "no model"),
        (["--model_name_or_path", "nowhere"], "cannot load a model from 'nowhere'"),
        (["--train_prompts", "5"], "5 prompts to train on.*needs 32"),
        (["--resume"], "--resume needs --output_dir"),
        (["--resume", "--output_dir", "nowhere"], "holds no run to resume"),
        (["--verifier", "math"], "verifier"),
        (["quickstart", "words"], "unexpected argument 'words'"),
        (["--max_prompt_length", "4"], "4096 of 4096 training prompts.*longer than 4 tokens"),
    ],
)
def test_an_unusable_option_is_refused_by_name(refuse, tmp_path, arguments, said):
    assert_says(refuse(*arguments), said)
    assert [path.name for path in tmp_path.iterdir()] == []


def assert_says(message: str, pattern: str) -> None:
    assert re.search(pattern, message), message


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("objective: [", "mine.yaml is not valid YAML"),
        ("- a\n- b", "mine.yaml must hold"),
        ("objective_options: 3", "objective_options must be a mapping"),
        ("learning_rates: 1", "unknown option 'learning_rates'"),
        ("learning_rate: --help", "learning_rate: invalid float value: '--help'"),
        ("dataset: [number_path, --help]", "option dataset: '--help' among several values begins with '-'"),
        ("num_generations: 4\nper_device_train_batch_size: 6", r"\(6\).*divisible.*num_generations \(4\)"),
    ],
)
def test_an_unusable_recipe_is_refused_by_name(refuse, tmp_path, recipe, said):
    (tmp_path / "mine.yaml").write_text(recipe)
    assert_says(refuse("mine.yaml"), said)


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        ([], "empty"),
        ([{"question": "1+1=", "answer": "2"}], "no column 'problem'.*'?question'?"),
        ([*sums(3), {"problem": "3+3=", "answer": ""}], "answer.*row 4|row 4.*answer|line 4.*answer|answer.*line 4"),
        ([*sums(3), {"problem": 7, "answer": "7"}], "4.*problem|problem.*4"),
    ],
)
def test_an_unusable_dataset_is_refused_by_file_and_row(refuse, tmp_path, tiny_model, problems, said):
    data = write_problems(tmp_path / "data.jsonl", problems)
    message = refuse("--dataset", data, "--verifier", "math", "--model_name_or_path", tiny_model)
    assert "data.jsonl" in message
    assert_says(message, said)


def test_what_a_recipe_says_to_another_objective_is_left_out_and_named(refuse, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("htpo.cli.train.Console.print", lambda self, *words, **options: said.append(words[0]))
    (tmp_path / "mine.yaml").write_text(
        "dataset: number_path\nvariant: release\nclip_high: 0.3\ntrain_prompts: 1\nnum_generations: 4"
    )
    assert_says(refuse("mine.yaml", "--objective", "grpo"), "1 prompts to train on")
    assert said[0] == "Left out, as grpo has none or means another thing by it: variant, clip_high"
    said.clear()
    assert_says(
        refuse("mine.yaml", "--objective", "grpo", "--variant", "paper"), "variant is an option of htpo; .* grpo"
    )
    assert said == []


def test_an_output_directory_with_another_config_is_refused_and_unharmed(refuse, tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create({"objective": "dapo", "max_steps": 3})
    run.append_metrics({"step": 1})
    files = {path: path.read_bytes() for path in run.path.iterdir()}
    assert_says(refuse(*SMALL, "--output_dir", run.path), "another config.*max_steps: 3, now 4")
    assert {path: path.read_bytes() for path in run.path.iterdir()} == files


def test_too_little_disk_space_is_refused_before_training(refuse, tmp_path, monkeypatch):
    monkeypatch.setattr("htpo.runs.disk.shutil.disk_usage", lambda path: type("Usage", (), {"free": 10_000}))
    assert_says(refuse(*SMALL, "--output_dir", tmp_path / "run"), "MB for checkpoints.*free some")


def test_a_model_folder_without_weights_is_refused(refuse, tmp_path, tiny_model):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    message = refuse(*SMALL, "--model_name_or_path", folder, "--output_dir", tmp_path / "run")
    assert_says(message, "cannot set up training of .*model")
