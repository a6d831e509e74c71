"""What is written to hang or break the math verifier costs its own answer at most."""

import pytest

from htpo.verifiers.math.verifier import MathVerifier
from tests.verifiers.math.hostile import hostile_expressions


def judged(count, step, timeout):
    """Judge every `step`-th of the first `count`; the verdicts by expression."""
    verifier = MathVerifier(workers=2, timeout=timeout, memory_limit_mb=1024)
    texts = hostile_expressions(count)[::step]
    verdicts = verifier.judge([f"\\boxed{{{text}}}" for text in texts], [{"answer": "7"}] * len(texts))
    after = verifier.judge([r"\boxed{0.5}"], [{"answer": "1/2"}])[0]
    counted = sum(verdict.failure is not None for verdict in verdicts)
    assert after.correct
    assert verifier.failures.total() == counted
    assert {verdict.failure for verdict in verdicts} <= {None, "timeout", "crash", "unparsable"}
    verifier.close()
    return dict(zip(texts, verdicts))


def test_hostile_expressions_are_the_same_in_every_run():
    assert len(set(hostile_expressions(300))) == 300
    assert hostile_expressions(300) == hostile_expressions(300)


def test_a_sample_of_hostile_expressions_neither_hangs_nor_is_accepted():
    assert not any(verdict.correct for verdict in judged(1000, step=53, timeout=0.5).values())


@pytest.mark.slow
def test_a_thousand_hostile_expressions_neither_hang_nor_are_accepted():
    verdicts = judged(1000, step=1, timeout=1.0)
    assert len(verdicts) == 1000
    assert not any(verdict.correct for verdict in verdicts.values())


def test_hostile_golds_are_refused_or_read_within_the_bound():
    verifier = MathVerifier(workers=2, timeout=0.5, memory_limit_mb=1024)
    reasons = verifier.check_golds(hostile_expressions(12))
    assert all(reason is None or "gold answer" in reason for reason in reasons)
    verifier.close()
