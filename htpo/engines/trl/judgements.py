"""What was said of each response, as a tensor: so it goes wherever the host shuffles, cuts and regroups rows."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from htpo.engines.judging import Judgement
from htpo.engines.recording import SAID_OF_EPISODES, said_of_episode, storable

JUDGEMENT = "judgement"
"""Name among the host's tensors: (B, L) uint8, UTF-8 of a JSON list of what `FIELDS` names, zeros after it."""
FIELDS = ("gold", "answer", "failure", *SAID_OF_EPISODES)


def pack(judgements: Sequence[Judgement | None], device: torch.device) -> Tensor:
    """(B, L) uint8, L being the longest; None where nothing is known."""
    texts = [json.dumps(_fields(judgement)).encode() for judgement in judgements]
    width = max(map(len, texts), default=0)
    packed = torch.frombuffer(bytearray(b"".join(text.ljust(width, b"\0") for text in texts)), dtype=torch.uint8)
    return packed.view(len(texts), width).to(device)


def unpack(row: Tensor) -> dict[str, Any]:
    """What is known of one row, (L,) uint8, by `FIELDS`."""
    values = json.loads(bytes(row.tolist()).rstrip(b"\0"))
    return dict(zip(FIELDS, values, strict=True))


def _fields(judgement: Judgement | None) -> list[Any]:
    if judgement is None:
        return [None] * len(FIELDS)
    verdict, episode = judgement.verdict, judgement.episode
    judged = list(map(storable, (judgement.gold, verdict.extracted, verdict.failure)))
    if episode is None:
        return [*judged, *[None] * len(SAID_OF_EPISODES)]
    return [*judged, *said_of_episode(episode).values()]
