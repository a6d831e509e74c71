"""`--eval_every`: the held-out curve during training, and the best policy on it."""

import json
import shutil

import pytest

from htpo.runs import RunDirectory
from tests.cli.command import SMALL, htpo

EVERY = [*SMALL, "--max_steps", "6", "--eval_every", "2", "--learning_rate", "1e-3", "--report", "false"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("every") / "run"
    done = htpo("train", *EVERY, "--output_dir", path)
    assert done.returncode == 0, done.stderr
    return RunDirectory(path), done.stdout


def curve(run):
    return {step: sum(rates["correct"]) / 8 / 4 for step, rates in run.read_evaluations().items()}


def test_it_measures_every_so_many_updates_and_keeps_the_best(measured):
    run, printed = measured
    found = curve(run)
    assert list(found) == [2, 4, 6]
    logged = {r["step"]: r["held_out/pass@1"] for r in run.read_metrics() if r.get("held_out/pass@1") is not None}
    assert logged == pytest.approx(found)
    best = max(found, key=lambda step: (found[step], -step))
    assert json.loads((run.path / "best" / "held_out.json").read_text()) == {"step": best, "pass@1": found[best]}
    assert run.read_json("summary.json")["best"]["step"] == best
    assert f"{found[best]:.3f} after update {best}" in printed
    assert run.read_json("evaluation_after.json") == run.read_evaluations()[6]
    assert not (run.path / ".best").exists()


def test_the_policy_kept_is_the_one_that_was_measured(measured, tmp_path):
    run, _ = measured
    kept = htpo("train", *SMALL, "--model_name_or_path", run.path / "best", "--output_dir", tmp_path / "again")
    assert kept.returncode == 0, kept.stderr
    again = RunDirectory(tmp_path / "again").read_json("evaluation_before.json")
    step = run.read_json("best/held_out.json")["step"]
    assert again["correct"] == run.read_evaluations()[step]["correct"]


def test_measuring_changes_nothing_of_training(measured, tmp_path):
    run, _ = measured
    done = htpo("train", *EVERY, "--eval_every", "0", "--output_dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    times = {"step_time", "held_out/pass@1"}
    plain = [{k: v for k, v in r.items() if k not in times} for r in RunDirectory(tmp_path / "run").read_metrics()]
    assert plain == [{k: v for k, v in r.items() if k not in times} for r in run.read_metrics()]
    assert not (tmp_path / "run" / "best").exists()


def test_without_held_out_problems_it_is_refused(tmp_path):
    done = htpo("train", *SMALL, "--eval_every", "2", "--held_out_prompts", "0", "--output_dir", tmp_path / "run")
    assert done.returncode == 2
    assert "eval_every 2 measures nothing: held_out_prompts or eval_samples is 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_goes_on_measures_what_the_uninterrupted_one_did(measured, tmp_path):
    run, _ = measured
    shutil.copytree(run.path, tmp_path / "run")
    cut = RunDirectory(tmp_path / "run")
    shutil.rmtree(cut.path / "checkpoint-6")
    (cut.path / "summary.json").unlink()
    done = htpo("train", "--resume", "--output_dir", cut.path)
    assert done.returncode == 0, done.stderr
    assert curve(cut) == curve(run)
    assert cut.read_json("summary.json")["best"]["step"] == run.read_json("summary.json")["best"]["step"]
