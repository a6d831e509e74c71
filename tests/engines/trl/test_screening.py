"""Screened groups are whole groups of one policy, and what is drawn follows from the seed, also after resume."""

import pytest
import torch

from htpo.errors import UserError
from htpo.objectives import group_relative_advantage
from tests.engines.tiny import config, length_reward, sums_dataset, trainer
from tests.engines.trl.test_resume import steps

SCREENED = {"screening_samples": 2, "overlong_buffer": 6}


def test_a_screened_batch_holds_whole_groups_of_the_policy_that_screened(tiny_model, tmp_path):
    host = trainer(tiny_model, config(tmp_path, **SCREENED))
    host.model.train()
    batch = host._generate_and_score_completions([row for row in sums_dataset(8) for _ in range(4)])
    correct = batch["correct"].view(-1, 4)
    assert correct.shape == (8, 4)
    assert (correct[:, 0] != correct[:, 1]).all()  # the answers that screened come first, and differ
    assert (batch["prompt_id"].view(-1, 4) == batch["prompt_id"].view(-1, 4)[:, :1]).all()
    assert torch.equal(correct.float().mean(1), batch["group_accuracy"].view(-1, 4)[:, 0])
    assert torch.equal(batch["advantages"], group_relative_advantage(batch["reward"], 4))
    assert batch["reward"].unique().numel() > 2  # shaped by length, so that means over two and four differ
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    width = batch["completion_ids"].shape[1]
    with torch.no_grad():
        now = host._get_per_token_logps_and_entropies(host.model, ids, mask, width)[0]
    sampled = batch["completion_mask"].bool()
    torch.testing.assert_close(now[sampled], batch["old_per_token_logps"][sampled])


def test_tokens_are_counted_and_means_are_over_the_answers_that_screened(tiny_model, tmp_path):
    asked = []

    def noting(completions, completion_ids, **kwargs):
        asked.append([(len(ids), right) for ids, right in zip(completion_ids, length_reward(completions), strict=True)])
        return [right for _, right in asked[-1]]

    host = trainer(tiny_model, config(tmp_path, max_steps=1, screening_samples=3, overlong_buffer=0), noting)
    host.train()
    log = host.state.log_history[0]
    assert log["sampling/tokens_generated"] == sum(length for call in asked for length, _ in call)
    screened = asked[::2]  # a call for the screening and one for the rest, as some groups are kept in every round
    assert len(asked) == 2 * log["sampling/rounds"]
    assert log["sampling/groups_drawn"] == sum(map(len, screened)) / 3
    groups = [call[start : start + 3] for call in screened for start in range(0, len(call), 3)]
    alike = [group for group in groups if len({right for _, right in group}) == 1]
    assert log["sampling/groups_completed"] == len(groups) - len(alike) == sum(map(len, asked[1::2]))
    assert log["sampling/tokens_saved"] == pytest.approx(sum(length for group in alike for length, _ in group) / 3)
    rights = [right for group in groups for _, right in group]
    assert log["accuracy"] == pytest.approx(sum(rights) / len(rights)) == log["reward"]


def test_when_no_group_is_kept_nothing_is_completed_or_learnt(tiny_model, tmp_path):
    asked = []

    def too_hard(completions, **kwargs):
        asked.append(len(completions))
        return [0.0] * len(completions)

    host = trainer(tiny_model, config(tmp_path, max_steps=2, max_generation_rounds=2, **SCREENED), too_hard)
    before = [parameter.clone() for parameter in host.model.parameters()]
    host.train()
    assert asked == [16, 16]
    assert host.state.log_history[0]["sampling/filled_share"] == 0
    assert all(map(torch.equal, before, host.model.parameters()))


def odd_ones_never(completions, number, **kwargs):
    return [right if n % 2 == 0 else 0.0 for right, n in zip(length_reward(completions), number, strict=True)]


@pytest.mark.parametrize(
    "options",
    [{"screening_samples": 2}, {"screening_samples": 2, "settled_prompt_floor": 0.1}],
    ids=["screening", "screening and memory"],
)
def test_a_resumed_run_draws_and_logs_what_the_uninterrupted_one_does(tiny_model, tmp_path, options):
    options = {"max_steps": 10, "save_strategy": "steps", "save_steps": 8, "lr_scheduler_type": "constant"} | options

    def run(checkpoint=None):
        host = trainer(tiny_model, config(tmp_path / "run", **options), odd_ones_never, train_dataset=sums_dataset(24))
        host.train(resume_from_checkpoint=checkpoint)
        return host

    whole = run()
    resumed = run(str(tmp_path / "run" / "checkpoint-8"))
    assert steps(resumed) == steps(whole)
    assert all(map(torch.equal, whole.model.parameters(), resumed.model.parameters()))
    stored = tmp_path / "run" / "checkpoint-8" / "prompt_memory.safetensors"
    assert stored.is_file() == ("settled_prompt_floor" in options)
    if stored.is_file():
        passed_over = [log["sampling/prompts_passed_over"] for log in steps(whole)]
        assert passed_over[0] == 0
        assert max(passed_over) > 0
        assert whole._memory.in_vain[1::2].min() > 0
        stored.unlink()
        with pytest.raises(UserError, match="prompt_memory.safetensors is missing"):
            run(str(stored.parent))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"screening_samples": 1}, "screening_samples is 1, needs at least 2"),
        ({"screening_samples": 4}, r"fewer than num_generations \(4\)"),
        ({"screening_samples": 2, "dynamic_sampling": False}, "screening_samples=2 has no effect without dynamic_samp"),
        ({"settled_prompt_floor": 0.5, "objective": "grpo"}, "settled_prompt_floor=0.5 has no effect without dynamic"),
        ({"settled_prompt_floor": 0.0}, "settled_prompt_floor is 0.0, needs to be above 0"),
        ({"screening_samples": 2, "scale_rewards": "batch"}, "screening_samples: advantages are of whole groups"),
    ],
)
def test_options_of_drawing_that_cannot_act_are_refused(tmp_path, options, said):
    with pytest.raises(UserError, match=said):
        config(tmp_path, **options)
