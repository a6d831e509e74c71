"""The shipped recipes: each can be read, and the paper's holds the paper's numbers."""

from pathlib import Path

import pytest

import htpo
from htpo.cli.train import fold_objective_options, parse_train, read_recipe

NAMES = sorted(path.stem for path in (Path(htpo.__file__).parent / "recipes").glob("*.yaml"))


def settings(name, tmp_path):
    here = {"bf16": False, "use_cpu": True, "output_dir": str(tmp_path)}  # as far as a machine without GPU can go
    return parse_train(fold_objective_options(read_recipe(name) | here))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_is_accepted(name, tmp_path):
    recipe, config, _ = settings(name, tmp_path)
    assert config.objective == "htpo"
    assert config.dynamic_sampling
    assert config.save_total_limit >= 2  # one stays whole while the next is being written
    assert recipe.verifier == ("math" if recipe.dataset != ["number_path"] and name != "own_data" else None)


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
    assert config.objective_options == {
        "variant": "paper",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "dual_clip": 10.0,
        "difficulty_threshold": 0.4,
        "high_entropy_fraction": 0.2,
        "detach_lowest": 0.006,
        "detach_highest": 0.02,
        "entropy_scope": "response",
    }
    assert config.use_vllm
