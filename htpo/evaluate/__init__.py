"""Sampling many answers to each problem, and what their counts say."""

from htpo.evaluate.collection import collect, judge_again
from htpo.evaluate.comparison import compare
from htpo.evaluate.directory import EvaluationDirectory
from htpo.evaluate.end_tokens import end_tokens
from htpo.evaluate.generation import SamplingOptions
from htpo.evaluate.local_models import load_tokenizer
from htpo.evaluate.pass_rates import evaluate_task
from htpo.evaluate.sampling import sample_responses

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
