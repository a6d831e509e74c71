"""The loss of verl's workers: an objective's J per token inside verl's own `ppo_loss`."""

import platform
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from htpo.engines.handover import Handover
from htpo.engines.verl.batch_fields import CORRECT, CUTS, GROUP_ACCURACY, cut_names, cuts_of, field_of
from htpo.errors import UserError
from htpo.objectives import Outcome, TableObjective, TokenBatch, summarize
from htpo.objectives.axes import Cuts
from htpo.objectives.custom import load_plugin

LOSS_MODE = "htpo"  # the objective's name among verl's policy losses
SUMS = "htpo_sums/"  # prefix of metrics that `read_sums` reads


@dataclass(frozen=True)
class _Given:
    """What verl's `ppo_loss` does not hand on to a policy loss, by micro-batch."""

    objective: TableObjective
    entropy: Tensor  # (B, T)
    correct: Tensor  # (B,)
    group_accuracy: Tensor  # (B,)
    cuts: Cuts
    of_episodes: dict[str, Any]  # (B, T) each; see `batch_fields.OF_EPISODES`


_LOSS: Handover[_Given, Outcome] = Handover("the objective of verl's loss")


@dataclass(frozen=True)
class ObjectiveLoss:
    """A loss for `set_loss_fn` of verl's worker groups, which pickle it.

    verl's `ppo_loss` runs as it is, with the objective as its policy loss: padding, aggregation over micro-batches and
    ranks, KL loss, entropy bonus and rollout correction stay verl's code.

    Args:
        config: verl's actor configuration, whose `policy_loss.loss_mode` is `LOSS_MODE`.
        entropy_of: by whose entropy the objective tells tokens apart, see `htpo.engines.entropy_of`. "old" is what
            verl has stored; for "current" it must compute entropies in training (`actor.calculate_entropy`).
    """

    config: Any
    objective: TableObjective
    entropy_of: str = "current"

    @cached_property
    def cut_names(self) -> list[str]:
        """See `batch_fields.cut_names`."""
        return cut_names(self.objective)

    def __reduce__(self) -> tuple[Any, ...]:
        # In this order, so that a worker imports the user's module before it meets objects of its classes.
        module = _UserModule(self.objective.options.get("plugin"))
        return _unpickled, (module, self.config, self.objective, self.entropy_of)

    def __call__(self, model_output: dict[str, Any], data: Any, dp_group: Any = None) -> tuple[Tensor, dict[str, Any]]:
        """The loss of a micro-batch and its metrics, as verl's engines call it."""
        from verl.workers.utils.losses import ppo_loss
        from verl.workers.utils.padding import no_padding_2_padding

        _register_policy_loss()
        entropy = model_output.get("entropy")
        if entropy is not None and self.config.entropy_coeff == 0:
            entropy = entropy.detach()  # else verl takes 0 times the gradient of a (T, V) tensor
            model_output = {**model_output, "entropy": entropy}
        old = self.entropy_of == "old"
        entropy = _padded(data, "entropy") if old else no_padding_2_padding(entropy, data).detach()
        given = _Given(
            objective=self.objective,
            entropy=entropy,
            correct=data[CORRECT].bool(),
            group_accuracy=data[GROUP_ACCURACY],
            cuts=cuts_of(self.cut_names, data.get(CUTS, None)),
            of_episodes={name: _padded(data, field_of(name)) for name in self.objective.reads},
        )
        (loss, metrics), outcome = _LOSS.around(
            given, lambda: ppo_loss(self.config, model_output, data, dp_group=dp_group)
        )
        return loss, metrics | _as_metrics(outcome)


@dataclass(frozen=True)
class _UserModule:
    """Imports the module of the option `plugin` where it is unpickled."""

    name: Any

    def __reduce__(self) -> tuple[Any, ...]:
        return _import_on_worker, (self.name,)


def _import_on_worker(name: Any) -> _UserModule:
    try:
        load_plugin(name)
    except ValueError as error:
        raise UserError(f"worker on {platform.node()}: {error}") from error
    return _UserModule(name)


def _unpickled(module: _UserModule, *fields: Any) -> ObjectiveLoss:
    return ObjectiveLoss(*fields)


def policy_loss(
    old_log_prob: Tensor,
    log_prob: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """A policy loss as verl registers them: -J, times the weights of rollout correction, aggregated by verl.

    Raises:
        RuntimeError: called otherwise than by `ObjectiveLoss`.
    """
    from verl.trainer.ppo.core_algos import agg_loss

    if _LOSS.call is None:
        raise RuntimeError(f"loss mode {LOSS_MODE!r} is no policy loss of its own: train by trainer_mode=htpo_...")
    given = _LOSS.call.given
    batch = TokenBatch(
        log_prob=log_prob,
        old_log_prob=old_log_prob,
        advantage=advantages,
        entropy=given.entropy,
        mask=response_mask.bool(),
        correct=given.correct,
        group_accuracy=given.group_accuracy,
        **given.of_episodes,
    )
    outcome = given.objective(batch, given.cuts)
    _LOSS.call.left.append(outcome)
    value = -outcome.value
    if rollout_is_weights is not None:
        value = value * rollout_is_weights
    loss = agg_loss(loss_mat=value, loss_mask=batch.mask, loss_agg_mode=loss_agg_mode, **config.global_batch_info)
    moved = -batch.log_ratio().sum() / batch.mask.sum().clamp(min=1)
    return loss, {"actor/ppo_kl": moved.item()}


def read_sums(metrics: dict[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """Take the objective's statistics out of verl's metrics; see `summarize` for what comes back.

    verl adds the sums over micro-batches and averages over ranks and updates: shares are weighted by tokens.

    Args:
        prefix: what verl put before the names.
    """
    sums: dict[str, dict[int, float]] = {}
    for key in [key for key in metrics if key.startswith(prefix + SUMS)]:
        name, _, group = key.removeprefix(prefix + SUMS).rpartition("/")
        sums.setdefault(name, {})[int(group)] = metrics.pop(key)
    if not sums:
        return {}
    return summarize({name: torch.tensor([by[group] for group in sorted(by)]) for name, by in sums.items()})


@cache
def _register_policy_loss() -> None:
    from verl.trainer.ppo.core_algos import register_policy_loss

    register_policy_loss(LOSS_MODE)(policy_loss)


def _padded(data: Any, name: str) -> Tensor:
    """(B, T) of a field that verl has nested."""
    return data.select(name).to_padded_tensor()[name]


def _as_metrics(outcome: Outcome) -> dict[str, Any]:
    """The outcome's sums for `read_sums`, read from the device at once."""
    from verl.utils.metric import AggregationType, Metric

    values = torch.stack(list(outcome.sums.values())).tolist()
    return {
        f"{SUMS}{name}/{group}": Metric(value=value, aggregation=AggregationType.SUM)
        for name, of_groups in zip(outcome.sums, values, strict=True)
        for group, value in enumerate(of_groups)
    }
