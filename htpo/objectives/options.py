"""Options that objectives share, and refusing those that cannot be meant, by name."""

import math
from collections.abc import Iterable
from typing import Annotated

ClipLow = Annotated[float, "the ratio is clipped below 1 - clip_low"]
ClipHigh = Annotated[float, "the ratio is clipped above 1 + clip_high"]
DualClip = Annotated[float | None, "J is at least dual_clip A where A < 0; none switches it off"]


def check_number(name: str, value: object, low: float, high: float, *, includes_low: bool, includes_high: bool) -> None:
    """Raise ValueError unless `value` is a real number in the interval."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    finite = math.isfinite(number)
    above = finite and (number >= low if includes_low else number > low)
    below = finite and (number <= high if includes_high else number < high)
    if not (above and below):
        interval = f"{'[' if includes_low else '('}{low:g}, {high:g}{']' if includes_high else ')'}"
        raise ValueError(f"{name} is {value!r}, needs a number in {interval}")


def check_fraction(name: str, value: object, *, zero: bool = False) -> None:
    """Raise ValueError unless `value` is in (0, 1], or in [0, 1] when `zero` is allowed."""
    check_number(name, value, 0, 1, includes_low=zero, includes_high=True)


def check_whole_number(name: str, value: object, least: int) -> None:
    """Raise ValueError unless `value` is a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}, needs a whole number, at least {least}")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in tuple(choices):
        raise ValueError(f"{name} is {value!r}, needs one of {', '.join(repr(choice) for choice in choices)}")


def check_clipping(clip_low: object, clip_high: object, dual_clip: object) -> None:
    """Raise ValueError unless the clip range and the dual clip are usable."""
    check_number("clip_low", clip_low, 0, 1, includes_low=False, includes_high=False)
    check_number("clip_high", clip_high, 0, math.inf, includes_low=False, includes_high=False)
    if dual_clip is not None:
        check_number("dual_clip", dual_clip, 1, math.inf, includes_low=False, includes_high=False)
