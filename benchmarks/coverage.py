"""How often the 95 % intervals of `htpo.statistics` hold the truth, by simulation.

    python benchmarks/coverage.py [--trials N]

prints the tables of docs/statistics.md: each row is a number of problems, seeds or prompts, with the mean, the smallest
and the largest share of trials, over populations, in which the interval holds the population's value.
"""

import argparse
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from htpo.statistics import PromptSample, means_over_seeds, pass_curves, rate_intervals
from htpo.statistics.problems import paired_differences

DIFFICULTIES = [(0.3, 0.3), (0.2, 1.8), (2, 2), (8, 8), (1, 19), (5, 1)]  # beta distributions of a problem's solve rate
SAMPLES_AND_K = [(1, 1), (8, 1), (8, 4), (32, 1), (32, 32)]
PROBLEMS, SEEDS, PROMPTS = (2, 5, 10, 30, 100, 300, 1000), (3, 5, 10), (1, 2, 4, 16, 64)
SLACK = 1e-3  # of a truth that is itself simulated
Shares = list[float]


def pass_rates(solve: NDArray, samples: int, k: int, draw: np.random.Generator) -> NDArray:
    """Estimates of pass@k of problems with these solve rates, in their shape."""
    table = pass_curves(samples, range(samples + 1))[:, k - 1]
    return table[draw.binomial(samples, np.clip(solve, 0, 1))]


def over_problems(problems: int, trials: int, draw: np.random.Generator) -> Shares:
    """Of `rate_interval`, a share for each population whose truth is not within 0.01 of 0 or 1."""
    shares = []
    for a, b in DIFFICULTIES:
        for samples, k in SAMPLES_AND_K:
            truth = pass_rates(draw.beta(a, b, 50_000), samples, k, draw).mean()
            if 0.01 < truth < 0.99:
                _, low, high = rate_intervals(pass_rates(draw.beta(a, b, (problems, trials)), samples, k, draw))
                shares.append(_share(low, truth, high))
    return shares


def over_pairs(problems: int, trials: int, draw: np.random.Generator) -> Shares:
    """Of `paired_difference`: of models that are alike, that differ by problem, and of one better by 0.5 logits."""

    def differences(shape: tuple[int, ...], a: float, b: float, samples: int, k: int, better: float, apart: float):
        first = np.clip(draw.beta(a, b, shape), 1e-6, 1 - 1e-6)
        second = expit(logit(first) + better + apart * draw.normal(size=shape))
        return pass_rates(second, samples, k, draw), pass_rates(first, samples, k, draw)

    shares = []
    for a, b in DIFFICULTIES:
        for samples, k in ((8, 1), (8, 4), (32, 1)):
            for better, apart in ((0, 0), (0, 0.5), (0.5, 0.3)):
                one = (a, b, samples, k, better, apart)
                truth = np.subtract(*differences((50_000,), *one)).mean()
                _, low, high, _ = paired_differences(*differences((problems, trials), *one))
                shares.append(_share(low, truth, high))
    return shares


def over_seeds(seeds: int, problems: int, trials: int, draw: np.random.Generator) -> Shares:
    """Of `mean_over_seeds`, where seeds differ by 0 to 1 logits and each has problems of its own.

    Trials whose seeds are all alike have no interval and are left out.
    """

    def means(shape: tuple[int, ...], centre: float, spread: float, k: int) -> NDArray:
        solve = centre + draw.normal(0, 1.5, (problems, *shape)) + draw.normal(0, spread, shape)
        return pass_rates(expit(solve), 8, k, draw).mean(0)

    shares = []
    for centre in (-2, 0, 1):
        for spread in (0.0, 0.3, 1.0):
            for k in (1, 4):
                truth = means((50_000 // problems,), centre, spread, k).mean()
                _, low, high = means_over_seeds(means((seeds, trials), centre, spread, k))
                shares.append(_share(low, truth, high))
    return shares


def over_prompts(updates: int, prompts: int, trials: int, draw: np.random.Generator) -> Shares:
    """Of `PromptSample.ratio`: eight responses to a prompt, of unequal length and alike, while training drifts."""

    def totals(trials: int, drift: float, apart: float) -> tuple[NDArray, NDArray]:
        shape = (trials, updates, prompts)
        tokens = draw.lognormal(3, 0.5, (*shape, 8)) * np.exp(0.4 * draw.normal(size=(*shape, 1)))
        level = 1 + np.linspace(drift, -drift, updates)[:, None, None] + apart * draw.normal(size=(*shape, 1))
        value = level + 0.3 * draw.normal(size=tokens.shape)
        return ((value * tokens).sum(3).reshape(trials, -1), tokens.sum(3).reshape(trials, -1))

    sample = PromptSample(np.arange(updates * prompts), np.repeat(np.arange(updates), prompts))
    shares = []
    for drift in (0.0, 0.3):
        for apart in (0.2, 0.5):
            above, below = totals(50_000 // (updates * prompts * 8) + 100, drift, apart)
            truth = above.sum() / below.sum()
            found = [sample.ratio(one, other, "token") for one, other in zip(*totals(trials, drift, apart))]
            low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
            shares.append(_share(low, truth, high))
    return shares


def _share(low: NDArray, truth: float, high: NDArray) -> float:
    known = ~np.isnan(low)
    return float(((low - SLACK <= truth) & (truth <= high + SLACK))[known].mean())


def _rows(trials: int) -> Iterator[tuple[str, Shares]]:
    draw = np.random.default_rng(0)
    for problems in PROBLEMS:
        yield f"rate over {problems:,} problems", over_problems(problems, trials, draw)
    for problems in PROBLEMS:
        yield f"paired difference over {problems:,} problems", over_pairs(problems, trials, draw)
    for seeds in SEEDS:
        for problems in (4, 16, 64, 256):
            yield f"{seeds} seeds with {problems} problems each", over_seeds(seeds, problems, trials, draw)
    for updates in (1, 10):
        for prompts in PROMPTS:
            if updates * prompts > 1:
                yield f"{updates} updates with {prompts} prompts each", over_prompts(updates, prompts, trials, draw)


def _print(rows: Iterable[tuple[str, Shares]]) -> None:
    print("| | mean | smallest | largest |\n|---|---|---|---|")
    for name, shares in rows:
        print(f"| {name} | {np.mean(shares):.3f} | {min(shares):.3f} | {max(shares):.3f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=600)
    _print(_rows(parser.parse_args().trials))
