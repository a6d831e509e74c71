"""Sampling many answers to each problem, and what their counts say."""

from htpo.evaluate.collection import collect, judge_again
from htpo.evaluate.comparison import compare
from htpo.evaluate.directory import EvaluationDirectory
from htpo.evaluate.generators.end_tokens import end_tokens
from htpo.evaluate.generators.loading import SAFELY, check_weights, load_model, load_tokenizer
from htpo.evaluate.generators.model import ModelGenerator
from htpo.evaluate.generators.vocabulary import SamplingOptions
from htpo.evaluate.pass_rates import measure_pass_rates

__all__ = [
    "SAFELY",
    "EvaluationDirectory",
    "ModelGenerator",
    "SamplingOptions",
    "check_weights",
    "collect",
    "compare",
    "end_tokens",
    "judge_again",
    "load_model",
    "load_tokenizer",
    "measure_pass_rates",
]
