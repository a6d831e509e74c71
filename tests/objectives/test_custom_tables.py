"""The table changed from a configuration: axes, base, one group alone, single cells, one's own axis and rule."""

import inspect
import math
from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch

from htpo.objectives import axes, make_objective
from htpo.objectives.axes import AXES, Correctness, register_axis
from htpo.objectives.rules import ppo, register_rule
from htpo.objectives.table import Cell, Detach
from htpo.runs import ObjectiveTable
from tests.objectives.samples import evaluate, random_batch

LENGTHS = [0, 1, 2, 3, 60, 59, *range(4, 40)]


def table(**options) -> dict[str, str]:
    read = ObjectiveTable.from_json(make_objective("htpo", **options).describe())
    return {read.tokens_of(group).split(" ", 1)[1]: group.rule_text for group in read.groups}


HTPO = list(table().values())


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


def test_a_rule_of_ones_own_may_say_in_plain_words_what_it_does():
    @register_rule(words="learn twice as much")
    def twice(ratio):
        return 2 * ratio.value, 2 * ratio.slope

    @register_rule
    def thrice(ratio):
        return 3 * ratio.value, 3 * ratio.slope

    described = make_objective("htpo", axes=["correctness"], cells={"correct": "twice", "wrong": "thrice"}).describe()
    assert [(group["rule"], group["meaning"]) for group in described["groups"]] == [
        ("twice", "learn twice as much"),
        ("thrice", ""),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base": "trpo"}, "unknown rule 'trpo', there are ppo, "),
        ({"axes": "entropy"}, "axes is 'entropy', needs a list"),
        ({"axes": ["length"]}, "unknown axis 'length', there are difficulty, "),
        ({"axes": ["entropy", "entropy"]}, "'entropy' is listed twice"),
        ({"axes": [{"position": {"half": 1}}]}, "axis 'position' has no option 'half', it has share"),
        ({"axes": [{"correctness": {"half": 1}}]}, "axis 'correctness' has no option 'half', it has none"),
        ({"axes": [{"covariance": {"scope": "response"}}]}, "axis 'covariance' has no option 'scope', it has share"),
        ({"axes": [{"entropy": 7}]}, "options of axis 'entropy' are 7, needs a mapping"),
        ({"axes": [["entropy"]]}, r"unknown axis \['entropy'\], there are"),
        ({"axes": [None]}, "unknown axis None, there are"),
        ({"axes": [{"entropy": {}, "position": {}}]}, "unknown axis {'entropy': {}, 'position': {}}"),
        ({"axes": [{"position": {"share": 2}}]}, "share of axis position is 2"),
        ({"only": "hard medium"}, "only: no cell has the levels 'hard medium', levels are correct, easy"),
        ({"only": ""}, "only: no cell has the levels ''"),
        ({"only": "low high"}, "only: no cell has the levels 'low high'"),
        ({"only": "position=high"}, "only: no cell has the levels 'position=high'"),
        ({"only": "hard", "axes": []}, "only: no cell has the levels 'hard', levels are none"),
        ({"base": ["ppo"]}, "unknown rule"),
        ({"cells": {"hard": {"rule": ["ppo"]}}}, "cells: 'hard': unknown rule"),
        ({"cells": {"hard": {"rule": "gspo", "clip_low": 1.5}}}, r"cells: 'hard': clip_low is 1.5, .* \(0, 1\)"),
        ({"cells": {"hard": {"rule": "gspo", "clip_high": -0.1}}}, "cells: 'hard': clip_high is -0.1, needs"),
        ({"cells": {"hard": {"rule": "cispo", "clip_high": float("nan")}}}, "clip_high is nan, needs"),
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
        ({"plugin": 3}, "plugin is 3, needs the name of a module"),
        ({"plugin": "./my_objective.py"}, "plugin is './my_objective.py', needs the name of a module"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_by_name(options, said):
    with pytest.raises(ValueError, match=said):
        make_objective("htpo", **options)


NOT_FRACTIONS = [0, -0.1, 7, math.nan, math.inf, "0.2", None, True, [0.2]]
NOT_NUMBERS = [math.nan, math.inf, "1", None, True, [1]]
UNUSABLE = {
    ("difficulty", "threshold"): [-0.1, 7, *NOT_NUMBERS],
    ("entropy", "fraction"): NOT_FRACTIONS,
    ("entropy", "scope"): ["tokens", "Batch", "", None, 1, ["batch"], math.nan],
    ("position", "share"): NOT_FRACTIONS,
    ("turn", "first"): [0, -1, 1.5, *NOT_NUMBERS],
    ("covariance", "share"): NOT_FRACTIONS,
    ("covariance_band", "share"): NOT_FRACTIONS,
    ("covariance_band", "low"): [5.0, 6.0, *NOT_NUMBERS],
    ("covariance_band", "high"): [1.0, 0.5, *NOT_NUMBERS],
}


@pytest.mark.parametrize(
    ("axis", "option", "value"), [(*where, value) for where, values in UNUSABLE.items() for value in values]
)
def test_an_unusable_option_of_an_axis_is_refused_with_axis_option_value_and_need(axis, option, value):
    named = {option} if option != "high" else {"high", "low"}  # an empty band is named by its lower end
    with pytest.raises(
        ValueError, match=f"^({'|'.join(named)}) of axis {axis} is .*, needs (a number|a whole number,|one of) "
    ) as said:
        make_objective("htpo", axes=[{axis: {option: value}}])
    assert repr(value) in str(said.value)
    assert "\n" not in str(said.value)


def test_every_option_of_every_axis_is_tried():
    for name in (
        "difficulty",
        "correctness",
        "entropy",
        "position",
        "covariance",
        "covariance_band",
        "turn",
        "segment",
    ):
        assert {option for axis, option in UNUSABLE if axis == name} == set(inspect.signature(AXES[name]).parameters)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"end": "lower"}, "end of a detachment is 'lower', needs one of 'lowest', 'highest'"),
        ({"fraction": 7}, r"fraction of a detachment is 7, needs a number in \[0, 1\]"),
        ({"fraction": math.nan}, "fraction of a detachment is nan"),
        ({"scope": "tokens"}, "scope of a detachment is 'tokens', needs one of 'response', 'batch'"),
    ],
)
def test_an_unusable_detachment_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Detach(**{"end": "lowest", "fraction": 0.1, "scope": "batch", **options})


class OneLevel:
    levels = ("all",)


class PerToken:
    levels = ("low", "high")
    scope = "tokens"


class Blank:
    levels = ("low", "very high")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"table": {("correct",): Cell(ppo)}}, "table of dapo: needs a cell per combination .* has none for wrong"),
        ({"table": dict.fromkeys([("correct",), ("wrong",), ("late",)], Cell(ppo))}, "more than the axes have"),
        ({"clip_low": -0.1}, "clip_low is -0.1"),
        ({"clip_high": math.nan}, "clip_high is nan"),
        ({"dual_clip": 0.5}, "dual_clip is 0.5"),
        ({"ratio_level": "sequence"}, "ratio_level is 'sequence', needs one of 'token', 'response'"),
        ({"scale_rewards": "batch"}, "scale_rewards is 'batch'"),
        ({"axes": (OneLevel(),)}, "axis 'OneLevel' has levels .*, needs two or more different words"),
        ({"axes": (PerToken(),)}, "scope of axis PerToken is 'tokens', needs one of 'response', 'batch'"),
        ({"axes": (Blank(),)}, "axis 'Blank' has levels .*, needs two or more different words"),
    ],
)
def test_an_objective_that_does_not_fit_together_is_refused(changes, said):
    table = {("correct",): Cell(ppo), ("wrong",): Cell(ppo)}
    with pytest.raises(ValueError, match=said):
        replace(make_objective("dapo"), **{"axes": (Correctness(),), "table": table, **changes})


@pytest.fixture
def own_axes(monkeypatch):
    """Registers axes for one test."""
    monkeypatch.setattr("htpo.objectives.axes.AXES", dict(AXES))
    monkeypatch.setattr("htpo.objectives.custom.AXES", axes.AXES)
    return axes.AXES


def length_axis(bins=("low", "high"), name="length"):
    @register_axis(name)
    @dataclass(frozen=True)
    class Length:
        levels = bins

        def level(self, batch, cuts):
            return (batch.mask.sum(1, keepdim=True) > 10).to(torch.int8)

    return Length


def test_rules_belong_to_an_axis_not_to_the_names_of_its_levels(own_axes):
    """An axis of one's own with levels low and high takes nothing of entropy's rules."""
    length_axis()
    assert set(table(axes=["difficulty", "correctness", "length"]).values()) == {"ppo"}
    lines = table(axes=["difficulty", "correctness", "entropy", "length"])
    assert lines["hard / correct / entropy=high / length=low"] == "encourage forking"
    assert lines["hard / correct / entropy=low / length=high"] == HTPO[0]
    assert list(table(axes=["length", "difficulty", "correctness", "entropy"]).values()) == HTPO * 2


@pytest.mark.parametrize("option", ["only", "cells"])
def test_a_level_that_two_axes_have_must_say_whose_it_is(own_axes, option):
    length_axis()
    axes = ["correctness", "entropy", "length"]
    key = "correct high"
    with pytest.raises(ValueError, match="'high' in 'correct high' is a level of axis 'entropy' and of axis 'length', "
                                         "write entropy=high or length=high"):  # fmt: skip
        table(axes=axes, **{option: key if option == "only" else {key: "zero"}})
    lines = table(axes=axes, cells={"correct length=high": "zero"})
    assert [name for name, rule in lines.items() if rule == "zero"] == [
        "correct / entropy=low / length=high",
        "correct / entropy=high / length=high",
    ]


def test_a_name_that_is_taken_is_not_given_again(own_axes):
    with pytest.raises(ValueError, match=r"there is axis 'entropy' of htpo\.objectives\.axes already"):
        length_axis(name="entropy")
    with pytest.raises(ValueError, match=r"there is rule 'ppo' of htpo\.objectives\.rules already"):
        register_rule(namesake)
    length_axis()
    length_axis()  # as when a notebook's cell runs again


def namesake(ratio):
    return ratio.value, ratio.value


namesake.__name__ = "ppo"


def test_more_groups_than_int8_counts_are_refused_with_their_number(own_axes):
    length_axis(bins=tuple(f"bin{i}" for i in range(16)))
    with pytest.raises(
        ValueError, match="difficulty 2 x correctness 2 x entropy 2 x length 16 makes 128 groups, at most 127"
    ):
        table(axes=["difficulty", "correctness", "entropy", "length"])


def test_as_many_groups_as_int8_counts_are_all_told_apart(own_axes):
    @register_axis("place")
    class Place:
        levels = tuple(f"p{i}" for i in range(127))

        def level(self, batch, cuts):
            return torch.arange(batch.mask.shape[1]).expand(batch.mask.shape)

    out = make_objective("htpo", axes=["place"])(random_batch(0, [127, 127], gaps=False))
    assert out.group.dtype == torch.int8
    assert out.group.tolist() == [list(range(1, 128))] * 2
    assert len(out.sums["tokens"]) == 127


@pytest.mark.parametrize(
    ("level", "scope", "said"),
    [
        (lambda batch, cuts: batch.correct.to(torch.int8), None, r"'own' gave levels of shape \(3,\), needs \(3, "),
        (lambda batch, cuts: leave(cuts, batch.entropy.amax(1)), "batch", r"cuts\['own'\] has shape \(3,\)"),
        (lambda batch, cuts: leave(cuts, batch.entropy.amax()), None, r"cuts\['own'\] depends on the batch, .*scope"),
    ],
)
def test_an_axis_that_would_depend_on_how_the_batch_is_cut_is_refused(own_axes, level, scope, said):
    own = register_axis("own")(type("Own", (), {"levels": ("a", "b"), "level": lambda self, *args: level(*args)}))
    own.scope = scope
    with pytest.raises(ValueError, match=said):
        make_objective("htpo", axes=["own"])(random_batch(0, [5, 6, 7]))


def leave(cuts, value):
    cuts["own"] = value
    return torch.zeros(3, 1, dtype=torch.int8)
