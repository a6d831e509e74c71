"""verl's asynchronous trainers with an objective, under Ray."""

import pytest

from tests.engines.verl.test_training import ROLLOUT, logged, train

pytestmark = [pytest.mark.verl, pytest.mark.slow]

OLDER = "training/off_policy/trajectory_staleness"  # verl's metric: updates since the policy that drew an answer


def check(steps: list[dict]) -> None:
    for step in steps:
        shares = [step[f"group/G{k}/token_share"] for k in range(1, 9)]
        assert sum(shares) == pytest.approx(1)
        assert step["nonfinite_tokens"] == 0
        assert not [name for name in step if "htpo_sums" in name]
        if step[f"{OLDER}/max"] == 0:
            assert step["training/rollout_probs_diff_mean"] < 0.01, "what samples is not the policy of the last update"
    assert max(step[f"{OLDER}/max"] for step in steps) > 0, "no answer is older"


@pytest.mark.timeout(1200)  # 13 minutes with 30 processes on two cores
def test_colocated_training_goes_on_while_the_next_prompts_are_answered_and_from_its_checkpoint(tmp_path):
    changed = {"trainer.v1.trainer_mode": "htpo_colocate_async", "trainer.save_freq": 3}
    htpo = {"entropy_of": "old", "entropy_scope": "batch"}
    steps = logged(tmp_path, train(tmp_path, changed=changed | {"trainer.total_training_steps": 3}, **htpo))
    assert [step["training/global_step"] for step in steps] == [1, 2, 3]
    check(steps)
    again = logged(tmp_path, train(tmp_path, changed=changed | {"trainer.total_training_steps": 5}, **htpo))[-2:]
    assert [step["training/global_step"] for step in again] == [4, 5]
    check(again)


@pytest.mark.timeout(1200)
def test_training_goes_on_apart_from_sampling(tmp_path):
    changed = {
        "trainer.v1.trainer_mode": "htpo_separate_async",
        "trainer.v1.separate_async.parameter_sync_step": 1,
        "data.train_batch_size": 4,  # one mini-batch between two syncs
        "trainer.total_training_steps": 3,
        f"{ROLLOUT}.nnodes": 1,
        f"{ROLLOUT}.n_gpus_per_node": 1,
        f"{ROLLOUT}.checkpoint_engine.backend": "file",
        "+ray_kwargs.ray_init.num_gpus": 2,
    }
    steps = logged(tmp_path, train(tmp_path, changed=changed, entropy_of="old", entropy_scope="batch"))
    assert [step["training/global_step"] for step in steps] == [1, 2, 3]
    check(steps)
