"""What `+htpo.*` of a verl configuration asks for, checked beside verl's own options."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from htpo.engines.entropy_of import reads_the_current_batch
from htpo.engines.objective_options import ObjectiveOptions, read_block
from htpo.engines.verl.batch_fields import OF_EPISODES
from htpo.engines.verl.row_verdicts import VERIFIER_OPTIONS
from htpo.errors import UserError
from htpo.objectives import TableObjective, fixed_length_mean, sequence_mean, token_mean

WORKING_VERL = "0.9.1"

HOST_MODES = ("sync", "colocate_async", "separate_async")
"""verl's trainer modes; each is known with an objective under the same name behind `MODE_PREFIX`."""

HOST_AGGREGATION = {
    token_mean: "token-mean",
    sequence_mean: "seq-mean-token-mean",
    fixed_length_mean: "seq-mean-token-sum-norm",
}
"""verl's `actor.loss_agg_mode` with the same aggregation as the objective's."""

RECORD_OPTIONS = ("output_dir", "rollout_every", "rollouts_kept")
MODE_PREFIX = "htpo_"
"""Before verl's name of a trainer mode: the same with an objective."""
CLIP_OPTIONS = {"clip_ratio": 0.2, "clip_ratio_low": 0.2, "clip_ratio_high": 0.2, "clip_ratio_c": 3.0}
"""verl's options of PPO's clip, with its defaults: they would have no effect."""


@dataclass(frozen=True)
class Settings:
    """The objective of a run on verl, and what it reads."""

    objective: TableObjective
    entropy_of: str  # see `htpo.engines.entropy_of`
    max_generation_rounds: int  # of dynamic sampling; see `DrawLimit`
    correctness_threshold: float  # an answer is correct when the reward function's `acc` is above it
    output_dir: str | None = None  # the run directory; None: nothing is recorded
    rollout_every: int = 10  # steps of verl's; 0: no rollouts are kept
    rollouts_kept: int = 32  # of a step at most


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Settings from verl's whole configuration, as plain data.

    The block `htpo` holds what a recipe of `htpo train` says of the objective, flat or listed (see `ObjectiveOptions`),
    options of a verifier, and `RECORD_OPTIONS`.

    Raises:
        UserError: an option is unknown or unusable, or an option of verl's would be ignored or make it another method.
    """
    given = config.get("htpo") or {}
    options, objective = read_objective(given)
    check_batch_quantiles(objective, options.entropy_of)
    _check_actor(config["actor_rollout_ref"]["actor"], objective, options.entropy_of)
    _check_algorithm(config, objective)
    threshold = options.correctness_threshold or 0.0
    return Settings(objective, options.entropy_of, options.max_generation_rounds, threshold, **_record_options(given))


def read_objective(given: Mapping[str, Any]) -> tuple[ObjectiveOptions, TableObjective]:
    """What the block `htpo` says of the objective. Raises UserError where that is unknown or unusable."""
    block = {name: value for name, value in given.items() if name not in (*VERIFIER_OPTIONS, *RECORD_OPTIONS)}
    try:
        options = read_block(block)
        return options, options.make_objective()
    except UserError as error:
        raise UserError(f"+htpo: {error}") from error


def refuse_ignored_block(config: Mapping[str, Any]) -> None:
    """Raise UserError if the configuration asks for an objective by a trainer of verl's that has none.

    Options of the verifier (`VERIFIER_OPTIONS`) are read with any trainer.
    """
    trainer = config["trainer"]
    mode = trainer["v1"]["trainer_mode"]
    ours = str(mode).startswith(MODE_PREFIX)
    if ours and not trainer.get("use_v1", True):
        raise UserError(f"trainer.use_v1=False trains without trainer.v1.trainer_mode={mode}: trainer.use_v1=True")
    ignored = sorted(set(config.get("htpo") or {}) - set(VERIFIER_OPTIONS))
    if ignored and not ours:
        raise UserError(
            f"trainer.v1.trainer_mode={mode} trains by verl's own loss and would not read +htpo.{ignored[0]}: "
            f"trainer.v1.trainer_mode={MODE_PREFIX}{mode}, or leave it out"
        )


def refuse_other_versions(version: str) -> None:
    """Raise UserError unless this is the version of verl that the plugin was tried with."""
    if version != WORKING_VERL:
        raise UserError(f"htpo works with verl {WORKING_VERL}, and this is {version}: pip install verl=={WORKING_VERL}")


def _record_options(block: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: block[name] for name in RECORD_OPTIONS if block.get(name) is not None}
    folder = given.get("output_dir", ".")
    if not isinstance(folder, str) or not folder:
        raise UserError(f"+htpo.output_dir is {folder!r}, needs a folder")
    for name, least in (("rollout_every", 0), ("rollouts_kept", 1)):
        value = given.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"+htpo.{name} is {value!r}, needs a whole number, at least {least}")
    return given


def check_batch_quantiles(objective: TableObjective, entropy_of: str, option: str = "+htpo.entropy_of") -> None:
    """Refuse what verl's workers do not know of tokens, and thresholds over the whole batch that they cannot take.

    Args:
        option: as which the user says `entropy_of`.

    Raises:
        UserError: one line that says so.
    """
    unknown = [name for name in objective.reads if name not in OF_EPISODES]
    if unknown:
        raise UserError(
            f"objective {objective.name!r} tells tokens apart by their {' and '.join(unknown)}, which verl's "
            "workers do not know: it runs with TRL only"
        )
    if not objective.takes_batch_quantiles:
        return
    if reads_the_current_batch(objective):
        raise UserError(
            f"objective {objective.name!r} looks at the whole batch under the policy in training, which verl's workers "
            "do not hold: it runs with TRL only"
        )
    if entropy_of == "current":
        raise UserError(f"thresholds over the whole batch need {option}=old: verl's workers hold parts of the batch")


def _check_actor(actor: Mapping[str, Any], objective: TableObjective, entropy_of: str) -> None:
    where = "actor_rollout_ref.actor"
    mode = HOST_AGGREGATION[objective.aggregate]
    if actor["loss_agg_mode"] != mode:
        raise UserError(
            f"{where}.loss_agg_mode={actor['loss_agg_mode']} makes another method of objective {objective.name!r}: "
            f"{where}.loss_agg_mode={mode}"
        )
    if objective.aggregate is fixed_length_mean and not actor.get("loss_scale_factor"):
        raise UserError(
            f"without {where}.loss_scale_factor verl divides by the longest answer of each micro-batch: give it "
            "the length limit, data.max_response_length"
        )
    if entropy_of == "current" and not (actor.get("calculate_entropy") or actor.get("entropy_coeff")):
        raise UserError(
            f"the objective needs the policy's entropy: {where}.calculate_entropy=True, or +htpo.entropy_of=old"
        )
    loss_mode = (actor.get("policy_loss") or {}).get("loss_mode", "vanilla")
    if loss_mode != "vanilla":
        raise UserError(
            f"{where}.policy_loss.loss_mode={loss_mode} would have no effect: +htpo.objective says the loss"
        )
    for name, default in CLIP_OPTIONS.items():
        if actor.get(name, default) not in (default, None):
            raise UserError(f"{where}.{name}={actor[name]} would have no effect: clipping is an option of +htpo")


def _check_algorithm(config: Mapping[str, Any], objective: TableObjective) -> None:
    algorithm = config["algorithm"]
    if objective.scale_rewards == "none" and algorithm.get("norm_adv_by_std_in_grpo", True):
        raise UserError(
            f"objective {objective.name!r} does not divide advantages by the standard deviation: "
            "algorithm.norm_adv_by_std_in_grpo=False"
        )
    if (algorithm.get("rollout_correction") or {}).get("bypass_mode"):
        raise UserError("algorithm.rollout_correction.bypass_mode has a loss of its own: set it to False")
    if (config.get("distillation") or {}).get("enabled"):
        raise UserError(
            "distillation has a loss of its own, which the objective would replace: distillation.enabled=False"
        )
