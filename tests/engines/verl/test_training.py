"""verl's own command trains with an objective, under Ray: sampling, rewards, facts of groups, updates, weight sync."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from htpo.engines.verl.cpu import ENVIRONMENT
from tests.engines.tiny import save_tiny_model
from tests.engines.verl.worker import start_processes

pytestmark = pytest.mark.verl

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
        timeout=400,
    )


@pytest.fixture(scope="module", autouse=True)
def _processes():
    start_processes()


def logged(folder: Path, done: subprocess.CompletedProcess) -> list[dict]:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (log,) = folder.rglob("*.jsonl")
    return [json.loads(line)["data"] for line in log.read_text().splitlines()]


MODULE = """
from htpo.objectives.rules import register_rule

@register_rule
def left_alone(ratio):
    return ratio.value * 0, ratio.slope * 0
"""
"""A user's module, which every process of verl's must find."""


def test_two_steps_by_the_stored_entropy_and_a_third_from_their_checkpoint(tmp_path):
    (tmp_path / "my_rules.py").write_text(MODULE)
    listed = "{entropy_scope:batch,plugin:my_rules,cells:{wrong:left_alone}}"
    htpo = {"entropy_of": "old", "objective_options": listed}
    steps = logged(tmp_path, train(tmp_path, changed={"trainer.save_freq": 2}, **htpo))
    assert [step["training/global_step"] for step in steps] == [1, 2]
    steps += logged(tmp_path, train(tmp_path, changed={"trainer.total_training_steps": 3}, **htpo))[-1:]
    assert steps[-1]["training/global_step"] == 3
    for step in steps:
        shares = [step[f"group/G{k}/token_share"] for k in range(1, 9)]
        assert sum(shares) == pytest.approx(1)
        assert sum(shares[1::2]) == pytest.approx(0.2, abs=0.06)  # of high entropy; in bf16 there are ties
        assert sum(step[f"group/G{k}/weight_share"] for k in (3, 4, 7, 8)) == 0
        assert step["nonfinite_tokens"] == 0
        assert step["training/rollout_probs_diff_mean"] < 0.01, "what samples is not the policy of the last update"
        assert not [name for name in step if "htpo_sums" in name]
    assert len({step["entropy"] for step in steps}) == 3


def test_prompts_that_are_all_too_easy_end_in_a_diagnosis(tmp_path):
    easy = REWARD.replace("len(solution_str) % 3 == 0", "True")
    dynamic = {"algorithm.filter_groups.enable": True, "algorithm.filter_groups.metric": "acc"}
    done = train(tmp_path, easy, dynamic, entropy_of="old", max_generation_rounds=2)
    assert done.returncode != 0
    assert "were answered always right (too easy) and 0 always wrong (too hard). Give harder prompts" in done.stderr
