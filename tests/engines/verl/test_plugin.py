"""verl finds the trainer modes, and a broken installation says what is wrong."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from htpo.engines.verl.agent_loop import EpisodeAgentLoop
from htpo.engines.verl.episode_data import AGENT
from htpo.errors import UserError
from tests.engines.verl.worker import ENVIRONMENT, configuration

pytestmark = pytest.mark.verl


@pytest.mark.parametrize("mode", ["sync", "colocate_async", "separate_async"])
def test_each_mode_is_verl_s_own_trainer_with_an_objective(mode):
    from verl.trainer.ppo.v1 import get_trainer_cls

    from htpo.engines.verl.trainer import ObjectiveTrainer

    trainer = get_trainer_cls(f"htpo_{mode}")
    assert issubclass(trainer, ObjectiveTrainer)
    assert issubclass(trainer, get_trainer_cls(mode))
    assert trainer.host_mode == mode


def test_verl_makes_the_agent_loop_of_episodes_for_rows_that_name_it():
    import hydra
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    given = {"processor": None, "hf_model_type": None, "dataset_cls": None, "tools": None}  # as verl's worker gives it
    config = SimpleNamespace(config=configuration("reward.reward_manager.name=htpo"))
    loop = hydra.utils.instantiate(
        _agent_loop_registry[AGENT],
        trainer_config=config,
        server_manager="server",
        tokenizer="tokenizer",
        data_config=SimpleNamespace(config=config.config.data),
        **given,
    )
    assert (type(loop), loop.server, loop.tokenizer) == (EpisodeAgentLoop, "server", "tokenizer")
    assert loop._window() == config.config.data.max_prompt_length + config.config.data.max_response_length


def check(**environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "htpo.engines.verl.plugin"],
        env=os.environ | ENVIRONMENT | environment,
        capture_output=True,
        text=True,
    )


def test_the_check_lists_the_modes():
    done = check()
    assert "trainer modes: htpo_sync, htpo_colocate_async, htpo_separate_async" in done.stdout, done.stderr[-2000:]


def test_the_check_says_that_verl_does_not_load_the_plugin():
    done = check(VERL_USE_EXTERNAL_PLUGINS="none")
    assert done.returncode == 1
    assert "verl does not load this plugin: VERL_USE_EXTERNAL_PLUGINS is none, unset it" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("trainer.v1.trainer_mode=sync", "+htpo.objective=htpo"), "would not read +htpo.objective"),
        (("trainer.use_v1=False", "+htpo.verifier=math", "+htpo.clip_high=0.3"), "would not read +htpo.clip_high"),
        (("trainer.v1.trainer_mode=htpo_sync", "trainer.use_v1=False"), "trainer.use_v1=True"),
        (("trainer.v1.trainer_mode=htpo_sync", "+htpo.high_entropy=0.3"), "unknown option 'high_entropy'"),
        (("trainer.v1.trainer_mode=htpo_separate_async",), "calculate_entropy=True, or +htpo.entropy_of=old"),
    ],
)
def test_verl_s_command_refuses_what_would_go_wrong_before_it_starts_ray(overrides, said):
    from verl.utils.config import validate_config

    with pytest.raises(UserError) as caught:
        validate_config(configuration(*overrides), use_reference_policy=False, use_critic=False)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_verl_s_own_trainers_stay_as_they_are_with_our_verifiers_too():
    from verl.utils.config import validate_config

    with pytest.raises(Exception, match="ppo_micro_batch_size_per_gpu"):
        validate_config(configuration(), use_reference_policy=False, use_critic=False)
    ours = "+htpo.verifier=math", "reward.reward_manager.name=htpo"
    sized = "actor_rollout_ref.actor.use_dynamic_bsz=True"
    validate_config(configuration(sized, *ours), use_reference_policy=False, use_critic=False)
