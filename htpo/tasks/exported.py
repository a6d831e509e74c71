"""Data that `export_task` wrote, read back: each row says how it is judged."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from htpo.tasks.gradings.grading import Grading
from htpo.tasks.named_verifier import JUDGED_BY, JUDGED_ROW, NamedVerifier
from htpo.tasks.options import DataOptions
from htpo.tasks.prompts import Prompt
from htpo.tasks.rows import Example, RawRows
from htpo.tasks.selection import make_grading
from htpo.tasks.sources.files import File
from htpo.tasks.sources.source import ReadSource
from htpo.verifiers.row import cell


class ExportedGrading(Grading):
    """Responses to rows that were exported, each judged as its own row says."""

    contract = "each row is judged as it says itself (extra_info.judged_by)"

    verifier: NamedVerifier

    def __init__(self) -> None:
        self.verifier = NamedVerifier()

    def fields(self, row: dict[str, Any], prompt: Prompt, answer_column: str) -> dict[str, str]:
        known = {name: cell(row, f"extra_info.{name}") for name in (JUDGED_BY, JUDGED_ROW)}
        for name, value in known.items():
            if not isinstance(value, str):
                raise ValueError(f"extra_info.{name} is missing")
        try:
            solution = json.loads(known[JUDGED_ROW]).get("solution")
            json.loads(known[JUDGED_BY])
        except ValueError as error:
            raise ValueError(f"extra_info.{JUDGED_BY} and {JUDGED_ROW} must be JSON ({error})") from None
        gold = cell(row, "reward_model.ground_truth")
        return {**known, **({"answer": gold} if gold else {}), **({"solution": solution} if solution else {})}

    def settle(self, raw: RawRows, examples: list[Example], answer_column: str) -> tuple[list[Example], list[str]]:
        """All rows; a verifier that is unknown here is refused now."""
        for name in dict.fromkeys(example.fields[JUDGED_BY] for example in examples):
            self.verifier.by_name(name)
        return examples, []

    def same_answer(self, one: Example, other: Example) -> bool:
        return True  # it was looked at before the export


def choose_grading(source: ReadSource, options: DataOptions) -> Grading:
    """The grading of a source: of exported data without a verifier by the user's word each row's own.

    Raises:
        UserError: see `make_grading`.
    """
    if source.verifier is None and isinstance(source, File) and is_exported(Path(source.location).expanduser()):
        return ExportedGrading()
    return make_grading(source, options)


def is_exported(path: Path) -> bool:
    """Whether this is a Parquet file whose rows say how they are judged."""
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    try:
        schema = parquet.read_schema(path)
    except (pa.ArrowException, OSError):
        return False  # reading it says what is wrong
    kind = schema.field("extra_info").type if "extra_info" in schema.names else None
    return isinstance(kind, pa.StructType) and {JUDGED_BY, JUDGED_ROW} <= {field.name for field in kind}
