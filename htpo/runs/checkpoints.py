"""A run's checkpoints: written aside, put in their place whole, and looked over before a run goes on from one."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from htpo.runs.disk import write_atomically

MANIFEST = "complete.json"
"""In a checkpoint, when it is whole: {file: [bytes, SHA-256]}; earlier versions wrote {file: bytes}."""


def put_in_place(aside: Path, place: Path) -> None:
    """Have a checkpoint appear in its place as a whole, safe on the disk, with a manifest of its files.

    Args:
        aside: where all of it was written, on the same disk.
    """
    files = sorted(file for file in aside.rglob("*") if file.is_file())
    manifest = {str(file.relative_to(aside)): [file.stat().st_size, _sha256(file)] for file in files}
    write_atomically(aside / MANIFEST, json.dumps(manifest, indent=1))
    if place.exists():  # one that was damaged
        shutil.rmtree(place)
    os.replace(aside, place)
    folder = os.open(place.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def step_of(checkpoint: Path) -> int:
    """The update after which a checkpoint was written, by its name."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def fault_of(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, in a few words; None where it is as it was written."""
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        for name, written in manifest.items():
            size, digest = (written, None) if isinstance(written, int) else written
            file = checkpoint / name
            if not file.is_file():
                return f"it has no {name}"
            if file.stat().st_size != size:
                return f"{name} has {file.stat().st_size:,} bytes, was written with {size:,}"
            if digest is not None and _sha256(file) != digest:
                return f"{name} is not as it was written"
    except FileNotFoundError:
        return "it was cut short while being written"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return f"it cannot be read: {' '.join(str(error).split())}"
    return None


def _sha256(file: Path) -> str:
    """Of its content, which is on the disk then."""
    with file.open("rb") as content:
        os.fsync(content.fileno())
        return hashlib.file_digest(content, "sha256").hexdigest()
