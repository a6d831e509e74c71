"""Datasets of the Hugging Face Hub, and folders that are laid out as such."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from htpo.errors import UserError
from htpo.tasks.rows import RawRows, first_line
from htpo.tasks.sources.files import READERS
from htpo.tasks.sources.source import ReadSource

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@dataclass(frozen=True)
class Hub(ReadSource):
    """A split of a dataset, `location` is its id: whatever label names nothing else."""

    words = "a Hugging Face id"
    title = "Hugging Face datasets"
    options = ReadSource.options | {"dataset_split", "dataset_config"}

    split: str | None = None
    config: str | None = None
    data_files: tuple[str, ...] = ()  # JSON Lines files of the repository, read instead of its splits

    @classmethod
    def find(cls, label: str) -> Self:
        return cls(label, label, label)

    def refined(self, given: Mapping[str, Any], *, held_out: bool) -> Self:
        return replace(
            super().refined(given, held_out=held_out),
            split=given.get("eval_split" if held_out else "dataset_split", self.split)
            or ("test" if held_out else "train"),
            config=given.get("dataset_config", self.config),
        )

    def _read(self, path: Path) -> RawRows:
        from datasets import load_dataset

        if path.is_file():
            raise UserError(f"{self.location}: unknown file type {path.suffix!r}; use {', '.join(READERS)}")
        if not path.is_dir() and not HUB_ID.fullmatch(self.location):
            raise self._no_such_file()
        try:
            if self.data_files:
                urls = [f"hf://datasets/{self.location}/{name}" for name in self.data_files]
                loaded = load_dataset("json", data_files=urls, split="train")
            else:
                loaded = load_dataset(self.location, self.config, split=self.split)
        except Exception as error:  # the hub client raises dozens of unrelated types
            raise UserError(
                f"cannot load split {self.split!r} of the Hugging Face dataset {self.location!r}: "
                f"{first_line(error).rstrip('.')}. Check the id, the split, the configuration and the network, or "
                "download the data and give the path of a .jsonl or .parquet file"
            ) from None
        return RawRows(self.label, "row", loaded.column_names, list(enumerate(loaded.to_list(), start=1)))
