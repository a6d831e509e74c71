"""verl's own configuration takes the command of `htpo train --engine verl`, and our plugin accepts it."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from htpo.engines.job_options import JobOptions
from htpo.engines.verl.command import Facts, Place, make_command
from htpo.engines.verl.options import VerlOptions
from htpo.engines.verl.settings import read_settings
from htpo.objectives import OBJECTIVES

pytestmark = pytest.mark.verl
NOT_IN_VERL = {"bapo", "clip_cov", "kl_cov"}


@pytest.fixture(autouse=True)
def _verl():
    if find_spec("verl") is None:
        pytest.skip("verl is not installed")


def configuration(on_cpu: bool, **options) -> dict:
    """What verl makes of the command."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    given = VerlOptions(output_dir="/a b/run", save_steps=8, max_steps=16, gpus_per_node=2, **options)
    facts = Facts("some/model", 4096, True, 100, "{{ bos_token }}{{ m['content'] }}", on_cpu)
    command = make_command(given, JobOptions(), Place(Path("/a b/run")), facts)
    overrides = [argument for argument in command[3:] if not argument.startswith("hydra.")]
    folder = Path(find_spec("verl").origin).parent / "trainer" / "config"
    with initialize_config_dir(str(folder), version_base=None):
        return OmegaConf.to_container(compose("ppo_trainer", overrides), resolve=True)


@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize("objective", sorted({*OBJECTIVES} - NOT_IN_VERL))
def test_every_objective_of_verl_is_accepted_with_its_command(objective, on_cpu):
    entropy_of = "old" if objective == "entropy_mask" else "current"
    config = configuration(on_cpu, objective=objective, entropy_of=entropy_of, beta=0.01, bf16=False)
    settings = read_settings(config)
    assert settings.objective.name == objective
    assert settings.output_dir == "/a b/run"
    assert config["data"]["train_files"] == "/a b/run/verl/data/train.parquet"
    assert config["actor_rollout_ref"]["model"]["custom_chat_template"] == "{{ bos_token }}{{ m['content'] }}"
    assert config["actor_rollout_ref"]["ref"]["log_prob_use_dynamic_bsz"] is True


def test_the_methods_options_reach_it():
    options = {"clip_high": 0.3, "entropy_scope": "batch", "axes": ["difficulty", "correctness"]}
    chosen = read_settings(configuration(True, objective_options=options, entropy_of="old")).objective
    assert chosen.clip_high == 0.3
    assert chosen.options["entropy_scope"] == "batch"
    assert [type(axis).__name__ for axis in chosen.axes] == ["Difficulty", "Correctness"]
