"""verl's own command trains with an objective, under Ray: sampling, rewards, facts of groups, updates, weight sync."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest

from htpo.engines.verl.cpu import ENVIRONMENT
from htpo.runs import RunDirectory, RunRecord
from tests.engines.tiny import save_tiny_model

pytestmark = [pytest.mark.verl, pytest.mark.ray]

REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    right = len(solution_str) % 3 == 0
    return {"score": float(right), "acc": float(right)}
"""
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
OPTIONS = {
    "data.train_batch_size": 8,
    "data.max_prompt_length": 32,
    "data.max_response_length": 12,
    "data.dataloader_num_workers": 0,
    "actor_rollout_ref.model.enable_gradient_checkpointing": False,
    "+actor_rollout_ref.model.override_config.attn_implementation": "eager",
    f"{ACTOR}.strategy": "fsdp2",
    f"{ACTOR}.ppo_mini_batch_size": 4,
    f"{ACTOR}.use_dynamic_bsz": True,
    f"{ACTOR}.ppo_max_token_len_per_gpu": 512,
    f"{ACTOR}.fsdp_config.use_torch_compile": False,
    f"{ACTOR}.optim.lr": 1e-2,
    f"{ROLLOUT}.name": "transformers",
    f"{ROLLOUT}.n": 4,
    f"{ROLLOUT}.tensor_model_parallel_size": 1,
    f"{ROLLOUT}.agent.num_workers": 1,
    f"{ROLLOUT}.calculate_log_probs": True,
    "algorithm.adv_estimator": "grpo",
    "reward.num_workers": 1,
    "trainer.n_gpus_per_node": 1,
    "trainer.nnodes": 1,
    "trainer.logger": "[console,file]",
    "trainer.val_before_train": False,
    "trainer.test_freq": -1,
    "trainer.save_freq": -1,
    "trainer.total_training_steps": 2,
    "trainer.v1.trainer_mode": "htpo_sync",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
    "+ray_kwargs.ray_init.num_gpus": 1,  # a name only: its work is done on the CPU
    "ray_kwargs.ray_init.num_cpus": 16,
}

VALIDATION = {
    "data.val_max_samples": 6,
    f"{ROLLOUT}.val_kwargs.n": 2,
    f"{ROLLOUT}.val_kwargs.do_sample": True,
    f"{ROLLOUT}.val_kwargs.temperature": 1.0,
    "trainer.val_before_train": True,
    "trainer.test_freq": 1,
}


def train(folder: Path, reward: str = REWARD, changed: dict | None = None, **htpo) -> subprocess.CompletedProcess:
    """Run `verl.trainer.main_ppo` on sums, with the block `htpo`, and with some options `changed`."""
    save_tiny_model(folder / "model", chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}")
    rows = [
        {
            "data_source": "sums",
            "prompt": [{"role": "user", "content": f"{i}+{i}="}],
            "reward_model": {"style": "rule", "ground_truth": str(2 * i)},
            "extra_info": {"index": i},
        }
        for i in range(32)
    ]
    pd.DataFrame(rows).to_parquet(folder / "sums.parquet")
    (folder / "reward.py").write_text(reward)
    places = {
        "data.train_files": folder / "sums.parquet",
        "data.val_files": folder / "sums.parquet",
        "actor_rollout_ref.model.path": folder / "model",
        "reward.custom_reward_function.path": folder / "reward.py",
        "trainer.default_local_dir": folder / "checkpoints",
        "hydra.run.dir": folder / "hydra",
    }
    options = OPTIONS | places | (changed or {}) | {f"+htpo.{name}": value for name, value in htpo.items()}
    ours = {"VERL_FILE_LOGGER_ROOT": str(folder), "OMP_NUM_THREADS": "1"}
    root = os.pathsep.join(map(str, [Path(__file__).parents[3], folder]))
    return subprocess.run(
        [sys.executable, "-m", "verl.trainer.main_ppo", *(f"{name}={value}" for name, value in options.items())],
        env=os.environ | ENVIRONMENT | ours | {"PYTHONPATH": root},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1500,
    )


def logged(folder: Path, done: subprocess.CompletedProcess) -> list[dict]:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (log,) = {*folder.rglob("*.jsonl")} - {folder / "run" / "metrics.jsonl"}
    lines = [json.loads(line)["data"] for line in log.read_text().splitlines()]
    return [line for line in lines if "training/global_step" in line]  # not that of the first validation


MODULE = """
from htpo.objectives.rules import register_rule

@register_rule
def left_alone(ratio):
    return ratio.value * 0, ratio.slope * 0
"""
"""A user's module, which every process of verl's must find."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("resumed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_three_steps_by_the_stored_entropy_in_one_run_or_the_third_from_a_checkpoint(resumed, tmp_path):
    (tmp_path / "my_rules.py").write_text(MODULE)
    listed = "{entropy_scope:batch,plugin:my_rules,cells:{wrong:left_alone}}"
    records = {"output_dir": tmp_path / "run", "rollout_every": 1}
    htpo = {"entropy_of": "old", "objective_options": listed, **records}
    whole = {"trainer.total_training_steps": 3} | VALIDATION
    first = []
    if resumed:
        first = logged(tmp_path, train(tmp_path, changed={"trainer.save_freq": 2} | VALIDATION, **htpo))
    steps = first + logged(tmp_path, train(tmp_path, changed=whole, **htpo))[-1 if resumed else 0 :]
    assert [step["training/global_step"] for step in steps] == [1, 2, 3]
    for step in steps:
        shares = [step[f"group/G{k}/token_share"] for k in range(1, 9)]
        assert sum(shares) == pytest.approx(1)
        assert sum(shares[1::2]) == pytest.approx(0.2, abs=0.06)  # of high entropy; in bf16 there are ties
        assert sum(step[f"group/G{k}/weight_share"] for k in (3, 4, 7, 8)) == 0
        assert step["nonfinite_tokens"] == 0
        assert step["training/rollout_probs_diff_mean"] < 0.01, "what samples is not the policy of the last update"
        assert not [name for name in step if "htpo_sums" in name]
    assert len({step["entropy"] for step in steps}) == 3
    check_records(RunRecord.read(RunDirectory(tmp_path / "run")), steps)


def check_records(run: RunRecord, steps: list[dict]) -> None:
    """The run directory has all three steps, of two updates each, as verl logged them."""
    assert [(update["step"], update["training/global_step"]) for update in run.updates] == [(2, 1), (4, 2), (6, 3)]
    for update, step in zip(run.updates, steps, strict=True):
        assert update["grad_norm"] == pytest.approx(step["actor/grad_norm"])
        assert update["accuracy"] == pytest.approx(step["critic/score/mean"])
        assert update["completions/mean_length"] == pytest.approx(step["response_length/mean"])
    assert (run.summary["updates"], run.engine) == (6, "verl")
    assert [(rates.problems, rates.samples) for rates in (run.before, run.after)] == [(6, 2)] * 2
    assert sorted(run.directory.read_evaluations()) == [2, 4, 6]
    rows = run.directory.read_rollouts().to_pylist()
    assert Counter(row["step"] for row in rows) == {1: 32, 3: 32, 5: 32}, "the first updates of their batches"
    for row in rows:
        assert (row["prompt"], row["gold"]) == ("{0}+{0}=".format(row["prompt_id"]), str(2 * row["prompt_id"]))
        assert row["correct"] is (len(row["response"]) % 3 == 0)
        assert row["reward"] == row["correct"]
        others = [one["correct"] for one in rows if (one["step"], one["prompt"]) == (row["step"], row["prompt"])]
        assert row["group_accuracy"] == sum(others) / 4
    for first, update in zip((1, 3, 5), run.updates, strict=True):
        groups = [group for row in rows if row["step"] == first for group in row["group"]]
        entropies = [entropy for row in rows if row["step"] == first for entropy in row["entropy"]]
        assert update["entropy"] == pytest.approx(fmean(entropies), rel=1e-5), "the workers saw other tokens"
        shares = [groups.count(k) / len(groups) for k in range(1, 9)]
        assert shares == pytest.approx([update[f"group/G{k}/token_share"] for k in range(1, 9)], rel=1e-5)


@pytest.mark.slow
def test_prompts_that_are_all_too_easy_end_in_a_diagnosis(tmp_path):
    easy = REWARD.replace("len(solution_str) % 3 == 0", "True")
    dynamic = {"algorithm.filter_groups.enable": True, "algorithm.filter_groups.metric": "acc"}
    done = train(tmp_path, easy, dynamic, entropy_of="old", max_generation_rounds=2)
    assert done.returncode != 0
    assert "were answered always right (too easy) and 0 always wrong (too hard). Give harder prompts" in done.stderr
