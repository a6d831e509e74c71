"""Sampling many answers to each problem, and what their counts say."""

from htpo.evaluate.collection import collect, judge_again
from htpo.evaluate.comparison import compare
from htpo.evaluate.directory import EvaluationDirectory
from htpo.evaluate.generators.end_tokens import end_tokens
from htpo.evaluate.generators.local_models import load_tokenizer
from htpo.evaluate.generators.sampling import sample_responses
from htpo.evaluate.generators.vocabulary import SamplingOptions
from htpo.evaluate.pass_rates import evaluate_task

__all__ = [
    "EvaluationDirectory",
    "SamplingOptions",
    "collect",
    "compare",
    "end_tokens",
    "evaluate_task",
    "judge_again",
    "load_tokenizer",
    "sample_responses",
]
