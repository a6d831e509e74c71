"""`PassRates`: how often a model answered each of several problems correctly."""

import statistics
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from htpo.statistics.estimate import Difference, Estimate
from htpo.statistics.pass_at_k import pass_curves
from htpo.statistics.problems import paired_difference, rate_interval

EXAMPLES = 2


@dataclass(frozen=True)
class PassRates:
    """How often a model answered each of several problems correctly."""

    samples: int  # answers per problem
    correct: tuple[int, ...]  # how many of them were correct, per problem
    mean_length: float  # tokens per answer
    truncated: float  # share of answers cut at the token limit
    failures: dict[str, int]  # answers the verifier failed on, by kind
    examples: tuple[dict[str, Any], ...]  # a few of {prompt, response, correct}

    @property
    def problems(self) -> int:
        """Number of problems."""
        return len(self.correct)

    @cached_property
    def pass_curves(self) -> NDArray[np.float64]:
        """(problems, samples) pass@k of every problem for k = 1, 2, ..."""
        return pass_curves(self.samples, self.correct)

    def pass_at(self, k: int) -> float:
        """Mean over problems of the unbiased pass@k."""
        return float(self.pass_curves[:, k - 1].mean())

    def estimate(self, k: int) -> Estimate:
        """Mean pass@k, with its interval for what other problems would give."""
        return rate_interval(self.pass_curves[:, k - 1])

    def change_from(self, before: "PassRates", k: int) -> Difference:
        """Change of pass@k since `before` on the same problems, paired."""
        return paired_difference(self.pass_curves[:, k - 1], before.pass_curves[:, k - 1])

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PassRates":
        """From what `to_json` gave, also after a round trip through a file."""
        return cls(**{**data, "correct": tuple(data["correct"]), "examples": tuple(data["examples"])})

    @classmethod
    def join(cls, parts: list["PassRates"]) -> "PassRates":
        """The rates over all problems from those over parts of them, equally many samples each."""
        answers = [part.problems for part in parts]
        failures: Counter[str] = Counter()
        for part in parts:
            failures.update(part.failures)
        return cls(
            samples=parts[0].samples,
            correct=tuple(count for part in parts for count in part.correct),
            mean_length=statistics.fmean([part.mean_length for part in parts], answers),
            truncated=statistics.fmean([part.truncated for part in parts], answers),
            failures=dict(failures),
            examples=choose_examples([example for part in parts for example in part.examples]),
        )


def choose_examples(examples: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """To be shown: a right and a wrong answer where there are both, else the first two."""
    by_verdict = [next((e for e in examples if e["correct"] is verdict), None) for verdict in (True, False)]
    found = [example for example in by_verdict if example is not None]
    return tuple(found if len(found) == EXAMPLES else examples[:EXAMPLES])
