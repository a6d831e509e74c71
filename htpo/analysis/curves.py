"""What is plotted against updates, and against k: curves of runs that are shown as one, with their spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from htpo.runs import RunRecord
from htpo.statistics import means_over_seeds, rate_intervals

SMOOTHED_SHARE = 0.05  # curves are running means over this share of the updates


@dataclass(frozen=True)
class TrainingCurve:
    """A metric of runs at the updates that all of them logged."""

    steps: NDArray[np.int64]  # (updates,)
    values: NDArray[np.float64]  # (runs, updates), NaN where not known

    @classmethod
    def of(cls, runs: Sequence[RunRecord], name: str) -> "TrainingCurve | None":
        """None where there is no such update."""
        by_run = [dict(zip(*(part.tolist() for part in run.curve(name)))) for run in runs]
        steps = sorted(set.intersection(*(set(known) for known in by_run)))
        if not steps:
            return None
        return cls(np.array(steps), np.array([[known[step] for step in steps] for known in by_run]))

    @property
    def apart(self) -> int:
        """Updates from one value to the next, mostly; 1 where there is only one."""
        return int(np.median(np.diff(self.steps))) if len(self.steps) > 1 else 1

    @property
    def width(self) -> int:
        """Values that a running mean is over."""
        return max(1, round(SMOOTHED_SHARE * len(self.steps)))

    def smoothed(self) -> "TrainingCurve":
        """The running means of every run, without the updates at which nothing is known."""
        smooth = np.array([running_mean(run, self.width) for run in self.values])
        known = ~np.isnan(smooth).all(0)
        return TrainingCurve(self.steps[known], smooth[:, known])

    def rows(self) -> list[dict[str, Any]]:
        """Mean, smallest and largest over runs, and of how many, at every update; None where not known."""
        rows: list[dict[str, Any]] = []
        for step, column in zip(self.steps.tolist(), self.values.T):
            known = column[~np.isnan(column)]
            spread = [float(f(known)) for f in (np.mean, np.min, np.max)] if known.size else [None] * 3
            rows.append({"step": step, **dict(zip(("mean", "min", "max"), spread)), "n": int(known.size)})
        return rows


def running_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """(updates,) the mean of the last `width` values at each update, NaN left out; NaN where there is nothing."""
    known = ~np.isnan(values)
    window = np.ones(width)
    total = np.convolve(np.where(known, values, 0.0), window)[: len(values)]
    count = np.convolve(known.astype(float), window)[: len(values)]
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


@dataclass(frozen=True)
class PassCurve:
    """Mean pass@k with the ends of its 95 % interval, NaN where there is none; arrays are (k,)."""

    ks: list[int]
    means: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    problems: int  # of all runs
    runs: int

    @classmethod
    def of(cls, runs: Sequence[NDArray[np.float64]], ks: Sequence[int]) -> "PassCurve":
        """Over runs and problems.

        Several runs are seeds, and the interval is over seeds, as in the tables of `htpo study`; that of one run is
        over problems.

        Args:
            runs: (problems, samples) of each, pass@k of every problem for k = 1, 2, ...
        """
        tables = [table[:, np.array(ks) - 1] for table in runs]
        found = (
            rate_intervals(tables[0])
            if len(tables) == 1
            else means_over_seeds(np.array([table.mean(0) for table in tables]))
        )
        return cls(list(ks), *found, sum(map(len, tables)), len(tables))

    def rows(self) -> list[dict[str, Any]]:
        """Mean and interval for every k."""
        columns = (self.ks, *(part.tolist() for part in (self.means, self.low, self.high)))
        return [dict(zip(("k", "pass_at_k", "low", "high"), row)) for row in zip(*columns)]
