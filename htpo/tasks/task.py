"""The vocabulary of tasks: prompts to train on or to be measured on, and what judges the answers."""

import json
from dataclasses import dataclass
from typing import Any

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


def gold_of(row: dict[str, Any], answer_column: str = "answer") -> str | None:
    """The right answer in a row of a task, or else a right response; None where none is known.

    Args:
        answer_column: of the user's row, which stands in `fields` for verifiers that read it whole.
    """
    given = json.loads(row["fields"]).get(answer_column) if "fields" in row else None
    known = (gold for gold in (row.get("answer"), given, row.get("solution")) if gold is not None)
    gold = next(known, None)
    return None if gold is None else str(gold)
