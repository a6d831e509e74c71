"""What was said of each response, as a tensor: so it goes wherever the host shuffles, cuts and regroups rows."""

import json
from collections.abc import Sequence

import torch
from torch import Tensor

from htpo.engines.judging import Judgement
from htpo.engines.recording import storable

JUDGEMENT = "judgement"
"""Name among the host's tensors: (B, L) uint8, UTF-8 of a JSON list of the texts `FIELDS`, zeros after it."""
FIELDS = ("gold", "answer", "failure")


def pack(judgements: Sequence[Judgement | None], device: torch.device) -> Tensor:
    """(B, L) uint8, L being the longest; None where nothing is known."""
    texts = [json.dumps(list(map(storable, _fields(judgement)))).encode() for judgement in judgements]
    width = max(map(len, texts), default=0)
    packed = torch.frombuffer(bytearray(b"".join(text.ljust(width, b"\0") for text in texts)), dtype=torch.uint8)
    return packed.view(len(texts), width).to(device)


def unpack(row: Tensor) -> dict[str, str | None]:
    """The texts of one row, (L,) uint8, by `FIELDS`."""
    texts = json.loads(bytes(row.tolist()).rstrip(b"\0"))
    return dict(zip(FIELDS, texts, strict=True))


def _fields(judgement: Judgement | None) -> tuple[str | None, str | None, str | None]:
    if judgement is None:
        return None, None, None
    return judgement.gold, judgement.verdict.extracted, judgement.verdict.failure
