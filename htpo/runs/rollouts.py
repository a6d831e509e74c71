"""The rollouts a run keeps: `rollouts/step-000010.parquet`, a row per response, lists where a field is per token."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

LONGEST_TEXT = 2000  # characters of `gold` and `answer`; a program's may go on for pages


@dataclass(frozen=True)
class Column:
    """A column of the rollouts. Null where it is not known."""

    name: str
    type: pa.DataType
    meaning: str


COLUMNS = [
    Column("step", pa.int64(), "update that the response was trained on, from 1"),
    Column("prompt_id", pa.int64(), "the prompt's number in the training set, from 0; its responses share it"),
    Column("prompt", pa.string(), "prompt as text, without special tokens"),
    Column("response", pa.string(), "response as text, without special tokens"),
    Column("gold", pa.string(), f"right answer, or a right response, from the data; {LONGEST_TEXT} characters at most"),
    Column("answer", pa.string(), "final answer that was found in the response and judged; cut as `gold` is"),
    Column("failure", pa.string(), "why it could not be judged as usual (timeout, crash, unparsable, truncated)"),
    Column("task_type", pa.string(), "of an episode: the kind of its task"),
    Column("score", pa.float64(), "of an episode: how well the task is done, as the environment says"),
    Column("actions", pa.list_(pa.string()), "of an episode, per action: its text; null where none was found"),
    Column("invalid", pa.list_(pa.bool_()), "of an episode, per action: it was not possible"),
    Column("turn_tokens", pa.list_(pa.int64()), "of an episode, per turn: how many policy tokens it has"),
    Column(
        "shown", pa.list_(pa.string()), "of an episode, per turn but the last: what the environment showed after it"
    ),
    Column(
        "forgotten", pa.list_(pa.int64()), "of an episode, per turn: how many of the oldest the policy no longer saw"
    ),
    Column("correct", pa.bool_(), "the verifier's verdict"),
    Column("group_accuracy", pa.float64(), "share of correct ones among all responses to the prompt"),
    Column("reward", pa.float64(), "weighted sum of all rewards, shaping included"),
    Column("advantage", pa.float64(), "advantage of the response"),
    Column("token_ids", pa.list_(pa.int64()), "per policy token: id"),
    Column("tokens", pa.list_(pa.string()), "per policy token: text"),
    Column("log_prob", pa.list_(pa.float64()), "per policy token: log-probability under the current policy, nats"),
    Column("old_log_prob", pa.list_(pa.float64()), "per policy token: that under the policy that sampled it, nats"),
    Column("entropy", pa.list_(pa.float64()), "per policy token: of the next-token distribution, nats"),
    Column("group", pa.list_(pa.int64()), "per policy token: group of the objective's table from 1; 0 without groups"),
    Column("weight", pa.list_(pa.float64()), "per policy token: w in the gradient w A grad log pi"),
]
"""In the order of the file."""

OF_EPISODES = ("task_type", "score", "actions", "invalid", "turn_tokens", "shown", "forgotten")
ADDED_LATER = (
    "prompt_id",
    "gold",
    "answer",
    "failure",
    *OF_EPISODES,
)  # null in the files of versions that did not know them


def write_rollouts(folder: Path, step: int, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write the rollouts of one update as a whole.

    Args:
        columns: values by column, all of one length; what is left out is not known.

    Raises:
        KeyError: a column is none of `COLUMNS`.
    """
    unknown = set(columns) - {column.name for column in COLUMNS}
    if unknown:
        raise KeyError(f"no column of the rollouts: {', '.join(sorted(unknown))}")
    given = {"step": [step] * len(next(iter(columns.values()))), **columns}
    table = pa.table({c.name: pa.array(given[c.name], c.type) for c in COLUMNS if c.name in given})
    folder.mkdir(exist_ok=True)
    unfinished = folder / f".step-{step:06d}.parquet"
    pq.write_table(table, unfinished, compression="zstd")
    os.replace(unfinished, folder / f"step-{step:06d}.parquet")


def rollout_files(folder: Path) -> dict[int, Path]:
    """The files by the update they are of, in order."""
    found = {int(file.stem.removeprefix("step-")): file for file in folder.glob("step-*.parquet")}
    return dict(sorted(found.items()))


def read_rollouts(files: Sequence[Path]) -> pa.Table:
    """The rollouts of files of any version, below each other.

    Raises:
        OSError, ArrowInvalid: one of them cannot be read.
    """
    table = pa.concat_tables([pq.read_table(file) for file in files], promote_options="permissive")
    types = {column.name: column.type for column in COLUMNS}
    for name in ADDED_LATER:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), types[name]))
    return table
