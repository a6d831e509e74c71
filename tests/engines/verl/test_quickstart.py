"""`htpo train quickstart --engine verl` with the real verl, on the CPU, for a few updates."""

import pytest
import torch
from safetensors.torch import load_file

from htpo.engines.job import BUILT_IN_POLICIES
from htpo.runs import RunDirectory
from tests.cli.command import SMALL, htpo

pytestmark = [pytest.mark.verl, pytest.mark.slow]
VERL = [
    "train",
    "quickstart",
    "--engine",
    "verl",
    *SMALL,
    "--report",
    "true",
    "--learning_rate",
    "0.003",
    "--warmup_steps",
    "0",
]


def change(path) -> float:
    """How far the largest weight of a run's model has moved."""
    before, after = (load_file(folder / "model.safetensors") for folder in (BUILT_IN_POLICIES["number_path"], path))
    assert before.keys() == after.keys()
    return max(float((before[name] - after[name].to(before[name].dtype)).abs().max()) for name in before)


def test_two_batches_leave_a_run_as_any_engine_does(tmp_path):
    path = tmp_path / "run"
    done = htpo(*VERL, "--output_dir", path)
    assert done.returncode == 0, done.stderr + (path / "verl" / "log.txt").read_text()[-3000:]
    run = RunDirectory(path)
    assert run.read_json("summary.json")["updates"] == 4
    records = run.read_metrics()
    assert [record["step"] for record in records] == [2, 4]
    for record in records:
        assert 0 < record["entropy"] < 4
        assert record["nonfinite_tokens"] == 0
        assert record["training/rollout_probs_diff_mean"] < 0.01, "what samples is not the policy in training"
    assert records[0]["learning_rate"] == 0.003
    assert run.read_rollouts().num_rows > 0
    assert 1e-3 < change(path / "model") < 0.1
    assert (path / "report.html").is_file()


@pytest.mark.timeout(1200)
def test_a_run_goes_on_where_it_was(tmp_path):
    path = tmp_path / "run"
    first = htpo(*VERL, "--max_steps", "2", "--output_dir", path)
    assert first.returncode == 0, first.stderr
    config = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(config.replace("max_steps: 2", "max_steps: 4"))
    done = htpo("train", "--resume", "--output_dir", path)
    assert done.returncode == 0, done.stderr
    run = RunDirectory(path)
    assert [record["step"] for record in run.read_metrics()] == [2, 4]
    assert f"from update 2 ({path}/verl/checkpoints/global_step_1)" in done.stdout
    assert (
        torch.load(
            path / "verl/checkpoints/global_step_2/actor/extra_state_world_size_1_rank_0.pt", weights_only=False
        )["lr_scheduler"]["last_epoch"]
        == 2
    )
