"""The plan of a verl run in words, from verl's options."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from htpo.engines.batch_shape import BatchShape
from htpo.engines.plan import plan_in_words
from htpo.engines.verl.settings import WORKING_VERL, Settings


def plan_of(config: Mapping[str, Any], settings: Settings, *, prompts: int, held_out: int) -> dict[str, str]:
    """What is about to happen, by topic.

    Args:
        config: verl's whole configuration, as plain data.
        prompts, held_out: in the training and the validation data.
    """
    actor, trainer = config["actor_rollout_ref"]["actor"], config["trainer"]
    plan = plan_in_words(
        settings.objective,
        batch_shape(config),
        policy=config["actor_rollout_ref"]["model"]["path"],
        task=f"{_names(config['data']['train_files'])}: {prompts:,} prompts",
        max_rounds=settings.max_generation_rounds if filtered_by(config) else 0,
        overlong_buffer=_overlong_buffer(config),
        measured=_measured(config, held_out),
    )
    estimator = config["algorithm"]["adv_estimator"]
    if estimator != "grpo":
        plan["loss"] = f"{plan['loss'].split(';')[0]}; advantages by verl's {estimator}"
    plan["entropy"] = f"of the policy that {'sampled' if settings.entropy_of == 'old' else 'is trained'}"
    machines = f"{trainer['nnodes']} x {trainer['n_gpus_per_node']} devices"
    mode = str(trainer["v1"]["trainer_mode"]).removeprefix("htpo_")
    plan["engine"] = f"verl {WORKING_VERL}, {mode}, {actor['strategy']} on {machines}"
    return plan


def batch_shape(config: Mapping[str, Any]) -> BatchShape:
    """A step of verl's: its prompts, and the updates made of them. How workers share an update is left out."""
    data, actor = config["data"], config["actor_rollout_ref"]["actor"]
    samples = config["actor_rollout_ref"]["rollout"]["n"]
    return BatchShape(
        prompts=data["train_batch_size"],
        samples=samples,
        updates=updates_of(config, data["train_batch_size"] * samples),
        processes=1,
        micro_batches=1,
        micro_batch=actor["ppo_mini_batch_size"] * samples,
        max_tokens=data["max_response_length"],
    )


def updates_of(config: Mapping[str, Any], rows: int) -> int:
    """Updates that verl makes of so many rows, padding included."""
    actor, samples = config["actor_rollout_ref"]["actor"], config["actor_rollout_ref"]["rollout"]["n"]
    return int(rows // (actor["ppo_mini_batch_size"] * samples) * actor["ppo_epochs"])


def filtered_by(config: Mapping[str, Any]) -> str | None:
    """The metric by which dynamic sampling leaves prompts out; None where it is off."""
    groups = config["algorithm"].get("filter_groups") or {}
    return groups.get("metric") if groups.get("enable") else None


def _overlong_buffer(config: Mapping[str, Any]) -> int:
    given = ((config.get("reward") or {}).get("reward_kwargs") or {}).get("overlong_buffer_cfg") or {}
    return int(given["len"]) if given.get("enable") else 0


def _measured(config: Mapping[str, Any], problems: int) -> str:
    trainer, sampling = config["trainer"], config["actor_rollout_ref"]["rollout"]["val_kwargs"]
    when = ["before"] if trainer["val_before_train"] else []
    if trainer["test_freq"] > 0:
        when += ["after", f"every {trainer['test_freq']} steps"]
    if not when:
        return "nothing measured: trainer.val_before_train and trainer.test_freq are off"
    return f"{problems:,} problems x {sampling['n']} samples at temperature {sampling['temperature']:g}, " + (
        " and ".join(filter(None, [", ".join(when[:-1]), when[-1]]))
    )


def _names(files: str | Sequence[str]) -> str:
    return " + ".join(PurePath(file).name for file in ([files] if isinstance(files, str) else files))
