"""Axes by what a token is in an episode: the turn in which it was sampled, and whether it thinks or acts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from htpo.objectives.axes import Cuts, register_axis
from htpo.objectives.batch import ACTION, TokenBatch
from htpo.objectives.indicators import from_mask
from htpo.objectives.options import check_whole_number


@register_axis("turn")
@dataclass(frozen=True)
class Turn:
    """First for the first `first` turns of an episode, later for the rest."""

    first: int = 1
    levels = ("first", "later")
    reads = ("turn",)

    def __post_init__(self) -> None:
        check_whole_number("first of axis turn", self.first, 1)

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        return from_mask(batch.of_episodes("turn") > self.first, torch.int8)


@register_axis("segment")
@dataclass(frozen=True)
class Segment:
    """Action for what of a turn is its action, as the prompt format finds it; thinking for what comes before."""

    levels = ("thinking", "action")
    reads = ("segment",)

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        return from_mask(batch.of_episodes("segment") == ACTION, torch.int8)
