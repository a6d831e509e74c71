"""What a process gives up for good: capabilities, gaining rights, outliving its parent, being looked into."""

import contextlib
import ctypes
import os
import signal

_PARENT_DEATH_SIGNAL, _DUMPABLE, _DROP_FROM_BOUNDING_SET, _NO_NEW_PRIVILEGES, _AMBIENT = 1, 4, 24, 38, 47
_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64


def become_opaque() -> None:
    """Let no process without capabilities look into this one, nor into those it forks, unless it runs a new program.

    Closed are `/proc/<pid>/fd`, `mem`, `environ` and the like, ptrace, process_vm_readv and pidfd_getfd.
    """
    prctl(_DUMPABLE, 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def refuse_new_privileges() -> None:
    """Let no program this process might start gain rights; what Landlock and seccomp ask of ordinary users."""
    prctl(_NO_NEW_PRIVILEGES, 1)


def forgo_capabilities() -> None:
    """Let this process and its descendants never have a capability again that it loses; it keeps those it has."""
    for capability in range(_MOST_CAPABILITIES):
        with contextlib.suppress(OSError):  # an ordinary user may not, and has none; the kernel knows fewer than 64
            prctl(_DROP_FROM_BOUNDING_SET, capability)
    refuse_new_privileges()


def drop_capabilities() -> None:
    """Lose every capability, also as root."""
    prctl(_AMBIENT, _CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), f"capset: {os.strerror(ctypes.get_errno())}")


def prctl(option: int, *arguments: int) -> None:
    """The system call of this name.

    Raises:
        OSError: when the kernel refuses.
    """
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(ctypes.c_int(option), *padded):
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")
