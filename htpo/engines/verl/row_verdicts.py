"""Verdicts on rows of verl's layout: each by the verifier that its row names, or by the one that the run names."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from htpo.engines.verl.judging_queue import JudgingQueue
from htpo.errors import UserError
from htpo.tasks.gradings import GRADINGS, find_grading
from htpo.tasks.gradings.grading import Grading
from htpo.tasks.named_verifier import JUDGED_BY, JUDGED_ROW, NamedVerifier
from htpo.tasks.options import DataOptions, enumerated
from htpo.verifiers.verdict import Verdict, Verifier

VERIFIER_OPTIONS = (
    "verifier",
    "answer_format",
    "answer_pattern",
    "sandbox",
    "float_tolerance",
    "max_verifier_failures",
)
"""Of `+htpo.*`: what judges rows that do not say so themselves, which then have the gold in `GROUND_TRUTH`."""
GROUND_TRUTH = "reward_model.ground_truth"


class RowVerdicts:
    """Judges responses to rows, as many at once as come in; every verifier has its own worker processes and thread.

    Args:
        block: `+htpo.*`, of which `VERIFIER_OPTIONS` count.
    """

    def __init__(self, block: Mapping[str, Any]):
        self.grading = run_grading(block)
        self._queues: dict[str | None, JudgingQueue] = {}
        self._verifiers: list[Verifier] = []

    async def __call__(self, response: str, row: Mapping[str, Any], sent: str) -> Verdict:
        """The verdict on a finished response.

        Args:
            row: of verl's layout.
            sent: the prompt as the model got it.

        Raises:
            UserError: nothing says how the row is judged, or it cannot be.
        """
        extra = row.get("extra_info") or {}
        name = extra.get(JUDGED_BY)
        if name is not None:
            read = {JUDGED_BY: name, JUDGED_ROW: extra[JUDGED_ROW]}
        elif self.grading is not None:
            read = grading_row(self.grading, row)
        else:
            raise UserError(NOT_SAID)
        return await self._queue(name)(response, {**read, "sent": sent})

    def close(self) -> None:
        """End the worker processes."""
        for verifier in self._verifiers:
            verifier.close()

    def _queue(self, name: str | None) -> JudgingQueue:
        if name not in self._queues:
            verifier = NamedVerifier() if name is not None or self.grading is None else self.grading.verifier
            self._verifiers.append(verifier)
            self._queues[name] = JudgingQueue(verifier.judge)
        return self._queues[name]


NOT_SAID = (
    "the data does not say how answers are judged: `htpo data export` writes data that does, or "
    f"+htpo.verifier={enumerated(GRADINGS)} judges by reward_model.ground_truth"
)


def run_grading(block: Mapping[str, Any]) -> Grading | None:
    """The grading that `+htpo.verifier` and its options name; None where there is none.

    Raises:
        UserError: it is unknown, or an option cannot be used or has no effect.
    """
    given = {name: block[name] for name in VERIFIER_OPTIONS if block.get(name) is not None}
    if "verifier" not in given:
        if given:
            raise UserError(f"+htpo.{next(iter(given))} is an option of a verifier: give +htpo.verifier, too")
        return None
    kind = find_grading(given["verifier"])
    if kind is None:
        raise UserError(f"+htpo.verifier is {given['verifier']!r}, needs {enumerated(GRADINGS)}")
    for name in given.keys() - {"verifier", *kind.options}:
        raise UserError(f"+htpo.{name} has no effect on +htpo.verifier={given['verifier']}")
    options = DataOptions(**given)
    return kind(**{name: getattr(options, name) for name in kind.options})


def grading_row(grading: Grading, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a verifier reads of a row of verl's layout.

    Raises:
        UserError: it cannot be used.
    """
    plain = {name: _plain(value) for name, value in row.items()}
    try:
        return dict(grading.fields(plain, plain.get("prompt", ""), GROUND_TRUTH))
    except ValueError as error:
        raise UserError(f"a row of the data cannot be judged: {error}") from None


def _plain(value: Any) -> Any:
    """Values as they were in the file, out of numpy's arrays."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
