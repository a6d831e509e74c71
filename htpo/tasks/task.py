"""The vocabulary of tasks: where prompts come from and how a response is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from datasets import Dataset


@dataclass(frozen=True)
class Verdict:
    """What a verifier says of one response."""

    correct: bool
    extracted: str | None = None  # the final answer that was judged, as text
    failure: str | None = None  # "timeout", "crash" or "unparsable"; None when the verifier did its work


class Verifier(Protocol):
    """Judges responses. Never raises for what a model wrote; never hangs."""

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response; `rows` are the dataset rows the responses answer, in the same order."""

    def close(self) -> None:
        """Release worker processes, if any."""


@dataclass(frozen=True)
class Task:
    """Prompts to train on, prompts held out, and the verifier that judges both."""

    name: str
    train: Dataset  # columns: `prompt` (text, or chat messages) and whatever the verifier reads
    held_out: Dataset | None  # same columns; never trained on
    verifier: Verifier
    description: str  # one line in plain words, for the plan and the reports
