"""The vocabulary of tasks: prompts to train on or to be measured on, and what judges the answers."""

from dataclasses import dataclass

from datasets import Dataset

from htpo.verifiers.verdict import Verifier


@dataclass(frozen=True)
class Task:
    """Prompts to train on, prompts held out, and the verifier that judges both."""

    name: str
    train: Dataset  # columns: `prompt` (text, or chat messages) and whatever the verifier reads
    held_out: Dataset | None  # same columns; never trained on
    verifier: Verifier
    description: str  # one line in plain words, for the plan and the reports


@dataclass(frozen=True)
class Problems:
    """All problems of one source, to be measured on, and the verifier that judges the answers."""

    name: str
    rows: Dataset  # columns: `prompt` (text, or chat messages) and whatever the verifier reads
    verifier: Verifier
    description: str  # one line in plain words
