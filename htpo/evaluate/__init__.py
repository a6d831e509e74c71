"""Sampling many answers to each problem, and what their counts say."""

from htpo.evaluate.collection import collect, judge_again
from htpo.evaluate.comparison import compare
from htpo.evaluate.directory import EvaluationDirectory
from htpo.evaluate.end_tokens import end_tokens
from htpo.evaluate.generation import SamplingOptions
from htpo.evaluate.local_models import load_tokenizer
from htpo.evaluate.pass_rates import PassRates, evaluate_task
from htpo.evaluate.sampling import sample_responses
from htpo.statistics.pass_at_k import g_pass_at_k, majority_at_k, mean_g_pass_at_k, pass_at_k, pass_curves

__all__ = [
    "EvaluationDirectory",
    "PassRates",
    "SamplingOptions",
    "collect",
    "compare",
    "end_tokens",
    "evaluate_task",
    "g_pass_at_k",
    "judge_again",
    "load_tokenizer",
    "majority_at_k",
    "mean_g_pass_at_k",
    "pass_at_k",
    "pass_curves",
    "sample_responses",
]
