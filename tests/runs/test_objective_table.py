"""The objective in force as a run holds it: data, and how it reads."""

import json

import pytest

from htpo.errors import UserError
from htpo.objectives import DESCRIPTIONS, OBJECTIVES, make_objective
from htpo.runs import ObjectiveTable, RunDirectory, options_in_words


def written(path, content) -> ObjectiveTable:
    run = RunDirectory(path)
    run.create({})
    run.write_json("objective.json", content)
    return run.objective


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_read_back_from_a_run_as_it_was_described(tmp_path, name):
    objective = make_objective(name)
    described = json.loads(json.dumps(objective.describe()))
    found = written(tmp_path, described)
    assert found == ObjectiveTable.from_json(described)
    assert (found.name, found.options, found.summary) == (name, described["options"], DESCRIPTIONS[name].summary)
    assert [tuple(group.levels.values()) for group in found.groups] == [levels for levels, _ in objective.cells]
    assert [group.rule for group in found.groups] == [cell.rule.__name__ for _, cell in objective.cells]
    assert all(group.meaning for group in found.groups)


def test_a_group_is_labelled_by_its_number_and_its_levels():
    assert ObjectiveTable.from_json(make_objective("dapo").describe()).labels == {}
    axes = ["correctness", {"entropy": {"scope": "batch"}}]
    labels = ObjectiveTable.from_json(make_objective("htpo", axes=axes).describe()).labels
    assert labels == {"G1": "G1 correct low", "G2": "G2 correct high", "G3": "G3 wrong low", "G4": "G4 wrong high"}


def test_a_level_that_two_axes_have_is_labelled_with_its_axis():
    rule = {"rule": "sapo", "rule_options": {"tau_negative": 2.0}, "detach": None, "meaning": "learn"}
    levels = [("hard", "low", "low"), ("hard", "low", "high"), ("hard", "high", "low"), ("hard", "high", "high")]
    groups = [
        {"name": f"G{number}", "levels": dict(zip(("difficulty", "length", "entropy"), each)), **rule}
        for number, each in enumerate(levels, 1)
    ]
    table = ObjectiveTable.from_json({"name": "htpo", "groups": groups})
    assert table.labels["G2"] == "G2 hard length=low entropy=high"
    assert table.lines[1] == "G2 hard / length=low / entropy=high: sapo (tau_negative 2)"


def test_tokens_left_out_are_told_in_plain_words():
    first, *_, sixth, _, _ = ObjectiveTable.from_json(make_objective("htpo").describe()).groups
    learn = "learn, as long as the token's probability stays within the clip range; but leave out the "
    assert first.plain_words == learn + "0.6 % of an answer's tokens it was most sure of"
    assert sixth.plain_words == learn + "2 % of an answer's tokens it was least sure of"
    over_all = make_objective("htpo", entropy_scope="batch").describe()
    assert "2 % of all tokens" in ObjectiveTable.from_json(over_all).groups[5].plain_words


def test_a_run_of_an_earlier_version_has_no_groups_and_one_that_wrote_nothing_is_empty(tmp_path):
    old = written(tmp_path / "old", {"name": "htpo", "options": {"only": "wrong"}, "table": ["G1 hard / correct: ppo"]})
    assert (old.name, old.options, old.groups, old.labels) == ("htpo", {"only": "wrong"}, (), {})
    assert RunDirectory(tmp_path / "none").objective == ObjectiveTable()


@pytest.mark.parametrize("content", [{"groups": [{"name": "G1"}]}, {"groups": ["G1 hard: ppo"]}, {"groups": 3}, ["x"]])
def test_a_table_that_htpo_did_not_write_is_refused_by_file(tmp_path, content):
    with pytest.raises(UserError, match="objective.json is not as htpo writes it"):
        written(tmp_path, content)


def test_options_are_listed_as_flags_write_them_without_those_that_are_off():
    options = {"variant": "paper", "dual_clip": None, "axes": ("difficulty", "entropy"), "clip_high": 0.3}
    assert options_in_words(options) == "variant paper, axes difficulty entropy, clip_high 0.3"
