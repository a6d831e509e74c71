"""The main job from the command line."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from safetensors.torch import load_file

from htpo.cli.built_in import RECIPES, built_in
from htpo.cli.report import report_at_the_end
from htpo.objectives import OBJECTIVES, objective_options
from htpo.runs import RunDirectory
from tests.cli.command import (
    OWN_DATA,
    SMALL,
    TWO_PROCESSES,
    command,
    htpo,
    htpo_afresh,
    one_thread,
    sums,
    without_times,
    write_problems,
)
from tests.faults.checkpoint_reads import flip_a_bit
from tests.faults.moments import Moment, kill


def test_help_answers_without_loading_torch():
    check = """
import sys, htpo.cli
try:
    htpo.cli.app(["--help"])
except SystemExit:
    sys.exit("torch" in sys.modules or "transformers" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
    shown = htpo_afresh("--help").stdout + htpo_afresh("train", "--help").stdout
    assert all(recipe in shown for recipe in built_in(RECIPES))
    assert "--dataset" in shown
    assert all(re.search(rf"\b{name}\b", shown) for name in OBJECTIVES)


def test_every_option_is_listed():
    listed = htpo("train", "--options").stdout
    for option in ("--learning_rate", "--objective", "--prompt_column", "--use_peft", "--max_generation_rounds"):
        assert option in listed
    for name in OBJECTIVES:
        assert f"--objective {name}" in listed
        assert all(f"--{option} " in listed for option in objective_options(name))


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """A short quickstart, as a user starts it: (run directory, what it printed)."""
    path = tmp_path_factory.mktemp("quickstart") / "run"
    done = htpo_afresh("train", *SMALL, "--report", "true", "--rollout_every", "2", "--output_dir", path)
    assert done.returncode == 0, done.stderr
    return RunDirectory(path), done.stdout


def test_it_says_what_it_will_do_and_what_it_did(quickstart):
    run, printed = quickstart
    assert "8 prompts x 4 samples -> 2 updates of 16 sequences" in printed
    assert "variant paper" in printed
    assert "G2 hard / correct / high: encourage forking" in printed
    assert re.search(r"pass@1 │ +\d\.\d+ │ +\d\.\d+", printed)
    assert "pass@4" in printed
    assert "4 updates in" in printed
    assert str(run.path) in printed


def test_the_run_directory_is_complete(quickstart):
    run, _ = quickstart
    assert run.config["num_generations"] == 4
    assert run.config["seed"] == 0
    assert run.read_json("versions.json")["trl"]
    assert (run.path / "figures" / "training.png").stat().st_size > 10_000
    assert load_file(run.path / "model" / "model.safetensors")
    assert run.latest_complete_checkpoint()[0].name == "checkpoint-4"
    assert run.read_json("summary.json")["updates"] == 4
    assert set(run.read_json("evaluation_after.json")) >= {"samples", "correct", "examples"}


def test_it_ends_by_writing_a_report(quickstart):
    run, printed = quickstart
    assert f"report: {run.path / 'report.html'}" in printed
    page = (run.path / "report.html").read_text()
    assert "Objective in force: htpo" in page
    assert "Answers after training, for example" in page


def test_a_report_that_cannot_be_written_fails_no_run(tmp_path, capsys):
    report_at_the_end(tmp_path / "gone", Console(width=500))
    assert f"htpo report {tmp_path / 'gone'}" in capsys.readouterr().out


def test_every_update_logs_the_metrics_the_field_asks_for(quickstart):
    records = quickstart[0].read_metrics()
    assert [record["step"] for record in records] == [1, 2, 3, 4]
    wanted = {"reward", "accuracy", "completions/mean_length", "entropy", "clip/region_fraction", "sampling/rounds"}
    wanted |= {"sampling/groups_too_easy", "sampling/groups_too_hard", "verifier/unparsable_share"}
    per_group = ("token_share", "entropy", "clipped_share", "detached_share", "differs_share", "weight_share")
    wanted |= {f"group/G{number}/{name}" for number in range(1, 9) for name in per_group}
    for record in records:
        assert wanted <= record.keys()
        for share in ("token_share", "weight_share"):
            assert sum(record[f"group/G{number}/{share}"] for number in range(1, 9)) == pytest.approx(1, abs=1e-4)


def test_every_logged_metric_and_rollout_column_is_explained(quickstart):
    page = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([^` ]+)`", page))
    logged = {
        re.sub(r"^rewards/\w+/", "rewards/NAME/", re.sub(r"/G\d/", "/Gk/", name))
        for name in quickstart[0].read_metrics()[-1]
    }
    assert logged <= explained
    assert set(quickstart[0].read_rollouts().column_names) <= explained


def test_rollouts_are_kept_token_by_token(quickstart):
    table = quickstart[0].read_rollouts()
    assert set(table["step"].to_pylist()) == {1, 2, 4}
    row = table.to_pylist()[0]
    assert "".join(row["tokens"]).startswith(row["response"])
    assert None not in table["gold"].to_pylist()
    assert 0 <= min(table["prompt_id"].to_pylist()) <= max(table["prompt_id"].to_pylist()) < 200
    lengths = {name: len(row[name]) for name in ("tokens", "log_prob", "old_log_prob", "entropy", "group", "weight")}
    assert set(lengths.values()) == {len(row["token_ids"])}
    assert set(row["group"]) <= ({1, 2, 3, 4} if row["group_accuracy"] < 0.6 else {5, 6, 7, 8})
    files = sorted(file.name for file in (quickstart[0].path / "rollouts").iterdir())
    assert files == ["step-000001.parquet", "step-000002.parquet", "step-000004.parquet"]
    assert pq.read_metadata(quickstart[0].path / "rollouts" / files[0]).num_rows <= 32


def kill_after(updates, run, *options):
    """Start a run and kill it once it has logged so many updates."""
    process = subprocess.Popen(
        command(*options, "--output_dir", run.path),
        env=one_thread(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(run.read_metrics()) < updates and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_metrics_as_an_uninterrupted_one(tmp_path):
    """Past the first epoch (24 prompts, 8 a generation: an epoch is 6 updates), killed between checkpoints."""
    options = ["train", *SMALL, "--max_steps", "12", "--train_prompts", "24", "--save_steps", "4"]
    whole, cut = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "cut")
    assert htpo(*options, "--output_dir", whole.path).returncode == 0
    kill_after(9, cut, *options)
    half = cut.path / "checkpoint-99"  # one that the kill cut short
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")

    resumed = htpo("train", "--resume", "--output_dir", cut.path)
    assert resumed.returncode == 0, resumed.stderr
    assert "checkpoint-99 is dropped: it was cut short while being written" in resumed.stdout
    assert "from update 8" in resumed.stdout
    assert without_times(cut.read_metrics()) == without_times(whole.read_metrics())
    assert len(whole.read_metrics()) == 12
    assert cut.read_rollouts().equals(whole.read_rollouts())
    for name in ("evaluation_before.json", "evaluation_after.json"):
        assert cut.read_json(name) == whole.read_json(name)


def test_a_run_killed_before_its_first_checkpoint_starts_over(quickstart, tmp_path):
    cut = RunDirectory(tmp_path / "cut")
    options = [*SMALL, "--rollout_every", "2", "--save_steps", "4", "--output_dir", cut.path]
    first_record = Moment("record of an update", 1, after=True)
    assert htpo("train", *options, first=lambda: first_record.do(kill)).returncode == -signal.SIGKILL
    resumed = htpo("train", "--resume", "--output_dir", cut.path)
    assert resumed.returncode == 0, resumed.stderr
    assert "from the start: no complete checkpoint was written" in resumed.stdout
    assert without_times(cut.read_metrics()) == without_times(quickstart[0].read_metrics())


def test_a_users_model_on_a_users_data_shows_no_change_and_says_so(tmp_path, tiny_model):
    data = write_problems(tmp_path / "sums.jsonl", sums(60))
    done = htpo(
        "train", *OWN_DATA, "--dataset", data, "--verifier", "math", "--model_name_or_path", tiny_model,
        "--max_completion_length", "16", "--max_generation_rounds", "2", "--output_dir", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no change of pass@1 was shown" in done.stdout
    assert "always wrong (too hard)" in done.stdout + done.stderr
    metrics = RunDirectory(tmp_path / "run").read_metrics()
    assert [record["accuracy"] for record in metrics] == [0.0] * 4
    assert [record["sampling/filled_share"] for record in metrics] == [0.0] * 4


def test_gsm8k_through_a_tiny_model_shows_no_change_and_says_so(tmp_path, tiny_model, shared_data):
    done = htpo(
        "train", *OWN_DATA, "--dataset", shared_data / "math" / "gsm8k_test.jsonl",
        "--verifier", "math", "--model_name_or_path", tiny_model, "--max_completion_length", "16",
        "--max_steps", "2", "--max_generation_rounds", "1", "--output_dir", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no change of pass@1 was shown" in done.stdout


def test_lora_trains_an_adapter(tmp_path):
    from htpo.engines.job import BUILT_IN_POLICIES

    done = htpo(
        "train", *SMALL, "--use_peft", "--lora_target_modules", "q_proj", "v_proj", "--beta", "0.01",
        "--model_name_or_path", BUILT_IN_POLICIES["number_path"], "--output_dir", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    adapter = load_file(tmp_path / "run" / "model" / "adapter_model.safetensors")
    assert any(tensor.abs().sum() > 0 for name, tensor in adapter.items() if "lora_B" in name)
    assert "kl" in RunDirectory(tmp_path / "run").read_metrics()[0]


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    """A run of two processes: (run directory, what it printed)."""
    path = tmp_path_factory.mktemp("two") / "run"
    done = htpo_afresh("train", *SMALL, "--output_dir", path, launcher=TWO_PROCESSES)
    assert done.returncode == 0, done.stderr
    return RunDirectory(path), done.stdout


@pytest.mark.slow
def test_two_processes_run_the_same_recipe(of_two_processes):
    run, printed = of_two_processes
    assert "8 prompts x 4 samples -> 2 updates of 16 sequences" in printed
    assert "2 processes" in printed
    assert printed.count("4 updates in") == 1
    assert [record["step"] for record in run.read_metrics()] == [1, 2, 3, 4]
    assert len(run.read_json("evaluation_after.json")["correct"]) == 8


@pytest.mark.slow
def test_two_processes_resume_to_the_same_metrics_and_one_reads_the_checkpoints(of_two_processes, tmp_path):
    run, reads = RunDirectory(tmp_path / "run"), tmp_path / "reads"
    shutil.copytree(of_two_processes[0].path, run.path)
    whole = without_times(run.read_metrics())
    flip_a_bit(run.checkpoint(4) / "optimizer.pt")
    launcher = (*TWO_PROCESSES, "tests.faults.checkpoint_reads", reads)
    done = htpo_afresh("train", "--resume", "--output_dir", run.path, launcher=map(str, launcher))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoint-4 is dropped: optimizer.pt is not as it was written") == 1
    assert f"from update 2 ({run.checkpoint(2)})" in done.stdout
    assert reads.read_text().split() == ["checkpoint-4", "checkpoint-2"]
    assert without_times(run.read_metrics()) == whole


def test_a_recipe_file_and_flags_meet_in_the_stored_config(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("dataset: number_path\nobjective: dapo\nsave_strategy: no\nbf16: false\nmax_steps: 1\n"
                      "gradient_checkpointing: false\nreport_to: none\nheld_out_prompts: 0\n")  # fmt: skip
    flags = ["--clip_high=0.3", "--num_generations", "4", "--per_device_train_batch_size", "8", "--train_prompts", "50"]
    done = htpo("train", recipe, *flags, "--output_dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = RunDirectory(tmp_path / "run")
    assert run.config["objective_options"] == {"clip_high": 0.3}
    assert run.read_json("summary.json")["objective"]["options"] == {
        "clip_low": 0.2,
        "clip_high": 0.3,
        "dual_clip": 10.0,
    }
    assert not list(run.path.glob("checkpoint-*"))
    assert json.loads((run.path / "metrics.jsonl").read_text().splitlines()[0])["step"] == 1


@pytest.mark.slow
def test_the_quickstart_at_least_doubles_held_out_accuracy(tmp_path):
    done = htpo("train", "--output_dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    before, after = RunDirectory(tmp_path / "run").read_json("summary.json")["pass@1"]
    assert after >= 2 * before
