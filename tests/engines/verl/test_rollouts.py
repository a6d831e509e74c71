"""Rollouts that a step keeps: whole prompts, and what the objective says of them in the whole batch."""

import pytest
import torch

from htpo.engines.verl.batch_fields import CUTS, batch_fields, cut_names, cuts_of
from htpo.engines.verl.group_facts import GroupFacts
from htpo.engines.verl.rollouts import choose, rollouts_of
from htpo.objectives import make_objective
from htpo.playing.verdicts import EPISODE
from tests.objectives.samples import random_batch

LENGTHS = [20, 30, 11, 25, 28, 17, 22, 9]
KEYS = [f"{'ab'[row // 4]}_{row % 4}_0" for row in range(8)]


class Letters:
    """A tokenizer of one letter per id."""

    def decode(self, ids, skip_special_tokens=False):
        return "".join(chr(ord("a") + i % 26) for i in ids)


def batch_of_verl(objective):
    """(verl's fields of a batch, the facts of its rows, thresholds over it, the batch at the first update)."""
    batch = random_batch(0, LENGTHS, dtype=torch.float32)
    data = {
        "old_log_probs": batch.log_prob,
        "advantages": batch.advantage.unsqueeze(1) * batch.mask,
        "entropy": batch.entropy,
        "response_mask": batch.mask.long(),
        "responses": torch.arange(batch.mask.numel()).view_as(batch.mask),
        "rm_scores": torch.eye(8, batch.mask.shape[1]) * 0.5,
        "prompts": [[number, number + 1] for number in range(8)],
        "reward_model": [{"ground_truth": str(row // 4)} for row in range(8)],
        "extra_info": [{"index": 10 + row // 4} for row in range(8)],
        "extra_fields": [{} for _ in range(8)],
    }
    facts = GroupFacts(batch.correct, batch.group_accuracy)
    names = cut_names(objective)
    cuts = cuts_of(names, batch_fields(objective, facts, data if names else None).get(CUTS))
    return data, facts, cuts


def some(data, rows):
    return {k: v[rows] if isinstance(v, torch.Tensor) else [v[row] for row in rows] for k, v in data.items()}


def kept(objective, rows=range(8), **changed):
    data, facts, cuts = batch_of_verl(objective)
    rows = list(rows)
    facts = GroupFacts(facts.correct[rows], facts.group_accuracy[rows])
    keys = [KEYS[row] for row in rows]
    return rollouts_of(keys, some(data | changed, rows), facts, objective, cuts, Letters())


def test_whole_prompts_are_kept_while_they_fit():
    keys = ["b_1_0", "a_0_0", "c_0_0", "b_0_0", "a_1_0", "c_1_0"]
    for seed in range(5):
        rows = choose(keys, [True] * 6, 4, (seed, 1))
        assert len(rows) == 4
        assert sorted(keys[row][0] for row in rows) in (
            ["a", "a", "b", "b"],
            ["a", "a", "c", "c"],
            ["b", "b", "c", "c"],
        )
    assert choose(keys, [True] * 6, 4, (3, 1)) == choose(keys, [True] * 6, 4, (3, 1))
    assert len({tuple(choose(keys, [True] * 6, 4, (0, step))) for step in range(9)}) > 1


def test_padding_and_rows_without_policy_tokens_are_not_kept():
    rows = choose(["a_0_0", "pad1_0_0", "a_1_0"], [True, False, False], 10, (0, 1))
    assert rows == [0]


def test_all_rows_of_a_session_are_of_its_prompt():
    keys = ["a_0_1", "b_0_0", "a_0_0", "a_1_0"]
    (first, *others) = choose(keys, [True] * 4, 3, (0, 1))
    assert {keys[row] for row in (first, *others)} in ({"a_0_0", "a_0_1", "a_1_0"}, {"b_0_0", "a_0_0", "a_0_1"})


@pytest.mark.parametrize("scope", ["response", "batch"])
def test_groups_and_weights_are_those_of_the_whole_batch_at_ratio_one(scope):
    objective = make_objective("htpo", entropy_scope=scope, detach_lowest=0.3)
    batch = random_batch(0, LENGTHS, dtype=torch.float32)
    whole = objective(type(batch)(**{**vars(batch), "old_log_prob": batch.log_prob}))
    rows = [5, 2, 7]
    for row, one in zip(rows, kept(objective, rows), strict=True):
        mask = batch.mask[row]
        assert one["group"] == whole.group[row][mask].tolist()
        assert one["weight"] == pytest.approx(whole.weight[row][mask].tolist())
        assert one["log_prob"] == one["old_log_prob"] == pytest.approx(batch.log_prob[row][mask].tolist())
        assert one["entropy"] == pytest.approx(batch.entropy[row][mask].tolist())
        assert one["advantage"] == pytest.approx(float(batch.advantage[row]))
        assert len(one["token_ids"]) == len(one["tokens"]) == LENGTHS[row]


def test_what_is_known_of_a_response_goes_with_it():
    info = {"reward_extra_info": {"answer": "7", "failure": "unparsable"}}
    (one,) = kept(make_objective("dapo"), [5], extra_fields=[info] * 8)
    assert (one["gold"], one["answer"], one["failure"]) == ("1", "7", "unparsable")
    assert (one["prompt"], one["prompt_id"], one["reward"]) == ("fg", 11, 0.5)
    assert set(one["group"]) == {0}, "dapo has no groups"


def test_an_answer_under_verl_s_own_name_is_taken_and_gold_of_any_kind_is_text():
    golds = [{"ground_truth": {"inputs": ["1"]}}] * 8
    (one,) = kept(
        make_objective("dapo"), [0], reward_model=golds, extra_fields=[{"reward_extra_info": {"pred": 3}}] * 8
    )
    assert (one["gold"], one["answer"], one["failure"]) == ('{"inputs": ["1"]}', "3", None)


@pytest.mark.parametrize("infos", [[{"index": 0}] * 8, [None] * 8, [{"index": "x"}] * 8])
def test_numbers_that_do_not_tell_prompts_apart_are_no_prompt_s(infos):
    assert {one["prompt_id"] for one in kept(make_objective("dapo"), extra_info=infos)} == {None}


def test_a_row_whose_tokens_were_all_rejected_is_left_out():
    data, _, _ = batch_of_verl(make_objective("dapo"))
    mask = data["response_mask"].clone()
    mask[3] = 0
    assert len(kept(make_objective("dapo"), response_mask=mask)) == 7


def test_an_episode_is_kept_turn_by_turn():
    said = {"task_type": "put", "score": 0.5, "actions": ["go", None], "invalid": [False, True]}
    mask = torch.zeros_like(batch_of_verl(make_objective("dapo"))[0]["response_mask"])
    mask[5, [0, 1, 4, 5, 6]] = 1
    fields = [{EPISODE: {"said": said}, "reward_extra_info": {"answer": "go", "failure": None}}] * 8
    gold = [{"ground_truth": ""}] * 8
    (one,) = kept(make_objective("dapo"), [5], response_mask=mask, extra_fields=fields, reward_model=gold)
    assert {name: one[name] for name in said} == said
    letters = Letters().decode(range(5 * mask.shape[1], 6 * mask.shape[1]))
    assert (one["turn_tokens"], one["shown"]) == ([2, 3], [letters[2:4]])
    assert one["response"] == letters[:2] + letters[4:7]
    assert one["gold"] is None
