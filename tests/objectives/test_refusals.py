"""What cannot be meant is refused, by name: objectives, options, values, shapes and dtypes."""

import math
import re

import pytest
import torch

from htpo.objectives import OBJECTIVES, TokenBatch, make_objective, objective_options
from tests.objectives.samples import random_batch

SHARED = {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": 10.0}
DEFAULTS = {  # SPEC sections 1, 2 and 4
    "htpo": {
        "variant": "paper",
        **SHARED,
        "difficulty_threshold": 0.4,
        "high_entropy_fraction": 0.2,
        "detach_lowest": 0.006,
        "detach_highest": 0.02,
        "entropy_scope": "response",
        "base": "ppo",
        "axes": ("difficulty", "correctness", "entropy"),
        "only": None,
        "cells": None,
        "plugin": None,
    },
    "dapo": SHARED,
    "grpo": {"clip_low": 0.2, "clip_high": 0.2, "dual_clip": None},
    "dr_grpo": {"clip_low": 0.2, "clip_high": 0.2},  # 2503.20783
    "gspo": {"clip_low": 3e-4, "clip_high": 4e-4},  # 2507.18071, section 5.1
    "sapo": {"tau_positive": 1.0, "tau_negative": 1.05},  # 2511.20347
    "cispo": {"clip_high": 4.0},
    "bapo": {
        "target": 0.4,
        "low": 0.6,
        "low_end": 0.9,
        "low_step": 0.02,
        "high": 1.2,
        "high_end": 3.0,
        "high_step": 0.05,
    },  # 2510.18927
    "entropy_mask": {"fraction": 0.2, "entropy_scope": "batch", **SHARED},  # 2506.01939
    "clip_cov": {"share": 2e-4, "low": 1.0, "high": 5.0},  # 2505.22617
    "kl_cov": {"share": 2e-3, "coefficient": 1.0},
    "ppo": {"clip_low": 0.2, "clip_high": 0.2, "dual_clip": None},
    "reinforce": {},
}
NOT_NUMBERS = [math.nan, math.inf, -math.inf, "0.2", True, [0.2], torch.tensor(0.2)]
UNUSABLE = {
    "variant": ["Paper", "", None, 1, ["paper"]],
    "entropy_scope": ["token", "Batch", None, 0],
    "clip_low": [0, 1, -0.1, 1.5, None, *NOT_NUMBERS],
    "clip_high": [0, -0.28, None, *NOT_NUMBERS],
    "dual_clip": [1, 0, 0.5, -10, *NOT_NUMBERS],
    "difficulty_threshold": [-0.1, 1.1, None, *NOT_NUMBERS],
    "high_entropy_fraction": [0, -0.2, 1.01, 20, None, *NOT_NUMBERS],
    "detach_lowest": [-0.006, 1.01, 6, None, *NOT_NUMBERS],
    "detach_highest": [-0.02, 1.01, 2, None, *NOT_NUMBERS],
    "fraction": [0, -0.2, 1.01, 20, None, *NOT_NUMBERS],
    "tau_positive": [0, -1.0, None, *NOT_NUMBERS],
    "tau_negative": [0, -1.0, None, *NOT_NUMBERS],
    "share": [0, -0.1, 1.01, 7, None, *NOT_NUMBERS],
    "low": [None, *NOT_NUMBERS],
    "high": [None, *NOT_NUMBERS],
    "target": [0, 1.1, None, *NOT_NUMBERS],
    "low_end": [0.5, 1.1, None, *NOT_NUMBERS],
    "low_step": [0, -0.1, None, *NOT_NUMBERS],
    "high_end": [1.1, None, *NOT_NUMBERS],
    "high_step": [0, 1e-9, None, *NOT_NUMBERS],
    "coefficient": [0, -1.0, None, *NOT_NUMBERS],
    "base": [],  # tables have refusals of their own: test_custom_tables
    "axes": [],
    "only": [],
    "cells": [],
    "plugin": [],
}
USABLE = {
    "variant": ["paper", "release"],
    "entropy_scope": ["response", "turn", "batch"],
    "clip_low": [0.001, 0.999],
    "clip_high": [0.001, 0.28, 5],
    "dual_clip": [None, 1.001, 3, 100.0],
    "difficulty_threshold": [0, 0.5, 1],
    "high_entropy_fraction": [0.001, 1, 1.0],
    "detach_lowest": [0, 1],
    "detach_highest": [0.0, 1.0],
    "fraction": [0.001, 1],
    "tau_positive": [0.1, 3],
    "tau_negative": [0.1, 3],
    "share": [1e-4, 1],
    "low": [0.5, 0.8],
    "high": [1.5, 3.0],
    "target": [0.1, 1.0],
    "low_end": [0.6, 1.0],
    "low_step": [0.001, 0.5],
    "high_end": [1.2, 10.0],
    "high_step": [0.01, 5.0],
    "coefficient": [0.01, 3],
    "base": ["ppo", "gspo", "sapo", "cispo", "reinforce", "zero"],
    "axes": [["entropy"], ["correctness", "position"]],
    "only": ["hard correct high"],
    "cells": [{"hard": "zero"}],
    "plugin": [None, "math"],
}
SETTINGS = [(name, option) for name, options in DEFAULTS.items() for option in options]


def test_every_objective_has_the_published_defaults():
    assert {name: objective_options(name) for name in OBJECTIVES} == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_objective_records_all_its_options(name):
    assert make_objective(name).options == DEFAULTS[name]


@pytest.mark.parametrize("name", [name for name, options in DEFAULTS.items() if "clip_low" in options])
def test_an_objective_records_a_changed_option(name):
    assert make_objective(name, clip_low=0.1).options == {**DEFAULTS[name], "clip_low": 0.1}
    assert make_objective(name, clip_low=0.1).clip_low == 0.1


@pytest.mark.parametrize("name", ["HTPO", "", "gspo2", "TableObjective"])
def test_an_unknown_objective_is_refused_with_a_list_of_those_there_are(name):
    for refusing in (make_objective, objective_options):
        with pytest.raises(ValueError, match=rf"unknown objective {name!r}.*htpo, dapo, grpo, .*reinforce"):
            refusing(name)


@pytest.mark.parametrize(
    ("name", "option"), [("htpo", "clip"), ("htpo", "epsilon"), ("dapo", "variant"), ("ppo", "detach_lowest")]
)
def test_an_unknown_option_is_refused_with_a_list_of_those_there_are(name, option):
    with pytest.raises(ValueError, match=rf"{name!r} has no option {option!r}.*clip_low, clip_high, dual_clip"):
        make_objective(name, **{option: 0.2})


def test_another_objective_s_option_is_refused_with_whose_it_is():
    with pytest.raises(
        ValueError, match=r"'dapo' has no option 'entropy_scope' \(an option of htpo and entropy_mask\)"
    ):
        make_objective("dapo", entropy_scope="batch")


@pytest.mark.parametrize(
    ("name", "option", "value"), [(name, option, value) for name, option in SETTINGS for value in UNUSABLE[option]]
)
def test_an_unusable_value_is_refused_with_the_option_the_value_and_the_need(name, option, value):
    with pytest.raises(
        ValueError, match=rf"^{option}( of axis \w+)? is {re.escape(repr(value))}, needs (a number in|one of) "
    ):
        make_objective(name, **{option: value})


@pytest.mark.parametrize(
    ("name", "option", "value"), [(name, option, value) for name, option in SETTINGS for value in USABLE[option]]
)
def test_a_usable_value_is_accepted_and_works(name, option, value):
    out = make_objective(name, **{option: value})(random_batch(0, [0, 1, 9, 30], turns=3))
    assert out.value.isfinite().all()


def test_a_refusal_states_the_interval_with_its_ends():
    for option, interval in {
        "clip_low": "(0, 1)",
        "clip_high": "(0, inf)",
        "dual_clip": "(1, inf)",
        "difficulty_threshold": "[0, 1]",
        "high_entropy_fraction": "(0, 1]",
        "detach_lowest": "[0, 1]",
    }.items():
        with pytest.raises(ValueError, match=re.escape(f"{option} is -3, needs a number in {interval}")):
            make_objective("htpo", **{option: -3})


FIELDS = {**vars(random_batch(0, [4, 2, 3], gaps=False))}
NEEDED = {
    "log_prob": "(3, 4)",
    "old_log_prob": "(3, 4)",
    "advantage": "(3,) or (3, 4) or (3, 1)",
    "entropy": "(3, 4)",
    "mask": "(3, 4)",
    "correct": "(3,)",
    "group_accuracy": "(3,)",
}
FLOATS = ["log_prob", "old_log_prob", "advantage", "entropy", "group_accuracy"]


def refusal(**wrong) -> str:
    with pytest.raises(ValueError, match=r"needs|must be") as raised:
        TokenBatch(**{**FIELDS, **wrong})
    return str(raised.value)


@pytest.mark.parametrize("shape", [(), (4,), (4, 3), (3, 5), (1, 4), (3, 4, 1), (2,), (1, 3)], ids=str)
@pytest.mark.parametrize("name", [name for name in NEEDED if name != "log_prob"])
def test_a_wrong_shape_is_refused_with_the_argument_its_shape_and_the_shapes_it_needs(name, shape):
    message = refusal(**{name: torch.zeros(shape, dtype=FIELDS[name].dtype)})
    assert message == f"{name} has shape {shape}, needs {NEEDED[name]}"


@pytest.mark.parametrize("shape", [(), (4,), (3, 4, 1)], ids=str)
def test_log_probabilities_that_are_no_matrix_are_refused(shape):
    message = refusal(log_prob=torch.zeros(shape))
    assert message == f"log_prob must be a float tensor of shape (B, T), got {shape}"


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.int8, torch.complex64], ids=str)
@pytest.mark.parametrize("name", FLOATS)
def test_anything_but_floats_is_refused_where_floats_are_needed(name, dtype):
    assert refusal(**{name: FIELDS[name].to(dtype)}) == f"{name} has dtype {dtype}, needs float"


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.uint8], ids=str)
@pytest.mark.parametrize("name", ["mask", "correct"])
def test_anything_but_bools_is_refused_where_bools_are_needed(name, dtype):
    """A 0/1 mask of integers too: ~1 is -2, which would silently count as True."""
    assert refusal(**{name: FIELDS[name].to(dtype)}) == f"{name} has dtype {dtype}, needs bool"


@pytest.mark.parametrize("wrong", [None, 1.0, [[0.0] * 4] * 3], ids=["None", "float", "list"])
@pytest.mark.parametrize("name", NEEDED)
def test_anything_but_a_tensor_is_refused_with_its_type(name, wrong):
    message = refusal(**{name: wrong})
    kind = "float" if name in FLOATS else "bool"
    assert message.startswith(f"{name} must be a {kind} tensor of shape ")
    assert message.endswith(f", got {type(wrong).__name__}")


def test_seeds_of_another_shape_or_dtype_are_refused():
    assert refusal(seed=torch.zeros(4).long()) == "seed has shape (4,), needs (3,)"
    assert refusal(seed=torch.zeros(3)) == "seed has dtype torch.float32, needs int64"
    assert refusal(seed=7) == "seed must be a int64 tensor of shape (3,), got int"


def test_turns_of_another_shape_or_dtype_are_refused_and_none_where_they_are_needed():
    assert refusal(turn=torch.zeros(3).int()) == "turn has shape (3,), needs (3, 4)"
    assert refusal(turn=torch.zeros(3, 4).long()) == "turn has dtype torch.int64, needs int32"
    assert refusal(segment=torch.zeros(3, 4)) == "segment has dtype torch.float32, needs int8"
    for name, options in [
        ("turn", {"entropy_scope": "turn"}),
        ("turn", {"axes": [{"entropy": {"scope": "turn"}}]}),
        ("turn", {"axes": ["turn"]}),
        ("segment", {"axes": ["segment"]}),
    ]:
        objective = make_objective("htpo", **options)
        assert objective.reads == (name,)
        with pytest.raises(ValueError, match=f"tells tokens apart by their {name}, and the batch has no `{name}`"):
            objective(TokenBatch(**FIELDS))
    assert make_objective("htpo").reads == ()


def test_every_shape_of_advantage_that_is_promised_is_accepted():
    for shape in ((3,), (3, 1), (3, 4)):
        batch = TokenBatch(**{**FIELDS, "advantage": torch.ones(shape)})
        assert make_objective("htpo")(batch).value.shape == (3, 4)


def test_fields_may_differ_in_float_dtype():
    mixed = {"log_prob": torch.float32, "old_log_prob": torch.bfloat16, "advantage": torch.float64}
    batch = TokenBatch(**{**FIELDS, **{name: FIELDS[name].to(dtype) for name, dtype in mixed.items()}})
    assert make_objective("htpo")(batch).value.dtype == torch.float32


@pytest.mark.parametrize(("name", "options", "said"), [
    ("clip_cov", {"share": 0}, "share of axis covariance_band is 0"),
    ("kl_cov", {"share": 2}, "share of axis covariance is 2"),
    ("bapo", {"low": 1.2}, "low is 1.2, needs a number in"),
    ("bapo", {"high": 0.9}, "high is 0.9, needs a number in"),
    ("clip_cov", {"low": 5.0, "high": 1.0}, "low of axis covariance_band is 5.0, needs a number below high"),
    ("clip_cov", {"low": math.nan}, "low of axis covariance_band is nan, needs a number in"),
    ("clip_cov", {"high": "5"}, "high of axis covariance_band is '5', needs a number in"),
    ("bapo", {"high_end": 1e9}, r"high_step is 0.05, needs a number in \[1e\+06, inf\)"),
])  # fmt: skip
def test_an_unusable_covariance_is_refused(name, options, said):
    with pytest.raises(ValueError, match=said):
        make_objective(name, **options)
