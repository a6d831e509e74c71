"""`SampleStore`: every response of one task, with its verdict, as Parquet files that are whole or not there.

A list of responses becomes one file, written under another name and moved into place. Where a response is stored twice
(two processes wrote, or one ended between two steps) the judged one counts, and only one is ever read.
"""

import itertools
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from htpo.errors import UserError
from htpo.evaluate.answers import Row
from htpo.evaluate.generators.vocabulary import Key

SCHEMA = pa.schema(
    [
        ("problem", pa.int32()),  # its number in the source, from 1
        ("sample", pa.int32()),  # 1..n
        ("prompt", pa.string()),  # as the model got it
        ("response", pa.string()),
        ("tokens", pa.int32()),  # generated; null where a server does not say
        ("finished", pa.bool_()),  # false: cut at the token limit
        ("correct", pa.bool_()),  # null: not judged yet
        ("score", pa.float64()),  # the reward, of a verifier that gives partial credit
        ("extracted", pa.string()),  # the final answer that was judged
        ("failure", pa.string()),  # why it could not be judged: unparsable, truncated, timeout, crash
        ("vote", pa.string()),  # the answer to the problem that stands for all that mean the same; null: `extracted`
        ("reasoning", pa.string()),  # what a server keeps apart from the response
        # Of an episode of an environment; null of other responses. The prompt is what stood before its first turn.
        ("task_type", pa.string()),
        ("step_limit", pa.bool_()),  # it ended for its number of actions
        ("actions", pa.list_(pa.string())),  # per action: null where none was found
        ("invalid", pa.list_(pa.bool_())),  # per action: it was not possible
        ("written", pa.list_(pa.string())),  # per turn: the policy's text
        ("turn_tokens", pa.list_(pa.int32())),  # per turn: generated; null where a server does not say
        ("cut_off", pa.list_(pa.bool_())),  # per turn: it came to the limit of a turn before the policy ended it
        ("shown", pa.list_(pa.string())),  # per turn but the last: what stood before the next, as the model got it
        ("forgotten", pa.list_(pa.int32())),  # per turn: how many of the oldest the policy no longer saw
        ("last_shown", pa.string()),  # what the environment said to the last action
    ]
)
OF_EPISODES = {"task_type", "step_limit", "actions", "invalid", "written", "turn_tokens", "shown", "forgotten"}
OF_EPISODES |= {"cut_off", "last_shown"}
LATER = {"vote", "reasoning"} | OF_EPISODES
"""Columns that evaluations of earlier versions lack."""
MEASURED = ["problem", "sample", "tokens", "finished", "correct", "score", "extracted", "failure", "vote"]
MEASURED += ["task_type", "step_limit", "invalid", "cut_off", "forgotten"]
TEXTS = ("prompt", "response", "extracted", "failure", "vote", "reasoning", "last_shown")
LISTS_OF_TEXTS = ("actions", "written", "shown")


class SampleStore:
    """The stored responses of one task in a folder, which need not exist."""

    def __init__(self, folder: Path):
        self.folder = folder

    def append(self, rows: Sequence[Row]) -> None:
        """Store rows (the columns of `SCHEMA`) as one file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{uuid.uuid4().hex}"
        clean = [_encodable(row) for row in rows]
        try:
            pq.write_table(pa.Table.from_pylist(clean, SCHEMA), unfinished, compression="zstd")
            os.replace(unfinished, self.folder / f"part-{time.time_ns()}-{unfinished.name[1:9]}.parquet")
        finally:
            unfinished.unlink(missing_ok=True)

    def measured(self) -> pa.Table:
        """All rows that are stored, each once, without their texts (the columns of `MEASURED`), in order."""
        parts = [self._read(file, MEASURED) for file in self._files()]
        table = pa.concat_tables(parts) if parts else SCHEMA.empty_table().select(MEASURED)
        table = table.append_column("judged", pc.is_valid(table["correct"]))
        table = table.sort_by([("problem", "ascending"), ("sample", "ascending"), ("judged", "descending")])
        pairs = zip(table["problem"].to_pylist(), table["sample"].to_pylist())
        first = [pair != before for before, pair in itertools.pairwise([None, *pairs])]
        return table.filter(pa.array(first, pa.bool_())).select(MEASURED)

    def done(self) -> set[Key]:
        """(problem, sample) of every response that is stored."""
        table = self.measured()
        return set(zip(table["problem"].to_pylist(), table["sample"].to_pylist()))

    def rows(self) -> Iterator[list[Row]]:
        """Every stored row once, with its texts, file by file."""
        judged = {
            (problem, sample)
            for problem, sample, correct in zip(*(self.measured()[name].to_pylist() for name in MEASURED_KEYS))
            if correct is not None
        }
        seen: set[Key] = set()
        for file in self._files():
            fresh = []
            for row in self._read(file, SCHEMA.names).to_pylist():
                key = (row["problem"], row["sample"])
                if key not in seen and (row["correct"] is not None or key not in judged):
                    seen.add(key)
                    fresh.append(row)
            if fresh:
                yield fresh

    def only_reasoning(self) -> int:
        """How many responses are blank although the server has kept reasoning apart."""
        found = 0
        for file in self._files():
            with pq.ParquetFile(file) as opened:
                if "reasoning" not in opened.schema_arrow.names:
                    continue
                for batch in opened.iter_batches(batch_size=256, columns=["response", "reasoning"]):
                    blank = pc.equal(pc.utf8_trim_whitespace(batch["response"]), "")
                    found += pc.sum(pc.and_(blank, pc.is_valid(batch["reasoning"]))).as_py() or 0
        return found

    def compact(self, votes: Mapping[Key, str]) -> None:
        """Make one file of all, `samples.parquet`.

        Args:
            votes: column `vote` where it is not `extracted`.
        """
        files = self._files()
        if not files:
            return
        unfinished = self.folder / f".{uuid.uuid4().hex}"
        try:
            with pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
                for rows in self.rows():
                    voted = [{**row, "vote": votes.get((row["problem"], row["sample"]))} for row in rows]
                    writer.write_table(pa.Table.from_pylist(voted, SCHEMA))
            os.replace(unfinished, self.folder / "samples.parquet")
        finally:
            unfinished.unlink(missing_ok=True)
        for file in files:
            if file.name != "samples.parquet":
                file.unlink()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))

    def _read(self, file: Path, columns: list[str]) -> pa.Table:
        try:
            with pq.ParquetFile(file) as opened:
                absent = LATER.difference(opened.schema_arrow.names)
                table = opened.read(columns=[name for name in columns if name not in absent])
            for name in absent.intersection(columns):
                table = table.append_column(name, pa.nulls(len(table), SCHEMA.field(name).type))
            return table.select(columns).cast(pa.schema([SCHEMA.field(name) for name in columns]))
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"{file} cannot be read ({reason}): remove it and go on with --resume") from error


MEASURED_KEYS = ("problem", "sample", "correct")


def _encodable(row: Row) -> Row:
    """A row that UTF-8 can hold: a model's half characters (lone surrogates) become question marks."""

    def text(given: str | None) -> str | None:
        return None if given is None else given.encode("utf-8", "replace").decode("utf-8")

    lists = {name: list(map(text, row[name])) for name in LISTS_OF_TEXTS if row.get(name) is not None}
    return row | {name: text(row.get(name)) for name in TEXTS} | lists
