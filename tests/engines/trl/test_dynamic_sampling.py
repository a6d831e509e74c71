"""Which prompts make a batch, and what happens when there are not enough of them."""

import pytest
import torch

from htpo.engines.trl.assembly import assemble
from htpo.errors import UserError
from tests.engines.tiny import config, length_reward, sums_dataset, trainer


def test_assembling_pads_and_empties_rows_without_a_source():
    def batch(width, value):
        return {
            "prompt_ids": torch.full((2, width), value),
            "prompt_mask": torch.ones(2, width, dtype=torch.long),
            "completion_ids": torch.full((2, width), value),
            "completion_mask": torch.ones(2, width, dtype=torch.long),
            "old_per_token_logps": torch.full((2, width), -0.5),
            "advantages": torch.tensor([1.0, -1.0]),
            "num_items_in_batch": torch.tensor(4),
        }

    joined = assemble([batch(2, 7), batch(3, 8)], [(0, 1), (1, 0), None], pad_token_id=0)
    assert joined["prompt_ids"].tolist()[:2] == [[0, 7, 7], [8, 8, 8]]
    assert joined["completion_ids"].tolist()[:2] == [[7, 7, 0], [8, 8, 8]]
    assert joined["completion_mask"].tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 0]]
    assert joined["advantages"].tolist()[:2] == [-1.0, 1.0]
    assert "num_items_in_batch" not in joined


def test_images_are_refused_by_name():
    with pytest.raises(NotImplementedError, match="pixel_values"):
        assemble([{"prompt_ids": torch.zeros(1, 1), "pixel_values": torch.zeros(1)}], [(0, 0)], 0)


def test_every_group_of_a_filled_batch_is_mixed(tiny_model, tmp_path):
    host = trainer(tiny_model, config(tmp_path))
    host.model.train()
    rows = [row for row in sums_dataset(8) for _ in range(4)]
    batch = host._generate_and_score_completions(rows)
    assert len(batch["correct"]) == 32
    assert ((batch["group_accuracy"] > 0) & (batch["group_accuracy"] < 1)).all()
    assert (batch["correct"].float().view(-1, 4).mean(1) == batch["group_accuracy"].view(-1, 4)[:, 0]).all()


def too_hard(completions, **kwargs):
    return [0.0] * len(completions)


def test_at_the_cap_it_trains_on_what_there_is_and_says_so_once(tiny_model, tmp_path, caplog):
    host = trainer(
        tiny_model, config(tmp_path, max_generation_rounds=3, max_steps=4, max_completion_length=120), too_hard
    )
    before = torch.cat([p.detach().flatten().clone() for p in host.model.parameters()])
    host.train()
    said = [record.message for record in caplog.records if "Dynamic sampling stopped" in record.message]
    assert len(said) == 1
    assert "always wrong (too hard)" in said[0]
    first = host.state.log_history[0]
    assert first["sampling/rounds"] == 3
    assert first["sampling/filled_share"] == 0
    assert first["sampling/groups_too_hard"] == first["sampling/groups_drawn"] == 24
    assert first["loss"] == 0
    after = torch.cat([p.detach().flatten() for p in host.model.parameters()])
    assert torch.equal(before, after)


def test_a_batch_filled_in_part_trains_on_that_part(tiny_model, tmp_path):
    def mostly_hard(completions, number, **kwargs):
        return [r if n < 8 else 0.0 for r, n in zip(length_reward(completions), number, strict=True)]

    host = trainer(tiny_model, config(tmp_path, max_generation_rounds=2, max_steps=2), mostly_hard)
    host.train()
    assert 0 < host.state.log_history[0]["sampling/filled_share"] < 1
    assert host.state.log_history[0]["grad_norm"] > 0


def test_accuracy_and_reward_are_of_all_sampled_responses(tiny_model, tmp_path):
    judged = []

    def noting(completions, **kwargs):
        rewards = length_reward(completions)
        judged.append(rewards)
        return rewards

    host = trainer(tiny_model, config(tmp_path, max_steps=1, overlong_buffer=0), noting)
    host.train()
    log, rewards = host.state.log_history[0], [r for round_ in judged for r in round_]
    assert log["sampling/rounds"] == len(judged) > 1
    assert log["accuracy"] == pytest.approx(sum(rewards) / len(rewards))
    assert log["reward"] == pytest.approx(sum(rewards) / len(rewards))


def test_a_batch_holds_no_prompt_twice(tiny_model, tmp_path):
    batches = []
    host = trainer(
        tiny_model,
        config(tmp_path, max_steps=8, per_device_train_batch_size=32),
        scripted_by_prompt,
        train_dataset=sums_dataset(12),
        rollout_recorder=lambda step, inputs, batch, outcome, *_: batches.append((step, inputs, batch)),
    )
    host.train()
    by_generation = {}
    for step, inputs, batch in batches:
        asked = inputs["prompt_id"][batch.mask.any(1)].tolist()
        by_generation.setdefault((step - 1) // 2, []).extend(asked)
    assert len(by_generation) == 4
    for asked in by_generation.values():
        assert {asked.count(prompt) for prompt in asked} == {4}
    rounds = [record["sampling/rounds"] for record in host.state.log_history if "sampling/rounds" in record]
    assert max(rounds) > 1


def scripted_by_prompt(completions, number, **kwargs):
    """Mixed answers to the even prompts, wrong ones to the odd."""
    return [float(index % 4 == 0 and n % 2 == 0) for index, n in enumerate(number)]


def test_when_every_prompt_was_tried_it_stops_and_says_so(tiny_model, tmp_path, caplog):
    host = trainer(tiny_model, config(tmp_path), too_hard, train_dataset=sums_dataset(12))
    host.train()
    assert host.state.log_history[0]["sampling/groups_drawn"] == 12
    said = [record.message for record in caplog.records if "Dynamic sampling stopped" in record.message]
    assert len(said) == 1
    assert "no prompt of the data is left to try" in said[0]


def mostly_mixed(completions, number, **kwargs):
    """Only every third prompt has mixed answers at first; later rounds then ask for more than are missing."""
    return [float(index % 4 == 0 and n % 3 != 1) for index, n in enumerate(number)]


def test_groups_left_over_are_trained_on_in_the_next_batch(tiny_model, tmp_path):
    batches = []
    host = trainer(
        tiny_model,
        config(tmp_path, max_steps=8),
        mostly_mixed,
        rollout_recorder=lambda step, inputs, batch, outcome, *_: batches.append(inputs),
    )
    host.train()
    taken = [r["sampling/groups_from_surplus"] for r in host.state.log_history if "sampling/rounds" in r]
    assert taken[0] == 0
    assert max(taken) > 0
    assert all("old_per_token_logps" in inputs for inputs in batches)


@pytest.mark.parametrize(
    ("rewards", "said"),
    [
        ([1.0, 1.0, 1.0, 1.0], "always right"),
        ([0.7, 0.7, 0.7, 0.7], "always right"),
        ([-1.0, -1.0, -1.0, -1.0], "always wrong"),
        ([None, 1.0, None, None], "fewer than two answers that could be scored"),
    ],
)
def test_the_reason_given_is_the_true_one(tiny_model, tmp_path, caplog, rewards, said):
    args = config(tmp_path, max_generation_rounds=2, max_completion_length=120)
    trainer(tiny_model, args, lambda completions, **kwargs: rewards * (len(completions) // 4)).train()
    message = next(r.message for r in caplog.records if "Dynamic sampling stopped" in r.message)
    assert f"of 16 prompts drawn, 16 {said}" in message.replace("were answered ", "").replace("had ", "")


def test_answers_that_never_end_are_named_as_the_cause(tiny_model, tmp_path, caplog):
    args = config(tmp_path, max_generation_rounds=2, max_completion_length=1, overlong_buffer=0)
    host = trainer(tiny_model, args, too_hard)
    host.train()
    record = host.state.log_history[0]
    assert record["sampling/groups_cut_off"] + record["sampling/groups_too_hard"] == 16
    assert record["sampling/groups_cut_off"] > 8
    message = next(r.message for r in caplog.records if "Dynamic sampling stopped" in r.message)
    assert "had every answer cut off at the response limit" in message
    assert "A larger max_completion_length would help" in message


def test_where_truncation_is_masked_a_group_cut_off_whole_has_no_signal(tiny_model, tmp_path):
    options = {"max_completion_length": 1, "overlong_buffer": 0, "max_generation_rounds": 1}
    for masked in (False, True):
        args = config(tmp_path, **options, mask_truncated_completions=masked)
        host = trainer(tiny_model, args, lambda completions, **kwargs: [i % 2 for i in range(len(completions))])
        host.train()
        record = host.state.log_history[0]
        assert (record["sampling/groups_cut_off"] > 4) == masked
        assert record["sampling/filled_share"] == 1 - record["sampling/groups_cut_off"] / 8


@pytest.mark.parametrize("graded", [lambda n: 0.3 + 0.05 * n, lambda n: 1.0 + n], ids=["below 1", "from 1 on"])
def test_graded_rewards_carry_a_signal(tiny_model, tmp_path, caplog, graded):
    host = trainer(
        tiny_model, config(tmp_path), lambda completions, **kwargs: [graded(len(text)) for text in completions]
    )
    host.train()
    record = host.state.log_history[0]
    assert record["sampling/filled_share"] == 1
    assert record["grad_norm"] > 0
    assert any("graded rewards" in r.message and "correctness_threshold" in r.message for r in caplog.records)
    by_correctness = config(tmp_path, dynamic_sampling_signal="correctness", max_generation_rounds=1)
    host = trainer(tiny_model, by_correctness, lambda completions, **kwargs: [graded(len(t)) for t in completions])
    host.train()
    record = host.state.log_history[0]
    assert record["sampling/filled_share"] < 1
    assert record["sampling/groups_too_easy"] > 4


def test_unscored_responses_are_in_no_group_and_have_no_advantage(tiny_model, tmp_path, caplog):
    seen = []
    options = {"max_steps": 1, "dynamic_sampling": False, "overlong_buffer": 6}
    options |= {"per_device_train_batch_size": 32, "updates_per_generation": 1}

    def some_missing(completions, **kwargs):
        rewards = length_reward(completions)
        return [None if index % 4 == 1 else float("nan") if index % 8 == 2 else r for index, r in enumerate(rewards)]

    host = trainer(
        tiny_model,
        config(
            tmp_path,
            max_steps=1,
            dynamic_sampling=False,
            overlong_buffer=6,
            per_device_train_batch_size=32,
            updates_per_generation=1,
        ),
        some_missing,
        rollout_recorder=lambda step, inputs, batch, outcome, *_: seen.append((inputs, batch, outcome)),
    )
    host.train()
    inputs, batch, outcome = seen[0]
    unscored = inputs["reward"].isnan()
    assert unscored.sum() == 12
    assert not batch.mask[unscored].any()
    assert (outcome.group[unscored] == 0).all()
    assert (inputs["advantages"][unscored] == 0).all()
    record = host.state.log_history[0]
    assert record["unscored_share"] == pytest.approx(12 / 32)
    assert record["accuracy"] == pytest.approx(batch.correct[~unscored].float().mean().item())
    for prompt in inputs["prompt_id"].unique():
        known = (inputs["prompt_id"] == prompt) & ~unscored
        accuracy = batch.correct[known].float().mean().item()
        assert batch.group_accuracy[known].tolist() == pytest.approx([accuracy] * int(known.sum()))
    assert any("have no verdict" in r.message for r in caplog.records)


def test_with_several_reward_functions_correctness_must_be_named(tiny_model, tmp_path):
    def format_reward(completions, **kwargs):
        return [1.0] * len(completions)

    with pytest.raises(UserError, match="functions format_reward, length_reward judges correctness"):
        trainer(tiny_model, config(tmp_path), [format_reward, length_reward])
    host = trainer(tiny_model, config(tmp_path, correctness_reward="length_reward"), [format_reward, length_reward])
    host.train()
    assert 0 < host.state.log_history[0]["accuracy"] < 1
    with pytest.raises(UserError, match="'nonsense' is not one of the reward functions"):
        trainer(tiny_model, config(tmp_path, correctness_reward="nonsense"), [format_reward, length_reward])


def test_an_objective_that_ignores_correctness_says_which_function_it_took(tiny_model, tmp_path, caplog):
    def format_reward(completions, **kwargs):
        return [1.0] * len(completions)

    trainer(tiny_model, config(tmp_path, objective="dapo"), [format_reward, length_reward])
    assert any("'format_reward' is taken to judge correctness" in r.message for r in caplog.records)
