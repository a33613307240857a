"""The system call filter of a confined process, as a classic BPF program for the kernel.

What it refuses is what files and namespaces cannot: sockets of the file system, through which a process of
the same user can ask daemons and agents for what it may not do itself, and calls whose only use in a tool is
to look into other processes or to reach parts of the kernel with a history of holes. Refused calls fail with
an error; nothing is killed for trying. Pure: knows nothing of how the program is installed.
"""

import errno
import os
import socket
import struct
from collections.abc import Mapping
from typing import Final

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_ALLOW: Final = 0x7FFF0000
_FAIL: Final = 0x00050000

_NUMBER: Final = 0  # Offsets in struct seccomp_data; the lower half of an argument comes first.
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = (16, 24)

_CLONE_NEWUSER: Final = 0x10000000
_TIOCSTI: Final = 0x5412  # Types into the terminal.
_TIOCLINUX: Final = 0x541C
_X32: Final = 0x40000000  # x86-64 has a second table of calls from here on.

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, 16)  # 16: netlink, by which libc learns of addresses.

_NEW: Final[Mapping[str, int]] = {
    # Calls since Linux 5.1 have one number everywhere.
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}

_X86_64: Final[Mapping[str, int]] = {
    "ptrace": 101,
    "pivot_root": 155,
    "chroot": 161,
    "mount": 165,
    "umount2": 166,
    "init_module": 175,
    "delete_module": 176,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "open_by_handle_at": 304,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "finit_module": 313,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
    **_NEW,
}

_AARCH64: Final[Mapping[str, int]] = {
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "chroot": 51,
    "unshare": 97,
    "kexec_load": 104,
    "init_module": 105,
    "delete_module": 106,
    "ptrace": 117,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "perf_event_open": 241,
    "open_by_handle_at": 265,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "finit_module": 273,
    "bpf": 280,
    "userfaultfd": 282,
    "kexec_file_load": 294,
    **_NEW,
}


class _Machine:
    """The numbers of one architecture: its own name in the kernel, and of the calls that are looked into."""

    def __init__(self, audit: int, refused: Mapping[str, int], looked_into: tuple[int, int, int]) -> None:
        self.audit = audit
        self.refused = refused
        self.socket, self.clone, self.ioctl = looked_into


_CLONE3: Final = 435
_MACHINES: Final = {
    "x86_64": _Machine(0xC000003E, _X86_64, (41, 56, 16)),
    "aarch64": _Machine(0xC00000B7, _AARCH64, (198, 220, 29)),
}


def filter_program(*, unix_sockets: bool, machine: str | None = None) -> bytes | None:
    """Give the program, an array of `struct sock_filter`; None where the machine's numbers are not known.

    Args:
        unix_sockets: whether sockets of the file system may be made; pairs of them always may.
        machine: as `os.uname` says it.
    """
    known = _MACHINES.get(machine or os.uname().machine)
    if known is None:
        return None
    families = (*_FAMILIES, socket.AF_UNIX) if unix_sockets else _FAMILIES
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, known.audit),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    for number in sorted(known.refused.values()):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
    # Its flags lie in memory, where no filter sees them; libc then falls back to `clone`.
    code += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    code += _looked_into(known.clone, 0, [(_ANY_BIT, 0, 1, _CLONE_NEWUSER)], errno.EPERM)
    code += _looked_into(known.ioctl, 1, [(_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX)], errno.EPERM)
    left = len(families)
    allowed = [(_EQUAL, left - place, 0, family) for place, family in enumerate(families)]
    code += _looked_into(known.socket, 0, allowed, errno.EAFNOSUPPORT)
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _looked_into(
    number: int, argument: int, tests: list[tuple[int, int, int, int]], error: int
) -> list[tuple[int, int, int, int]]:
    """Test an argument of one call: falling out of `tests` refuses, jumping one past the refusal allows."""
    return [
        (_EQUAL, 0, len(tests) + 3, number),
        (_LOAD, 0, 0, _ARGUMENTS[argument]),
        *tests,
        (_RETURN, 0, 0, _FAIL | error),
        (_RETURN, 0, 0, _ALLOW),
    ]
