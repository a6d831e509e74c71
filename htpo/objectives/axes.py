"""Axes of the partition: each assigns every token a level, and the product of the levels is the table's groups."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from htpo.objectives.batch import TokenBatch
from htpo.objectives.indicators import from_mask, indicator
from htpo.objectives.options import check_choice, check_fraction
from htpo.objectives.quantiles import as_written, scoped_cut
from htpo.objectives.registration import register_once

Cuts = dict[str, Tensor]  # thresholds taken over the whole batch by name, (1, 1) each
SCOPES = ("response", "batch", "turn")
MOST_GROUPS = torch.iinfo(torch.int8).max


class Axis(Protocol):
    """One way of telling tokens apart.

    An axis that looks beyond the response, such as at a quantile of the batch, has an attribute `scope`, "batch"; one
    that compares within the turns of an episode, "turn". One that reads what batches of episodes alone have (see
    `TokenBatch.of_episodes`) names that in an attribute `reads`, such as ("turn",).
    """

    @property
    def levels(self) -> tuple[str, ...]:
        """Their names, in order."""

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        """Index into `levels` of every token: int8, (B, 1) or (B, T).

        What depends on other responses is one number of the whole batch, read from `cuts`, or computed from `batch`
        and left there; see `threshold`.
        """


AXES: dict[str, type[Any]] = {}  # of `Axis` each
A = TypeVar("A", bound=Axis)


def register_axis(name: str) -> Callable[[type[A]], type[A]]:
    """Make an axis known by name, to tables in configurations too; its options are the arguments it is made with.

    Raises:
        ValueError: another axis has that name.
    """

    def register(axis: type[A]) -> type[A]:
        register_once(AXES, "axis", name, axis)
        return axis

    return register


def check_partition(axes: Sequence[Axis]) -> None:
    """Raise ValueError unless the axes' levels can be written in a cell's key, their scopes are known, and their groups
    can be counted in int8."""
    for axis in axes:
        name, levels = name_of(axis), tuple(axis.levels)
        words = [level for level in levels if isinstance(level, str) and level and not set(level) & set(" /=")]
        if len(levels) < 2 or len(set(words)) < len(levels):
            raise ValueError(
                f"axis {name!r} has levels {levels!r}, needs two or more different words (no space, / or =)"
            )
        scope = getattr(axis, "scope", None)
        if scope is not None:
            check_choice(f"scope of axis {name}", scope, SCOPES)
    sizes = [len(axis.levels) for axis in axes]
    if math.prod(sizes) > MOST_GROUPS:
        product = " x ".join(f"{name_of(axis)} {size}" for axis, size in zip(axes, sizes, strict=True))
        raise ValueError(
            f"{product} makes {math.prod(sizes)} groups, at most {MOST_GROUPS}: leave an axis or levels out"
        )


def name_of(axis: Axis) -> str:
    """The name an axis was registered by, or of its class."""
    return next((name for name, kind in AXES.items() if kind is type(axis)), type(axis).__name__)


def label(axes: Sequence[Axis], levels: Sequence[str]) -> str:
    """A cell's levels in words, with the axis's name where another axis has a level of that name."""
    count = Counter(level for axis in axes for level in axis.levels)
    named = zip(axes, levels, strict=True)
    return " / ".join(level if count[level] == 1 else f"{name_of(axis)}={level}" for axis, level in named)


def threshold(cuts: Cuts, name: str, scope: str, take: Callable[[], Tensor]) -> Tensor:
    """What `take` computes, within each response or turn; for "batch" read from `cuts`, or computed and left there.

    A response is never cut, so its own thresholds are the same in every micro-batch and need not be handed on.
    """
    if scope != "batch":
        return take()
    if name not in cuts:
        cuts[name] = take()
    return cuts[name]


@register_axis("difficulty")
@dataclass(frozen=True)
class Difficulty:
    """Hard when 1 - group_accuracy > threshold, group_accuracy being the share of right answers to the problem."""

    threshold: float
    levels = ("hard", "easy")

    def __post_init__(self) -> None:
        check_fraction("threshold of axis difficulty", self.threshold, zero=True)

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        # A mean such as 3/5 is not exact in binary; half a unit in its last place must not make it hard.
        rounding = max(1e-6, torch.finfo(batch.group_accuracy.dtype).eps / 4)
        hard = batch.group_accuracy < 1 - self.threshold - rounding
        return from_mask(~hard.unsqueeze(1), torch.int8)


@register_axis("correctness")
@dataclass(frozen=True)
class Correctness:
    """Whether the verifier accepted the response."""

    levels = ("correct", "wrong")

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        return from_mask(~batch.correct.unsqueeze(1), torch.int8)


@register_axis("entropy")
@dataclass(frozen=True)
class Entropy:
    """High for the top `fraction` of tokens by entropy, ties included.

    `scope` says among which tokens: those of the same "response", the same "turn", or all policy tokens of the "batch".
    """

    fraction: float
    scope: str
    levels = ("low", "high")

    def __post_init__(self) -> None:
        check_fraction("fraction of axis entropy", self.fraction)
        check_choice("scope of axis entropy", self.scope, SCOPES)

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        def take() -> Tensor:
            member = from_mask(batch.mask, torch.int8)
            return scoped_cut(batch, batch.entropy, member, self.fraction, self.scope, largest=True)

        cut = threshold(cuts, f"entropy {self.fraction}", self.scope, take)
        return indicator(torch.ge, batch.entropy, cut).to(torch.int8)


@register_axis("position")
@dataclass(frozen=True)
class Position:
    """Early for the first ceil(share * tokens) of a response's policy tokens, late for the rest."""

    share: float = 0.5
    levels = ("early", "late")

    def __post_init__(self) -> None:
        check_fraction("share of axis position", self.share)

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        share = as_written(self.share)
        place = from_mask(batch.mask, torch.int8).cumsum(1, dtype=torch.int64) - 1
        early = (batch.mask.sum(1, keepdim=True) * share.numerator + share.denominator - 1) // share.denominator
        return from_mask(place >= early, torch.int8)
