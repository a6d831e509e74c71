"""What a difference says, in words: one verdict for the end of training, the report, and the findings."""

from collections.abc import Mapping
from typing import Any


def direction(difference: Mapping[str, Any]) -> int:
    """1 where the 95 % interval is above 0, -1 where it is below, else 0, which says that nothing was shown.

    Args:
        difference: an estimate as plain data.
    """
    if difference["low"] is None or difference["high"] is None:
        return 0
    return int(difference["low"] > 0) - int(difference["high"] < 0)


def change_in_words(what: str, change: Mapping[str, Any]) -> str:
    """Whether a rate rose or fell, and else how large a change could have been missed.

    Args:
        what: the rate, as "pass@1".
        change: after - before, an estimate as plain data.
    """
    value, low, high = (change[name] for name in ("value", "low", "high"))
    if low is None or high is None:
        return f"{what} changed by {value:+.3f}; whether that is more than chance cannot be said: {change['why']}"
    interval = f"95 % interval {low:+.3f} to {high:+.3f}"
    found = direction(change)
    if found:
        return f"{what} {'rose' if found > 0 else 'FELL'} by {abs(value):.3f} ({interval})"
    return (
        f"no change of {what} was shown: {value:+.3f} ({interval}); "
        f"a rise of up to {max(high, 0.0):.3f} or a fall of up to {max(-low, 0.0):.3f} could have been missed"
    )
