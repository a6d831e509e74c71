"""The smoke study from command to report, with real training."""

import json

import pytest
from matplotlib.image import imread

from htpo.study import Run, StudyDirectory
from tests.cli.command import htpo
from tests.study.forked_runs import fork_runs

RUNS = [Run("number_path", method, seed) for seed in (0, 1) for method in ("dapo", "htpo")]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """(study directory, what it printed)."""
    path = tmp_path_factory.mktemp("smoke") / "study"
    done = htpo("study", "smoke", "--output_dir", path, first=fork_runs)
    assert done.returncode == 0, done.stderr
    return StudyDirectory(path), done.stdout


def test_it_says_what_came_out(smoke):
    directory, printed = smoke
    assert "2 methods x 1 tasks x 2 seeds = 4 runs" in printed
    assert "htpo (2 seeds): pass@1 0." in printed
    assert "pass@8, htpo - dapo: " in printed
    assert str(directory.path / "results.md") in printed
    assert f"report: {directory.path / 'report.html'}" in printed
    assert "Study study" in (directory.path / "report.html").read_text()


def test_all_runs_are_done_and_the_report_is_complete(smoke):
    directory, _ = smoke
    assert all(directory.is_trained(run) for run in RUNS)
    results = json.loads((directory.path / "results.json").read_text())
    assert results["missing"] == []
    found = results["tasks"]["number_path"]
    assert found["k"] == [1, 2, 4, 8]
    assert found["methods"]["htpo"]["measures"]["differs_from_dapo"]["mean"] > 0
    for name in ("training", "pass-at-k", "differences"):
        assert imread(directory.path / "figures" / f"{name}-number_path.png").std() > 0.05
        assert (directory.path / "figures" / f"{name}-number_path.csv").stat().st_size > 100


@pytest.mark.parametrize("seed", [0, 1])
def test_methods_share_policy_problems_and_prompts_under_a_seed(smoke, seed):
    """Equal measurements before training; and an equal first batch, which the same prompts and policy gave."""
    runs = [smoke[0].run(Run("number_path", method, seed)) for method in ("dapo", "htpo")]
    before = [run.read_json("evaluation_before.json") for run in runs]
    assert before[0] == before[1]
    first = [run.read_metrics()[0] for run in runs]
    for name in ("accuracy", "entropy", "reward", "completions/mean_length", "sampling/groups_too_hard"):
        assert first[0][name] == pytest.approx(first[1][name])
    assert runs[0].read_json("evaluation_after.json") != runs[1].read_json("evaluation_after.json")


def test_seeds_differ_in_problems(smoke):
    before = [smoke[0].run(Run("number_path", "dapo", seed)).read_json("evaluation_before.json") for seed in (0, 1)]
    assert before[0]["examples"][0]["prompt"] != before[1]["examples"][0]["prompt"]


def test_the_report_is_redone_without_training(smoke):
    directory, _ = smoke
    texts = {name: (directory.path / name).read_text() for name in ("results.json", "results.md")}
    for name in texts:
        (directory.path / name).unlink()
    logs = {run: directory.log(run).stat().st_mtime for run in RUNS}
    done = htpo("study", "smoke", "--output_dir", directory.path, "--report-only")
    assert done.returncode == 0, done.stderr
    assert {name: (directory.path / name).read_text() for name in texts} == texts
    assert {run: directory.log(run).stat().st_mtime for run in RUNS} == logs
