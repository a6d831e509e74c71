"""Options that are refused, derived or defaulted."""

import pytest

from htpo.errors import UserError
from htpo.statistics import PassRates, change_in_words
from tests.engines.tiny import config, trainer


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"objective": "hpto"}, "hpto"),
        ({"objective_options": {"clip_hi": 0.3}}, "clip_hi"),
        ({"objective_options": "3"}, "objective_options must be a mapping, got 3"),
        ({"objective_options": {"clip_high": -1}}, "clip_high"),
        ({"objective": "dapo", "objective_options": {"variant": "paper"}}, "variant"),
        ({"epsilon": 0.3}, "clip_low"),
        ({"epsilon_high": 0.3}, "clip_high"),
        ({"delta": 4.0}, "dual_clip"),
        ({"loss_type": "bnpo"}, "loss_type"),
        ({"importance_sampling_level": "sequence"}, "importance_sampling_level"),
        ({"top_entropy_quantile": 0.2}, "top_entropy_quantile"),
        ({"off_policy_mask_threshold": 0.1}, "off_policy_mask_threshold"),
        ({"sapo_temperature_pos": 2.0}, "sapo_temperature_pos"),
        ({"max_generation_rounds": 0}, "max_generation_rounds"),
        ({"overlong_buffer": 13}, "overlong_buffer"),
        ({"prompts_per_generation": 5, "updates_per_generation": 3}, "20 sequences .* does not divide"),
        ({"updates_per_generation": None}, "go together"),
        ({"save_strategy": "steps", "save_steps": 3}, "save_steps.*use 4"),
        ({"gradient_accumulation_steps": 4, "steps_per_generation": 2}, "multiple of gradient_accumulation_steps"),
    ],
)
def test_an_option_that_cannot_act_is_refused_by_name(tmp_path, options, named):
    with pytest.raises(UserError, match=named):
        config(tmp_path, **options)


def test_a_method_brings_what_it_was_published_with(tmp_path):
    dapo, grpo = config(tmp_path, objective="dapo"), config(tmp_path, objective="grpo")
    assert (dapo.dynamic_sampling, dapo.overlong_buffer, dapo.loss_type) == (True, 2, "dapo")
    assert (grpo.dynamic_sampling, grpo.overlong_buffer, grpo.loss_type) == (False, 0, "grpo")


def test_batch_sizes_follow_from_prompts_and_updates(tmp_path):
    args = config(tmp_path, prompts_per_generation=12, updates_per_generation=3, per_device_train_batch_size=10)
    assert args.per_device_train_batch_size == 8  # 16 sequences an update: the largest divisor that fits
    assert args.gradient_accumulation_steps == 2
    assert args.generation_batch_size == 48
    assert args.updates_per_batch == 3


def test_an_unknown_correctness_reward_is_refused(tiny_model, tmp_path):
    with pytest.raises(UserError, match=r"accuracy.*length_reward"):
        trainer(tiny_model, config(tmp_path, correctness_reward="accuracy"))


def test_correctness_can_come_from_another_reward_function(tiny_model, tmp_path):
    def always(completions, **kwargs):
        return [1.0] * len(completions)

    host = trainer(
        tiny_model,
        config(tmp_path, correctness_reward="always", max_steps=1, dynamic_sampling=False),
        [length, always],
    )
    host.train()
    assert host.state.log_history[0]["accuracy"] == 1.0


def length(completions, **kwargs):
    return [float(len(completion)) for completion in completions]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([2], [2], "pass@1 changed by +0.000; whether that is more than chance cannot be said: a single problem says"),
        ([2, 3], [2, 3], "no change of pass@1 was shown: +0.000"),
        ([1, 2, 3] * 4, [3, 4, 6] * 4, "pass@1 rose by 0.292"),
        ([3, 4, 6] * 4, [1, 2, 3] * 4, "pass@1 FELL by 0.292"),
    ],
)
def test_the_verdict_says_what_the_problems_tell(before, after, said):
    first, last = (PassRates(8, tuple(each), 20.0, 0.0, {}, ()) for each in (before, after))
    assert said in change_in_words("pass@1", last.change_from(first, 1).to_json())
