"""The objective as a table: axes assign every token to a cell, a cell says what is optimised there."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from itertools import product
from typing import Any

import torch
from torch import Tensor

from htpo.objectives.adaptive_clip import AdaptiveClip
from htpo.objectives.axes import SCOPES, Axis, Cuts, check_partition, label, name_of, threshold
from htpo.objectives.batch import Outcome, TokenBatch
from htpo.objectives.indicators import from_mask, indicator
from htpo.objectives.options import check_choice, check_clipping, check_fraction, check_number
from htpo.objectives.quantiles import scoped_cut
from htpo.objectives.rules import RULES_IN_WORDS, WITHOUT_RANGE, Ratio, Rule, find_rule, ppo
from htpo.objectives.statistics import group_sums


@dataclass(frozen=True)
class Detach:
    """Set the objective of a cell's most extreme tokens by entropy to 0, as the paper does in G1 and G6.

    With k = max(floor(fraction * tokens of the cell in the scope), 1): "lowest" detaches tokens strictly below the
    k-th smallest entropy, "highest" those at or above the k-th largest. A fraction of 0 detaches nothing.
    """

    end: str  # "lowest" or "highest"
    fraction: float
    scope: str  # "response", "turn" or "batch"

    def __post_init__(self) -> None:
        check_choice("end of a detachment", self.end, ("lowest", "highest"))
        check_fraction("fraction of a detachment", self.fraction, zero=True)
        check_choice("scope of a detachment", self.scope, SCOPES)

    def tokens(self, name: str, member: Tensor, batch: TokenBatch, cuts: Cuts) -> Tensor:
        """(B, T) int8: which of the cell's tokens (`member`, (B, T) int8) are detached."""
        highest = self.end == "highest"

        def take() -> Tensor:
            return scoped_cut(batch, batch.entropy, member, self.fraction, self.scope, largest=highest)

        cut = threshold(cuts, name, self.scope, take)
        return member * indicator(torch.ge if highest else torch.lt, batch.entropy, cut).to(torch.int8)


@dataclass(frozen=True)
class Cell:
    """What one group of tokens optimises.

    Raises:
        ValueError: the weight or an end of the range is unusable, or there is a range and the rule does not clip.
    """

    rule: Rule
    detach: Detach | None = None
    options: tuple[tuple[str, float], ...] = ()  # of the rule
    weight: float = 1.0  # J is multiplied by it, after everything else
    clip_low: float | None = None  # in place of the objective's
    clip_high: float | None = None

    def __post_init__(self) -> None:
        check_number("weight", self.weight, 0, math.inf, includes_low=True, includes_high=False)
        for name, most in (("clip_low", 1.0), ("clip_high", math.inf)):
            end = getattr(self, name)
            if end is None:
                continue
            check_number(name, end, 0, most, includes_low=False, includes_high=False)
            if self.rule.__name__ in WITHOUT_RANGE:
                raise ValueError(f"{name} has no effect on rule {self.rule.__name__!r}, which does not clip by it")

    @classmethod
    def of(cls, rule: str, **options: float) -> "Cell":
        """A cell with a rule by name.

        Raises:
            ValueError: there is no such rule, or it does not take an option.
        """
        return cls(find_rule(rule, options), options=tuple(options.items()))

    def describe(self) -> dict[str, Any]:
        """The cell as plain data; see `TableObjective.describe`."""
        name = self.rule.__name__
        return {
            "rule": name,
            "rule_options": dict(self.options),
            "detach": asdict(self.detach) if self.detach and self.detach.fraction else None,
            "weight": self.weight,
            "clip_low": self.clip_low,
            "clip_high": self.clip_high,
            "meaning": RULES_IN_WORDS.get(name, ""),
        }


@dataclass(frozen=True)
class Partition:
    """Where every token of a batch belongs."""

    group: Tensor  # (B, T) int8
    detached: Tensor  # (B, T) bool
    entropy: Tensor  # (B, T) nats, what the tokens were told apart by; 0 outside the mask
    cuts: Cuts  # what of it depends on the whole batch


@dataclass(frozen=True)
class TableObjective:
    """An objective given as axes, a cell per combination of their levels, and one way to aggregate.

    The table's groups are numbered G1, G2, ... in the order of the product of the axes' levels. Without axes there is
    one cell, `table[()]`, and tokens belong to no group. After the table, dual clip: J <- max(J, dual_clip * A) where
    A < 0 (1912.09729).
    """

    name: str
    table: Mapping[tuple[str, ...], Cell]
    aggregate: Callable[..., Tensor]  # one of `aggregation`
    axes: tuple[Axis, ...] = ()
    clip_low: float = 0.2  # the range is also what clip shares are counted against where no rule clips
    clip_high: float = 0.2
    dual_clip: float | None = None
    options: Mapping[str, object] = field(default_factory=dict)  # as resolved by `make_objective`, for the record
    summary: str = ""  # in plain words, from `make_objective`
    adaptive_clip: AdaptiveClip | None = None  # instead of a fixed range
    ratio_level: str = "token"  # or "response": one ratio for all tokens of a response
    scale_rewards: str = "group"  # advantages divided by the "group"'s standard deviation, or "none"
    dynamic_sampling: bool = False  # whether the method as published resamples prompts without a learning signal
    overlong_shaping: bool = False  # whether the method as published punishes responses close to the length limit

    def __post_init__(self) -> None:
        """Raise ValueError where axes, table and numbers do not fit together; the message names what and the need."""
        check_partition(self.axes)
        missing = [levels for levels in product(*(axis.levels for axis in self.axes)) if levels not in self.table]
        if missing or len(self.table) != math.prod(len(axis.levels) for axis in self.axes):
            lacking = f"none for {label(self.axes, missing[0])}" if missing else "more than the axes have"
            raise ValueError(f"table of {self.name}: needs a cell per combination of the axes' levels, has {lacking}")
        check_clipping(self.clip_low, self.clip_high, self.dual_clip)
        if self.adaptive_clip and self._own("clip_low", None) | self._own("clip_high", None):
            raise ValueError(f"table of {self.name}: the clip range follows the batch, and a cell has one of its own")
        check_choice("ratio_level", self.ratio_level, ("token", "response"))
        check_choice("scale_rewards", self.scale_rewards, ("group", "none"))

    @property
    def cells(self) -> list[tuple[tuple[str, ...], Cell]]:
        """The table in the order of the groups."""
        return [(levels, self.table[levels]) for levels in product(*(axis.levels for axis in self.axes))]

    @property
    def takes_batch_quantiles(self) -> bool:
        """Whether a token's group depends on other responses, so that the whole optimisation batch must be known."""
        return "batch" in self._scopes

    @property
    def reads(self) -> tuple[str, ...]:
        """Fields of a `TokenBatch` without which it cannot tell tokens apart, and which episodes alone have."""
        named = {name for axis in self.axes for name in getattr(axis, "reads", ())}
        return tuple(sorted(named | ({"turn"} if "turn" in self._scopes else set())))

    @property
    def _scopes(self) -> set[str | None]:
        scopes: set[str | None] = {getattr(axis, "scope", None) for axis in self.axes}
        scopes |= {self.adaptive_clip.scope} if self.adaptive_clip else set()
        return scopes | {cell.detach.scope for cell in self.table.values() if cell.detach and cell.detach.fraction}

    def describe(self) -> dict[str, Any]:
        """The objective as plain data, which `htpo.runs.ObjectiveTable` reads.

        Keys: `name`, `options`, `summary`; `groups`, in order, each with `name` ("G1", ...; None without axes),
        `levels` (by axis), `rule`, `rule_options`, `detach` (`end`, `fraction` and `scope`, or None), `weight`,
        `clip_low` and `clip_high` (None: the objective's) and `meaning` (of the rule, in plain words).
        """
        names = [name_of(axis) for axis in self.axes]
        groups = [
            {
                "name": f"G{number}" if self.axes else None,
                "levels": dict(zip(names, levels, strict=True)),
                **cell.describe(),
            }
            for number, (levels, cell) in enumerate(self.cells, 1)
        ]
        return {"name": self.name, "options": dict(self.options), "summary": self.summary, "groups": groups}

    @torch.no_grad()
    def partition(self, batch: TokenBatch, cuts: Cuts | None = None) -> Partition:
        """Assign every token to its group. `cuts` are those of the partition of a larger batch that holds this one.

        Raises:
            ValueError: an axis gives levels of a wrong shape, or thresholds that would differ between micro-batches.
        """
        given = {} if cuts is None else cuts
        cuts = dict(given)
        if self.adaptive_clip:
            self.adaptive_clip.settle(batch, cuts)
        entropy = torch.where(batch.mask, batch.entropy.detach().to(batch.compute_dtype), 0.0)
        batch = replace(batch, entropy=entropy)
        code = torch.zeros(1, 1, dtype=torch.int8, device=entropy.device)
        for axis in self.axes:
            code = code * len(axis.levels) + _checked(axis, axis.level(batch, cuts), batch).to(torch.int8)
        group = (code + 1) * from_mask(batch.mask, torch.int8)
        detached = torch.zeros_like(group)
        for number, (_, cell) in enumerate(self.cells, 1):
            if cell.detach and cell.detach.fraction:
                detached += cell.detach.tokens(f"G{number}", indicator(torch.eq, group, number), batch, cuts)
        self._check_cuts({name: cut for name, cut in cuts.items() if name not in given})
        return Partition(group, detached.view(torch.bool), entropy, cuts)

    def _check_cuts(self, left: Cuts) -> None:
        for name, cut in left.items():
            if cut.numel() != 1:
                raise ValueError(f"cuts[{name!r}] has shape {tuple(cut.shape)}, needs one number of the whole batch")
            if not self.takes_batch_quantiles:
                raise ValueError(
                    f"cuts[{name!r}] depends on the batch, so its axis needs the attribute scope = 'batch'"
                )

    def __call__(self, batch: TokenBatch, cuts: Cuts | None = None) -> Outcome:
        """Value, weight, group and statistics of every token; see `Outcome`."""
        with torch.no_grad():
            part = self.partition(batch, cuts)
            given = batch.advantage_column()
            advantage = given.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
            log_ratio = batch.log_ratio()
            low = part.cuts.get("clip_low", self._by_cell("clip_low", self.clip_low, part, lambda end: 1 - end))
            high = part.cuts.get("clip_high", self._by_cell("clip_high", self.clip_high, part, lambda end: 1 + end))
            ratio = Ratio(batch, log_ratio, advantage, low, high)
            if self.ratio_level == "response":
                ratio = ratio.per_response()
            value, weight = self._dual_clipped(*self._apply_table(ratio, part), advantage)
            inputs = (log_ratio + part.entropy).add_(given + batch.group_accuracy.unsqueeze(1))
            poison = torch.where(batch.mask, inputs.mul_(0), 0.0)  # NaN where an input is not finite, else 0
            attached = from_mask(batch.mask & ~part.detached, weight.dtype).add_(poison)
            of_cell = self._by_cell("weight", 1.0, part)
            if isinstance(of_cell, Tensor):
                attached.mul_(of_cell)
            value.mul_(attached).mul_(advantage)
            weight.mul_(attached)
            slope = weight * advantage

        def per_token() -> dict[str, Tensor]:
            clipped_low, clipped_high = ratio.clipped
            _, ppo_weight = self._dual_clipped(*ppo(ratio), advantage)
            ppo_slope = ppo_weight.mul_(from_mask(batch.mask, slope.dtype)).mul_(advantage)
            return {
                "entropy": part.entropy,
                "clipped_low": clipped_low,
                "clipped_high": clipped_high,
                "detached": from_mask(part.detached, slope.dtype),
                "differs": indicator(torch.ne, slope, ppo_slope),
                "pull": slope.abs(),
                "nonfinite": indicator(torch.ne, poison, poison),
            }

        return Outcome(
            value=_Surrogate.apply(batch.log_prob, value, slope),  # type: ignore[no-untyped-call]
            weight=weight,
            slope=slope,
            group=part.group if self.axes else None,
            detached=part.detached if self.axes else None,
            sum_up=lambda: group_sums(part.group, len(self.table), per_token()),
        )

    def _apply_table(self, ratio: Ratio, part: Partition) -> tuple[Tensor, Tensor]:
        """The coefficient and the weight of every token (see `rules`), before dual clip."""
        groups_of: dict[tuple[Rule, tuple[tuple[str, float], ...]], list[int]] = {}
        for number, (_, cell) in enumerate(self.cells, 1):
            groups_of.setdefault((cell.rule, cell.options), []).append(number)
        ((base, options), _), *others = groups_of.items()
        coefficient, weight = base(ratio, **dict(options))
        for (rule, options), numbers in others:
            member = reduce(torch.add, (indicator(torch.eq, part.group, number) for number in numbers)).to(weight.dtype)
            for ours, theirs in zip((coefficient, weight), rule(ratio, **dict(options)), strict=True):
                ours.lerp_(theirs, member)  # an exact choice, since lerp at weight 0 or 1 returns an end point
        return coefficient, weight

    def _own(self, name: str, usual: float | None) -> dict[int, float]:
        """By its number, each cell's value of that name, where that is not the usual one."""
        values = {number: getattr(cell, name) for number, (_, cell) in enumerate(self.cells, 1)}
        return {number: value for number, value in values.items() if value not in (None, usual)}

    def _by_cell(
        self, name: str, usual: float, part: Partition, change: Callable[[float], float] = float
    ) -> float | Tensor:
        """Each token's value of what its cell says under `name`, changed: (B, T), or the usual one if all have that."""
        own = self._own(name, usual)
        if not own:
            return change(usual)
        values = torch.full_like(part.entropy, change(usual))
        for number, value in own.items():
            values.masked_fill_(part.group == number, change(value))
        return values

    def _dual_clipped(self, coefficient: Tensor, weight: Tensor, advantage: Tensor) -> tuple[Tensor, Tensor]:
        """Both changed in place."""
        if self.dual_clip is not None:
            cap = torch.full_like(advantage, torch.inf).masked_fill_(advantage < 0, self.dual_clip)
            weight.mul_(indicator(torch.le, coefficient, cap))
            torch.minimum(coefficient, cap, out=coefficient)
        return coefficient, weight


def _checked(axis: Axis, level: Tensor, batch: TokenBatch) -> Tensor:
    rows, tokens = batch.mask.shape
    if tuple(level.shape) not in ((rows, tokens), (rows, 1)):
        raise ValueError(
            f"axis {name_of(axis)!r} gave levels of shape {tuple(level.shape)}, needs {(rows, tokens)} or {(rows, 1)}"
        )
    return level


class _Surrogate(torch.autograd.Function):
    """`value` in the forward pass, gradient `slope` with respect to `log_prob`: nothing else is kept for backward."""

    @staticmethod
    def forward(ctx: Any, log_prob: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        ctx.dtype = log_prob.dtype
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return (gradient * slope).to(ctx.dtype), None, None
