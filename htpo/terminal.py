"""Progress on the terminal."""

import sys

from tqdm import tqdm

SECONDS_BETWEEN_LOG_LINES = 10.0


def progress_bar(title: str, total: int, unit: str, *, initial: int = 0, shown: bool = True) -> tqdm:
    """A bar on stderr; where that is a file or a CI log, a line now and then."""
    interval = 0.2 if sys.stderr.isatty() else SECONDS_BETWEEN_LOG_LINES
    return tqdm(desc=title, total=total, unit=unit, initial=initial, mininterval=interval, disable=not shown)
