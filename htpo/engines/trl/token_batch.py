"""From TRL's dictionaries of tensors to the objectives' `TokenBatch`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from htpo.engines.trl.playing import SEGMENT, TURN
from htpo.engines.trl.sampling_entropy import OLD_ENTROPY, OLD_LOG_PROB
from htpo.objectives import TokenBatch
from htpo.objectives.draws import response_seeds


def policy_mask(inputs: dict[str, Any]) -> Tensor:
    """(B, T) bool: tokens the policy sampled, without padding and without what tools or environments wrote."""
    mask = inputs["completion_mask"]
    return (mask * inputs["tool_mask"] if "tool_mask" in inputs else mask).bool()


def token_batch(inputs: dict[str, Any], log_prob: Tensor, entropy: Tensor, *, seed: int, step: int) -> TokenBatch:
    """TRL's inputs of the loss with the current policy's log-probabilities and entropies, (B, T) each.

    Where the sampling policy's entropies are stored, they stand for the current one's.
    What is drawn at random follows from the run's seed, the optimiser's step and each response's row in its batch.
    """
    old_log_prob = inputs.get(OLD_LOG_PROB)
    return TokenBatch(
        log_prob=log_prob,
        old_log_prob=log_prob.detach() if old_log_prob is None else old_log_prob,
        advantage=inputs["advantages"],
        entropy=inputs.get(OLD_ENTROPY, entropy).detach(),
        mask=policy_mask(inputs),
        correct=inputs["correct"],
        group_accuracy=inputs["group_accuracy"],
        seed=response_seeds(seed, step, inputs["row"]),
        turn=inputs.get(TURN),
        segment=inputs.get(SEGMENT),
    )


@torch.no_grad()
def whole_update(
    score: Callable[[dict[str, Any]], tuple[Tensor, Tensor]],
    accelerator: Any,
    micro_batches: list[dict[str, Any]],
    *,
    seed: int,
    step: int,
) -> TokenBatch:
    """All micro-batches of an update, of all processes, as one batch: what batch-wide quantiles are taken over.

    Args:
        score: a micro-batch -> (log-probabilities, entropies) of its completions.
        micro_batches: this process's, all of one width.
        seed, step: as for `token_batch`.

    Raises:
        NotImplementedError: the micro-batches hold images, which this extra forward pass does not feed to the model.
    """
    if "pixel_values" in micro_batches[0]:
        raise NotImplementedError('entropy_scope="batch" does not work with images: use "response"')
    parts = [token_batch(micro, *score(micro), seed=seed, step=step) for micro in micro_batches]
    return _over_processes(parts, accelerator)


@torch.no_grad()
def whole_generation(accelerator: Any, micro_batches: list[dict[str, Any]], *, seed: int, step: int) -> TokenBatch:
    """All of a generation batch, of all processes, under the policy that sampled it: see `whole_update`.

    Args:
        micro_batches: all of this process's, with the sampling policy's log-probabilities and entropies.
    """
    parts = [
        token_batch(micro, micro[OLD_LOG_PROB], micro[OLD_ENTROPY], seed=seed, step=step) for micro in micro_batches
    ]
    return _over_processes(parts, accelerator)


def _over_processes(parts: list[TokenBatch], accelerator: Any) -> TokenBatch:
    def gathered(name: str) -> Tensor | None:
        if getattr(parts[0], name) is None:
            return None
        local = torch.cat([getattr(part, name) for part in parts])
        dtype = local.dtype
        if dtype == torch.bool:
            local = local.to(torch.int8)  # padding would make int64 of bool, on the processes that are padded alone
        if local.dim() > 1:
            local = accelerator.pad_across_processes(local, dim=1)
        return accelerator.gather(local).to(dtype)

    fields: dict[str, Any] = {name: gathered(name) for name in TokenBatch.__dataclass_fields__}
    return TokenBatch(**fields)
