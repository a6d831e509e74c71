"""Writing files so that a full disk or a killed process harms nothing already written."""

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from htpo.errors import UserError

REFUSALS = {
    errno.ENOSPC: "no space left on the disk of {}: free some and go on with --resume",
    errno.EDQUOT: "the disk quota of {} is used up: free some and go on with --resume",
    errno.EROFS: "{} is on a read-only disk: make it writable and go on with --resume, or choose another",
    errno.EACCES: "no permission to write to {}: get it and go on with --resume, or choose another",
}


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by `text` as a whole: a reader sees the old or the new content, never a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def without_nan(value: Any) -> Any:
    """The same plain data with null for NaN and infinities, which JSON lacks."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, content: Any) -> None:
    """Write plain data as a whole file; see `without_nan`."""
    write_atomically(path, json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n")


def check_disk_space(path: Path, needed: int) -> None:
    """Raise `UserError` unless the disk that holds (or will hold) `path` has `needed` bytes free."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"{path} needs about {needed / 1e6:,.0f} MB for checkpoints, {free / 1e6:,.0f} MB are free: free some, "
            "choose another --output_dir, or lower --save_total_limit"
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a full, read-only or forbidden disk raises inside the block into one `UserError`.

    Writers in C++ and Rust hide the reason: they raise errors of their own that merely quote the system's message.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        for number, refusal in REFUSALS.items():
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
                raise UserError(refusal.format(path)) from error
        raise
