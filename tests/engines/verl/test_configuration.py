"""What of verl's configuration was changed, and which checkpoint it goes on from."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from htpo.engines.verl.configuration import changed_options, checkpoint_to_load

pytestmark = pytest.mark.verl


def configuration(*overrides: str) -> dict:
    """As verl's command makes it."""
    if find_spec("verl") is None:
        pytest.skip("verl is not installed")
    import verl
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        return OmegaConf.to_container(compose("ppo_trainer", list(overrides)), resolve=True)


def test_only_what_was_given_is_changed_and_not_what_follows_from_it():
    given = {
        "actor_rollout_ref.rollout.n": 4,  # actor.rollout_n follows
        "actor_rollout_ref.actor.use_dynamic_bsz": True,  # that of the reference policy does
        "data.max_response_length": 12,
        "htpo.objective": "dapo",
        "reward.reward_kwargs.overlong_buffer_cfg.len": 4,
    }
    new = ("htpo.", "reward.reward_kwargs.")
    config = configuration(*(f"{'+' if name.startswith(new) else ''}{name}={value}" for name, value in given.items()))
    assert changed_options(config) == given


def test_what_follows_from_another_option_is_changed_where_it_was_given_itself():
    name = "actor_rollout_ref.ref.log_prob_use_dynamic_bsz"
    assert changed_options(configuration(f"{name}=true")) == {name: True}


def test_the_checkpoint_is_the_last_one_where_verl_looks(tmp_path):
    places = [f"trainer.default_local_dir={tmp_path}", "trainer.resume_mode=auto"]
    assert checkpoint_to_load(configuration(*places)) is None
    (tmp_path / "global_step_4").mkdir()
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("4")
    assert checkpoint_to_load(configuration(*places)) == str(tmp_path / "global_step_4")
    assert checkpoint_to_load(configuration(*places, "trainer.resume_mode=disable")) is None
    chosen = ["trainer.resume_mode=resume_path", "trainer.resume_from_path=somewhere/global_step_2"]
    assert checkpoint_to_load(configuration(*places, *chosen)) == "somewhere/global_step_2"
