"""verl's own command trains with an objective, under Ray: sampling, rewards, facts of groups, updates, weight sync."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.engines.tiny import save_tiny_model
from tests.engines.verl.worker import ENVIRONMENT, start_processes

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


def train(folder: Path, **htpo) -> subprocess.CompletedProcess:
    """Run `verl.trainer.main_ppo` on sums, with the block `htpo`."""
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
    (folder / "reward.py").write_text(REWARD)
    places = {
        "data.train_files": folder / "sums.parquet",
        "data.val_files": folder / "sums.parquet",
        "actor_rollout_ref.model.path": folder / "model",
        "reward.custom_reward_function.path": folder / "reward.py",
        "trainer.default_local_dir": folder / "checkpoints",
        "hydra.run.dir": folder / "hydra",
    }
    options = OPTIONS | places | {f"+htpo.{name}": value for name, value in htpo.items()}
    rollout = f"{ENVIRONMENT['VERL_USE_EXTERNAL_MODULES']},tests.engines.verl.transformers_rollout"
    ours = {"VERL_USE_EXTERNAL_MODULES": rollout, "VERL_FILE_LOGGER_ROOT": str(folder), "OMP_NUM_THREADS": "1"}
    root = str(Path(__file__).parents[3])
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


def test_two_steps_by_the_stored_entropy(tmp_path):
    done = train(tmp_path, entropy_of="old", entropy_scope="batch")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (log,) = tmp_path.rglob("*.jsonl")
    steps = [json.loads(line)["data"] for line in log.read_text().splitlines()]
    assert [step["training/global_step"] for step in steps] == [1, 2]
    for step in steps:
        shares = [step[f"group/G{k}/token_share"] for k in range(1, 9)]
        assert sum(shares) == pytest.approx(1)
        assert sum(shares[1::2]) == pytest.approx(0.2, abs=0.02)  # of high entropy
        assert step["nonfinite_tokens"] == 0
        assert step["training/rollout_probs_diff_mean"] < 0.01, "what samples is not the policy of the last update"
        assert not [name for name in step if "htpo_sums" in name]
    assert steps[0]["entropy"] != steps[1]["entropy"]
