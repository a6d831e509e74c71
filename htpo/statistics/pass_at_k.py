"""What the counts of one problem say: pass@k for every k, G-Pass@k, and the vote of k answers."""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

VOTES_DRAWN = 1000  # random sets of k answers, where the expected vote is not enumerated


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Unbiased probability that one of k answers drawn without replacement is correct (2107.03374, eq. 1).

    Raises:
        ValueError: unless 0 <= correct <= samples and 1 <= k <= samples.
    """
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError(f"pass@{k} of {correct} correct among {samples} samples is not defined")
    return float(pass_curves(samples, [correct])[0, k - 1])


def pass_curves(samples: int, correct: ArrayLike) -> NDArray[np.float64]:
    """(problems, samples) pass@k of every problem for k = 1..samples.

    With c of n correct, the first success at draw k has probability fail(k - 1) * c / (n - k + 1), where fail(k) =
    fail(k - 1) * (n - c - k + 1) / (n - k + 1). Only numbers in [0, 1] are multiplied and added, so nothing overflows
    or cancels: the relative error is below 1e-12 for n = 10,000.

    Args:
        samples: n, answers per problem.
        correct: (problems,) how many of them were correct.

    Raises:
        ValueError: unless every count is in 0..samples.
    """
    counts, where = _distinct(samples, correct)
    k = np.arange(1, samples + 1)
    left, right = samples - k + 1, counts[:, None]
    fails = np.cumprod(np.maximum(left - right, 0) / left, axis=1)
    before = np.concatenate([np.ones_like(fails[:, :1]), fails[:, :-1]], axis=1)
    curves = np.cumsum(before * np.minimum(right / left, 1.0), axis=1)
    certain = k > samples - right  # more draws than there are wrong answers
    return np.where(certain, 1.0, np.minimum(curves, 1.0))[where]


def powers_of_two(samples: int) -> list[int]:
    """1, 2, 4, ... up to `samples`, which is always the last."""
    return sorted({*(2**i for i in range(samples.bit_length())), samples})


def g_pass_at_k(samples: int, correct: ArrayLike, k: int, tau: float) -> NDArray[np.float64]:
    """(problems,) chance that at least ceil(tau k) of k answers drawn without replacement are right (2412.13147).

    tau near 0 (at least one right) is pass@k; tau = 1 wants all k right.

    Args:
        samples: n, answers per problem.
        correct: (problems,) how many of them were correct.
        tau: in (0, 1], taken as the decimal number it is written as: 0.28 of 25 are 7.

    Raises:
        ValueError: unless every count is in 0..samples, 1 <= k <= samples and 0 < tau <= 1.
    """
    if not 0 < tau <= 1:
        raise ValueError(f"tau={tau} of G-Pass@k must be above 0 and at most 1")
    return _at_least(samples, correct, k)[:, math.ceil(Fraction(str(tau)) * k)]


def mean_g_pass_at_k(samples: int, correct: ArrayLike, k: int) -> NDArray[np.float64]:
    """(problems,) mG-Pass@k: the mean of G-Pass@k over tau from 0.5 to 1, twice its integral (2412.13147).

    For even k this is the paper's sum, 2/k times G-Pass@k for ceil(k/2) + 1, ..., k right ones. For odd k that sum
    leaves out half a step, and a model that is always right would not reach 1; the integral counts it.

    Raises:
        ValueError: unless every count is in 0..samples and 1 <= k <= samples.
    """
    tails = _at_least(samples, correct, k)
    half = (k + 1) // 2  # tau in (0.5, 1] asks for this many right ones or more
    widths = np.full(k - half + 1, 2 / k)
    widths[0] = 2 * (half / k - 0.5)
    means: NDArray[np.float64] = np.minimum(tails[:, half:] @ widths, 1.0)
    return means


def majority_at_k(answers: Sequence[str | None], correct: Sequence[bool], k: int, seed: int = 0) -> float:
    """Expected correctness of the most frequent answer among k of a problem's n, drawn without replacement.

    Equal texts vote together; ties are broken by a fair draw. Answers of None (unparsable, cut off) vote together, too,
    for no answer, which is wrong. k = n is one vote and k of 1 or 2 is the share of right answers: both are exact. In
    between it is the mean over 1000 sets drawn with the seed (standard error at most 0.016 for one problem).

    Args:
        answers: (n,) the final answers.
        correct: (n,) whether each is right; where equal texts were judged differently the share counts.

    Raises:
        ValueError: unless 1 <= k <= n.
    """
    if not 1 <= k <= len(answers):
        raise ValueError(f"maj@{k} of {len(answers)} answers is not defined")
    sizes = Counter(answers)
    right: Counter[str | None] = Counter()
    for answer, verdict in zip(answers, correct, strict=True):
        right[answer] += int(verdict and answer is not None)
    votes = np.array(list(sizes.values()))
    value = np.array([right[answer] / size for answer, size in sizes.items()])
    if k <= 2 and k < len(answers):
        return float(votes @ value / votes.sum())
    if k < len(answers):
        drawn = np.random.default_rng(seed).multivariate_hypergeometric(votes, k, size=VOTES_DRAWN)
    else:
        drawn = votes[None]
    winners = drawn == drawn.max(axis=1, keepdims=True)
    return float(((winners * value).sum(1) / winners.sum(1)).mean())


def _at_least(samples: int, correct: ArrayLike, k: int) -> NDArray[np.float64]:
    """(problems, k + 1) chance that at least j = 0..k of k answers drawn without replacement are right."""
    if not 1 <= k <= samples:
        raise ValueError(f"{k} of {samples} answers cannot be drawn: k must be in 1..{samples}")
    from scipy.stats import hypergeom  # which takes most of a second, and training has no use for it

    counts, where = _distinct(samples, correct)
    right, j = counts[:, None], np.arange(k + 1)
    tails = np.cumsum(hypergeom.pmf(j, samples, right, k)[:, ::-1], axis=1)[:, ::-1]
    # What is certain or impossible is exactly 1 or 0, whatever the sum of rounded numbers is.
    tails = np.where(j <= k - (samples - right), 1.0, np.where(j > right, 0.0, np.minimum(tails, 1.0)))
    return np.where(j == 0, 1.0, tails)[where]


def _distinct(samples: int, correct: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct counts, and which of them is every problem's."""
    counts, where = np.unique(np.asarray(correct, dtype=np.int64), return_inverse=True)
    if counts.size and (counts[0] < 0 or counts[-1] > samples):
        raise ValueError(f"counts of correct answers must be in 0..{samples}, found {counts[0]}..{counts[-1]}")
    return counts, where
