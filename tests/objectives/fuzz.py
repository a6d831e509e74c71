"""Batches of every kind that training may make, through every registered objective, against the equations.

    python -m tests.objectives.fuzz [--batches 10000] [--first 0] [--objectives htpo dapo ...]

A batch is made from its number alone, so that one is looked at again with `--first NUMBER --batches 1`. Of each it is
compared: J, its gradient, group and detached share of every token; the loss and its gradient; counts and sums by group;
the same again for the batch cut into micro-batches; and advantages from rewards.
"""

import argparse
import math
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from htpo.objectives import OBJECTIVES, TokenBatch, group_relative_advantage, make_objective
from htpo.objectives.registry import objective_options
from htpo.objectives.statistics import add_sums
from htpo.objectives.table import TableObjective
from tests.objectives.equations import LEVELS, MEANS, Judged, Undecidable, judged_tokens, loss_of, table_of
from tests.objectives.samples import as_responses, micro_batches

# Two numbers closer than this, relatively, are not told apart; by how many roundings a result may be off.
ROUNDING = {torch.float64: 1e-11, torch.float32: 1e-5, torch.bfloat16: 1e-5}  # bfloat16 is computed in float32
ROUNDINGS = 40
GARBAGE = (math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0)


class Wrong(AssertionError):
    """A number is not the equation's."""


@dataclass
class Fuzzed:
    """A batch, and what it was made from."""

    batch: TokenBatch
    kinds: tuple[str, ...]  # of log-ratios, entropies, masks and advantages
    reward: list[float]  # NaN where there is none
    group_size: int
    scale: str  # of advantages


def fuzzed_batch(number: int) -> Fuzzed:
    """The batch of that number: up to 4 prompts x 2 to 8 samples, mostly short, some empty."""
    draw = random.Random(number)
    dtype = draw.choice([torch.float64, torch.float64, torch.float32, torch.bfloat16])
    group_size, longest = draw.randint(2, 8), draw.choice([0, 1, 2, 5, 8, 13, 13, 30])
    rows = draw.randint(1, 4) * group_size
    lengths = [draw.choice([0, 1, draw.randint(0, longest), longest]) if longest else 0 for _ in range(rows)]
    kinds = (
        draw.choice(["on-policy", "near", "far", "extreme", "at the limit"]),
        draw.choice(["spread", "spread", "ties", "all equal", "zero"]),
        draw.choice(["right-padded", "left-padded", "holes", "turns", "turns"]),
        draw.choice(["group", "group", "of tokens", "zero", "huge", "tiny"]),
    )
    mask, turn, segment = _layout(kinds[2], lengths, draw)
    shape = mask.shape
    log_prob = torch.tensor([[-draw.expovariate(1.0) for _ in range(shape[1])] for _ in range(rows)])
    log_prob = log_prob.reshape(shape).double()
    log_ratio = _filled(shape, lambda: _log_ratio(kinds[0], draw))
    entropy = _filled(shape, lambda: _entropy(kinds[1], draw))
    if kinds[0] == "at the limit":  # a difference of exactly 20
        log_prob = -log_prob.abs().ceil()
    correct = [draw.random() < draw.choice([0.1, 0.5, 0.9]) for _ in range(rows)]
    if draw.random() < 0.2:
        correct = [draw.random() < 0.5] * rows
    accuracy = [sum(correct[i : i + group_size]) / group_size for i in range(0, rows, group_size)]
    reward = [float(right) - draw.choice([0.0, 0.0, draw.random()]) for right in correct]
    reward = [math.nan if draw.random() < 0.03 else x for x in reward]
    scale = draw.choice(["std", "none"])
    advantage = _advantage(kinds[3], _group_advantage(reward, group_size, scale), shape, draw)
    batch = TokenBatch(
        log_prob=log_prob.to(dtype),
        old_log_prob=(log_prob.to(dtype).double() - log_ratio).to(dtype),
        advantage=advantage.to(dtype),
        entropy=entropy.to(dtype),
        mask=mask,
        correct=torch.tensor(correct, dtype=torch.bool),
        group_accuracy=torch.tensor([a for a in accuracy for _ in range(group_size)]).to(
            torch.float64 if dtype == torch.float64 else torch.float32
        ),
        seed=torch.tensor([draw.randint(-(2**63), 2**63 - 1) for _ in range(rows)], dtype=torch.int64),
        turn=turn,
        segment=segment,
    )
    return Fuzzed(_with_garbage(batch, draw), kinds, reward, group_size, scale)


def fuzzed_options(name: str, draw: random.Random, episodes: bool) -> dict[str, Any]:
    """Options of an objective, the usual ones half of the time."""
    options = objective_options(name)
    if draw.random() < 0.5:
        return {**options, "entropy_scope": "turn"} if episodes and "entropy_scope" in options else options

    def share() -> float:
        return round(draw.choice([draw.random() * 0.1, draw.random()]), 4) or 1.0

    drawn = {
        "clip_low": lambda: round(draw.uniform(0.001, 0.9), 3),
        "clip_high": lambda: round(draw.uniform(0.001, 2.0), 3),
        "dual_clip": lambda: draw.choice([None, 1.1, round(draw.uniform(1.01, 20), 2)]),
        "difficulty_threshold": lambda: draw.choice([0.0, 0.1, 0.25, 0.4, 0.5, 0.8, 1.0]),
        "high_entropy_fraction": share,
        "fraction": share,
        "share": share,
        "detach_lowest": lambda: draw.choice([0.0, share()]),
        "detach_highest": lambda: draw.choice([0.0, share()]),
        "entropy_scope": lambda: draw.choice(["response", "batch", *["turn"] * episodes]),
        "variant": lambda: draw.choice(["paper", "release"]),
        "tau_positive": lambda: round(draw.uniform(0.1, 5), 3),
        "tau_negative": lambda: round(draw.uniform(0.1, 5), 3),
        "coefficient": lambda: round(draw.uniform(0.01, 3), 3),
        "target": lambda: round(draw.uniform(0.01, 1), 4),
        "base": lambda: draw.choice(["ppo", "gspo", "cispo", "sapo", "reinforce"]),
    }
    options |= {option: drawn[option]() for option in options if option in drawn}
    if name == "clip_cov":
        options |= {"low": round(draw.uniform(-0.5, 0.5), 4), "high": round(draw.uniform(0.6, 5), 4)}
    if name == "gspo":
        options |= {"clip_low": round(draw.uniform(1e-4, 0.5), 4), "clip_high": round(draw.uniform(1e-4, 0.5), 4)}
    if name == "bapo":
        options |= {"low": round(draw.uniform(0.1, 0.8), 3), "high": round(draw.uniform(1.01, 2.0), 3)}
        options |= {"low_step": round(draw.uniform(0.01, 0.3), 3), "high_step": round(draw.uniform(0.01, 0.7), 3)}
    if name == "htpo" and draw.random() < 0.6:
        options |= _fuzzed_table(draw, episodes)
    return options


def _fuzzed_table(draw: random.Random, episodes: bool) -> dict[str, Any]:
    axes = {
        "difficulty": "difficulty",
        "correctness": "correctness",
        "entropy": "entropy",
        "position": {"position": {"share": round(draw.uniform(0.01, 1), 3)}},
        "covariance": {"covariance": {"share": round(draw.uniform(0.01, 1), 3)}},
        "turn": {"turn": {"first": draw.randint(1, 3)}},
        "segment": "segment",
    }
    names = [name for name in axes if episodes or name not in ("turn", "segment")]
    names = draw.sample(names, draw.randint(0, min(5, len(names))))

    def group(most: int) -> str:
        return " ".join(draw.choice(LEVELS[name]) for name in draw.sample(names, draw.randint(1, most)))

    changes = [
        "zero",
        "ppo",
        "importance",
        {"weight": draw.choice([0, 0.5, 3.0])},
        {"rule": "ppo", "clip_low": 0.4, "clip_high": 0.1},
        {"rule": "ppo", "detach_lowest": 0.3},
        {"rule": "sapo", "detach_highest": 0.3, "weight": 2.0},
        {"rule": "gspo", "clip_low": 0.1},
        {"rule": "kl_penalised", "coefficient": 0.5},
    ]
    cells = {group(len(names)): draw.choice(changes) for _ in range(draw.randint(0, 3))} if names else None
    only = group(len(names)) if names and draw.random() < 0.2 else None
    return {"axes": [axes[name] for name in names], "cells": cells, "only": only}


def _layout(kind: str, lengths: list[int], draw: random.Random) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Mask, turns and segments; holes lie between turns, or anywhere."""
    rows, longest = [], max(lengths, default=0)
    width = longest * (3 if kind in ("holes", "turns") else 1) + draw.randint(0, 2)
    for length in lengths:
        places: list[tuple[int, int]] = []  # turn, segment; (0, 0) where nothing was sampled
        if kind == "turns":
            left, turn = length, 0
            while left:
                turn += draw.choice([1, 1, 2])
                here = draw.randint(1, left)
                thinking = draw.randint(0, here)
                places += [(turn, 1)] * thinking + [(turn, 2)] * (here - thinking)
                left -= here
                places += [(0, 0)] * draw.randint(0, min(3, width - len(places) - left))
        elif kind == "holes":
            sampled = set(draw.sample(range(width), length))
            places = [(1, 1) if t in sampled else (0, 0) for t in range(width)]
        else:
            places = [(1, 1)] * length
        padding = [(0, 0)] * (width - len(places))
        rows.append(padding + places if kind == "left-padded" else places + padding)
    turn, segment = (torch.tensor([[p[k] for p in row] for row in rows]).reshape(len(rows), width) for k in (0, 1))
    mask = turn > 0
    return (mask, turn.int(), segment.to(torch.int8)) if kind == "turns" else (mask, None, None)


def _log_ratio(kind: str, draw: random.Random) -> float:
    if kind == "on-policy":
        return 0.0
    if kind == "near":
        return draw.gauss(0, 0.2)
    if kind == "far":
        return draw.gauss(0, 3)
    if kind == "extreme":
        return draw.choice([0.0, draw.gauss(0, 1), draw.uniform(-900, 900)])
    return draw.choice([0.0, 20.0, -20.0, 21.0, -21.0])


def _entropy(kind: str, draw: random.Random) -> float:
    if kind == "ties":
        return draw.randint(0, 2) / 4
    return {"spread": draw.expovariate(2.0), "all equal": 0.7, "zero": 0.0}[kind]


def _advantage(kind: str, of_groups: list[float], shape: torch.Size, draw: random.Random) -> Tensor:
    if kind == "of tokens":
        return _filled(shape, lambda: draw.choice([0.0, draw.gauss(0, 1), draw.gauss(0, 1)]))
    scale = {"group": 1.0, "zero": 0.0, "huge": 1e4, "tiny": 1e-9}[kind]
    advantage = torch.tensor(of_groups, dtype=torch.float64) * scale
    return advantage.unsqueeze(1) if draw.random() < 0.2 else advantage


def _group_advantage(reward: list[float], group_size: int, scale: str) -> list[float]:
    advantage = []
    for start in range(0, len(reward), group_size):
        group = reward[start : start + group_size]
        known = [x for x in group if not math.isnan(x)]
        mean = math.fsum(known) / max(len(known), 1)
        variance = math.fsum((x - mean) ** 2 for x in known) / max(len(known) - 1, 1)
        divisor = math.sqrt(variance) + 1e-6 if scale == "std" else 1.0
        flat = len(set(known)) < 2
        advantage += [0.0 if math.isnan(x) or flat else (x - mean) / divisor for x in group]
    return advantage


def _filled(shape: torch.Size, value: Any) -> Tensor:
    rows, width = shape
    return torch.tensor([[value() for _ in range(width)] for _ in range(rows)], dtype=torch.float64).reshape(shape)


def _with_garbage(batch: TokenBatch, draw: random.Random) -> TokenBatch:
    """With anything where nothing may be read."""

    def spoilt(x: Tensor) -> Tensor:
        return torch.where(batch.mask, x, _filled(batch.mask.shape, lambda: draw.choice(GARBAGE)).to(x.dtype))

    fields = {name: spoilt(getattr(batch, name)) for name in ("log_prob", "old_log_prob", "entropy")}
    if batch.advantage.shape == batch.mask.shape:
        fields["advantage"] = spoilt(batch.advantage)
    return replace(batch, **fields)


def check(name: str, options: Mapping[str, Any], fuzzed: Fuzzed, draw: random.Random) -> Counter[str]:
    """Compare all that an objective says of a batch with its equations.

    Returns:
        How many `tokens` there were and for how many of them rounding decides (`undecided`).

    Raises:
        Wrong: a number differs.
        Undecidable: the whole batch hinges on rounding.
    """
    batch, objective = fuzzed.batch, make_objective(name, **options)
    responses = as_responses(batch)
    said = judged_tokens(table_of(name, options), responses, ROUNDING[batch.log_prob.dtype])
    limit = batch.mask.shape[1] + 3
    expected = Expected(said, batch.mask, *loss_of(MEANS.get(name, "token"), responses, said, limit))
    denominator = {
        "token": batch.mask.sum().clamp(min=1),
        "sequence": batch.mask.any(1).sum().clamp(min=1),
        "fixed length": len(batch.mask) * limit,
    }[MEANS.get(name, "token")]
    _check_parts(objective, [batch], expected, None, denominator)
    if draw.random() < 0.3:
        parts = micro_batches(batch, [draw.randint(0, 9) for _ in range(draw.randint(1, 2))])
        _check_parts(objective, parts, expected, objective.partition(batch).cuts, denominator)
    return Counter(tokens=int(batch.mask.sum()), undecided=int((~expected.decided).sum()))


class Expected:
    """What the equations say of a batch, as tensors: (B, T) each, float64 but for what is no number."""

    def __init__(self, said: list[list[Judged]], mask: Tensor, mean: float, shares: list[float]) -> None:
        fields = ("value", "gradient", "value_error", "gradient_error", "group", "detached", "clipped", "undecided")
        flat = [[getattr(token, field) for row in said for token in row] for field in fields]
        table = torch.tensor(flat, dtype=torch.float64).reshape(len(fields), *mask.shape)
        self.value, self.gradient, self.value_error, self.gradient_error = table[:4]
        self.group, self.detached, self.clipped, undecided = table[4:]
        self.mask, self.mean, self.decided = mask, mean, undecided == 0
        self.share = torch.tensor(shares, dtype=torch.float64).unsqueeze(1)

    def sums(self, groups: int, entropy: Tensor) -> dict[str, Tensor]:
        """Over the tokens of each group."""
        per_token = {
            "tokens": torch.ones_like(self.value),
            "entropy": torch.where(self.mask, entropy.double(), 0.0),
            "clipped_low": (self.clipped < 0).double(),
            "clipped_high": (self.clipped > 0).double(),
            "detached": self.detached,
            "pull": self.gradient.abs(),
        }
        number = (self.group.long().clamp(min=1) - 1)[self.mask]
        return {name: torch.zeros(groups).double().index_add(0, number, x[self.mask]) for name, x in per_token.items()}


def _check_parts(
    objective: TableObjective,
    parts: list[TokenBatch],
    expected: Expected,
    cuts: dict[str, Tensor] | None,
    denominator: Tensor | int,
) -> None:
    """Compare what an objective says of the parts of a batch, which are in the order of its rows."""
    said, gradients, loss = [], [], 0.0
    for part in parts:
        leaf = part.log_prob.detach().clone().requires_grad_()
        out = objective(replace(part, log_prob=leaf), cuts)
        mine = objective.aggregate(-out.value, part.mask, denominator)
        gradients += torch.autograd.grad(mine, leaf)
        said.append(out)
        loss += mine.item()
    eps, tiny = torch.finfo(out.value.dtype).eps, torch.finfo(out.value.dtype).tiny
    room_of_value, room = (ROUNDINGS * eps * x + tiny for x in (expected.value_error, expected.gradient_error))
    for what, wanted, allowed in (("value", expected.value, room_of_value), ("slope", expected.gradient, room)):
        got = torch.cat([getattr(out, what) for out in said]).double()
        _refuse(what, ~((got - wanted).abs() <= allowed) & expected.decided, got, wanted)
    if out.group is not None:
        for what, wanted in (("group", expected.group), ("detached", expected.detached)):
            got = torch.cat([getattr(out, what) for out in said])
            _refuse(what, (got != wanted) & expected.decided, got, wanted)
    rounded = torch.finfo(leaf.dtype)
    got, wanted = torch.cat(gradients).double(), -expected.share * expected.gradient
    room = expected.share * room + (rounded.eps + ROUNDINGS * eps) * wanted.abs() + rounded.tiny * expected.mask
    _refuse("gradient of the loss", ~((got - wanted).abs() <= room) & expected.decided, got, wanted)
    if not expected.decided.all():
        return
    slack = (expected.share * (room_of_value + ROUNDINGS * eps * expected.value.abs())).sum().item()
    if not abs(loss + expected.mean) <= slack + tiny:
        raise Wrong(f"the loss is {loss!r}, not {-expected.mean!r}")
    sums = add_sums([out.sums for out in said])
    exact = expected.sums(len(objective.table), torch.cat([part.entropy for part in parts]))
    for name, numbers in exact.items():
        largest = numbers.abs().max()
        if not ((sums[name] - numbers).abs() <= 50 * ROUNDINGS * eps * largest + tiny).all():
            raise Wrong(f"sums[{name!r}] are {sums[name].tolist()}, not {numbers.tolist()}")
    if sums["nonfinite"].any():
        raise Wrong("a token counts as not finite")


def check_advantage(fuzzed: Fuzzed) -> None:
    """Compare advantages from rewards. Raises Wrong."""
    reward = torch.tensor(fuzzed.reward, dtype=torch.float64)
    got = group_relative_advantage(reward, fuzzed.group_size, fuzzed.scale, scored=~reward.isnan())
    wanted = torch.tensor(_group_advantage(fuzzed.reward, fuzzed.group_size, fuzzed.scale), dtype=torch.float64)
    _refuse("advantage", ~((got - wanted).abs() <= 1e-9), got.unsqueeze(1), wanted.unsqueeze(1))


def _refuse(what: str, wrong: Tensor, got: Tensor, wanted: Tensor) -> None:
    if wrong.any():
        at = tuple(wrong.nonzero()[0].tolist())
        raise Wrong(f"{what} at {at} is {got[at].item()!r}, not {wanted[at].item()!r} ({int(wrong.sum())} tokens)")


def fuzz(names: list[str], numbers: range) -> tuple[dict[str, Counter[str]], list[str]]:
    """Counts by objective (`batches`, `tokens`, `undecided`, `left out`, `wrong`), and what was wrong, a line each."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    faults = []
    for number in numbers:
        fuzzed = fuzzed_batch(number)
        check_advantage(fuzzed)
        for name in names:
            draw = random.Random(f"{number} {name}")
            options = fuzzed_options(name, draw, episodes=fuzzed.batch.turn is not None)
            counts[name]["batches"] += 1
            try:
                counts[name] += check(name, options, fuzzed, draw)
            except Undecidable:
                counts[name]["left out"] += 1
            except Wrong as wrong:
                counts[name]["wrong"] += 1
                faults.append(f"batch {number} ({', '.join(fuzzed.kinds)}), {name} {options}: {wrong}")
    return counts, faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first batch")
    parser.add_argument("--objectives", nargs="*", default=list(OBJECTIVES), choices=list(OBJECTIVES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.process_time()
    counts, faults = fuzz(args.objectives, range(args.first, args.first + args.batches))
    print("| objective | batches | tokens | rounding decides | batches left out | wrong |\n|---|---|---|---|---|---|")
    for name, count in counts.items():
        row = [count[key] for key in ("batches", "tokens", "undecided", "left out", "wrong")]
        print(f"| `{name}` | {' | '.join(f'{x:,}' for x in row)} |")
    last = args.first + args.batches - 1
    print(
        f"\nbatches {args.first} to {last}: {len(faults)} wrong; {time.process_time() - begun:.0f} s of one core, "
        f"{platform.machine()}, torch {torch.__version__}"
    )
    if faults:
        sys.exit("\n".join(faults[:20]))


if __name__ == "__main__":
    main()
