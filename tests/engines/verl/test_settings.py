"""`+htpo.*` is checked, and so is what of verl's options would be ignored or make it another method."""

from copy import deepcopy
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

import htpo
from htpo.cli.train import parse_train
from htpo.engines.objective_options import ObjectiveOptions, with_flags
from htpo.engines.verl.settings import WORKING_VERL, read_settings, refuse_other_versions
from htpo.errors import UserError
from htpo.objectives import OBJECTIVES, make_objective

RECIPE_FOLDER = Path(htpo.__file__).parent / "recipes"


def recipe_lines(path: Path) -> dict:
    """The lines of a recipe that speak of the objective."""
    recipe = yaml.safe_load(path.read_text())
    return {name: value for name, value in recipe.items() if name in {field.name for field in fields(ObjectiveOptions)}}


STOCK = {
    "actor_rollout_ref": {
        "actor": {
            "loss_agg_mode": "token-mean",
            "loss_scale_factor": None,
            "calculate_entropy": True,
            "entropy_coeff": 0,
            "policy_loss": {"loss_mode": "vanilla"},
            "clip_ratio": 0.2,
            "clip_ratio_low": 0.2,
            "clip_ratio_high": 0.2,
            "clip_ratio_c": 3.0,
        }
    },
    "algorithm": {"norm_adv_by_std_in_grpo": True, "rollout_correction": {"bypass_mode": False}},
    "distillation": {"enabled": False},
}
FOR_OTHERS = {
    "token-mean": {},
    "seq-mean-token-mean": {"loss_agg_mode": "seq-mean-token-mean"},
    "seq-mean-token-sum-norm": {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": 512},
}


def configured(htpo: dict | None = None, **changes) -> dict:
    """verl's stock configuration with some of its options, by their last name, set."""
    config = deepcopy(STOCK)
    if htpo is not None:
        config["htpo"] = htpo
    places = [config["actor_rollout_ref"]["actor"], config["algorithm"], config["distillation"]]
    places += [places[0]["policy_loss"], places[1]["rollout_correction"]]
    for name, value in changes.items():
        (place,) = [place for place in places if name in place]
        place[name] = value
    return config


def refusal(*args, **changes) -> str:
    with pytest.raises(UserError) as caught:
        read_settings(configured(*args, **changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_block_the_objective_is_the_paper_s():
    settings = read_settings(configured())
    assert settings.objective.describe() == make_objective("htpo").describe()
    assert (settings.entropy_of, settings.correctness_threshold) == ("current", 0.0)


def test_options_of_the_objective_stand_beside_its_name():
    settings = read_settings(configured({"objective": "dapo", "clip_high": 0.3, "entropy_of": "old"}))
    assert settings.objective.describe() == make_objective("dapo", clip_high=0.3).describe()
    assert settings.entropy_of == "old"


RECIPES = {
    "the paper's": recipe_lines(RECIPE_FOLDER / "qwen3_8b_dapo_math.yaml"),
    "flat": {"objective": "htpo", "variant": "release", "clip_high": 0.3, "only": "hard correct high"},
    "flat over listed": {"clip_high": 0.3, "objective_options": {"clip_high": 0.4, "base": "gspo"}},
    "another table": {
        "objective": "htpo",
        "objective_options": {
            "axes": ["correctness", {"entropy": {"fraction": 0.3}}, "position"],
            "cells": {"wrong high": {"rule": "ppo", "detach_highest": 0.1}, "correct": "cispo"},
        },
    },
    "by the sampling policy": {"objective": "entropy_mask", "entropy_of": "old"},
}
MISTAKES = [
    {"objective": "hpto"},
    {"objective": "dapo", "variant": "paper"},
    {"objective": "dapo", "objective_options": {"variant": "paper"}},
    {"objective_options": "variant"},
    {"objective_options": {"only": "hard high"}, "axes": ["position"]},
    {"cells": {"hard": "kindness"}},
    {"plugin": "no_such_module"},
    {"entropy_of": "new"},
    {"entropy_off": "old"},
    {"max_generation_rounds": "many"},
    {"max_generation_rounds": 0},
]


def under_train(block: dict):
    """What `htpo train` makes of the same lines of a recipe."""
    values, _ = with_flags(block, {})
    return parse_train(values | {"output_dir": "unused", "use_cpu": True, "bf16": False})[1].config


@pytest.mark.parametrize("name", RECIPES)
def test_lines_of_a_recipe_mean_the_same_under_both_engines(name):
    theirs = under_train(RECIPES[name])
    settings = read_settings(configured(RECIPES[name]))
    assert settings.objective.describe() == theirs.make_objective().describe()
    assert settings.entropy_of == theirs.entropy_of
    assert settings.max_generation_rounds == theirs.max_generation_rounds


@pytest.mark.parametrize("block", MISTAKES, ids=str)
def test_mistakes_in_them_are_told_in_the_same_words(block):
    with pytest.raises(UserError) as theirs:
        under_train(block)
    assert refusal(block) == f"+htpo: {theirs.value}"


def test_every_objective_runs_or_says_that_it_does_not():
    ran, refused = set(), set()
    for name in OBJECTIVES:
        for changes in FOR_OTHERS.values():
            htpo = {"objective": name, "entropy_of": "old"}
            try:
                read_settings(configured(htpo, norm_adv_by_std_in_grpo=name != "dr_grpo", **changes))
                ran.add(name)
            except UserError as error:
                if "runs with TRL only" in str(error):
                    refused.add(name)
    assert refused == {"bapo", "clip_cov", "kl_cov"}
    assert ran == set(OBJECTIVES) - refused


@pytest.mark.parametrize(
    ("htpo", "changes", "said"),
    [
        ({"objective": "hpto"}, {}, "unknown objective 'hpto'"),
        ({"high_entropy": 0.2}, {}, "unknown option 'high_entropy'"),
        ({"objective": "dapo", "variant": "paper"}, {}, "variant is an option of htpo; the objective is dapo"),
        ({"objective_options": {"axes": ["mood"]}}, {}, "unknown axis 'mood'"),
        ({"plugin": "no_such_module"}, {}, "plugin 'no_such_module' cannot be imported"),
        ({"clip_high": "much"}, {}, "clip_high is 'much'"),
        ({"entropy_of": "new"}, {}, "needs one of current, old"),
        ({"correctness_threshold": "half"}, {}, "correctness_threshold: invalid float value: 'half'"),
        ({"correctness_threshold": float("nan")}, {}, "correctness_threshold is nan"),
        ({"max_generation_rounds": 0}, {}, "max_generation_rounds is 0"),
        ({"max_generation_rounds": 2.5}, {}, "max_generation_rounds: invalid int value: '2.5'"),
        ({"objective": "entropy_mask"}, {}, "entropy_of=old"),
        ({"entropy_scope": "batch"}, {}, "entropy_of=old"),
        ({}, {"calculate_entropy": False}, "calculate_entropy=True, or +htpo.entropy_of=old"),
        ({"objective": "grpo"}, {}, "actor.loss_agg_mode=seq-mean-token-mean"),
        ({}, {"loss_agg_mode": "seq-mean-token-sum"}, "actor.loss_agg_mode=token-mean"),
        ({"objective": "dr_grpo"}, {"loss_agg_mode": "seq-mean-token-sum-norm"}, "loss_scale_factor"),
        ({"objective": "dr_grpo"}, FOR_OTHERS["seq-mean-token-sum-norm"], "norm_adv_by_std_in_grpo=False"),
        ({}, {"clip_ratio_high": 0.28}, "clip_ratio_high=0.28 would have no effect"),
        ({}, {"loss_mode": "gspo"}, "loss_mode=gspo would have no effect"),
        ({}, {"bypass_mode": True}, "bypass_mode"),
        ({}, {"enabled": True}, "distillation.enabled=False"),
    ],
)
def test_what_would_go_wrong_silently_is_refused(htpo, changes, said):
    assert said in refusal(htpo, **changes)


def test_the_sampling_policy_s_entropy_needs_none_of_the_current_one():
    read_settings(configured({"entropy_of": "old"}, calculate_entropy=False))


def test_another_version_is_refused():
    refuse_other_versions(WORKING_VERL)
    with pytest.raises(UserError, match="pip install verl==0.9.1"):
        refuse_other_versions("0.10.0")


def test_records_are_left_where_an_output_dir_says_and_as_often_as_asked():
    settings = read_settings(configured({"output_dir": "runs/mine", "rollout_every": 0}))
    assert (settings.output_dir, settings.rollout_every, settings.rollouts_kept) == ("runs/mine", 0, 32)
    assert read_settings(configured({"output_dir": None})).output_dir is None
    assert refusal({"output_dir": 3}) == "+htpo.output_dir is 3, needs a folder"
    assert refusal({"rollout_every": -1}) == "+htpo.rollout_every is -1, needs a whole number, at least 0"
    assert refusal({"rollouts_kept": True}) == "+htpo.rollouts_kept is True, needs a whole number, at least 1"
