"""What screening and the memory of prompts do to the prompts that are trained on: formulas, tables, and a simulation.

    python benchmarks/screening_law.py [--samples 8] [--screening 4] [--floor 0.1] [--draws 200000]

G answers make a group, K of them are sampled first, p is the prompt's pass rate. docs/performance.md derives what
stands here. The script prints a table over p beside what a simulation of so many draws gives.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SETTLED = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)
EVENLY = [(place + 0.5) / 100 for place in range(100)]


def mixed(p: float, answers: int) -> float:
    """Probability that so many answers are neither all right nor all wrong: DAPO's rule at G, screening's at K."""
    return 1 - p**answers - (1 - p) ** answers


def mean_accuracy(p: float, samples: int, screening: int) -> float:
    """Mean accuracy of a kept group; with `screening` equal to `samples`, DAPO's rule."""
    right_at_screening = screening * (p - p**screening) / mixed(p, screening)
    return (right_at_screening + (samples - screening) * p) / samples


def gradient_weight(p: float, samples: int, screening: int) -> float:
    """Expected gradient of a drawn prompt, over that under DAPO's rule; advantages not divided by the deviation.

    It is E[X (G - X); kept] / (G (G - 1) p (1 - p)), X the number of right answers.
    """
    rest, q = samples - screening, 1 - p
    lost = p ** (screening - 1) * (screening + (rest - 1) * p) + q ** (screening - 1) * (screening + (rest - 1) * q)
    return 1 - rest * lost / (samples * (samples - 1))


def answers_per_group(p: float, samples: int, screening: int) -> float:
    """Answers sampled for each kept group."""
    return screening / mixed(p, screening) + samples - screening


def cost(rates: Sequence[float], settled: float, samples: int, screening: int) -> float:
    """Answers sampled for each kept group of data with a share of prompts that are settled: pass rate 0 or 1.

    Args:
        rates: pass rates of the others, each as frequent as the next.
    """
    kept = (1 - settled) * sum(mixed(p, screening) for p in rates) / len(rates)
    return screening / kept + samples - screening


def visit_rate(mixed_share: float, floor: float) -> float:
    """How often the memory lets a prompt be drawn when its turn comes, in the long run.

    Args:
        mixed_share: probability that a visit has a signal, constant in time.
        floor: the least probability of being drawn.
    """
    waits, total, in_vain = 0.0, 1.0, 0
    while total > 1e-12:
        chance = max(1 / (1 + in_vain), floor)
        if chance == floor:
            waits += total / floor  # and so on for ever: sum of total (1 - m)^j m / floor
            break
        waits += total * mixed_share / chance
        total *= 1 - mixed_share
        in_vain += 1
    return 1 / waits


@dataclass
class Simulated:
    """Of prompts of one pass rate."""

    kept: float
    accuracy: float
    weight: float
    answers: float


def simulate(p: float, samples: int, screening: int, draws: int, seed: int = 0) -> Simulated:
    """The same numbers from draws of groups, as the trainer keeps and drops them."""
    answers = np.random.default_rng(seed).random((draws, samples)) < p
    first = answers[:, :screening].sum(1)
    kept = (first > 0) & (first < screening)
    right = answers.sum(1)
    product = (right * (samples - right))[kept].sum() / draws
    spent = draws * screening + kept.sum() * (samples - screening)
    return Simulated(
        kept=kept.mean(),
        accuracy=right[kept].mean() / samples,
        weight=product / (samples * (samples - 1) * p * (1 - p)),
        answers=spent / kept.sum(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--screening", type=int, default=4)
    parser.add_argument("--floor", type=float, default=0.1)
    parser.add_argument("--draws", type=int, default=200_000)
    args = parser.parse_args()
    size, first = args.samples, args.screening
    print(f"G = {size}, K = {first}; simulated with {args.draws} draws in brackets\n")
    print("| pass rate | kept by DAPO | kept by screening | accuracy of a kept group, DAPO | screening | ", end="")
    print("gradient weight | answers per kept group, DAPO | screening | visits with memory |")
    print("|---|---|---|---|---|---|---|---|---|")
    for p in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.98):
        found = simulate(p, size, first, args.draws)
        print(
            f"| {p:g} | {mixed(p, size):.3f} | {mixed(p, first):.3f} ({found.kept:.3f}) "
            f"| {mean_accuracy(p, size, size):.3f} | {mean_accuracy(p, size, first):.3f} ({found.accuracy:.3f}) "
            f"| {gradient_weight(p, size, first):.3f} ({found.weight:.3f}) "
            f"| {answers_per_group(p, size, size):.1f} | {answers_per_group(p, size, first):.1f} ({found.answers:.1f}) "
            f"| {visit_rate(mixed(p, size), args.floor):.3f} |"
        )
    print(
        "\nAnswers per kept group over those of DAPO's rule, by the share of prompts that are never or always solved\n"
    )
    print("| pass rates of the others | K | " + " | ".join(f"{dead:.0%}" for dead in SETTLED) + " |")
    print("|---|---|" + "---|" * len(SETTLED))
    for name, others in {"0.5": [0.5], "spread evenly over 0 to 1": EVENLY, "0.1": [0.1]}.items():
        for screening in (2, first):
            ratios = [cost(others, dead, size, screening) / cost(others, dead, size, size) for dead in SETTLED]
            print(f"| {name} | {screening} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")


if __name__ == "__main__":
    main()
