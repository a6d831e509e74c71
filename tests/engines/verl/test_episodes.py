"""`htpo train --engine verl` on an environment, with the real verl, on the CPU, for a few updates."""

import pytest

from htpo.runs import RunDirectory
from tests.cli.command import htpo

pytestmark = [pytest.mark.verl, pytest.mark.slow]
EVEN_LENGTH = "tests.engines.trl.worlds:EvenLength"  # which a random policy solves half the time
OPTIONS = {
    "dataset": EVEN_LENGTH,
    "objective": "dapo",
    "overlong_buffer": 0,
    "max_steps": 4,
    "updates_per_generation": 2,
    "prompts_per_generation": 4,
    "num_generations": 4,
    "max_turn_length": 6,
    "max_completion_length": 80,
    "train_prompts": 40,
    "held_out_prompts": 4,
    "eval_samples": 4,
    "learning_rate": 0.001,
    "rollout_every": 1,
    "report": "false",
}


def succeeds(actions: list[str | None]) -> bool:
    """Whether the environment takes them for a success."""
    return len("".join(action or "" for action in actions).replace(" ", "")) % 2 == 0


def test_episodes_are_trained_on_with_groups_in_which_some_succeed_and_some_do_not(tmp_path, word_model):
    given = OPTIONS | {"model_name_or_path": word_model, "output_dir": tmp_path / "run"}
    done = htpo("train", "--engine", "verl", *[text for name in given for text in (f"--{name}", given[name])])
    assert done.returncode == 0, done.stderr + (tmp_path / "run" / "verl" / "log.txt").read_text()[-3000:]
    run = RunDirectory(tmp_path / "run")
    assert run.read_json("summary.json")["updates"] == 4
    assert [record["step"] for record in run.read_metrics()] == [2, 4]
    for record in run.read_metrics():
        assert record["episodes/turns"] == 3
        assert record["grad_norm"] > 0
        assert record["training/rollout_probs_diff_mean"] < 0.01, "what was sampled is not what is trained on"
        assert record["sampling/filled_share"] == 1
    rows = run.read_rollouts().to_pylist()
    assert len(rows) == 32
    for row in rows:
        assert [len(row[name]) for name in ("turn_tokens", "actions", "invalid", "shown")] == [3, 3, 3, 2]
        assert sum(row["turn_tokens"]) == len(row["token_ids"])
        assert row["correct"] is (row["reward"] == 1) is succeeds(row["actions"])
        assert 0 < row["group_accuracy"] < 1
        assert row["task_type"] == "even"
