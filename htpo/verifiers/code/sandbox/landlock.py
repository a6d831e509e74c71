"""Landlock: a process of an ordinary user takes the file system away from itself, but for reading some folders.

What it does not close are files of no folder (pipes, files in memory) that another process of the same domain holds
open: they can be reached through `/proc/<pid>/fd`. Hence a domain for each process that runs a solution.

Landlock knows no permission for looking (stat), for changing mode, owner or times and, before Linux 6.2, for
truncating by name; the filter in `system_calls` refuses all of these but looking.
"""

import ctypes
import os
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _RULE_PATH_BENEATH = 1, 1
_RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many of the rights on files each version knows
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1 << 0, 1 << 1, 1 << 2, 1 << 3


def version() -> int:
    """Version of Landlock this kernel has; 0 when it has none."""
    try:
        return _call(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def allow_only_reading(folders: Iterable[str]) -> None:
    """Refuse this process, and all it starts, every access to files except reading beneath `folders`; for good.

    Files that are open stay open. `system_calls.refuse_new_privileges` must have been called.

    Raises:
        OSError: when this kernel has no Landlock, or a folder cannot be opened.
    """
    found = version()
    if not found:
        raise OSError("the kernel has no Landlock")
    rights = _RIGHTS_OF_VERSION[min(found, max(_RIGHTS_OF_VERSION))]
    _restrict((1 << rights) - 1, _EXECUTE | _READ_FILE | _READ_DIRECTORY, folders)


def enter_own_domain() -> None:
    """Move this process, which `allow_only_reading` restricts already, into a domain that only it is in.

    From there it can neither trace nor look into any process outside, be it of the same user, its parent or its twin.

    Raises:
        OSError: when the kernel refuses.
    """
    _restrict(_WRITE_FILE, 0, ())


def _restrict(handled: int, allowed: int, folders: Iterable[str]) -> None:
    """Refuse the rights `handled`, but for `allowed` beneath `folders`."""
    attributes = struct.pack("Q", handled)
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    for folder in folders:
        descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0)
        os.close(descriptor)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _call(number: int, *arguments: bytes | int | None) -> int:
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *converted)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
