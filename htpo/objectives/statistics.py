"""Statistics of an objective as sums that add over micro-batches and ranks, and the shares read off them."""

import torch
from torch import Tensor

from htpo.objectives.indicators import indicator


@torch.no_grad()
def group_sums(group: Tensor, groups: int, per_token: dict[str, Tensor]) -> dict[str, Tensor]:
    """The token count and the sum of each (B, T) float tensor of `per_token` over the table's groups: (groups,) each.

    Group 0, the tokens outside the mask, is left out; what stands there must be finite.
    """
    dtype = per_token["entropy"].dtype
    flat = {name: x.reshape(-1) for name, x in per_token.items()}
    sums: dict[str, list[Tensor]] = {name: [] for name in ("tokens", *flat)}
    for number in range(1, groups + 1):
        member = indicator(torch.eq, group, number).to(dtype).reshape(-1)
        sums["tokens"].append(member.sum())
        for name, x in flat.items():
            sums[name].append(torch.dot(member, x))
    return {name: torch.stack(values) for name, values in sums.items()}


def add_sums(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The sums of a whole batch from those of its micro-batches (or ranks)."""
    return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}


def summarize(sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """Shares and means from sums, as scalar tensors. A group without tokens has share 0 and NaN for its means.

    Keys: `entropy` (nats, mean over tokens); `clip/low_fraction`, `clip/high_fraction`, `clip/region_fraction` (share
    of tokens at which PPO's clip would bind: ratio below the range with negative advantage, above it with positive,
    either); `differs_from_ppo` (share of tokens whose gradient is not that of PPO's clip with the same ratio, range and
    dual clip); `nonfinite_tokens` (a count); and, if the objective has a partition, for each group `group/G1/...`:
    `token_share`, `entropy` (nats), `clipped_share`, `detached_share` and `differs_share` (of the group's tokens),
    `weight_share` (of sum |w A| over the batch).
    """
    total = {name: value.sum() for name, value in sums.items()}
    tokens = total["tokens"].clamp(min=1)
    stats = {
        "entropy": total["entropy"] / tokens,
        "clip/low_fraction": total["clipped_low"] / tokens,
        "clip/high_fraction": total["clipped_high"] / tokens,
        "clip/region_fraction": (total["clipped_low"] + total["clipped_high"]) / tokens,
        "differs_from_ppo": total["differs"] / tokens,
        "nonfinite_tokens": total["nonfinite"],
    }
    if sums["tokens"].numel() == 1:
        return stats
    count = sums["tokens"]
    per_group = {
        "token_share": count / tokens,
        "entropy": sums["entropy"] / count,
        "clipped_share": (sums["clipped_low"] + sums["clipped_high"]) / count,
        "detached_share": sums["detached"] / count,
        "differs_share": sums["differs"] / count,
        "weight_share": torch.nan_to_num(sums["pull"] / total["pull"], nan=0.0),
    }
    for name, values in per_group.items():
        for number, value in enumerate(values.unbind(), start=1):
            stats[f"group/G{number}/{name}"] = value
    return stats
