"""Episodes of an environment in the trainer."""

import json
import shutil
from typing import ClassVar

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from htpo.engines.judging import Judge
from htpo.engines.segments import segments
from htpo.engines.trl import playing
from htpo.engines.trl.token_batch import policy_mask
from htpo.engines.trl.verifier_reward import correct, partial_credit
from htpo.environments import EnvironmentWorkers
from htpo.errors import UserError
from htpo.objectives.batch import THINKING
from htpo.playing.formats import PROMPT_FORMATS, Compact
from htpo.playing.measured import MEASURED
from htpo.playing.player import Player
from htpo.playing.turn_tokens import TurnTokens
from htpo.playing.verdicts import EpisodeVerifier
from tests.engines.tiny import config, trainer

GROUP, TURN, LIMIT = 4, 3, 60


@pytest.fixture(scope="module")
def worlds():
    with EnvironmentWorkers("tests.engines.trl.worlds:EvenLength", workers=1) as workers:
        yield workers


class Kept(Player):
    """Keeps what was played."""

    played: ClassVar[list] = []

    def play(self, *args):
        rows = super().play(*args)
        self.played += rows
        return rows


def train(
    model, folder, worlds, broken=False, max_tokens=LIMIT, verifier=None, told=None, history_length=None, **options
):
    """The trainer after training, everything it played, and the inputs and batch of every micro-batch."""
    tasks = [{**row, "broken": broken and row["number"] == 0} for row in worlds.rows("train", 4)]
    data = Dataset.from_dict(
        {"prompt": [task["id"] for task in tasks], "environment_row": list(map(json.dumps, tasks))}
    )
    turns = TurnTokens(told or PROMPT_FORMATS["compact"], AutoTokenizer.from_pretrained(model))
    seen = []
    Kept.played.clear()
    defaults = {"max_steps": 1, "prompts_per_generation": 4, "updates_per_generation": 1, "dynamic_sampling": False}
    host = trainer(
        model,
        config(folder, **(defaults | {"max_completion_length": max_tokens, "num_generations": GROUP} | options)),
        [correct, partial_credit],
        train_dataset=data,
        judge=Judge(verifier or EpisodeVerifier(by_score=True, invalid_action_penalty=0.5)),
        player=Kept(worlds, turns, TURN, max_tokens, None, history_length is not None, history_length),
        rollout_recorder=lambda step, inputs, batch, *_: seen.append((inputs, batch)),
    )
    host.train()
    return host, list(Kept.played), seen


def trained_rows(seen):
    """(prompt ids, response ids, mask, correct, group accuracy, reward) of every row."""
    for inputs, batch in seen:
        mask = policy_mask(inputs)
        for row in range(len(mask)):
            real = inputs["completion_mask"][row].bool()
            yield (
                inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()].tolist(),
                inputs["completion_ids"][row][real].tolist(),
                batch.mask[row][real].tolist(),
                bool(batch.correct[row]),
                float(batch.group_accuracy[row]),
                float(inputs["reward"][row]),
            )


def test_what_is_trained_on_is_what_was_played_and_correct_is_success(tiny_model, tmp_path, worlds):
    host, played, seen = train(tiny_model, tmp_path, worlds)
    expected = []
    for start in range(0, len(played), GROUP):
        group = played[start : start + GROUP]
        accuracy = sum(row.episode.success for row in group) / GROUP
        for row in group:
            reward = row.episode.score - 0.5 * row.episode.invalid_actions
            expected.append((row.prompt, row.response, row.sampled, row.episode.success, accuracy, reward))
    found = sorted(trained_rows(seen))
    assert len(found) == 16
    for row, wanted in zip(found, sorted(expected), strict=True):
        assert row[:4] == wanted[:4]
        assert row[4:] == pytest.approx(wanted[4:])
    assert {True, False} == {row[3] for row in found}
    assert all(len(row.episode.actions) == 3 for row in played)
    log = host.state.log_history[0]
    assert log["accuracy"] == pytest.approx(sum(row.episode.success for row in played) / 16)
    assert log["episodes/turns"] == 3
    assert {f"episodes/{name}" for name in MEASURED} <= set(log)


def test_the_same_seed_plays_the_same_episodes_and_another_others(tiny_model, tmp_path, worlds):
    def responses(seed):
        return [row.response for row in train(tiny_model, tmp_path, worlds, seed=seed)[1]]

    once = responses(1)
    assert responses(1) == once
    assert responses(2) != once


@pytest.mark.parametrize("history_length", [None, 1])
def test_the_head_scores_what_was_sampled_alone_and_the_update_is_the_same(
    tiny_model, tmp_path, worlds, monkeypatch, history_length
):
    options = {"updates_per_generation": 2, "max_steps": 2, "per_device_train_batch_size": 4}
    options |= {"entropy_of": "old", "beta": 0.1, "objective_options": {"entropy_scope": "batch"}}
    forward, scored = playing.ScoringSampled.__call__, []

    def watched(self, *, labels, **inputs):
        output = forward(self, labels=labels, **inputs)
        scored.append(int(output.label_mask.sum()))
        return output

    def run():
        host, played, _ = train(tiny_model, tmp_path, worlds, history_length=history_length, **options)
        return host, sum(sum(row.sampled) for row in played), sum(len(row.response) for row in played)

    monkeypatch.setattr(playing.ScoringSampled, "__call__", watched)
    host, sampled, written = run()
    assert sum(scored) == 3 * sampled  # by policy and reference when made, and in the loss
    assert sampled < written
    monkeypatch.setattr(playing.ScoringSampled, "__call__", lambda self, **inputs: self.model(**inputs))
    whole, *again = run()
    assert again == [sampled, written]
    for found, expected in zip(host.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(found, expected)
    for ours, theirs in zip(host.state.log_history[:2], whole.state.log_history[:2], strict=True):
        exact = [n for n in theirs if n.startswith(("group/", "clip/")) or n in ("loss", "entropy", "grad_norm", "kl")]
        assert {name: ours[name] for name in exact} == {name: theirs[name] for name in exact}


def test_dynamic_sampling_fills_the_batch_with_tasks_whose_episodes_differ(tiny_model, tmp_path, worlds):
    options = {"dynamic_sampling": True, "prompts_per_generation": 2, "max_generation_rounds": 8}
    _, _, seen = train(tiny_model, tmp_path, worlds, verifier=EpisodeVerifier(), **options)
    rows = [row for row in trained_rows(seen) if any(row[2])]
    assert rows
    assert all(0 < row[4] < 1 and row[5] == row[3] for row in rows)


def test_several_updates_of_a_batch_take_the_sampling_policys_log_probabilities(tiny_model, tmp_path, worlds):
    _, _, seen = train(tiny_model, tmp_path, worlds, updates_per_generation=2, max_steps=2)
    first, second = (batch for _, batch in seen)
    assert (first.log_prob - first.old_log_prob)[first.mask].abs().max() < 1e-5
    assert (second.log_prob - second.old_log_prob)[second.mask].abs().max() > 1e-5


def test_a_task_that_the_environment_fails_on_is_wrong_and_holds_no_token(tiny_model, tmp_path, worlds):
    host, played, seen = train(tiny_model, tmp_path, worlds, broken=True)
    assert sum(row.episode.failure == "crash" for row in played) == GROUP
    broken = [row for row in trained_rows(seen) if not any(row[2])]
    assert [row[3:] for row in broken] == [(False, 0.0, 0.0)] * GROUP
    assert host.state.log_history[0]["episodes/failed_share"] == 0.25


def test_an_episode_that_no_longer_fits_is_wrong(tiny_model, tmp_path, worlds):
    host, played, seen = train(tiny_model, tmp_path, worlds, max_tokens=8)
    assert all(row.overflowed for row in played)
    assert not any(row[3] for row in trained_rows(seen))
    assert host.state.log_history[0]["verifier/truncated_share"] == 1


def test_an_episode_that_outgrows_the_models_context_is_given_up(tiny_model, tmp_path, worlds):
    small = shutil.copytree(tiny_model, tmp_path / "small")
    settings = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 20}))
    host, played, _ = train(str(small), tmp_path / "run", worlds)
    assert 0 < max(len(row.prompt + row.response) for row in played) <= 20
    assert all(row.overflowed for row in played)
    assert host.state.log_history[0]["episodes/overflowed_share"] == 1


@pytest.mark.parametrize(
    "cut", [{}, {"per_device_train_batch_size": 4}, {"updates_per_generation": 2, "max_steps": 2}], ids=str
)
def test_a_batch_knows_the_turns_and_quantiles_are_taken_within_them(tiny_model, tmp_path, worlds, cut):
    options = {"entropy_scope": "turn", "high_entropy_fraction": 0.5}
    host, played, seen = train(tiny_model, tmp_path, worlds, objective_options=options, **cut)
    found = []
    for inputs, batch in seen:
        real = inputs["completion_mask"].bool()
        for ids, turn, mask in zip(inputs["completion_ids"], batch.turn, real):
            found.append((tuple(ids[mask].tolist()), tuple(turn[mask].tolist())))
            assert not turn[~mask].any()
        group = host.objective(batch).group
        for row, number in ((row, number) for row in range(len(group)) for number in (1, 2, 3)):
            tokens = batch.turn[row] == number
            high = group[row][tokens] % 2 == 0
            assert high.sum() == max(tokens.sum() // 2, 1)
            assert batch.entropy[row][tokens][high].min() >= batch.entropy[row][tokens].median()
    assert sorted(found) == sorted((tuple(row.response), tuple(row.turn_numbers)) for row in played)


def test_dynamic_sampling_carries_turns_between_rounds(tiny_model, tmp_path, worlds):
    options = {"dynamic_sampling": True, "prompts_per_generation": 2, "max_generation_rounds": 8, "max_steps": 2}
    options |= {"updates_per_generation": 2, "objective_options": {"entropy_scope": "turn"}}
    _, played, seen = train(tiny_model, tmp_path, worlds, verifier=EpisodeVerifier(), **options)
    known = {(tuple(row.response), tuple(row.turn_numbers)) for row in played}
    rows = [
        (tuple(ids[mask].tolist()), tuple(turn[mask].tolist()))
        for inputs, batch in seen
        for ids, turn, mask in zip(inputs["completion_ids"], batch.turn, inputs["completion_mask"].bool())
        if mask.any()
    ]
    assert rows
    assert set(rows) <= known


@pytest.mark.parametrize(
    ("options", "said"), [({"entropy_scope": "turn"}, "turn"), ({"axes": ["turn", "segment"]}, "segment and turn")]
)
def test_what_needs_turns_is_refused_where_there_are_none(tiny_model, tmp_path, options, said):
    with pytest.raises(
        UserError, match=f"'htpo' tells tokens apart by their {said}, which episodes alone have: --data"
    ):
        trainer(tiny_model, config(tmp_path, objective_options=options), [correct])


class Halves(Compact):
    """The second half of what is written is the action."""

    def action_start(self, written):
        return len(written) // 2 or None


ACTIONS_ONLY = {"axes": ["segment", {"turn": {"first": 2}}], "cells": {"thinking": {"weight": 0}}}


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_table_may_learn_from_actions_alone(tiny_model, tmp_path, worlds, dynamic):
    options = {"dynamic_sampling": dynamic, "objective_options": ACTIONS_ONLY, "told": Halves()}
    host, played, seen = train(tiny_model, tmp_path, worlds, per_device_train_batch_size=4, **options)
    known = {tuple(row.response): segments(row, host.player.turns) for row in played}
    counts = torch.zeros(5, dtype=torch.int64)
    for inputs, batch in seen:
        for ids, mask, segment in zip(inputs["completion_ids"], inputs["completion_mask"].bool(), batch.segment):
            assert not mask.any() or segment[mask].tolist() == known[tuple(ids[mask].tolist())]
        out = host.objective(batch)
        later = (batch.turn > 2).long()
        assert torch.equal(out.group.long(), torch.where(batch.mask, 2 * batch.segment.long() - 1 + later, 0))
        assert (out.slope[batch.segment == THINKING] == 0).all()
        counts += torch.bincount(out.group.flatten(), minlength=5)
    log, shares = host.state.log_history[0], counts[1:] / counts[1:].sum()
    assert [log[f"group/G{n}/token_share"] for n in range(1, 5)] == pytest.approx(shares.tolist())
    assert log["group/G1/weight_share"] == log["group/G2/weight_share"] == 0 < log["group/G3/weight_share"]
    assert log["group/G1/differs_share"] > 0 == log["group/G3/differs_share"]


def test_segments_and_turns_are_known_in_the_whole_update_that_quantiles_of_the_batch_are_taken_over(
    tiny_model, tmp_path, worlds
):
    options = {"axes": ["segment", "turn", {"entropy": {"scope": "batch"}}]}
    whole, cut = (
        train(tiny_model, tmp_path, worlds, told=Halves(), objective_options=options, per_device_train_batch_size=size)[
            0
        ].state.log_history[0]
        for size in (16, 4)
    )
    shares = [f"group/G{number}/token_share" for number in range(1, 9)]
    assert [cut[name] for name in shares] == pytest.approx([whole[name] for name in shares])
    assert min(whole[name] for name in shares) > 0


def test_vllm_is_refused_before_anything_is_loaded(tiny_model, tmp_path, worlds):
    with pytest.raises(UserError, match="use_vllm: episodes are generated by transformers"):
        train(tiny_model, tmp_path, worlds, use_vllm=True)
