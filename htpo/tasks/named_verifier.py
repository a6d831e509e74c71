"""A verifier by name and options, as a row of exported data carries it, and judging rows that each carry theirs."""

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from htpo.errors import UserError
from htpo.tasks.gradings import find_grading
from htpo.tasks.options import DataOptions
from htpo.tasks.selection import find_source, given_options
from htpo.tasks.sources.source import GeneratedSource, ReadSource
from htpo.verifiers.verdict import Verdict, Verifier

JUDGED_BY, JUDGED_ROW = "judged_by", "judged_row"
"""Columns of rows that carry their verifier, both JSON text: its name and options, and what it reads."""


def name_verifier(source: GeneratedSource | ReadSource, options: DataOptions) -> dict[str, Any]:
    """What judges answers to a source's rows, for `make_verifier`: a verifier's name, or generated data's label, and
    those of its options that are not at their default."""
    given = given_options(options)
    if isinstance(source, GeneratedSource):
        config = {name: given[name] for name in ("dataset_config",) if name in given and name in source.options}
        return {"dataset": source.label, **config}
    grading = find_grading(source.verifier)
    assert grading is not None  # the source was loaded
    own = {name: given[name] for name in grading.options if name in given}
    return {**own, "verifier": source.verifier}


def make_verifier(named: dict[str, Any]) -> Verifier:
    """The verifier that `name_verifier` has named.

    Raises:
        UserError: it is unknown here, or an option of it cannot be used.
    """
    unknown = named.keys() - {field.name for field in fields(DataOptions)}
    if unknown or not named.keys() & {"verifier", "dataset"}:
        raise UserError(f"no verifier is named by {json.dumps(named)}; it was written by another version: export again")
    options = DataOptions(**named)
    if "verifier" not in named:
        source = find_source(options.dataset[0], options)
        if not isinstance(source, GeneratedSource):
            raise UserError(f"{source.label} has no verifier of its own: export the data again")
        return source.own_verifier()
    kind = find_grading(options.verifier)
    if kind is None:
        raise UserError(f"the data is to be judged by {options.verifier!r}, an unknown verifier")
    return kind(**{name: getattr(options, name) for name in kind.options}).verifier


class NamedVerifier:
    """Judges every row by the verifier that it names in `JUDGED_BY`, which is made at the first need.

    What that verifier reads is in `JUDGED_ROW`; a column `sent` of the row is handed on, too.
    """

    graded = True  # rewards may lie between 0 and 1

    def __init__(self) -> None:
        self.verifiers: dict[str, Verifier] = {}

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response, in order.

        Raises:
            UserError: see `make_verifier`.
        """
        verdicts: dict[int, Verdict] = {}
        for name in dict.fromkeys(row[JUDGED_BY] for row in rows):
            own = [index for index, row in enumerate(rows) if row[JUDGED_BY] == name]
            judged = self.by_name(name).judge([responses[i] for i in own], [judged_row(rows[i]) for i in own])
            verdicts.update(zip(own, judged, strict=True))
        return [verdicts[index] for index in range(len(responses))]

    def by_name(self, name: str) -> Verifier:
        """The verifier of rows with this `JUDGED_BY`.

        Raises:
            UserError: see `make_verifier`.
        """
        if name not in self.verifiers:
            self.verifiers[name] = make_verifier(json.loads(name))
        return self.verifiers[name]

    def close(self) -> None:
        """Close them all."""
        for verifier in self.verifiers.values():
            verifier.close()


def judged_row(row: dict[str, Any]) -> dict[str, Any]:
    """What a row's verifier reads."""
    given = {name: row[name] for name in ("sent",) if name in row}
    return {**json.loads(row[JUDGED_ROW]), **given}
