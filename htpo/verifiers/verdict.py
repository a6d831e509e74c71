"""The vocabulary of judging: what a verifier says of a response."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

UNSCORED = "unscored"
FAILURES = {
    "timeout": "took too long to judge",
    "crash": "broke what judged it, or ran out of memory",
    "unparsable": "held no answer that could be read",
    "truncated": "was cut off at the length limit",
    UNSCORED: "got no verdict: the verifier raised, or returned None or NaN",
}
"""How judging can fail, and what that says of the response. All but `unscored` are the response's own fault, and wrong;
in training an unscored one is left out."""


@dataclass(frozen=True)
class Verdict:
    """What a verifier says of one response."""

    correct: bool
    extracted: str | None = None  # the final answer that was judged, as text
    failure: str | None = None  # a key of FAILURES; None when it could be judged
    score: float | None = None  # the reward, of a verifier that gives partial credit; None: 1 when correct, else 0

    @property
    def reward(self) -> float | None:
        """What the response earns before any shaping; None where there is no verdict."""
        if self.failure == UNSCORED:
            return None
        return float(self.correct) if self.score is None else self.score


class Verifier(Protocol):
    """Judges responses. Never raises for what a model wrote; never hangs."""

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response; `rows` are the dataset rows the responses answer, in the same order."""

    def close(self) -> None:
        """Release worker processes, if any."""


def judge_finished(
    verifier: Verifier,
    responses: Sequence[str],
    rows: Sequence[dict[str, Any]],
    finished: Sequence[bool],
    sent: Sequence[str] | None = None,
) -> list[Verdict]:
    """Verdicts on responses of which some were cut at the length limit.

    Those are wrong and not shown to the verifier: whatever stands last in them may be an intermediate value.

    Args:
        sent: the prompts as the model got them, through its chat template; the verifier sees them in column `sent` and
            so knows whether a response begins inside reasoning.
    """
    if sent is not None:
        rows = [{**row, "sent": text} for row, text in zip(rows, sent, strict=True)]
    whole = [index for index, ended in enumerate(finished) if ended]
    judged = verifier.judge([responses[i] for i in whole], [rows[i] for i in whole])
    verdicts = [Verdict(False, failure="truncated")] * len(responses)
    for index, verdict in zip(whole, judged, strict=True):
        verdicts[index] = verdict
    return verdicts
