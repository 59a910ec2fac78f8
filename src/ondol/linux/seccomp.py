"""What a sandboxed process may ask of the kernel: a classic BPF program over system calls (seccomp(2)).

A list of what is refused, not of what is allowed: a function is any program, and the kernel is also guarded by an
own user without capabilities, namespaces and cgroups. Refused is what reaches beyond those or has no use there:
namespaces, mounts, tracing, keys, kernel programs, asynchronous rings, devices, clocks, odd address families.
"""

from __future__ import annotations

import ctypes
import errno
import platform

from ondol.linux import bpf
from ondol.linux.libc import prctl

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2

_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

# New namespaces of every kind: mount, cgroup, UTS, IPC, user, PID, network; and time, which only unshare takes.
_NAMESPACE_FLAGS = 0x7E020000
_TIME_NAMESPACE = 0x80

# AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (name resolution and interface lists ask the last).
_ADDRESS_FAMILIES = (1, 2, 10, 16)

_INSPECTED = {  # name: (x86_64, aarch64)
    "clone": (56, 220),
    "clone3": (435, 435),
    "socket": (41, 198),
    "unshare": (272, 97),
}

_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}


def deny_list(machine: str | None = None) -> bytes:
    """The program for one architecture: this machine's unless another is named. Raises `KeyError` for an unknown one.

    A refused call answers EPERM. `clone3` answers ENOSYS, so that the C library falls back to `clone`, whose flags
    can be looked at. A system call of another architecture's numbering kills the process.
    """
    machine = machine or platform.machine()
    column = list(_ARCHITECTURES).index(machine)
    number = {name: numbers[column] for name, numbers in _INSPECTED.items()}
    program = [
        bpf.step(bpf.LOAD, _ARCHITECTURE_AT),
        bpf.step(bpf.EQUAL, _ARCHITECTURES[machine], 1, 0),
        bpf.step(bpf.RETURN, _KILL_PROCESS),
        bpf.step(bpf.LOAD, _NUMBER_AT),
        bpf.step(bpf.AT_LEAST, _X32_BIT, 0, 1),
        _refuse(errno.ENOSYS),
        bpf.step(bpf.EQUAL, number["clone3"], 0, 1),
        _refuse(errno.ENOSYS),
        *_refuse_flags(number["clone"], _NAMESPACE_FLAGS),
        *_refuse_flags(number["unshare"], _NAMESPACE_FLAGS | _TIME_NAMESPACE),
        *_allow_values(number["socket"], _ADDRESS_FAMILIES, errno.EAFNOSUPPORT),
    ]
    refused = (numbers[column] for numbers in _REFUSED.values())
    program += _refuse_any({number for number in refused if number is not None})
    return b"".join(program)


def install(program: bytes) -> None:
    """Hold this thread and its children to `program` for good. Needs no_new_privs or CAP_SYS_ADMIN."""
    prctl(_PR_SET_SECCOMP, "PR_SET_SECCOMP", _MODE_FILTER, ctypes.byref(bpf.Program(program)))


def _refuse(error: int) -> bytes:
    return bpf.step(bpf.RETURN, 0x00050000 | error)


def _refuse_any(numbers: set[int]) -> list[bytes]:
    """Refuse these calls and allow all others.

    Found by halves: when a program is installed, the kernel tries it with every call there is.
    """
    edges = sorted(numbers ^ {number + 1 for number in numbers})
    return _by_halves([0, *edges], [bpf.step(bpf.RETURN, _ALLOW), _refuse(errno.EPERM)] * len(edges))


def _by_halves(edges: list[int], answers: list[bytes]) -> list[bytes]:
    """From each edge up to the next, the answer that has its place."""
    if len(edges) == 1:
        return [answers[0]]
    middle = len(edges) // 2
    below = _by_halves(edges[:middle], answers)
    return [bpf.step(bpf.AT_LEAST, edges[middle], len(below), 0), *below, *_by_halves(edges[middle:], answers[middle:])]


def _refuse_flags(call: int | None, flags: int) -> list[bytes]:
    return [
        bpf.step(bpf.EQUAL, call, 0, 4),
        bpf.step(bpf.LOAD, _FIRST_ARGUMENT_AT),
        bpf.step(bpf.ANY_BIT, flags, 0, 1),
        _refuse(errno.EPERM),
        bpf.step(bpf.RETURN, _ALLOW),
    ]


def _allow_values(call: int | None, values: tuple[int, ...], error: int) -> list[bytes]:
    count = len(values)
    return [
        bpf.step(bpf.EQUAL, call, 0, count + 3),
        bpf.step(bpf.LOAD, _FIRST_ARGUMENT_AT),
        *(bpf.step(bpf.EQUAL, value, count - index, 0) for index, value in enumerate(values)),
        _refuse(error),
        bpf.step(bpf.RETURN, _ALLOW),
    ]
