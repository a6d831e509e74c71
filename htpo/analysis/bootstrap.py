"""Intervals for ratios of sums over responses: a bootstrap that draws whole prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

DRAWS = 2000
FEW = 10  # prompts are drawn where there are so many, else responses; a ratio over fewer has no interval
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % bootstrap interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class Bootstrap:
    """Draws of responses with replacement, the same for every statistic (seed fixed).

    Prompts are drawn with all their responses, for those are alike; responses where there are fewer than ten prompts.
    Within each update as many are drawn as were kept of it.
    """

    def __init__(self, responses: pd.DataFrame):
        prompts = responses["prompt_id"].nunique()
        self.unit = "prompts" if prompts >= FEW else "responses"
        ids = responses["prompt_id"] if self.unit == "prompts" else pd.Series(range(len(responses)))
        self._cluster, uniques = pd.factorize(ids)
        self.clusters = len(uniques)
        first = pd.DataFrame({"cluster": self._cluster, "stratum": _strata(responses)}).drop_duplicates("cluster")
        strata = first.set_index("cluster")["stratum"].reindex(range(self.clusters)).to_numpy()
        draw = np.random.default_rng(0)
        self._times = np.zeros((DRAWS, self.clusters), dtype=np.float32)
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            self._times[:, members] = draw.multinomial(len(members), np.full(len(members), 1 / len(members)), DRAWS)

    @property
    def described(self) -> str:
        """What the intervals are, for captions."""
        return f"95 % bootstrap intervals over {self.clusters} {self.unit}"

    def ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> Interval:
        """Sum of one quantity over sum of another; both (responses,)."""
        return _interval(*self._ratios(numerator, denominator))

    def difference(self, first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> Interval:
        """The first ratio minus the second; each a numerator and a denominator, (responses,)."""
        (one, one_drawn), (other, other_drawn) = self._ratios(*first), self._ratios(*second)
        drawn = one_drawn - other_drawn if len(one_drawn) and len(other_drawn) else np.zeros(0)
        return _interval(one - other, drawn)

    def _ratios(self, numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray]:
        above, below = (
            np.bincount(self._cluster, np.nan_to_num(values), minlength=self.clusters)
            for values in (numerator, denominator)
        )
        if (below != 0).sum() < FEW:
            return above.sum() / below.sum() if below.any() else np.nan, np.zeros(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return above.sum() / below.sum(), (self._times @ above) / (self._times @ below)


def _interval(value: float, drawn: np.ndarray) -> Interval:
    if not np.isfinite(value):
        return Interval(None, None, None)
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < DRAWS / 2 or np.ptp(drawn) == 0:
        return Interval(float(value), None, None)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))


def _strata(responses: pd.DataFrame) -> np.ndarray:
    return responses.groupby(["run", "step"], dropna=False, sort=False).ngroup().to_numpy()
