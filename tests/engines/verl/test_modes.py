"""verl's asynchronous trainers with an objective, under Ray."""

import pytest

from tests.engines.verl.test_training import logged, train

pytestmark = [pytest.mark.verl, pytest.mark.slow]


def check(steps: list[dict]) -> None:
    for step in steps:
        shares = [step[f"group/G{k}/token_share"] for k in range(1, 9)]
        assert sum(shares) == pytest.approx(1)
        assert step["nonfinite_tokens"] == 0
        assert not [name for name in step if "htpo_sums" in name]
    assert steps[-1]["training/off_policy/trajectory_staleness/mean"] > 0


def test_colocated_training_goes_on_while_the_next_prompts_are_answered(tmp_path):
    changed = {"trainer.v1.trainer_mode": "htpo_colocate_async", "trainer.total_training_steps": 3}
    steps = logged(tmp_path, train(tmp_path, changed=changed, entropy_of="old", entropy_scope="batch"))
    assert [step["training/global_step"] for step in steps] == [1, 2, 3]
    check(steps)
