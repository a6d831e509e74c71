"""A cell's own weight and clip range, and the axes of episodes: as the oracle has them, and nothing where not given."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml

from htpo.objectives import make_objective
from htpo.objectives.adaptive_clip import AdaptiveClip
from htpo.objectives.axes import Correctness
from htpo.objectives.rules import gspo, ppo, reinforce
from htpo.objectives.table import Cell
from htpo.runs import ObjectiveTable
from tests.objectives import oracle
from tests.objectives.oracle import CellOptions, Options
from tests.objectives.samples import as_responses, evaluate, random_batch
from tests.objectives.test_against_oracle import TOLERANCE, assert_equals_oracle

LENGTHS = [0, 1, 2, 3, 60, 59, *range(4, 40)]
AXES = ["segment", {"turn": {"first": 2}}, "difficulty", "correctness", "entropy"]
OWN = {
    ("thinking", "first"): CellOptions(weight=0.0),
    ("thinking", "later"): CellOptions(weight=0.25, clip_low=0.05),
    ("action", "first"): CellOptions(clip_low=0.5, clip_high=2.0),
    ("action", "later"): CellOptions(weight=3.0, clip_high=0.01),
}


def in_yaml(cells: dict[tuple[str, str], CellOptions]) -> dict:
    return {" ".join(where): {k: v for k, v in asdict(cell).items() if v is not None} for where, cell in cells.items()}


@pytest.mark.parametrize("scope", ["response", "turn", "batch"])
@pytest.mark.parametrize("variant", ["paper", "release"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_cells_of_segment_and_turn_equal_the_oracle(dtype, variant, scope):
    options = Options(variant=variant, entropy_scope=scope, detach_lowest=0.0, detach_highest=0.0, dual_clip=3.0)
    for seed in (0, 1):
        batch = random_batch(seed, LENGTHS, dtype=dtype, turns=5)
        expected = oracle.episode_tokens(as_responses(batch), options, OWN, first=2)
        objective = make_objective("htpo", axes=AXES, cells=in_yaml(OWN), **asdict(options))
        assert_equals_oracle(objective, batch, expected)
        assert {token.group for row in expected for token in row} == set(range(33))


def test_shares_of_clipped_tokens_are_counted_against_the_cell_s_range():
    batch = random_batch(0, LENGTHS, turns=5)
    objective = make_objective("htpo", axes=["segment"], cells={"action": {"clip_low": 0.6, "clip_high": 5.0}})
    stats, ratio = objective(batch).stats, batch.log_ratio().clamp(-20, 20).exp()
    advantage = batch.advantage.unsqueeze(1)
    for number, (low, high) in enumerate([(0.8, 1.28), (0.4, 6.0)], 1):
        here = (batch.segment == number) & batch.mask
        clipped = ((ratio < low) & (advantage < 0)) | ((ratio > high) & (advantage > 0))
        share = (clipped & here).sum() / here.sum()
        assert stats[f"group/G{number}/clipped_share"].item() == pytest.approx(share.item())
    assert stats["differs_from_ppo"] == 0, "it is PPO's clip everywhere, with the cell's range"


def test_a_weight_is_a_difference_from_ppo_and_scales_a_group_s_pull():
    batch = random_batch(0, LENGTHS, turns=5)
    plain = make_objective("htpo", axes=["segment"])(batch)
    halved = make_objective("htpo", axes=["segment"], cells={"thinking": {"weight": 0.5}})(batch)
    thinking = batch.segment == 1
    torch.testing.assert_close(halved.value, torch.where(thinking, 0.5, 1.0) * plain.value)
    torch.testing.assert_close(halved.weight, torch.where(thinking, 0.5, 1.0) * plain.weight)
    before, after = (out.sums["pull"] for out in (plain, halved))
    torch.testing.assert_close(after, before * torch.tensor([0.5, 1.0]))
    moved = (plain.slope != 0) & thinking
    assert halved.sums["differs"].tolist() == [moved.sum().item(), 0]


THE_SAME = {"weight": 1.0, "clip_low": 0.2, "clip_high": 0.28}


@pytest.mark.parametrize(
    ("options", "cell"),
    [
        ({}, THE_SAME),
        ({}, {"weight": 1}),
        ({"variant": "release"}, THE_SAME),
        ({"detach_highest": 0.5, "entropy_scope": "batch"}, THE_SAME),
        ({"base": "sapo"}, {"weight": 1}),
    ],
    ids=str,
)
def test_a_cell_that_says_what_is_so_anyway_changes_no_bit(options, cell):
    for dtype in (torch.float64, torch.float32):
        batch = random_batch(0, LENGTHS, dtype=dtype)
        (plain, gradient), (said, again) = (
            evaluate(make_objective("htpo", **options, **more), batch)
            for more in ({}, {"cells": {"hard": cell, "easy": cell}})
        )
        assert torch.equal(said.value, plain.value)
        assert torch.equal(again, gradient)
        assert torch.equal(said.group, plain.group)
        assert all(torch.equal(said.sums[name], plain.sums[name]) for name in plain.sums)


def test_a_range_that_is_the_objective_s_in_some_cells_changes_no_bit_there():
    batch = random_batch(0, LENGTHS, dtype=torch.float32, turns=5)
    cells = {"action": {"clip_low": 0.5, "clip_high": 1.0, "weight": 2.0}}
    (plain, gradient), (said, again) = (
        evaluate(make_objective("htpo", axes=["segment", "difficulty", "entropy"], cells=more), batch)
        for more in ({}, cells)
    )
    thinking = batch.segment == 1
    assert torch.equal(said.value[thinking], plain.value[thinking])
    assert torch.equal(again[thinking], gradient[thinking])
    assert not torch.equal(said.value, plain.value)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_token_that_is_not_finite_is_told_at_any_weight(weight):
    batch = random_batch(0, [5, 6], gaps=False, turns=2)
    batch.log_prob[0, 2] = torch.nan
    out = make_objective(
        "htpo", axes=["segment"], cells={"thinking": {"weight": weight}, "action": {"weight": weight}}
    )(batch)
    assert out.stats["nonfinite_tokens"] == 1
    assert out.value.isnan().nonzero().tolist() == [[0, 2]]


def test_turns_up_to_first_are_first():
    batch = random_batch(0, LENGTHS, turns=5)
    for first in (1, 3, 5):
        out = make_objective("htpo", axes=[{"turn": {"first": first}}])(batch)
        assert torch.equal(out.group == 1, batch.mask & (batch.turn <= first))


def test_a_range_of_a_cell_is_held_against_the_response_s_ratio_where_there_is_one_for_all_its_tokens():
    batch = random_batch(0, LENGTHS)
    batch = replace(batch, old_log_prob=batch.log_prob - 0.3 * (batch.log_prob - batch.old_log_prob).clamp(-1, 1))
    by_response = replace(
        make_objective("gspo"),
        axes=(Correctness(),),
        table={("correct",): Cell(ppo, clip_low=0.01, clip_high=0.02), ("wrong",): Cell(ppo)},
    )
    out, gradient = evaluate(by_response, batch)
    for name, options in (("correct", {"clip_low": 0.01, "clip_high": 0.02}), ("wrong", {})):
        rows = batch.correct == (name == "correct")
        expected, slope = evaluate(make_objective("gspo", **options), batch)
        assert torch.equal(out.value[rows], expected.value[rows])
        assert torch.equal(gradient[rows], slope[rows])


def test_a_range_of_a_cell_and_one_that_follows_the_batch_are_refused_together():
    with pytest.raises(
        ValueError, match="table of bapo: the clip range follows the batch, and a cell has one of its own"
    ):
        replace(make_objective("bapo"), table={(): Cell(ppo, clip_high=0.5)})
    bapo = make_objective("bapo")
    assert isinstance(bapo.adaptive_clip, AdaptiveClip)
    batch = random_batch(0, LENGTHS)
    doubled = replace(bapo, table={(): Cell(ppo, weight=2.0)})
    torch.testing.assert_close(doubled(batch).value, 2 * bapo(batch).value)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ({"weight": -1}, r"cells: 'hard': weight is -1, needs a number in \[0, inf\)"),
        ({"weight": None}, "cells: 'hard': weight is None, needs a number"),
        ({"weight": float("nan")}, "cells: 'hard': weight is nan, needs a number"),
        ({"rule": "ppo", "weight": "much"}, "cells: 'hard': weight is 'much', needs a number"),
        ({"clip_low": 1}, r"cells: 'hard': clip_low is 1, needs a number in \(0, 1\)"),
        ({"clip_high": 0}, r"cells: 'hard': clip_high is 0, needs a number in \(0, inf\)"),
        ({"rule": "reinforce", "clip_high": 0.2}, "cells: 'hard': clip_high has no effect on rule 'reinforce'"),
        ({"rule": "cispo", "clip_low": 0.2}, "cells: 'hard': clip_low has no effect on rule 'cispo'"),
        ({"weights": 2}, "needs the name of a rule, {rule: name, ...} or {weight, clip_low, clip_high}"),
        ({}, "needs the name of a rule, {rule: name, ...} or {weight, clip_low, clip_high}"),
    ],
)
def test_a_cell_that_cannot_be_meant_is_refused(cell, said):
    with pytest.raises(ValueError, match=said):
        make_objective("htpo", cells={"hard": cell})


def cells_of(**options) -> dict[str, Cell]:
    return {" ".join(levels): cell for levels, cell in make_objective("htpo", **options).cells}


def test_without_a_rule_a_cell_keeps_its_own_and_with_one_it_keeps_nothing():
    plain = cells_of()
    said = cells_of(cells={"hard": {"weight": 0.5}, "correct": {"clip_high": 0.4}, "hard wrong": "sapo"})
    assert said["hard correct low"] == replace(plain["hard correct low"], weight=0.5, clip_high=0.4)
    assert said["easy correct high"] == replace(plain["easy correct high"], clip_high=0.4)
    assert said["hard wrong low"] == Cell.of("sapo")
    assert said["easy wrong high"] == plain["easy wrong high"]


def test_a_rule_s_own_options_come_before_the_cell_s():
    assert cells_of(cells={"hard": {"rule": "gspo", "clip_low": 0.1, "weight": 2}})["hard wrong low"] == Cell(
        gspo, options=(("clip_low", 0.1),), weight=2
    )
    assert cells_of(cells={"hard": {"rule": "ppo", "clip_low": 0.1}})["hard wrong low"] == Cell(ppo, clip_low=0.1)


def test_a_cell_is_told_with_its_weight_and_range():
    table = ObjectiveTable.from_json(
        make_objective(
            "htpo", axes=["segment"], cells={"thinking": {"weight": 0}, "action": {"clip_low": 0.3, "clip_high": 1.0}}
        ).describe()
    )
    assert table.lines == ["G1 thinking: ppo, weight 0", "G2 action: ppo, clip_low 0.3, clip_high 1"]
    assert table.groups[0].plain_words.endswith("; with weight 0")
    group = make_objective("htpo").describe()["groups"][0]
    earlier = {name: value for name, value in group.items() if name not in ("weight", "clip_low", "clip_high")}
    assert ObjectiveTable.from_json({"groups": [earlier]}) == ObjectiveTable.from_json({"groups": [group]})


def test_the_tables_in_the_docs_are_tables():
    page = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
    given = [yaml.safe_load(block)["objective_options"] for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    lines = [ObjectiveTable.from_json(make_objective("htpo", **options).describe()).lines for options in given]
    assert lines[0][1] == "G2 hard / correct / high: ppo, lowest 1 % detached per response, clip_high 0.4, weight 2"
    assert lines[1] == [
        "G1 thinking / first: ppo, weight 0",
        "G2 thinking / later: ppo, weight 0",
        "G3 action / first: ppo, clip_high 0.5",
        "G4 action / later: ppo",
    ]


def test_a_rule_that_does_not_clip_takes_a_weight():
    batch = random_batch(0, LENGTHS)
    plain = make_objective("reinforce")
    out = replace(plain, table={(): Cell(reinforce, weight=0.5)})(batch)
    torch.testing.assert_close(out.value, 0.5 * plain(batch).value)
