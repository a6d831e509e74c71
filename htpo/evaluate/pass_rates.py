"""Held-out problems answered by a model at hand, and how many of the answers are correct."""

import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel

from htpo.evaluate.generators.end_tokens import end_tokens
from htpo.evaluate.generators.sampling import sample_responses
from htpo.statistics.pass_rates import PassRates, choose_examples
from htpo.tasks.prompts import as_sent
from htpo.verifiers.verdict import Verifier, judge_finished


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
        examples=choose_examples(shown),
    )
