"""The filter of system calls, run step by step as the kernel would, for both architectures."""

import errno
import struct

import pytest

from ondol.linux import seccomp

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CALLS = {  # x86_64, aarch64
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "mount": (165, 40),
    "openat": (257, 56),
    "ptrace": (101, 117),
    "read": (0, 63),
    "setns": (308, 268),
    "socket": (41, 198),
    "unshare": (272, 97),
}
NEW_USER, NEW_NETWORK, NEW_TIME = 0x10000000, 0x40000000, 0x80
THREAD_FLAGS = 0x3D0F00
SIGCHLD = 17


class Filtered(Exception):
    """The process would be killed."""


def run(program: bytes, architecture: int, number: int, first: int = 0) -> int | None:
    """What a call gets: an error number, or None when it may pass."""
    data = struct.pack("=iIQQQQQQQ", number, architecture, 0, first, 0, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("HBBI", program))
    position, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = steps[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return outcome(value)
        else:
            true = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            position += if_true if true else if_false


def outcome(value: int) -> int | None:
    if value == 0x7FFF0000:
        return None
    if value & 0xFFFF0000 == 0x00050000:
        return value & 0xFFFF
    raise Filtered


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def ask(machine: str, name: str, first: int = 0) -> int | None:
    number = CALLS[name][list(ARCHITECTURES).index(machine)]
    return run(seccomp.deny_list(machine), ARCHITECTURES[machine], number, first)


@pytest.mark.parametrize("name", ["read", "openat", "execve"])
def test_what_every_program_needs_passes(machine: str, name: str) -> None:
    assert ask(machine, name) is None


@pytest.mark.parametrize("name", ["mount", "ptrace", "setns"])
def test_what_reaches_out_is_refused(machine: str, name: str) -> None:
    assert ask(machine, name) == errno.EPERM


def test_each_call_of_the_list_is_refused_and_no_other(machine: str) -> None:
    inspected = {numbers[list(ARCHITECTURES).index(machine)] for numbers in seccomp._INSPECTED.values()}
    listed = {numbers[list(ARCHITECTURES).index(machine)] for numbers in seccomp._REFUSED.values()} - {None}
    program = seccomp.deny_list(machine)
    answers = {number: run(program, ARCHITECTURES[machine], number) for number in range(600)}
    assert {number for number in answers if answers[number] == errno.EPERM} - inspected == listed - inspected
    assert {number for number in answers if answers[number] not in (None, errno.EPERM)} <= inspected


@pytest.mark.parametrize("name", ["clone", "unshare"])
@pytest.mark.parametrize("flag", [NEW_USER, NEW_NETWORK, NEW_USER | SIGCHLD])
def test_new_namespaces_are_refused(machine: str, name: str, flag: int) -> None:
    assert ask(machine, name, flag) == errno.EPERM


def test_a_time_namespace_is_refused(machine: str) -> None:
    assert ask(machine, "unshare", NEW_TIME) == errno.EPERM


@pytest.mark.parametrize("flags", [THREAD_FLAGS, SIGCHLD])
def test_threads_and_processes_can_be_made(machine: str, flags: int) -> None:
    assert ask(machine, "clone", flags) is None


def test_clone3_is_not_there_so_that_the_c_library_uses_clone(machine: str) -> None:
    assert ask(machine, "clone3") == errno.ENOSYS


@pytest.mark.parametrize(
    ("family", "answer"), [(1, None), (2, None), (10, None), (16, None), (17, 97), (38, 97), (40, 97)]
)
def test_address_families(machine: str, family: int, answer: int | None) -> None:
    assert ask(machine, "socket", family) == answer


def test_another_architectures_numbers_kill(machine: str) -> None:
    other = next(value for name, value in ARCHITECTURES.items() if name != machine)
    with pytest.raises(Filtered):
        run(seccomp.deny_list(machine), other, 0)


def test_the_x32_numbering_is_not_there() -> None:
    assert run(seccomp.deny_list("x86_64"), ARCHITECTURES["x86_64"], 0x40000000 | 165) == errno.ENOSYS
