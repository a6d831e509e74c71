"""Student's t."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

CONFIDENCE = 0.95


def quantile(degrees: float) -> float:
    """What an estimate lies from the truth, in standard errors, in 95 of 100 cases.

    Args:
        degrees: of freedom, above 0.
    """
    return float(special.stdtrit(degrees, (1 + CONFIDENCE) / 2))


def p_values(t: ArrayLike, degrees: float) -> NDArray[np.float64]:
    """Two-sided: chances of a t at least as far from 0; below 0.05 just where the 95 % interval leaves 0 out."""
    below: NDArray[np.float64] = special.stdtr(degrees, -np.abs(np.asarray(t, dtype=np.float64)))
    return 2 * below
