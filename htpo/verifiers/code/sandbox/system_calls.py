"""The system calls a confined process may make: a seccomp filter that allows a list and refuses all others.

What computing needs is on the list; anything that starts a process or a program, opens a socket, signals, traces or
changes the limits of another process, changes owner, mode or times of a file, or reaches the rarer corners of the
kernel is not. A refused call fails with ENOSYS, so that libraries fall back to what is allowed.
"""

import ctypes
import errno
import platform
import struct

from htpo.verifiers.code.sandbox.privileges import prctl, refuse_new_privileges

# name: number on x86_64, number on aarch64 (None where the architecture has no such call)
ALLOWED = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "lseek": (8, 62), "close": (3, 57), "close_range": (436, 436), "dup": (32, 23),
    "dup2": (33, None), "dup3": (292, 24), "pipe": (22, None), "pipe2": (293, 59), "poll": (7, None),
    "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "open": (2, None), "openat": (257, 56), "stat": (4, None), "lstat": (6, None), "fstat": (5, 80),
    "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61),
    "getcwd": (79, 17), "chdir": (80, 49), "mkdir": (83, None), "mkdirat": (258, 34), "unlink": (87, None),
    "unlinkat": (263, 35), "rmdir": (84, None), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "ftruncate": (77, 46), "fsync": (74, 82), "fdatasync": (75, 83), "flock": (73, 32), "fadvise64": (221, 223),
    "umask": (95, 166),
    "mmap": (9, 222), "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233),
    "brk": (12, 214), "membarrier": (324, 283),
    "futex": (202, 98), "set_robust_list": (273, 99), "set_tid_address": (218, 96),
    "rseq": (334, 293), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "gettid": (186, 178), "getpid": (39, 172), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pause": (34, None),
    "alarm": (37, None), "setitimer": (38, 103), "getitimer": (36, 102), "restart_syscall": (219, 128),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getrusage": (98, 165),
    "getrlimit": (97, 163), "sysinfo": (99, 179), "uname": (63, 160), "getrandom": (318, 278),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
CLONE_THREAD = 0x00010000
# name: numbers, which argument is looked at, and either one bit it must have or the values it may take
CONDITIONAL = {
    "clone": ((56, 220), 0, "bit", (CLONE_THREAD,)),  # a thread of this process, no other process
    "prlimit64": ((302, 261), 0, "value", (0,)),  # its own limits
    "fcntl": ((72, 25), 1, "value", (0, 1, 2, 3, 4, 5, 6, 7, 1030)),  # not F_SETOWN and F_SETSIG, which signal others
}
AUDIT_ARCHITECTURE = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, kernel's name

_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_BITS, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; low words (little-endian)
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


def filter_program() -> bytes:
    """The filter of this machine's architecture as classic BPF instructions.

    Raises:
        OSError: when the architecture is not one the tables know.
    """
    if platform.machine() not in AUDIT_ARCHITECTURE:
        raise OSError(errno.ENOSYS, f"no system call table for {platform.machine()}")
    column, architecture = AUDIT_ARCHITECTURE[platform.machine()]
    program = [
        _instruction(_LOAD_WORD, _ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD_WORD, _NUMBER),
    ]
    for numbers in ALLOWED.values():
        if numbers[column] is not None:
            program += [_instruction(_JUMP_IF_EQUAL, numbers[column], 0, 1), _instruction(_RETURN, _ALLOW)]
    for numbers, argument, test, values in CONDITIONAL.values():
        jump = _JUMP_IF_BITS if test == "bit" else _JUMP_IF_EQUAL
        body = [_instruction(_LOAD_WORD, _ARGUMENTS + 8 * argument)]
        for value in values:
            body += [_instruction(jump, value, 0, 1), _instruction(_RETURN, _ALLOW)]
        body.append(_instruction(_RETURN, _REFUSE | errno.EPERM))
        program += [_instruction(_JUMP_IF_EQUAL, numbers[column], 0, len(body)), *body]
    program.append(_instruction(_RETURN, _REFUSE | errno.ENOSYS))
    return b"".join(program)


def allow_only_listed_calls(program: bytes) -> None:
    """Put the filter in force for this process (which must have one thread), for good.

    Raises:
        OSError: when the kernel refuses.
    """
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    address = ctypes.create_string_buffer(header, len(header))
    refuse_new_privileges()
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(address))


def _instruction(code: int, operand: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, jump_true, jump_false, operand)
