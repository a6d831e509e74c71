"""Intervals for ratios of sums over responses: a bootstrap that draws whole prompts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from htpo.statistics import Estimate

DRAWS = 2000
FEW = 10  # prompts are drawn where there are so many, else responses; a ratio over fewer has no interval
LEVEL = 0.95


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

    def ratio(self, numerator: np.ndarray, denominator: np.ndarray, of: str) -> Estimate:
        """Sum of one quantity over sum of another; both (responses,).

        Args:
            of: what the denominator counts, in the singular, for the reason where there is none.
        """
        return self._interval(*self._ratios(numerator, denominator), f"no {of}")

    def difference(self, first: Sequence[np.ndarray], second: Sequence[np.ndarray], of: Sequence[str]) -> Estimate:
        """The first ratio minus the second; each a numerator and a denominator, (responses,).

        Args:
            of: what each denominator counts, as in `ratio`.
        """
        (one, one_drawn), (other, other_drawn) = self._ratios(*first), self._ratios(*second)
        drawn = one_drawn - other_drawn if len(one_drawn) and len(other_drawn) else np.zeros(0)
        missing = of[0] if not np.isfinite(one) else of[1]
        return self._interval(one - other, drawn, f"no {missing}")

    def _ratios(self, numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray]:
        above, below = (
            np.bincount(self._cluster, np.nan_to_num(values), minlength=self.clusters)
            for values in (numerator, denominator)
        )
        if (below != 0).sum() < FEW:
            return above.sum() / below.sum() if below.any() else np.nan, np.zeros(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return above.sum() / below.sum(), (self._times @ above) / (self._times @ below)

    def _interval(self, value: float, drawn: np.ndarray, missing: str) -> Estimate:
        if not np.isfinite(value):
            return Estimate.absent(missing)
        drawn = drawn[np.isfinite(drawn)]
        if len(drawn) < DRAWS / 2:
            return Estimate(float(value), why=f"fewer than {FEW} {self.unit}")
        if np.ptp(drawn) == 0:
            return Estimate(float(value), why=f"the {self.unit} are all alike")
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(float(value), float(low), float(high))


def _strata(responses: pd.DataFrame) -> np.ndarray:
    return responses.groupby(["run", "step"], dropna=False, sort=False).ngroup().to_numpy()
