"""The recipe for clusters: it composes with verl's own configuration and holds the paper's numbers; verl accepts it."""

from pathlib import Path

import pytest
import yaml

import htpo
from htpo.engines.verl.settings import read_settings
from htpo.objectives import make_objective
from tests.engines.published import HTPO_OPTIONS

pytestmark = pytest.mark.verl

RECIPES = Path(htpo.__file__).parent / "recipes"
NAME = "qwen3_8b_dapo_math"
GPUS = {"four_nodes": 32, "one_node": 8, "rehearsal": 1}
PAPER = {  # SPEC section 4
    "actor_rollout_ref.model.path": "Qwen/Qwen3-8B-Base",
    "data.train_batch_size": 128,
    "actor_rollout_ref.rollout.n": 16,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 32,  # verl multiplies it by n
    "actor_rollout_ref.actor.ppo_epochs": 1,
    "data.max_prompt_length": 2048,
    "data.max_response_length": 20480,
    "actor_rollout_ref.rollout.prompt_length": 2048,
    "actor_rollout_ref.rollout.response_length": 20480,
    "actor_rollout_ref.rollout.temperature": 1.0,
    "actor_rollout_ref.rollout.top_p": 1.0,
    "actor_rollout_ref.rollout.top_k": -1,
    "actor_rollout_ref.actor.optim.optimizer": "AdamW",
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.optim.lr_warmup_steps": 10,
    "actor_rollout_ref.actor.optim.lr_scheduler_type": "constant",
    "actor_rollout_ref.actor.optim.weight_decay": 0.1,
    "actor_rollout_ref.actor.optim.clip_grad": 1.0,
    "actor_rollout_ref.actor.grad_clip": 1.0,
    "actor_rollout_ref.actor.use_kl_loss": False,
    "algorithm.use_kl_in_reward": False,
    "actor_rollout_ref.actor.entropy_coeff": 0,
    "actor_rollout_ref.actor.loss_agg_mode": "token-mean",
    "algorithm.adv_estimator": "grpo",
    "algorithm.norm_adv_by_std_in_grpo": True,
    "algorithm.filter_groups.enable": True,
    "algorithm.filter_groups.metric": "acc",
    "algorithm.filter_groups.max_inflight_gen_batches": 256 // 128,
    "htpo.max_generation_rounds": 10 * 256 // 128,
    "reward.reward_manager.name": "htpo",
    "reward.reward_kwargs.max_resp_len": 20480,
    "reward.reward_kwargs.overlong_buffer_cfg.enable": True,
    "reward.reward_kwargs.overlong_buffer_cfg.len": 4096,
    "reward.reward_kwargs.overlong_buffer_cfg.penalty_factor": 1.0,
    "trainer.nnodes": 4,
    "trainer.n_gpus_per_node": 8,
    "actor_rollout_ref.rollout.val_kwargs.n": 32,
    "actor_rollout_ref.rollout.val_kwargs.do_sample": True,
    "actor_rollout_ref.rollout.val_kwargs.temperature": 1.0,
    "actor_rollout_ref.rollout.val_kwargs.top_p": 0.7,
}


def composed(*overrides):
    from hydra import compose, initialize_config_module

    with initialize_config_module("htpo.recipes.verl", version_base=None):
        return compose(NAME, overrides=["workspace=/shared", *overrides])


def plain(*overrides) -> dict:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(composed(*overrides), resolve=True)


def leaves(values: dict, prefix: str = "") -> dict:
    """Values by their whole names."""
    found = {}
    for name, value in values.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def test_the_recipe_holds_the_paper_s_numbers():
    config = leaves(plain())
    assert {name: config[name] for name in PAPER} == PAPER
    options = read_settings(plain()).objective.options
    assert {name: options[name] for name in HTPO_OPTIONS} == HTPO_OPTIONS
    assert options == make_objective("htpo").options


def test_it_says_what_the_recipe_for_trl_says():
    trl = yaml.safe_load((RECIPES / f"{NAME}.yaml").read_text())
    config = leaves(plain())
    same = {
        "model_name_or_path": "actor_rollout_ref.model.path",
        "max_prompt_length": "data.max_prompt_length",
        "max_completion_length": "data.max_response_length",
        "prompts_per_generation": "data.train_batch_size",
        "num_generations": "actor_rollout_ref.rollout.n",
        "overlong_buffer": "reward.reward_kwargs.overlong_buffer_cfg.len",
        "learning_rate": "actor_rollout_ref.actor.optim.lr",
        "weight_decay": "actor_rollout_ref.actor.optim.weight_decay",
        "max_grad_norm": "actor_rollout_ref.actor.grad_clip",
    }
    assert {name: config[there] for name, there in same.items()} == {name: trl[name] for name in same}
    assert trl["max_steps"] == config["trainer.total_training_steps"] * trl["updates_per_generation"]


@pytest.mark.parametrize("cluster", GPUS)
@pytest.mark.parametrize("objective", ["htpo", "dapo", "grpo"])
def test_verl_and_the_plugin_accept_it_and_batches_can_be_divided(cluster, objective):
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    overrides = f"cluster={cluster}", f"objective={objective}"
    config = composed(*overrides)
    assert not need_critic(config)
    assert not need_reference_policy(config)
    validate_config(config, use_reference_policy=False, use_critic=False)
    assert read_settings(plain(*overrides)).objective.name == objective
    policy, trainer = config.actor_rollout_ref, config.trainer
    gpus = trainer.nnodes * trainer.n_gpus_per_node
    assert gpus == GPUS[cluster]
    sharing = policy.actor.ulysses_sequence_parallel_size
    ranks, left = divmod(gpus, sharing)
    assert left == 0
    assert policy.actor.ppo_mini_batch_size * policy.rollout.n % ranks == 0
    assert config.data.train_batch_size % policy.actor.ppo_mini_batch_size == 0
    longest = config.data.max_prompt_length + config.data.max_response_length
    assert policy.rollout.max_model_len == longest
    assert policy.actor.ppo_max_token_len_per_gpu * sharing >= longest
    assert policy.actor.ppo_max_token_len_per_gpu * sharing >= 128  # of a row of verl's padding
    assert trainer.n_gpus_per_node % policy.rollout.tensor_model_parallel_size == 0


def test_one_node_differs_in_as_little_as_it_must():
    four, one = (leaves(plain(f"cluster={name}")) for name in ("four_nodes", "one_node"))
    assert {name: one[name] for name in four if four[name] != one[name]} == {
        "trainer.nnodes": 1,
        "actor_rollout_ref.actor.fsdp_config.param_offload": True,
        "actor_rollout_ref.actor.fsdp_config.optimizer_offload": True,
    }
    assert set(four) == set(one)


def test_one_override_makes_a_baseline_with_all_that_belongs_to_it():
    dapo, grpo, release = plain("objective=dapo"), plain("objective=grpo"), plain("htpo.variant=release")
    assert read_settings(dapo).objective.options == {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": 10.0}
    assert dapo["algorithm"]["filter_groups"]["enable"]
    assert read_settings(release).objective.options["variant"] == "release"
    assert not grpo["algorithm"]["filter_groups"]["enable"]
    assert not grpo["reward"]["reward_kwargs"]["overlong_buffer_cfg"]["enable"]
    folders = {config["trainer"]["default_local_dir"] for config in (plain(), dapo, grpo, release)}
    assert len(folders) == 4  # verl goes on from what it finds there


def test_without_a_workspace_it_says_what_is_missing():
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationToMissingValueError

    with initialize_config_module("htpo.recipes.verl", version_base=None):
        config = compose(NAME)
    with pytest.raises(InterpolationToMissingValueError, match="workspace"):
        OmegaConf.to_container(config, resolve=True)


def test_every_value_stands_in_one_place():
    """Each file but the cluster's and objective's variants adds values; none repeats what it is made from."""
    folder = RECIPES / "verl"
    for file, below in [
        ("cluster/one_node", ["cluster/four_nodes"]),
        ("cluster/rehearsal", ["cluster/one_node", "cluster/four_nodes"]),
        ("objective/htpo", ["objective/dapo"]),
        ("objective/dapo", [NAME]),
        ("cluster/four_nodes", [NAME]),
    ]:
        own, *others = (leaves(yaml.safe_load((folder / f"{name}.yaml").read_text())) for name in (file, *below))
        for other in others:
            repeated = {name for name in own if name != "defaults" and other.get(name, ...) == own[name]}
            assert not repeated, (file, repeated)
