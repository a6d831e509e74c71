"""Training the runs of a study: flags, order, the lock, stops, failures and going on."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from htpo.cli.options import read_flags
from htpo.errors import UserError
from htpo.study import Run, Start, Study, StudyDirectory, as_flags
from htpo.study.scheduler import evaluate_command, train_command
from tests.cli.command import command, htpo, one_thread

TINY = {"prompts_per_generation": 8, "num_generations": 4, "updates_per_generation": 2, "train_prompts": 200}
TINY |= {"held_out_prompts": 8, "eval_samples": 4, "save_steps": 4, "max_steps": 24, "rollout_every": 0}


def test_options_survive_the_way_through_flags():
    options = {"objective": "htpo", "learning_rate": 1e-5, "bf16": False, "beta": 0, "model_name_or_path": "--odd name"}
    options |= {"lora_target_modules": ["q_proj", "v_proj"], "objective_options": {"variant": "release"}, "top_k": None}
    assert read_flags(as_flags(options)) == options


def test_a_run_is_begun_with_its_options_and_gone_on_with_by_its_directory(tmp_path):
    study = Study(
        methods={"htpo 1": {"variant": "release"}}, tasks={"t": {"max_steps": 4}}, seeds=(3,), recipe="own_data"
    )
    directory, run = StudyDirectory(tmp_path), Run("t", "htpo 1", 3)
    path = tmp_path / "runs" / "t" / "htpo 1" / "seed-3"
    train = [sys.executable, "-m", "htpo", "train"]
    options = ["--report=false", "--max_steps=4", "--variant=release", "--seed=3", f"--output_dir={path}"]
    begun = [*train, "own_data", *options]
    assert train_command(study, run, directory) == begun
    directory.run(run).create({"seed": 3})
    assert train_command(study, run, directory) == [*train, "--resume", f"--output_dir={path}"]


def test_an_evaluation_is_of_what_a_run_trained_with_its_seed_or_of_the_policy_before(tmp_path):
    study = Study({"m": {}}, {"t": {}}, (3,), evaluate={"tasks": ["aime24", "mine.jsonl"], "samples": 4})
    directory = StudyDirectory(tmp_path)
    options = ["--tasks", "aime24", "mine.jsonl", "--samples=4", "--seed=3"]
    run, start = Run("t", "m", 3), Start("t", "a/model", 3)
    for subject, model, place in ((run, tmp_path / "runs/t/m/seed-3/model", "m/seed-3"), (start, "a/model", "_before")):
        path = tmp_path / "evaluations" / "t" / place
        begun = [sys.executable, "-m", "htpo", "eval", str(model), *options, f"--output_dir={path}"]
        assert evaluate_command(study, subject, directory) == begun
        directory.evaluation(subject).run.create({"seed": 3})
        assert evaluate_command(study, subject, directory) == [*begun[:4], "--resume", f"--output_dir={path}"]


def test_a_study_is_locked_while_it_runs_and_while_its_runs_outlive_it(tmp_path):
    directory = StudyDirectory(tmp_path)
    with directory.locked() as lock:
        survivor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
        with pytest.raises(UserError, match="in use"), directory.locked():
            pass
    with pytest.raises(UserError, match="outlived"), directory.locked():
        pass
    survivor.communicate(b"\n")
    with directory.locked():
        pass


def processes_under(path) -> list[str]:
    """Command lines of live processes that name `path`."""
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(path) in line]


def test_a_stopped_study_ends_its_runs_and_goes_on_and_a_failed_run_is_reported(tmp_path):
    file, path = tmp_path / "mine.yaml", tmp_path / "study"
    methods = {"good": {"objective": "dapo"}, "bad": {"objective": "dapo", "max_prompt_length": 1}}
    content = {"methods": methods, "tasks": {"paths": {"dataset": "number_path"}}, "seeds": [5], "options": TINY}
    content["evaluate"] = {"tasks": ["number_path", "countdown"], "samples": 2, "problems": 8, "max_tokens": 32}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    directory, good = StudyDirectory(path), Run("paths", "good", 5)

    stopped = subprocess.Popen(
        command("study", file, "--output_dir", path, "--parallel", "2"),
        env=one_thread(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    while len(directory.run(good).read_metrics()) < 5 and stopped.poll() is None:
        time.sleep(0.02)
    stopped.send_signal(signal.SIGTERM)
    printed, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "The same command goes on" in printed
    assert processes_under(directory.run(good).path) == []
    assert not directory.is_trained(good)

    done = htpo("study", file, "--output_dir", path, "--parallel", "2")
    assert done.returncode == 1, done.stderr
    assert "paths / bad / seed 5 (exit code 2): htpo: 200 of 200 training prompts" in done.stdout
    assert "longer than 1 tokens" in done.stdout
    assert "Resuming" in directory.log(good).read_text()
    assert [record["step"] for record in directory.run(good).read_metrics() if "accuracy" in record] == [*range(1, 25)]
    results = (path / "results.md").read_text()
    assert "**Not finished** (1 runs)" in results
    for task in ("number_path", "countdown"):
        assert f"### {task}: pass@k after training (8 problems x 2 samples)" in results
        for subject in (good, Start("paths", "", 5)):
            assert len(directory.evaluation(subject).run.read_json("results.json")["tasks"][task]["correct"]) == 8
    config = directory.evaluation(good).run.config
    assert (config["model"], config["seed"]) == (str(directory.run(good).path / "model"), 5)
    assert done.stdout.count("paths on countdown, 8 problems x 2 samples; before: pass@1 ") == 1

    content["seeds"] = [6]
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    other = htpo("study", file, "--output_dir", path)
    assert other.returncode == 2
    assert "holds another study (different: seeds)" in other.stderr


def test_a_folder_that_a_kill_left_before_the_run_began_does_not_stop_the_run(tmp_path, monkeypatch):
    """The run itself is replaced by one that says what it found."""
    from htpo.study import scheduler

    directory, run = StudyDirectory(tmp_path), Run("t", "m", 0)
    path = directory.run(run).path
    path.mkdir(parents=True)
    (path / ".config.yaml.abc").write_text("half")
    code = f"import os; print('left:', os.path.exists({str(path)!r}), os.environ['OMP_NUM_THREADS'])"
    monkeypatch.setattr(scheduler, "train_command", lambda *_: [sys.executable, "-c", code])
    failures = scheduler.train_all(Study({"m": {}}, {"t": {}}, (0,)), directory, parallel=2)
    assert [str(failure) for failure in failures] == ["t / m / seed 0 (exit code 0): left: False 1"]


def test_several_runs_go_at_once_and_all_are_tried(tmp_path, monkeypatch):
    from htpo.study import scheduler

    code = "import time, os; print(time.time()); time.sleep(1); print(time.time()); os._exit(3)"
    monkeypatch.setattr(scheduler, "train_command", lambda *_: [sys.executable, "-c", code])
    study, directory = Study({"a": {}, "b": {}, "c": {}}, {"t": {}}, (0,)), StudyDirectory(tmp_path)
    failures = scheduler.train_all(study, directory, parallel=2)
    assert [failure.exit_code for failure in failures] == [3] * 3
    spans = [[float(t) for t in directory.log(run).read_text().split()] for run in study.runs()]
    overlapping = sum(max(a[0], b[0]) < min(a[1], b[1]) for i, a in enumerate(spans) for b in spans[i + 1 :])
    assert 1 <= overlapping <= 2  # of three pairs: two at once, never three
