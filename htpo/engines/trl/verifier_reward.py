"""A verifier's verdicts as TRL reward functions; `HTPOTrainer` hands them on as the argument `verdict`."""

from collections.abc import Callable
from typing import Any

from htpo.verifiers.verdict import FAILURES, Verdict


def correct(*, verdict: list[Verdict], log_metric: Callable[[str, float], None], **others: Any) -> list[float | None]:
    """1 for a correct response, None for one without a verdict, else 0; logs how often judging failed."""
    for kind in FAILURES:
        log_metric(f"verifier/{kind}_share", sum(each.failure == kind for each in verdict) / len(verdict))
    return [None if each.reward is None else float(each.correct) for each in verdict]


def partial_credit(*, verdict: list[Verdict], **others: Any) -> list[float | None]:
    """What a verifier's own score adds to 1 for correct and 0 for wrong."""
    return [None if each.reward is None else each.reward - float(each.correct) for each in verdict]
