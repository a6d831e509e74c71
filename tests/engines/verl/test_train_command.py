"""`htpo train --engine verl` around verl's process: what it prepares, watches, takes over and goes on from."""

import json
import os
import subprocess

import pytest
from pyarrow import parquet
from safetensors.torch import load_file
from transformers import AutoTokenizer

from htpo.engines.job import BUILT_IN_POLICIES
from htpo.engines.verl.episode_data import AGENT, HowPlayed
from htpo.environments import EnvironmentWorkers
from htpo.runs import RunDirectory
from tests.cli.command import SMALL, htpo
from tests.engines.verl import stand_in

VERL = ["train", "quickstart", "--engine", "verl", *SMALL, "--report", "false"]


@pytest.fixture(autouse=True)
def _verl(tmp_path, monkeypatch):
    stand_in.install(tmp_path / "site", monkeypatch)


def options_of(run: RunDirectory) -> list[dict]:
    """Of each of verl's processes."""
    return [json.loads(line) for line in (run.path / "verl" / "log.txt").read_text().splitlines() if line[0] == "{"]


def test_it_measures_trains_and_leaves_a_model(tmp_path):
    path = tmp_path / "run"
    done = htpo(*VERL, "--output_dir", path)
    assert done.returncode == 0, done.stderr
    assert "Left out of the recipe, as engine verl has no such options: report_to" in done.stdout
    assert "verl runs on the CPU: for trying a configuration, not for training" in done.stdout
    run = RunDirectory(path)
    summary = run.read_json("summary.json")
    assert summary["updates"] == 4
    assert summary["pass@1"][0] == summary["pass@1"][1], "the stand-in learns nothing"
    assert load_file(path / "model" / "model.safetensors")
    assert not (path / "model" / "chat_template.jinja").exists(), "the policy had none"
    assert run.config["engine"] == "verl"
    assert run.read_json("plan.json")["engine"] == "verl 0.9.1, trainer mode sync, on the CPU"
    (options,) = options_of(run)
    assert options["actor_rollout_ref.model.path"] == str(BUILT_IN_POLICIES["number_path"])
    assert (path / "verl" / "data" / "train.parquet").is_file()


def test_a_run_that_verl_broke_off_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run"
    monkeypatch.setenv("FAIL_AFTER", "1")
    broken = htpo(*VERL, "--output_dir", path)
    assert broken.returncode == 2
    log = path / "verl" / "log.txt"
    assert broken.stderr.splitlines()[-1] == (
        f"htpo: verl stopped (exit code 1): RuntimeError: no more GPUs. All that it said: {log}"
    )
    monkeypatch.delenv("FAIL_AFTER")
    before = (path / "evaluation_before.json").read_text()
    done = htpo("train", "--resume", "--output_dir", path)
    assert done.returncode == 0, done.stderr
    assert f"from update 2 ({path}/verl/checkpoints/global_step_1)" in done.stdout
    run = RunDirectory(path)
    assert [record["step"] for record in run.read_metrics()] == [2, 4]
    assert (path / "evaluation_before.json").read_text() == before
    assert len(options_of(run)) == 2
    again = htpo("train", "--resume", "--output_dir", path)
    assert again.returncode == 0
    assert len(options_of(run)) == 2, "what is trained to the end is not started again"


def test_the_command_is_printed_and_the_data_written(tmp_path):
    path = tmp_path / "a run"
    done = htpo(*VERL, "--print_command", "--output_dir", path)
    assert done.returncode == 0, done.stderr
    command = (path / "verl" / "command.sh").read_text()
    assert command in done.stdout
    assert not (path / "evaluation_before.json").exists()
    assert not (path / "verl" / "log.txt").exists()
    by_hand = subprocess.run(["bash", path / "verl" / "command.sh"], capture_output=True, text=True, env=os.environ)
    assert by_hand.returncode == 0, by_hand.stderr
    finished = htpo("train", "--resume", "--output_dir", path)
    assert finished.returncode == 0, finished.stderr
    assert RunDirectory(path).read_json("summary.json")["updates"] == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--use_peft"], "use_peft is an option of the engine trl; the engine is verl"),
        (["--eval_every", "2"], "problems are measured before and after training"),
        (["--nodes", "2"], "nodes=2 need a Ray cluster"),
        (["--beta", "0.1"], "beta=0.1 needs a reference model, which verl can keep beside a GPU only"),
        (["--max_turns", "2"], "max_turns=2 has no effect: it belongs to a dataset that is an environment"),
        (["--engine", "torch"], "no engine 'torch': there are trl, verl"),
        (["--verl_options", "trainer.nnodes=2"], "trainer.nnodes is said by --nodes: give that"),
    ],
)
def test_refusals_come_before_anything_is_written(tmp_path, options, words):
    done = htpo(*VERL, "--output_dir", tmp_path / "run", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_installation_that_would_not_work_is_refused(tmp_path, monkeypatch):
    site = tmp_path / "site"
    plugin, verl = site / "htpo-0.1.0.dist-info" / "entry_points.txt", site / "verl-0.9.1.dist-info" / "METADATA"
    refused = {
        "VERL_USE_EXTERNAL_PLUGINS=none keeps htpo out of verl": lambda: monkeypatch.setenv(
            "VERL_USE_EXTERNAL_PLUGINS", "none"
        ),
        "verl would not find htpo": lambda: plugin.write_text(""),
        "verl lacks transfer_queue": lambda: (site / "transfer_queue").rename(tmp_path / "away"),
        "htpo works with verl 0.9.1, and this is 0.9.0": lambda: verl.write_text(
            "Metadata-Version: 2.1\nName: verl\nVersion: 0.9.0\n"
        ),
    }
    for words, spoil in refused.items():
        spoil()
        done = htpo(*VERL, "--output_dir", tmp_path / "run")
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr


EPISODES = ["train", "--engine", "verl", *SMALL, "--report", "false", "--max_turns", "2", "--max_turn_length", "4"]
EPISODES += [
    "--max_completion_length",
    "128",
    "--train_prompts",
    "40",
    "--held_out_prompts",
    "2",
    "--num_generations",
    "2",
]


def test_tasks_of_an_environment_are_written_for_the_agent_loop_and_measured_as_episodes(tmp_path, word_model):
    path = tmp_path / "run"
    done = htpo(*EPISODES, "--dataset", "household", "--model_name_or_path", word_model, "--output_dir", path)
    assert done.returncode == 0, done.stderr
    run = RunDirectory(path)
    for when in ("before", "after"):
        assert run.read_json(f"evaluation_{when}.json")["mean_length"] <= 8, "of two turns"
    (options,) = options_of(run)
    row = parquet.read_table(options["data.train_files"]).to_pylist()[0]
    how = HowPlayed.from_json(row["extra_info"]["played_by"])
    assert (row["agent_name"], how.prompt_format, how.max_steps, how.max_turn_tokens) == (AGENT, "compact", 2, 4)
    assert (how.seed, how.environment) == (run.config["seed"], "household")
    longest = int(options["data.max_prompt_length"])
    assert longest % 2 == 0
    tasks = [json.loads(row["extra_info"]["played_task"])]
    with EnvironmentWorkers("household", workers=1) as worlds:
        (episode,) = worlds.reset(tasks, [how.seed])
    words = AutoTokenizer.from_pretrained(word_model)(episode.observation.text)["input_ids"]
    assert len(words) < longest < 4 * len(words)
