"""Which prompts make a batch, and what happens when there are not enough of them."""

import pytest
import torch

from htpo.engines.trl.dynamic_sampling import Filling, assemble
from tests.engines.tiny import config, length_reward, sums_dataset, trainer


def test_groups_without_signal_leave_their_place_to_later_rounds():
    filling = Filling(positions=3, group_size=2, local_rows=6)
    filling.offer([0.5, 0.0, 1.0], local_rows=6)
    assert not filling.full
    assert (filling.too_easy, filling.too_hard, filling.drawn) == (1, 1, 3)
    filling.offer([1.0, 0.5, 0.5], local_rows=6)
    assert filling.full
    assert filling.local_sources(0) == [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (1, 5)]


def test_rows_never_leave_the_process_that_generated_them():
    filling = Filling(positions=4, group_size=2, local_rows=4)  # two processes, two groups each
    filling.offer([0.5, 0.0, 0.0, 0.0], local_rows=4)
    filling.offer([0.5, 0.5, 1.0, 0.5], local_rows=4)
    assert filling.local_sources(0) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert filling.local_sources(1) == [(1, 2), (1, 3), None, None]


def test_a_group_that_straddles_processes_is_replaced_by_one_that_straddles_them_alike():
    filling = Filling(positions=3, group_size=4, local_rows=6)  # the second group lies on both processes
    filling.offer([0.5, 0.0, 0.5], local_rows=6)
    assert filling.next_rows() == 6
    filling.offer([0.5, 0.0, 0.5], local_rows=6)
    assert not filling.full
    filling.offer([0.0, 0.25, 0.0], local_rows=6)
    assert filling.local_sources(0) == [(0, 0), (0, 1), (0, 2), (0, 3), (2, 4), (2, 5)]
    assert filling.local_sources(1) == [(2, 0), (2, 1), (0, 2), (0, 3), (0, 4), (0, 5)]


def test_later_rounds_generate_about_what_is_missing():
    filling = Filling(positions=8, group_size=2, local_rows=16)
    filling.offer([0.5] * 4 + [0.0] * 4, local_rows=16)
    assert filling.next_rows() == 16  # 4 missing at half kept
    filling.offer([0.5] * 3 + [0.0] * 5, local_rows=16)
    assert filling.next_rows() == 6  # 1 missing at 7 of 16 kept: 3 groups


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
    host = trainer(tiny_model, config(tmp_path, max_generation_rounds=3, max_steps=4), too_hard)
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
