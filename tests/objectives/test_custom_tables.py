"""The table changed from a configuration: axes, base, one group alone, single cells, one's own axis and rule."""

from itertools import product

import pytest
import torch

from htpo.objectives import make_objective
from tests.objectives.samples import evaluate, random_batch

LENGTHS = [0, 1, 2, 3, 60, 59, *range(4, 40)]
HTPO = [line.split(": ", 1)[1] for line in make_objective("htpo").describe()]


def table(**options) -> dict[str, str]:
    lines = make_objective("htpo", **options).describe()
    return {line.split(": ")[0].split(" ", 1)[1]: line.split(": ", 1)[1] for line in lines}


def test_leaving_an_axis_out_keeps_what_the_merged_cells_agree_on():
    assert table(axes=["correctness", "entropy"]) == {
        "correct / low": "ppo",  # G1 detaches, G5 does not
        "correct / high": "ppo",  # G2 encourages, G6 detaches
        "wrong / low": "ppo",
        "wrong / high": "penalise forking",  # G4 and G8 agree
    }
    assert table(axes=["entropy"]) == {"low": "ppo", "high": "ppo"}


def test_without_axes_htpo_is_dapo():
    batch = random_batch(0, LENGTHS)
    (ours, gradient), (dapo, expected) = (
        evaluate(make_objective("htpo", axes=[]), batch),
        evaluate(make_objective("dapo"), batch),
    )
    assert torch.equal(ours.value, dapo.value)
    assert torch.equal(gradient, expected)


def test_the_order_of_the_axes_only_renumbers_the_groups():
    batch = random_batch(0, LENGTHS)
    (here, first), (there, second) = (
        evaluate(make_objective("htpo", axes=axes), batch)
        for axes in (["difficulty", "correctness", "entropy"], ["entropy", "difficulty", "correctness"])
    )
    assert torch.equal(here.value, there.value)
    assert torch.equal(first, second)
    assert not torch.equal(here.group, there.group)


def test_an_added_axis_splits_every_cell_and_changes_nothing_by_itself():
    batch = random_batch(0, LENGTHS)
    axes = ["difficulty", "correctness", "entropy", {"position": {"share": 0.25}}]
    objective = make_objective("htpo", axes=axes, detach_lowest=0, detach_highest=0)
    plain = make_objective("htpo", detach_lowest=0, detach_highest=0)
    (out, gradient), (expected, expected_gradient) = evaluate(objective, batch), evaluate(plain, batch)
    assert len(objective.cells) == 16
    assert torch.equal(out.value, expected.value)
    assert torch.equal(gradient, expected_gradient)
    late = (out.group % 2 == 0) & batch.mask
    for row, mask in enumerate(batch.mask):
        places = mask.nonzero().flatten().tolist()
        assert [p for p in places if late[row, p]] == [p for i, p in enumerate(places) if i >= 0.25 * len(places)]


def test_one_group_alone_leaves_the_base_everywhere_else():
    for number, levels in enumerate(product(("hard", "easy"), ("correct", "wrong"), ("low", "high"))):
        lines = list(table(only=" ".join(levels)).values())
        assert lines == [HTPO[i] if i == number else "ppo" for i in range(8)]


@pytest.mark.parametrize("base", ["gspo", "cispo", "sapo"])
def test_another_base_stands_where_ppo_stood(base):
    batch = random_batch(0, LENGTHS)
    lines = list(table(base=base).values())
    assert lines == [line.replace("ppo", base) for line in HTPO]
    (out, gradient), (own, own_gradient), (paper, paper_gradient) = (
        evaluate(make_objective(name, **options), batch)
        for name, options in [("htpo", {"base": base, "dual_clip": None}), (base, {}), ("htpo", {"dual_clip": None})]
    )
    for number, line in enumerate(HTPO, start=1):
        here = (out.group == number) & ~out.detached
        expected, slope = (own, own_gradient) if "ppo" in line else (paper, paper_gradient)
        torch.testing.assert_close(out.value[here], expected.value[here], rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(gradient[here], slope[here], rtol=1e-12, atol=1e-14)


def test_single_cells_are_replaced_later_keys_over_earlier_ones():
    lines = table(
        cells={
            "wrong": "zero",
            "wrong/high": {"rule": "sapo", "tau_negative": 2.0},
            "hard correct low": {"rule": "ppo", "detach_highest": 0.1},
        }
    )
    assert lines["hard / correct / low"] == "ppo, highest 10 % detached per response"
    assert lines["hard / correct / high"] == "encourage forking"
    assert lines["hard / wrong / low"] == lines["easy / wrong / low"] == "zero"
    assert lines["hard / wrong / high"] == lines["easy / wrong / high"] == "sapo (tau_negative 2)"


PLUGIN = """
from dataclasses import dataclass
import torch
from htpo.objectives.axes import register_axis
from htpo.objectives.rules import register_rule

@register_axis("surprise")
@dataclass(frozen=True)
class Surprise:
    limit: float = 1.0
    levels = ("expected", "surprising")

    def level(self, batch, cuts):
        return (batch.old_log_prob < -self.limit).to(torch.int8)

@register_rule
def half_reinforce(ratio, *, share: float = 0.5):
    return share * ratio.log_prob, torch.full_like(ratio.value, share)
"""


def test_an_axis_and_a_rule_of_ones_own_come_from_a_module(tmp_path, monkeypatch):
    (tmp_path / "my_objective.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    objective = make_objective(
        "htpo",
        plugin="my_objective",
        axes=[{"surprise": {"limit": 2.0}}],
        cells={"surprising": {"rule": "half_reinforce", "share": 0.25}},
    )
    batch = random_batch(0, LENGTHS)
    out, gradient = evaluate(objective, batch)
    surprising = (batch.old_log_prob < -2) & batch.mask
    advantage = batch.advantage.unsqueeze(1).expand_as(batch.mask)
    torch.testing.assert_close(gradient[surprising], 0.25 * advantage[surprising])
    expected = evaluate(make_objective("dapo"), batch)[1]
    assert torch.equal(gradient[~surprising], expected[~surprising])
    assert torch.equal(out.group, torch.where(surprising, 2, 1) * batch.mask)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base": "trpo"}, "unknown rule 'trpo', there are ppo, "),
        ({"axes": "entropy"}, "axes is 'entropy', needs a list"),
        ({"axes": ["length"]}, "unknown axis 'length', there are difficulty, "),
        ({"axes": ["entropy", "entropy"]}, "'entropy' is listed twice"),
        ({"axes": [{"position": {"half": 1}}]}, "axis 'position' cannot be made with {'half': 1}"),
        ({"axes": [{"position": {"share": 2}}]}, "share of axis position is 2"),
        ({"only": "hard medium"}, "only: no cell has the levels 'hard medium', levels are correct, easy"),
        ({"only": ""}, "only: no cell has the levels ''"),
        ({"cells": "ppo"}, "cells is 'ppo', needs a mapping"),
        ({"cells": {"hard": 3}}, "cells: 'hard' is 3, needs the name of a rule"),
        ({"cells": {"hard": {"detach_lowest": 0.1}}}, "needs the name of a rule"),
        ({"cells": {"late": "ppo"}}, "cells: no cell has the levels 'late'"),
        ({"cells": {"hard": "pop"}}, "unknown rule 'pop'"),
        ({"cells": {"hard": {"rule": "sapo", "tau": 1}}}, "rule 'sapo' has no option 'tau', it has tau_positive"),
        ({"cells": {"hard": {"rule": "sapo", "tau_positive": "hot"}}}, "tau_positive is 'hot', needs a number"),
        ({"cells": {"hard": {"rule": "ppo", "detach_lowest": 2}}}, "detach_lowest of 'hard' is 2"),
        ({"cells": {"hard": {"rule": "ppo", "detach_lowest": 0.1, "detach_highest": 0.1}}}, "at most one"),
        ({"plugin": "no_such_module"}, "plugin 'no_such_module' cannot be imported"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_by_name(options, said):
    with pytest.raises(ValueError, match=said):
        make_objective("htpo", **options)
