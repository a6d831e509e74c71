"""A folder that one process at a time works on, and whose keeper is known by name."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from htpo.errors import UserError

LOCK = ".lock"


@contextmanager
def locked(folder: Path, refusal: Callable[[str], str]) -> Iterator[int]:
    """Keep other processes from this block while it works on `folder`; gives the lock's file descriptor.

    The lock is the system's, on an open file: it goes with the process, however that ends, so a dead one's is no
    obstacle. Processes that inherit the descriptor hold the lock, too.

    Args:
        folder: exists.
        refusal: what is said while another holds the lock, given which process on which machine that is.

    Raises:
        UserError: another process holds the lock.
        OSError: the folder cannot be written to.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = os.fstat(file.fileno()).st_nlink == 0  # removed by its holder after we opened it
        except BlockingIOError:
            taken = True
        if taken:
            file.seek(0)
            raise UserError(refusal(file.read() or "another process"))
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield file.fileno()
