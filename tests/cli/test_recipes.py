"""The shipped recipes: each can be read, and the paper's holds the paper's numbers."""

from pathlib import Path

import pytest

import htpo
from htpo.cli.train import _parser, parse_train, read_recipe
from htpo.engines.objective_options import with_flags
from htpo.errors import UserError
from htpo.objectives import OBJECTIVES, make_objective, objective_options
from tests.engines.published import HTPO_OPTIONS

NAMES = sorted(path.stem for path in (Path(htpo.__file__).parent / "recipes").glob("*.yaml"))


def settings(name, tmp_path, **flags):
    here = {"bf16": False, "use_cpu": True, "output_dir": str(tmp_path)}  # as far as a machine without GPU can go
    job_options, engine = parse_train(with_flags(read_recipe(name), here | flags)[0])
    return job_options, engine.config, engine.model


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_is_accepted(name, tmp_path):
    recipe, config, _ = settings(name, tmp_path)
    assert config.objective == "htpo"
    assert config.dynamic_sampling
    assert config.save_total_limit >= 2  # one stays whole while the next is being written
    assert recipe.verifier == ("math" if name in ("qwen3_8b_dapo_math", "qwen3_lora_24gb") else None)


def test_the_papers_recipe_holds_the_papers_numbers(tmp_path):
    """SPEC section 4."""
    recipe, config, model = settings("qwen3_8b_dapo_math", tmp_path)
    assert model.model_name_or_path == "Qwen/Qwen3-8B-Base"
    assert (config.generation_batch_size, config.num_generations, config.updates_per_batch) == (128 * 16, 16, 4)
    assert (recipe.max_prompt_length, config.max_completion_length) == (2048, 20480)
    assert (config.temperature, config.top_p, config.top_k) == (1.0, 1.0, 0)
    assert (config.learning_rate, config.warmup_steps, config.weight_decay, config.max_grad_norm) == (
        1e-6,
        10,
        0.1,
        1.0,
    )
    assert (config.beta, config.max_generation_rounds) == (0.0, 10)
    assert (config.overlong_buffer, config.overlong_factor) == (4096, 1.0)
    assert config.objective_options == HTPO_OPTIONS
    assert config.use_vllm


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_takes_every_objective(name, objective, tmp_path):
    _, config, _ = settings(name, tmp_path, objective=objective)
    assert config.objective == objective
    published = make_objective(objective)
    own = dict(config.make_objective().options)
    if objective == "htpo":
        own |= {"detach_lowest": 0.006, "detach_highest": 0.02}
    assert own == published.options  # a recipe's numbers for htpo are nobody else's, but where they are the same


def test_an_option_of_the_recipe_is_kept_where_the_chosen_objective_means_the_same_by_it():
    recipe = {
        "objective": "htpo",
        "clip_high": 0.4,
        "objective_options": {"clip_low": 0.1, "variant": "release"},
        "seed": 3,
    }
    kept = {name: with_flags(recipe, {"objective": name}) for name in ("htpo", "dapo", "grpo", "gspo", "cispo")}
    everything = {"clip_low": 0.1, "variant": "release", "clip_high": 0.4}
    assert kept["htpo"] == ({"objective": "htpo", "seed": 3, "objective_options": everything}, {})
    assert kept["dapo"][0]["objective_options"] == {"clip_low": 0.1, "clip_high": 0.4}
    assert kept["dapo"][1] == {"variant": "release"}
    assert kept["grpo"][0]["objective_options"] == {"clip_low": 0.1}  # its clip_high is published as 0.2, not 0.28
    assert "objective_options" not in kept["gspo"][0]  # its range is a thousand times narrower
    assert kept["cispo"] == ({"objective": "cispo", "seed": 3}, everything)


def test_flags_stand_over_the_recipe_and_are_never_left_out(tmp_path):
    recipe = {"objective": "htpo", "variant": "paper", "clip_high": 0.4}
    values, left_out = with_flags(recipe, {"objective_options": {"variant": "release"}, "clip_high": 0.3})
    assert (values["objective_options"], left_out) == ({"variant": "release", "clip_high": 0.3}, {})
    values, _ = with_flags(recipe, {"objective": "dapo", "variant": "release"})
    with pytest.raises(UserError, match="variant is an option of htpo; the objective is dapo"):
        parse_train(values)


def test_an_option_nobody_has_is_refused_under_another_objective_too(tmp_path):
    values, _ = with_flags({"objective": "htpo", "objective_options": {"varriant": "paper"}}, {"objective": "dapo"})
    with pytest.raises(UserError, match="has no option 'varriant'"):
        parse_train(values | {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False})


def test_no_option_of_an_objective_is_one_of_the_trainer_as_well():
    taken = {action.dest for action in _parser()._actions}
    assert not taken & {option for name in OBJECTIVES for option in objective_options(name)}
