"""The way of the policy to servers that sample apart from training, on one machine: a file.

For verl's `separate_async`: `actor_rollout_ref.rollout.checkpoint_engine.backend=file`.
"""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from htpo.engines.verl.cpu.rollout import whole

NAME = "file"
POLL = 0.05  # seconds between two looks for the file


class ThroughFile:
    """One of verl's checkpoint engines in each process that trains and beside each server; it is made anew for none."""

    def __init__(self, bucket_size: int, **options: Any):
        self.path = Path()
        self.writes = False

    def prepare(self) -> str:
        """A name for a file; the first process's is used."""
        return str(Path(tempfile.gettempdir()) / f"policy-{uuid.uuid4().hex}.pt")

    @classmethod
    def build_topology(cls, trainers: int, servers: int, names: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arguments of `init_process_group` for the processes that train and those beside servers."""
        return (
            {"path": names[:1] * trainers, "writes": [rank == 0 for rank in range(trainers)]},
            {"path": names[:1] * servers, "writes": [False] * servers},
        )

    def init_process_group(self, path: str, writes: bool) -> None:
        """There is a way for the next policy."""
        self.path, self.writes = Path(path), writes

    async def send_weights(self, weights: Iterable[tuple[str, Tensor]], global_steps: int | None = None) -> None:
        """Write them. All processes that train do, since a weight may be sharded over them."""
        state = {name: whole(weight) for name, weight in weights}
        if self.writes:
            torch.save(state, self.path.with_suffix(".part"))
            os.replace(self.path.with_suffix(".part"), self.path)

    async def receive_weights(self, global_steps: int | None = None) -> AsyncGenerator[tuple[str, Tensor], None]:
        """Wait for them and read them."""
        while not self.path.exists():
            await asyncio.sleep(POLL)
        for named in torch.load(self.path).items():
            yield named

    def finalize(self) -> None:
        """They have arrived."""
        self.path.unlink(missing_ok=True)


def register() -> None:
    """Make the way known to verl."""
    from verl.checkpoint_engine import CheckpointEngine, CheckpointEngineRegistry

    CheckpointEngineRegistry.register(NAME)(type("FileCheckpointEngine", (ThroughFile, CheckpointEngine), {}))
