"""Sampling many answers to each problem, and what their counts say."""

from htpo.evaluate.pass_rates import PassRates, evaluate_task, pass_at_k
from htpo.evaluate.sampling import end_tokens, sample_responses

__all__ = ["PassRates", "end_tokens", "evaluate_task", "pass_at_k", "sample_responses"]
