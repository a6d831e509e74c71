"""What was said of each response, as a tensor: so it goes wherever the host shuffles, cuts and regroups rows."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from htpo.runs.rollouts import LONGEST_TEXT

JUDGEMENT = "judgement"
"""Name among the host's tensors: (B, L) uint8, UTF-8 of a JSON list of the texts `FIELDS`, zeros after it."""
FIELDS = ("gold", "answer", "failure")
Judgement = tuple[str | None, str | None, str | None]


def judgements_of(reward_functions: Sequence[Any], rows: int) -> list[Judgement]:
    """What the first reward function that keeps its `judgements` says of the responses it was last asked about.

    Args:
        rows: number of responses; of each nothing is known where no function keeps them.
    """
    kept = (function.judgements for function in reward_functions if hasattr(function, "judgements"))
    return next(kept, [(None, None, None)] * rows)


def pack(judgements: Sequence[Judgement], device: torch.device) -> Tensor:
    """(B, L) uint8, L being the longest."""
    texts = [json.dumps([_cut(field) for field in fields]).encode() for fields in judgements]
    width = max(map(len, texts), default=0)
    packed = torch.frombuffer(bytearray(b"".join(text.ljust(width, b"\0") for text in texts)), dtype=torch.uint8)
    return packed.view(len(texts), width).to(device)


def unpack(row: Tensor) -> dict[str, str | None]:
    """The texts of one row, (L,) uint8, by `FIELDS`."""
    texts = json.loads(bytes(row.tolist()).rstrip(b"\0"))
    return dict(zip(FIELDS, map(_storable, texts), strict=True))


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _storable(text: str | None) -> str | None:
    """Half characters, which JSON can hold and UTF-8 cannot, become question marks."""
    return None if text is None else text.encode("utf-8", "replace").decode()
