"""From counts of correct answers to pass rates."""

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PreTrainedModel

from htpo.evaluate.end_tokens import end_tokens
from htpo.evaluate.sampling import sample_responses
from htpo.statistics import Difference, Estimate, paired_difference, rate_interval
from htpo.statistics.pass_at_k import pass_curves
from htpo.tasks.prompts import as_sent
from htpo.verifiers.verdict import Verifier, judge_finished

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

    def pass_at(self, k: int) -> float:
        """Mean over problems of the unbiased pass@k."""
        return float(self._by_problem(k).mean())

    def estimate(self, k: int) -> Estimate:
        """Mean pass@k, with its interval for what other problems would give."""
        return rate_interval(self._by_problem(k))

    def change_from(self, before: "PassRates", k: int) -> Difference:
        """Change of pass@k since `before` on the same problems, paired."""
        return paired_difference(self._by_problem(k), before._by_problem(k))

    def _by_problem(self, k: int) -> NDArray[np.float64]:
        return pass_curves(self.samples, self.correct)[:, k - 1]

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
            examples=_chosen([example for part in parts for example in part.examples]),
        )


def evaluate_task(
    model: PreTrainedModel,
    tokenizer: Any,
    problems: Dataset,
    verifier: Verifier,
    *,
    samples: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    template_options: Mapping[str, Any] | None = None,
    progress: str | None = None,
) -> PassRates:
    """Sample `samples` answers to each problem (column `prompt`, and what the verifier reads) and judge them.

    The caller's random state is left as it was. See `sample_responses` for the arguments.
    """
    responses = sample_responses(
        model,
        tokenizer,
        problems["prompt"][:],
        samples=samples,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        template_options=template_options,
        progress=progress,
    )
    flat = [ids for group in responses for ids in group]
    rows = [row for row in problems for _ in range(samples)]
    texts = tokenizer.batch_decode(flat, skip_special_tokens=True)
    ends = end_tokens(model, tokenizer)
    finished = [bool(ids) and ids[-1] in ends for ids in flat]
    sent = [as_sent(row["prompt"], tokenizer, template_options) for row in rows]
    verdicts = judge_finished(verifier, texts, rows, finished, sent)
    judged = [verdict.correct for verdict in verdicts]
    shown = [
        {"prompt": row["prompt"], "response": text, "correct": correct}
        for row, text, correct in zip(rows, texts, judged)
    ]
    return PassRates(
        samples=samples,
        correct=tuple(sum(judged[i : i + samples]) for i in range(0, len(judged), samples)),
        mean_length=statistics.fmean(map(len, flat)),
        truncated=1 - statistics.fmean(finished),
        failures=dict(Counter(verdict.failure for verdict in verdicts if verdict.failure)),
        examples=_chosen(shown),
    )


def _chosen(examples: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """A right and a wrong answer where there are both, else the first two."""
    by_verdict = [next((e for e in examples if e["correct"] is verdict), None) for verdict in (True, False)]
    found = [example for example in by_verdict if example is not None]
    return tuple(found if len(found) == EXAMPLES else examples[:EXAMPLES])
