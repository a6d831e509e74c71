"""Tasks in the Parquet layout of verl's reward functions and datasets, with what our verifiers need beside it."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset
from pyarrow import parquet

from htpo.errors import UserError
from htpo.tasks.named_verifier import JUDGED_BY, JUDGED_ROW, name_verifier
from htpo.tasks.options import DataOptions
from htpo.tasks.prompts import as_chat
from htpo.tasks.selection import find_source
from htpo.tasks.task import Task, gold_of

TRAIN, TEST = "train.parquet", "test.parquet"
PART_BYTES = 2**26  # of tests and texts, written at once
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
LAYOUT = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(MESSAGE)),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [("index", pa.int64()), ("split", pa.string()), (JUDGED_BY, pa.string()), (JUDGED_ROW, pa.string())]
            ),
        ),
    ]
)
"""verl 0.9.1's columns. `extra_info` holds what it hands to reward functions beside the gold answer."""


def export_task(task: Task, options: DataOptions, folder: Path, *, force: bool = False) -> None:
    """Write a task as `TRAIN` and, where problems are held out, `TEST` into a new folder, whole or not at all.

    Args:
        task: loaded with these options; text prompts become a chat of one user message.
        force: put it in the place of a folder that is there.

    Raises:
        UserError: see `new_folder`.
    """
    sources = [find_source(label, options) for label in options.dataset]
    judged_by = {source.name: name_verifier(source, options) for source in sources}
    with new_folder(folder, force=force) as unfinished:
        for name, split, rows in parts_of(task):
            _write(unfinished / name, rows, split, judged_by, options.answer_column)


def parts_of(task: Task) -> list[tuple[str, str, Dataset]]:
    """(file name, split, rows) of what is written of a task."""
    parts = [(TRAIN, "train", task.train), (TEST, "test", task.held_out)]
    return [(name, split, rows) for name, split, rows in parts if rows is not None]


@contextmanager
def new_folder(folder: Path, *, force: bool = False) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` when all is written.

    Args:
        force: put it in the place of a folder that is there.

    Raises:
        UserError: the folder is there and not to be replaced, or cannot be written.
    """
    if folder.exists() and not force:
        raise UserError(f"{folder} exists: give another --output, or --force to replace it")
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.is_dir():
            shutil.rmtree(folder)
        os.replace(unfinished, folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(path: Path, rows: Dataset, split: str, judged_by: Mapping[str, dict[str, Any]], answer_column: str) -> None:
    """Write rows, of several sources with the column `source`, which is a key of `judged_by`."""
    with parquet.ParquetWriter(path, LAYOUT) as writer:
        part: list[dict[str, Any]] = []
        size = 0
        for record in _records(rows, split, judged_by, answer_column):
            part.append(record)
            size += len(record["extra_info"][JUDGED_ROW])
            if size > PART_BYTES:
                writer.write_table(pa.Table.from_pylist(part, LAYOUT))
                part, size = [], 0
        writer.write_table(pa.Table.from_pylist(part, LAYOUT))


def _records(
    rows: Dataset, split: str, judged_by: Mapping[str, dict[str, Any]], answer_column: str
) -> Iterator[dict[str, Any]]:
    for index, row in enumerate(rows):
        prompt = row["prompt"]
        name = row.get("source", next(iter(judged_by)))
        read = {column: value for column, value in row.items() if column not in ("prompt", "source")}
        if isinstance(prompt, str):
            read["prompt"] = prompt  # in which a puzzle's verifier finds the puzzle
        read = {column: value for column, value in read.items() if value is not None}
        yield {
            "data_source": name,
            "prompt": as_chat(prompt) if isinstance(prompt, str) else prompt,
            "ability": _ability(judged_by[name]),
            "reward_model": {"style": "rule", "ground_truth": gold_of(row, answer_column) or ""},
            "extra_info": {
                "index": index,
                "split": split,
                JUDGED_BY: json.dumps(judged_by[name], sort_keys=True),
                JUDGED_ROW: json.dumps(read),
            },
        }


def _ability(named: dict[str, Any]) -> str:
    if "verifier" not in named:
        return "reasoning"
    return "other" if ":" in named["verifier"] else str(named["verifier"])
