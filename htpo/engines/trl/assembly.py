"""One batch from rows of several rounds: TRL's dictionaries of tensors taken apart and put together."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

PADDED_LEFT = ("prompt_ids", "prompt_mask")
PADDED_RIGHT = (
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "old_per_token_logps",
    "old_entropy",
    "ref_per_token_logps",
    "sampling_per_token_logps",
    "importance_sampling_ratio",
    "judgement",
    "turn",
    "segment",
    "history",
)
PER_ROW = ("advantages", "correct", "group_accuracy", "reward", "prompt_id")
RECOMPUTED = ("num_items_in_batch",)


def assemble(
    rounds: Sequence[dict[str, Any]], sources: Sequence[tuple[int, int] | None], pad_token_id: int
) -> dict[str, Any]:
    """One batch from rows of several rounds' batches (TRL's dictionaries), padded to the widest.

    A row without a source is a placeholder: its masks are 0, so it holds no token and enters no count.

    Raises:
        NotImplementedError: the batches hold something whose rows cannot be told apart (images).
    """
    unknown = set(rounds[0]) - {*PADDED_LEFT, *PADDED_RIGHT, *PER_ROW, *RECOMPUTED}
    if unknown:
        raise NotImplementedError(f"dynamic sampling cannot regroup {', '.join(sorted(unknown))}: switch it off")
    starts = [0]
    for batch in rounds:
        starts.append(starts[-1] + len(batch["prompt_ids"]))
    rows = torch.tensor([starts[source[0]] + source[1] if source else 0 for source in sources])
    empty = torch.tensor([source is None for source in sources])

    joined = {}
    for name in rounds[0]:
        if name in RECOMPUTED:
            continue
        parts = [batch[name] for batch in rounds]
        if name not in PER_ROW:
            padding = pad_token_id if name.endswith("_ids") else 0
            parts = _padded(parts, padding, left=name in PADDED_LEFT)
        joined[name] = torch.cat(parts)[rows.to(parts[0].device)]
    for name in ("completion_mask", "tool_mask"):
        if name in joined:
            joined[name] = joined[name].masked_fill(empty.to(joined[name].device).unsqueeze(1), 0)
    return joined


def _padded(parts: list[Tensor], value: int, *, left: bool) -> list[Tensor]:
    width = max(part.shape[1] for part in parts)
    pads = [(width - part.shape[1], 0) if left else (0, width - part.shape[1]) for part in parts]
    return [torch.nn.functional.pad(part, pad, value=value) for part, pad in zip(parts, pads, strict=True)]
