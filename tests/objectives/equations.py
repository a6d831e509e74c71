"""Every registered objective token by token in plain Python floats: its table, the equation of each rule, its loss.

As the oracle, and from the papers' equations, not from tensor code. What floating point cannot decide, such as on which
side of the clip range a ratio lies that equals its end but for rounding, is marked, for any answer to it is right.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

from tests.objectives.oracle import Response, count, covariances, drawn_positions, is_hard, places_by_scope

Place = tuple[int, int]  # response, position
LEVELS = {
    "difficulty": ("hard", "easy"),
    "correctness": ("correct", "wrong"),
    "entropy": ("low", "high"),
    "position": ("early", "late"),
    "turn": ("first", "later"),
    "segment": ("thinking", "action"),
    "covariance": ("usual", "covarying"),
    "covariance_band": ("usual", "drawn"),
}
MEANS = {"grpo": "sequence", "gspo": "sequence", "sapo": "sequence", "dr_grpo": "fixed length"}  # others: token


@dataclass(frozen=True)
class At:
    """What a rule reads of one token."""

    ratio: float
    slope: float  # dr / dlog_prob
    log_ratio: float
    log_prob: float
    advantage: float
    low: float  # of the clip range
    high: float
    of_response: float  # mean log-ratio of the response


@dataclass(frozen=True)
class Terms:
    """What a rule says of one token."""

    value: float  # J
    gradient: float  # dJ / dlog_prob
    size: float = 0.0  # of the largest term in them, where terms cancel
    condition: float = 1.0  # by how much they multiply a relative error of the ratio
    edges: tuple[tuple[float, float], ...] = ()  # pairs of which it matters which is larger


def ratio_of(log_ratio: float) -> tuple[float, float]:
    """r and dr / dlog_prob."""
    ratio = math.exp(max(-20.0, min(20.0, log_ratio)))
    return ratio, ratio if abs(log_ratio) <= 20 else 0.0


def ppo(at: At) -> Terms:
    plain, clipped = at.ratio * at.advantage, max(at.low, min(at.high, at.ratio)) * at.advantage
    edges = ((at.ratio, at.low), (at.ratio, at.high))
    return Terms(clipped, 0.0, edges=edges) if clipped < plain else Terms(plain, at.slope * at.advantage, edges=edges)


def encourage_forking(at: At, flip: int = 1) -> Terms:
    edges = ((at.ratio, at.low), (at.ratio, at.high))
    if at.low <= at.ratio <= at.high:
        return Terms(at.ratio * at.advantage, at.slope * at.advantage, edges=edges)
    value = flip * (at.high if at.ratio > at.high else 1 / at.ratio) * at.advantage
    return Terms(value, value, edges=edges)


def penalise_forking(at: At, flip: int = 1) -> Terms:
    edges = ((at.ratio, at.low),)
    if at.ratio >= at.low:
        return Terms(at.ratio * at.advantage, at.slope * at.advantage, edges=edges)
    return Terms(flip * at.low * at.advantage, flip * at.low * at.advantage, edges=edges)


def zero(at: At) -> Terms:
    return Terms(0.0, 0.0)


def reinforce(at: At) -> Terms:
    return Terms(at.advantage * at.log_prob, at.advantage)


def gspo(at: At, clip_low: float = 3e-4, clip_high: float = 4e-4) -> Terms:
    ratio, slope = ratio_of(at.of_response)
    return ppo(replace(at, ratio=ratio, slope=slope, low=1 - clip_low, high=1 + clip_high))


def cispo(at: At, clip_high: float = 4.0) -> Terms:
    weight = min(at.ratio, 1 + clip_high)
    return Terms(weight * at.advantage * at.log_prob, weight * at.advantage)


def sapo(at: At, tau_positive: float = 1.0, tau_negative: float = 1.05) -> Terms:
    tau = tau_positive if at.advantage > 0 else tau_negative
    x = tau * (at.ratio - 1)
    gate, rest = (1 / (1 + math.exp(-side)) if side > -700 else 0.0 for side in (x, -x))
    gradient = 4 * gate * rest * at.slope * at.advantage
    return Terms(4 / tau * gate * at.advantage, gradient, condition=1 + abs(x))


def importance(at: At) -> Terms:
    return Terms(at.ratio * at.advantage, at.slope * at.advantage)


def kl_penalised(at: At, coefficient: float = 1.0) -> Terms:
    """An advantage of 0 feels no penalty, for terms are multiples of it."""
    there = at.advantage != 0
    penalty, pull = there * coefficient * abs(at.log_ratio), there * coefficient * _sign(at.log_ratio)
    size = max(abs(at.ratio * at.advantage), penalty, abs(pull))
    return Terms(at.ratio * at.advantage - penalty, at.slope * at.advantage - pull, size)


RULES: dict[str, Callable[..., Terms]] = {
    rule.__name__: rule
    for rule in (
        *(ppo, encourage_forking, penalise_forking, zero, reinforce),
        *(gspo, cispo, sapo, importance, kl_penalised),
    )
}


@dataclass(frozen=True)
class Cell:
    """What the tokens of one combination of levels optimise."""

    rule: str = "ppo"
    options: tuple[tuple[str, Any], ...] = ()
    detach: tuple[str, float, str] | None = None  # end, fraction, scope
    weight: float = 1.0
    clip_low: float | None = None
    clip_high: float | None = None


@dataclass(frozen=True)
class Table:
    """An objective."""

    axes: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    cell: Callable[[Mapping[str, str]], Cell] = lambda levels: Cell()  # of the level on each axis
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float | None = None
    ratio_of_response: bool = False
    adaptive: Mapping[str, float] | None = None  # the options of `bapo`


def table_of(name: str, options: Mapping[str, Any]) -> Table:
    """A registered objective as its paper has it, with these of its options (all of them)."""
    range_of = {key: options[key] for key in ("clip_low", "clip_high", "dual_clip") if key in options}
    if name in ("dapo", "grpo", "dr_grpo", "ppo"):
        return Table(**range_of)
    if name == "gspo":
        return Table(**range_of, ratio_of_response=True)
    if name in ("sapo", "cispo", "reinforce"):
        return Table(cell=lambda levels: Cell(name, tuple(options.items())))
    if name == "bapo":
        return Table(adaptive=options)
    if name == "entropy_mask":
        axis = ("entropy", {"fraction": options["fraction"], "scope": options["entropy_scope"]})
        return Table((axis,), lambda levels: Cell("ppo" if levels["entropy"] == "high" else "zero"), **range_of)
    if name == "clip_cov":
        drawn = {"drawn": "zero", "usual": "importance"}
        return Table((("covariance_band", options),), lambda levels: Cell(drawn[levels["covariance_band"]]))
    if name == "kl_cov":
        price = Cell("kl_penalised", (("coefficient", options["coefficient"]),))
        cells = {"covarying": price, "usual": Cell("importance")}
        return Table((("covariance", {"share": options["share"]}),), lambda levels: cells[levels["covariance"]])
    if name != "htpo":
        raise KeyError(f"no equation of {name!r} here")
    own = {
        "difficulty": {"threshold": options["difficulty_threshold"]},
        "entropy": {"fraction": options["high_entropy_fraction"], "scope": options["entropy_scope"]},
    }
    axes = []
    for entry in options["axes"]:
        axis, given = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        axes.append((axis, {**own.get(axis, {}), **given}))
    return Table(tuple(axes), lambda levels: htpo_cell(levels, options), **range_of)


def htpo_cell(levels: Mapping[str, str], options: Mapping[str, Any]) -> Cell:
    """Figure 1(b), what is left of it over other axes, `only` and `cells`, in that order."""
    base, scope = Cell(options["base"]), options["entropy_scope"]
    flip = (("flip", -1),) if options["variant"] == "release" else ()
    encourage, penalise = Cell("encourage_forking", flip), Cell("penalise_forking", flip)
    paper = {
        ("hard", "correct", "low"): replace(base, detach=("lowest", options["detach_lowest"], scope)),
        ("hard", "correct", "high"): encourage,
        ("hard", "wrong", "low"): base,
        ("hard", "wrong", "high"): penalise,
        ("easy", "correct", "low"): base,
        ("easy", "correct", "high"): replace(base, detach=("highest", options["detach_highest"], scope)),
        ("easy", "wrong", "low"): base,
        ("easy", "wrong", "high"): penalise,
    }
    paper_axes = ("difficulty", "correctness", "entropy")
    merged = {
        cell
        for where, cell in paper.items()
        if all(levels.get(axis, level) == level for axis, level in zip(paper_axes, where))
    }
    cell = merged.pop() if len(merged) == 1 else base
    if options["only"] is not None and not set(options["only"].split()) <= set(levels.values()):
        cell = base
    for key, change in (options["cells"] or {}).items():
        if set(key.split()) <= set(levels.values()):
            cell = _changed(cell, change, scope)
    return cell


def _changed(cell: Cell, change: str | dict[str, Any], scope: str) -> Cell:
    said = {"rule": change} if isinstance(change, str) else dict(change)
    own = {} if said.get("rule") in ("gspo", "cispo") else {"clip_low", "clip_high"}
    own = {key: said.pop(key) for key in ("weight", *own) if key in said}
    if "rule" not in said:
        return replace(cell, **own)
    rule = said.pop("rule")
    detach = next(
        ((end, said.pop(f"detach_{end}"), scope) for end in ("lowest", "highest") if f"detach_{end}" in said), None
    )
    return Cell(rule, tuple(said.items()), detach, **own)


@dataclass(frozen=True)
class Judged:
    """One token of an objective."""

    value: float = 0.0
    gradient: float = 0.0
    group: int = 0
    detached: bool = False
    clipped: int = 0  # -1 where PPO's clip binds below the range, 1 above it
    value_error: float = 0.0  # by how much it may be off, in units of the floating point's rounding
    gradient_error: float = 0.0
    undecided: bool = False


@dataclass(frozen=True)
class Undecidable(Exception):
    """What the whole batch hinges on cannot be told from rounding."""

    what: str


def judged_tokens(table: Table, responses: list[Response], rounding: float) -> list[list[Judged]]:
    """Every token of a batch; two numbers are told apart where they differ by more than `rounding`, relatively.

    Raises:
        Undecidable: the clip range of `bapo`, or the draw of `clip_cov`, hinges on numbers that are not told apart.
    """
    group, unsure = _groups(table, responses, rounding)
    cells = {place: table.cell(levels) for place, levels in group.items()}
    detached = _detached(responses, group, cells)
    combinations = product(*(LEVELS[axis] for axis, _ in table.axes))
    numbers = {levels: number for number, levels in enumerate(combinations, 1)}
    low, high = 1 - table.clip_low, 1 + table.clip_high
    if table.adaptive is not None:
        low, high = adaptive_range(responses, table.adaptive, rounding)
    said = [[Judged()] * len(response.mask) for response in responses]
    for (i, t), cell in cells.items():
        number = numbers[tuple(group[i, t].values())] if table.axes else 0
        own = (
            low if cell.clip_low is None else 1 - cell.clip_low,
            high if cell.clip_high is None else 1 + cell.clip_high,
        )
        token = _token(at(responses[i], t, own, table.ratio_of_response), cell, table.dual_clip, rounding)
        if (i, t) in detached or cell.weight == 0:
            token = replace(token, value=0.0, gradient=0.0, value_error=0.0, gradient_error=0.0)
        undecided = token.undecided or (i, t) in unsure
        said[i][t] = replace(token, group=number, detached=(i, t) in detached, undecided=undecided)
    return said


def loss_of(mean: str, responses: list[Response], tokens: list[list[Judged]], limit: int) -> tuple[float, list[float]]:
    """The mean of J over a batch, and the share in it of each token of each response; `limit` is of their lengths."""
    lengths = [sum(response.mask) for response in responses]
    if mean == "token":
        shares = [1 / max(sum(lengths), 1)] * len(lengths)
    elif mean == "sequence":
        shares = [1 / max(length, 1) / max(sum(n > 0 for n in lengths), 1) for length in lengths]
    else:
        shares = [1 / (len(lengths) * limit)] * len(lengths)
    return math.fsum(share * token.value for share, row in zip(shares, tokens) for token in row), shares


def adaptive_range(responses: list[Response], options: Mapping[str, float], rounding: float) -> tuple[float, float]:
    """BAPO's algorithm 1. Raises Undecidable where a range does or does not suffice by rounding alone."""
    tokens = [(r.log_prob[t] - r.old_log_prob[t], r.advantage[t]) for r in responses for t, m in enumerate(r.mask) if m]

    def after(*numbers: float) -> list[float]:
        start, end, step = (Fraction(str(number)) for number in numbers)
        return [float(start + i * step) for i in range((end - start) // step + 1)]

    lows, highs = (after(*(options[key] for key in (side, f"{side}_end", f"{side}_step"))) for side in ("low", "high"))
    tried = [(lows[0], high) for high in highs] + [(low, highs[-1]) for low in lows[1:]]
    for low, high in tried[:-1]:
        gain = math.fsum(a * min(ratio_of(x)[0], high) for x, a in tokens if a > 0)
        everything = gain + math.fsum(-a * max(ratio_of(x)[0], low) for x, a in tokens if a < 0)
        if 0 < gain < everything and abs(gain - options["target"] * everything) <= rounding * everything:
            raise Undecidable("the clip range")
        if gain >= options["target"] * everything:
            return low, high
    return tried[-1]


def at(response: Response, t: int, clip_range: tuple[float, float], of_response: bool = False) -> At:
    """A token of a response; with `of_response` one ratio stands for all of its tokens."""
    apart = [response.log_prob[i] - response.old_log_prob[i] for i, inside in enumerate(response.mask) if inside]
    mean = math.fsum(apart) / len(apart)
    log_ratio = mean if of_response else response.log_prob[t] - response.old_log_prob[t]
    return At(*ratio_of(log_ratio), log_ratio, response.log_prob[t], response.advantage[t], *clip_range, mean)


def _token(at: At, cell: Cell, dual_clip: float | None, rounding: float) -> Judged:
    said = RULES[cell.rule](at, **dict(cell.options))
    value, gradient = said.value, said.gradient
    edges = list(said.edges)
    if dual_clip is not None and at.advantage < 0:
        cap = dual_clip * at.advantage
        edges.append((value, cap))
        if value < cap:
            value, gradient = cap, 0.0
    steep = 1 + max(abs(at.log_ratio), abs(at.of_response) if cell.rule == "gspo" else 0)  # of exp
    limits = [(abs(x), 20.0) for x in (at.log_ratio, at.of_response)]
    near = [(x, y) for x, y in edges if _near(x, y, rounding * steep)]
    near += [(x, y) for x, y in limits if x != y and _near(x, y, rounding)]
    clipped = -1 if at.ratio < at.low and at.advantage < 0 else at.ratio > at.high and at.advantage > 0
    errors = (max(abs(x), said.size) * said.condition * steep * cell.weight for x in (value, gradient))
    return Judged(cell.weight * value, cell.weight * gradient, 0, False, int(clipped), *errors, undecided=bool(near))


def _groups(table: Table, responses: list[Response], rounding: float) -> tuple[dict[Place, dict[str, str]], set[Place]]:
    """Every policy token's level on each axis, and the tokens for which rounding decides."""
    places = [(i, t) for i, response in enumerate(responses) for t, inside in enumerate(response.mask) if inside]
    groups: dict[Place, dict[str, str]] = {place: {} for place in places}
    unsure: set[Place] = set()
    for axis, options in table.axes:
        second, doubtful = _second_level(axis, options, responses, places, rounding)
        unsure |= doubtful
        for place in places:
            groups[place][axis] = LEVELS[axis][place in second]
    return groups, unsure


def _second_level(
    axis: str, options: Mapping[str, Any], responses: list[Response], places: list[Place], rounding: float
) -> tuple[set[Place], set[Place]]:
    """The tokens that have the second of the axis's levels, and those for which rounding decides."""
    if axis in ("covariance", "covariance_band"):
        return _of_covariance(axis, options, responses, rounding) if places else (set(), set())
    if axis == "entropy":
        high = set()
        for scope in places_by_scope(responses, options["scope"]):
            ranked = sorted((responses[i].entropy[t] for i, t in scope), reverse=True)
            cut = ranked[count(options["fraction"], len(ranked)) - 1]
            high |= {(i, t) for i, t in scope if responses[i].entropy[t] >= cut}
        return high, set()
    if axis == "position":
        late = set()
        for own in places_by_scope(responses, "response"):
            late |= set(own[math.ceil(Fraction(str(options.get("share", 0.5))) * len(own)) :])
        return late, set()
    second = {
        "difficulty": lambda i, t: not is_hard(responses[i].group_accuracy, options["threshold"]),
        "correctness": lambda i, t: not responses[i].correct,
        "turn": lambda i, t: responses[i].turn[t] > options.get("first", 1),
        "segment": lambda i, t: responses[i].segment[t] == 2,
    }[axis]
    return {place for place in places if second(*place)}, set()


def _of_covariance(
    axis: str, options: Mapping[str, Any], responses: list[Response], rounding: float
) -> tuple[set[Place], set[Place]]:
    by_covariance = covariances(responses)
    terms = {(i, t): (responses[i].log_prob[t], responses[i].advantage[t]) for i, t in by_covariance}
    error = 4 * rounding * math.prod(max(abs(term[k]) for term in terms.values()) for k in (0, 1))
    if axis == "covariance_band":
        ends = (options["low"], options["high"])
        if any(abs(value - end) <= error for value in by_covariance.values() for end in ends):
            raise Undecidable("the draw")
        return drawn_positions(responses, options["share"], *ends), set()
    ranked = sorted(by_covariance.values(), reverse=True)
    cut = ranked[count(options["share"], len(ranked)) - 1]
    near = {place for place, value in by_covariance.items() if abs(value - cut) <= error}
    unsure = near if error and len({terms[place] for place in near}) > 1 else set()
    return {place for place, value in by_covariance.items() if value >= cut}, unsure


def _detached(
    responses: list[Response], groups: Mapping[Place, Mapping[str, str]], cells: Mapping[Place, Cell]
) -> set[Place]:
    found = set()
    for cell in {cell for cell in cells.values() if cell.detach and cell.detach[1] > 0}:
        end, fraction, scope = cell.detach
        for levels in {tuple(levels.values()) for place, levels in groups.items() if cells[place] == cell}:
            for places in places_by_scope(responses, scope):
                members = [place for place in places if tuple(groups[place].values()) == levels]
                if not members:
                    continue
                entropy = {(i, t): responses[i].entropy[t] for i, t in members}
                cut = sorted(entropy.values(), reverse=end == "highest")[count(fraction, len(members)) - 1]
                found |= {p for p, value in entropy.items() if (value >= cut if end == "highest" else value < cut)}
    return found


def _near(x: float, y: float, rounding: float) -> bool:
    return abs(x - y) <= rounding * max(abs(x), abs(y))


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)
