"""The method once more, token by token in plain Python floats, from SPEC sections 1 to 3 and from no tensor code.

A response is a set of lists with an entry per position; positions outside its mask may hold anything.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction


@dataclass(frozen=True)
class Response:
    """One response: an entry per position, and what is known of its prompt and its answer."""

    log_prob: list[float]
    old_log_prob: list[float]
    advantage: list[float]
    entropy: list[float]
    mask: list[bool]
    correct: bool
    group_accuracy: float
    seed: int = 0
    turn: list[int] | None = None
    segment: list[int] | None = None  # 1 thinking, 2 action


@dataclass(frozen=True)
class Options:
    """The options of HTPO, with SPEC's values; `clip_low`, `clip_high` and `dual_clip` also serve the baselines."""

    variant: str = "paper"
    clip_low: float = 0.2
    clip_high: float = 0.28
    dual_clip: float | None = 10.0
    difficulty_threshold: float = 0.4
    high_entropy_fraction: float = 0.2
    detach_lowest: float = 0.006
    detach_highest: float = 0.02
    entropy_scope: str = "response"


@dataclass(frozen=True)
class Token:
    """What the method says of one position, and which branch said it."""

    value: float  # J
    gradient: float  # dJ / dlog_prob, stop-gradients respected
    group: int  # 1..8 = G1..G8, 0 outside the mask (and everywhere in an unpartitioned objective)
    detached: bool
    region: str = ""  # "below", "inside" or "above" the clip range
    sign: int = 0  # of the advantage
    capped: bool = False  # the dual clip binds


OUTSIDE = Token(value=0.0, gradient=0.0, group=0, detached=False)


def htpo_tokens(responses: list[Response], options: Options, detach_scope: str | None = None) -> list[list[Token]]:
    """Every token of a batch under HTPO; `detach_scope` where that is another than the high-entropy quantile's."""
    groups = assign_groups(responses, options)
    detached = detached_positions(responses, groups, options, detach_scope or options.entropy_scope)
    return [
        [
            _token(response, t, options, groups[i][t], (i, t) in detached) if response.mask[t] else OUTSIDE
            for t in range(len(response.mask))
        ]
        for i, response in enumerate(responses)
    ]


def ppo_tokens(responses: list[Response], options: Options) -> list[list[Token]]:
    """Every token of a batch under PPO's clipped surrogate (DAPO, GRPO and PPO differ in the options)."""
    return [
        [_token(response, t, options, 0, False) if response.mask[t] else OUTSIDE for t in range(len(response.mask))]
        for response in responses
    ]


@dataclass(frozen=True)
class CellOptions:
    """What a cell says beside its rule; None: as the objective."""

    weight: float = 1.0
    clip_low: float | None = None
    clip_high: float | None = None


def episode_tokens(
    responses: list[Response], options: Options, cells: dict[tuple[str, str], CellOptions], first: int
) -> list[list[Token]]:
    """HTPO with the axes `segment` and `turn` before its own and nothing detached: a cell of (segment, turn) each."""
    groups = assign_groups(responses, options)
    levels = [(segment, turn) for segment in ("thinking", "action") for turn in ("first", "later")]
    said = []
    for response, row in zip(responses, groups, strict=True):
        tokens = []
        for t, group in enumerate(row):
            if not response.mask[t]:
                tokens.append(OUTSIDE)
                continue
            where = ("thinking", "action")[response.segment[t] - 1], "first" if response.turn[t] <= first else "later"
            cell = cells.get(where, CellOptions())
            own = {name: end for name in ("clip_low", "clip_high") if (end := getattr(cell, name)) is not None}
            token = _token(response, t, replace(options, **own), group, False)
            scaled = {name: cell.weight * getattr(token, name) for name in ("value", "gradient")}
            tokens.append(replace(token, group=8 * levels.index(where) + group, **scaled))
        said.append(tokens)
    return said


def assign_groups(responses: list[Response], options: Options) -> list[list[int]]:
    """SPEC section 2: 1 + 4 * easy + 2 * wrong + high, 0 outside the mask."""
    groups = [[0] * len(response.mask) for response in responses]
    for places in places_by_scope(responses, options.entropy_scope):
        ranked = sorted((responses[i].entropy[t] for i, t in places), reverse=True)
        threshold = ranked[count(options.high_entropy_fraction, len(ranked)) - 1]
        for i, t in places:
            easy = not is_hard(responses[i].group_accuracy, options.difficulty_threshold)
            high = responses[i].entropy[t] >= threshold
            groups[i][t] = 1 + 4 * easy + 2 * (not responses[i].correct) + high
    return groups


def detached_positions(
    responses: list[Response], groups: list[list[int]], options: Options, scope_of_shares: str
) -> set[tuple[int, int]]:
    """(response, position) of G1's tokens strictly below their cut and of G6's at or above theirs."""
    found = set()
    for scope in places_by_scope(responses, scope_of_shares):
        entropy_of = {
            group: {(i, t): responses[i].entropy[t] for i, t in scope if groups[i][t] == group} for group in (1, 6)
        }
        if entropy_of[1] and options.detach_lowest > 0:
            ranked = sorted(entropy_of[1].values())
            cut = ranked[count(options.detach_lowest, len(ranked)) - 1]
            found |= {place for place, entropy in entropy_of[1].items() if entropy < cut}
        if entropy_of[6] and options.detach_highest > 0:
            ranked = sorted(entropy_of[6].values(), reverse=True)
            cut = ranked[count(options.detach_highest, len(ranked)) - 1]
            found |= {place for place, entropy in entropy_of[6].items() if entropy >= cut}
    return found


def lots(response: Response) -> list[int]:
    """A number per position (0 outside the mask) as SplitMix64 gives them, one per policy token, as signed 64 bits."""
    state, found = response.seed % 2**64, []
    for inside in response.mask:
        if not inside:
            found.append(0)
            continue
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        z ^= z >> 31
        found.append(z - 2**64 if z >= 2**63 else z)
    return found


def drawn_positions(responses: list[Response], share: float, low: float, high: float) -> set[tuple[int, int]]:
    """Clip-Cov (2505.22617, eq. 12): floor(share * policy tokens), at least one, of those inside the band."""
    by_covariance = covariances(responses)
    numbers = [lots(response) for response in responses]
    band = [place for place, value in by_covariance.items() if low < value < high]
    band.sort(key=lambda place: numbers[place[0]][place[1]], reverse=True)
    return set(band[: count(share, len(by_covariance))])


def covariances(responses: list[Response]) -> dict[tuple[int, int], float]:
    """(log_prob - mean) (A - mean), by (response, position), of the policy tokens of a batch."""
    tokens = [(i, t) for i, r in enumerate(responses) for t, inside in enumerate(r.mask) if inside]
    log_prob = sum(responses[i].log_prob[t] for i, t in tokens) / len(tokens)
    advantage = sum(responses[i].advantage[t] for i, t in tokens) / len(tokens)
    return {(i, t): (responses[i].log_prob[t] - log_prob) * (responses[i].advantage[t] - advantage) for i, t in tokens}


def is_hard(group_accuracy: float, threshold: float) -> bool:
    """1 - p > threshold in exact arithmetic, p being a count of correct answers out of at most 16, however rounded."""
    p = Fraction(group_accuracy).limit_denominator(16)
    return 1 - p > Fraction(str(threshold))


def count(fraction: float, n: int) -> int:
    """max(floor(fraction * n), 1) in decimal arithmetic."""
    return max(math.floor(Decimal(str(fraction)) * n), 1)


def token_mean(tokens: list[list[Token]], responses: list[Response]) -> float:
    """Sum of J over all policy tokens divided by their number."""
    return sum(token.value for row in tokens for token in row) / max(sum(sum(r.mask) for r in responses), 1)


def places_by_scope(responses: list[Response], scope: str) -> Iterator[list[tuple[int, int]]]:
    """(response, position) of the policy tokens that are compared with each other."""
    places = [(i, t) for i, response in enumerate(responses) for t, inside in enumerate(response.mask) if inside]

    def where(place: tuple[int, int]) -> object:
        i, t = place
        return {"batch": 0, "response": i, "turn": (i, responses[i].turn and responses[i].turn[t])}[scope]

    for each in sorted({where(place) for place in places}):
        yield [place for place in places if where(place) == each]


def _token(response: Response, t: int, options: Options, group: int, detached: bool) -> Token:
    advantage = response.advantage[t]
    log_ratio = response.log_prob[t] - response.old_log_prob[t]
    r = math.exp(min(max(log_ratio, -20.0), 20.0))
    r_gradient = r if -20 <= log_ratio <= 20 else 0.0  # of r, with respect to log_prob
    low, high = 1 - options.clip_low, 1 + options.clip_high
    region = "below" if r < low else "above" if r > high else "inside"
    value, gradient = r * advantage, r_gradient * advantage
    flip = -1 if options.variant == "release" else 1
    if group == 2:
        if region == "above":
            value = gradient = flip * high * advantage
        elif region == "below":
            value = gradient = flip * (1 / r) * advantage
    elif group in (4, 8):
        if region == "below":
            value = gradient = flip * low * advantage
    else:
        clipped = min(max(r, low), high) * advantage
        if clipped < value:  # a clipped ratio is constant
            value, gradient = clipped, 0.0
    if detached:
        value = gradient = 0.0
    capped = options.dual_clip is not None and advantage < 0 and value < options.dual_clip * advantage
    if capped:
        value, gradient = options.dual_clip * advantage, 0.0
    return Token(value, gradient, group, detached, region, (advantage > 0) - (advantage < 0), capped)
