"""Sets of numbers as the fewest intervals there are: unions joined, what is left out cut away.

Runs in the worker processes only: nothing here is bounded in time.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import total_ordering

from htpo.verifiers.math.forms import Interval, Quantity, Ranges
from htpo.verifiers.math.values import number_of


@total_ordering
@dataclass(frozen=True)
class Cut:
    """A place between numbers: just before `number`, or, when `after`, just behind it. `end` is how it was written."""

    number: Fraction | float  # a float is an infinity
    after: bool
    end: Quantity | None

    def __lt__(self, other: "Cut") -> bool:
        return (self.number, self.after) < (other.number, other.after)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cut) and (self.number, self.after) == (other.number, other.after)

    def __hash__(self) -> int:
        return hash((self.number, self.after))


Piece = tuple[Cut, Cut]


def simplest(ranges: Ranges) -> tuple[Interval | Quantity, ...] | None:
    """The intervals and points of a set, apart from each other and in order; None where an end is no known number, or
    one piece is empty."""
    parts, without = _pieces(ranges.parts), _pieces(ranges.without)
    if parts is None or without is None:
        return None
    kept = _joined(parts)
    for first, last in without:
        kept = [
            piece
            for low, high in kept
            for piece in ((low, min(high, first)), (max(low, last), high))
            if piece[0] < piece[1]
        ]
    return tuple(_as_part(piece) for piece in kept)


def _pieces(parts: tuple[Interval | Quantity, ...]) -> list[Piece] | None:
    pieces = []
    for part in parts:
        low, high = (part.low, part.high) if isinstance(part, Interval) else (part, part)
        first, last = _number(low, -1), _number(high, 1)
        if first is None or last is None:
            return None
        closed = not isinstance(part, Interval)
        low_cut = Cut(first, not (closed or part.low_closed), low)
        high_cut = Cut(last, closed or part.high_closed, high)
        if not low_cut < high_cut:  # `(3, 1)` is a pair, and no interval at all
            return None
        pieces.append((low_cut, high_cut))
    return pieces


def _number(end: Quantity | None, infinity: int) -> Fraction | float | None:
    return infinity * float("inf") if end is None else number_of(end.text)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """In order, and those that touch or overlap as one."""
    joined: list[Piece] = []
    for low, high in sorted(pieces, key=lambda piece: piece[0]):
        if joined and low <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], high)
        else:
            joined.append((low, high))
    return joined


def _as_part(piece: Piece) -> Interval | Quantity:
    low, high = piece
    if low.number == high.number:
        return low.end
    low_closed, high_closed = low.end is not None and not low.after, high.end is not None and high.after
    return Interval(low.end, high.end, low_closed, high_closed)
