"""Linux namespaces: a process tree with users, files, process numbers, network and host name of its own.

The new root holds, read-only, the folders Python itself is read from, two devices, and nothing else: no /proc, no
/home, no /etc, and no network interface but a loopback that is down.
"""

import ctypes
import os
import resource
from collections.abc import Callable, Iterable

from htpo.verifiers.code.sandbox import privileges

INSIDE_USER = 65534  # "nobody": who the untrusted process is inside
SCRATCH = "/tmp"
SCRATCH_OPTIONS = "size=16m,nr_inodes=1024,mode=0700,uid={user},gid={user}"

_NEW_MOUNTS, _NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_NEW_CGROUPS, _NEW_HOST_NAME, _NEW_IPC = 0x02000000, 0x04000000, 0x08000000
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _BIND, _RECURSIVE, _PRIVATE = 0x1, 0x2, 0x4, 0x1000, 0x4000, 0x40000
_DETACH = 2
_MOUNT_SETATTR, _PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41}
_AT_CURRENT, _AT_RECURSIVE = -100, 0x8000
_DEVICES = ("/dev/null", "/dev/urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def enter(ask_for_identities: Callable[[], None], readable: Iterable[str]) -> None:
    """Move this process into new namespaces and a new root. Returns only in a child, which is process 1 inside.

    The caller's process stays behind, waits for that child and ends with it; each of the two dies with its parent.

    Args:
        ask_for_identities: has a process outside write this one's user and group maps, and returns when it has.
        readable: absolute paths of the folders to show inside, at the same place.

    Raises:
        OSError: when the machine forbids any of it.
    """
    privileges.die_with_parent()
    _checked("unshare", _NEW_USERS)
    ask_for_identities()
    others = _NEW_MOUNTS | _NEW_PROCESSES | _NEW_NETWORK | _NEW_CGROUPS | _NEW_HOST_NAME | _NEW_IPC
    _checked("unshare", others)
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    privileges.die_with_parent()
    _change_root(readable)


def write_identities(pid: int) -> None:
    """From outside, map users and groups of process `pid`, which has just made a user namespace.

    Run by root, inside there are root (for setting up) and `INSIDE_USER`, which is also that user outside: the kernel
    bounds the processes of anyone but the true root. Otherwise the caller becomes `INSIDE_USER`.

    Raises:
        OSError: when the machine forbids it.
    """
    alone = {kind: f"{INSIDE_USER} {identity} 1" for kind, identity in (("uid", os.geteuid()), ("gid", os.getegid()))}
    if os.geteuid() == 0:
        try:
            for kind in ("uid", "gid"):
                _write(f"/proc/{pid}/{kind}_map", f"0 0 1\n{INSIDE_USER} {INSIDE_USER} 1")
            return
        except PermissionError:  # root only of an outer user namespace that has no other user
            pass
    _write(f"/proc/{pid}/setgroups", "deny")
    for kind, line in alone.items():
        _write(f"/proc/{pid}/{kind}_map", line)


def enter_scratch() -> None:
    """Give this process alone an empty folder in memory to write to, and go there. It needs the rights of `enter`."""
    _checked("unshare", _NEW_MOUNTS)
    options = SCRATCH_OPTIONS.format(user=INSIDE_USER).encode()
    _checked("mount", b"scratch", SCRATCH.encode(), b"tmpfs", _NO_SETUID | _NO_DEVICES, options)


def drop_rights() -> None:
    """Become `INSIDE_USER` without a single capability, for good."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(INSIDE_USER, INSIDE_USER, INSIDE_USER)
        os.setresuid(INSIDE_USER, INSIDE_USER, INSIDE_USER)
    privileges.drop_capabilities()
    resource.setrlimit(resource.RLIMIT_NPROC, (64, 64))  # counted from zero in a user namespace since Linux 5.14


def _change_root(readable: Iterable[str]) -> None:
    _checked("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)
    _checked("mount", b"root", b"/tmp", b"tmpfs", _NO_SETUID | _NO_DEVICES, b"size=1m,mode=0755")
    os.mkdir("/tmp/outside")
    _checked("syscall", _PIVOT_ROOT[os.uname().machine], b"/tmp", b"/tmp/outside")
    os.chdir("/")
    for path in readable:
        _show(path)
    os.mkdir(SCRATCH)
    os.mkdir("/dev")
    attributes = (ctypes.c_uint64 * 4)(_READ_ONLY | _NO_SETUID, 0, 0, 0)
    for device in _DEVICES:
        os.close(os.open(device, os.O_CREAT | os.O_WRONLY))
        _checked("mount", b"/outside" + device.encode(), device.encode(), None, _BIND, None)
    _checked("umount2", b"/outside", _DETACH)
    os.rmdir("/outside")
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    _checked("syscall", _MOUNT_SETATTR, _AT_CURRENT, b"/", _AT_RECURSIVE, ctypes.byref(attributes), size)


def _show(path: str) -> None:
    """Show a folder of the old root in the new one; a symbolic link stays one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink("/outside" + path):
        os.symlink(os.readlink("/outside" + path), path)
        return
    os.makedirs(path, exist_ok=True)
    _checked("mount", b"/outside" + os.fsencode(path), os.fsencode(path), None, _BIND | _RECURSIVE, None)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _checked(function: str, *arguments: object) -> int:
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = getattr(_libc, function)(*converted)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function}: {os.strerror(code)}")
    return result
