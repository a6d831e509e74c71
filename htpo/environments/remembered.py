"""What environments work out once and keep on disk, for all processes and later runs."""

import os
import tempfile
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Where the things of that name are kept: below `HTPO_CACHE`, else below the user's cache folder."""
    root = os.environ.get("HTPO_CACHE")
    if root:
        return Path(root) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "htpo" / name


def write_whole(path: Path, data: bytes) -> None:
    """Write a file aside and rename it, so that others see all of it or nothing.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
