"""`Estimate`: a number that may be absent, with its interval that may be absent, and the reason."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Raises:
        ValueError: something is absent and no reason is given, or a number is not finite.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""  # the value, or else its interval, is absent

    def __post_init__(self) -> None:
        known = [number for number in (self.value, self.low, self.high) if number is not None]
        if not all(map(math.isfinite, known)):
            raise ValueError(f"{self} holds a number that is not finite: make it an absent one with its reason")
        if len(known) < 3 and not self.why:
            raise ValueError(f"{self} lacks a number: say why")

    @classmethod
    def absent(cls, why: str) -> "Estimate":
        """A number that could not be computed."""
        return cls(None, why=why)

    def to_json(self) -> dict[str, Any]:
        """As plain data, which `estimate_text` takes, too."""
        return asdict(self)


@dataclass(frozen=True)
class Difference(Estimate):
    """A difference of two means, with the p-value of no difference (two-sided)."""

    p_value: float | None = None  # None: it cannot be tested


def estimate_text(found: Mapping[str, Any], form: str = ".3f", explained: bool = True) -> str:
    """In words: "0.512 (0.490 to 0.534)", "0.512 (no interval: REASON)" or "not computed: REASON".

    Args:
        found: an estimate as plain data.
        form: of each number, as `format` takes it.
        explained: False leaves out the reason, for cells of a table.
    """
    why = found["why"] if explained else ""
    if found["value"] is None:
        return number_text(None, form, why)
    if found["low"] is None or found["high"] is None:
        return f"{found['value']:{form}} (no interval{f': {why}' if why else ''})"
    return range_text(found["value"], found["low"], found["high"], form)


def range_text(value: float, low: float, high: float, form: str = ".3f") -> str:
    """A number with the ends of an interval or range: "0.512 (0.490 to 0.534)"."""
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def number_text(value: float | None, form: str | Callable[[float], str], why: str = "") -> str:
    """A number, or that it could not be computed, which NaN and infinities say as None does.

    Args:
        form: as `format` takes it, or what writes the number.
        why: the reason where it is absent.
    """
    if value is None or not math.isfinite(value):
        return f"not computed: {why}" if why else "not computed"
    return form(value) if callable(form) else format(value, form)


def p_text(value: float | None) -> str:
    """A p-value, which is never 0: the smallest are written "< 0.001"."""
    return number_text(value, lambda p: "< 0.001" if p < 0.001 else f"{p:.3f}")
