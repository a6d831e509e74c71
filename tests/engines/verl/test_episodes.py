"""`htpo train --engine verl` on an environment, with the real verl, on the CPU, for a few updates."""

import pytest

from htpo.runs import RunDirectory
from tests.cli.command import htpo

pytestmark = [pytest.mark.verl, pytest.mark.slow]
OPTIONS = {
    "dataset": "tests.engines.trl.worlds:PartlyBroken",  # a random policy solves half of the other tasks
    "objective": "dapo",
    "overlong_buffer": 0,
    "max_steps": 4,
    "updates_per_generation": 2,
    "prompts_per_generation": 8,
    "dynamic_sampling": "false",
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


def test_episodes_are_trained_on_beside_tasks_that_cannot_be_begun(tmp_path, word_model):
    given = OPTIONS | {"model_name_or_path": word_model, "output_dir": tmp_path / "run"}
    done = htpo("train", "--engine", "verl", *[text for name in given for text in (f"--{name}", given[name])])
    assert done.returncode == 0, done.stderr + (tmp_path / "run" / "verl" / "log.txt").read_text()[-3000:]
    run = RunDirectory(tmp_path / "run")
    assert run.read_json("summary.json")["updates"] == 4
    records, rows = run.read_metrics(), run.read_rollouts().to_pylist()
    assert [record["step"] for record in records] == [2, 4]
    for record in records:
        assert record["grad_norm"] > 0
        assert record["training/rollout_probs_diff_mean"] < 0.01, "what was sampled is not what is trained on"
        broken = record["episodes/failed_share"]
        assert record["verifier/crash_share"] == broken
        assert record["episodes/turns"] == 3 * (1 - broken)
    shares = [record["episodes/failed_share"] for record in records]
    assert 0 < sum(shares) < 2
    assert len(rows) == 32 * (2 - sum(shares)), "those without a turn are not kept"
    for row in rows:
        assert [len(row[name]) for name in ("turn_tokens", "actions", "invalid", "shown")] == [3, 3, 3, 2]
        assert sum(row["turn_tokens"]) == len(row["token_ids"])
        assert row["correct"] == (row["reward"] == 1) == succeeds(row["actions"])
        group = [one["correct"] for one in rows if (one["step"], one["prompt_id"]) == (row["step"], row["prompt_id"])]
        assert row["group_accuracy"] == sum(group) / 4
        assert row["task_type"] == "even"
