"""What of other processes hostile code can see and touch, and what outlives its sandbox."""

import os
from pathlib import Path

import pytest
from prison import Prison

pytestmark = pytest.mark.sandbox


def test_only_its_own_processes_are_there(prison: Prison) -> None:
    found = prison.results('report(seen=[int(name) for name in os.listdir("/proc") if name.isdigit()], me=os.getpid())')
    assert found == {"seen": [1, 2], "me": 2}


def test_the_first_process_cannot_be_touched(prison: Prison) -> None:
    found = prison.results(
        """
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
report(signal=refusal(os.kill, 1, signal.SIGTERM), kill=refusal(os.kill, 1, signal.SIGKILL),
       attach=call((101, 117), PTRACE_ATTACH, 1, 0, 0), seize=call((101, 117), PTRACE_SEIZE, 1, 0, 0),
       memory=refusal(open, "/proc/1/mem", "rb"), maps=refusal(open, "/proc/1/maps"),
       environment=refusal(open, "/proc/1/environ"), program=refusal(os.readlink, "/proc/1/exe"),
       read=call((310, 270), 1, 0, 0, 0, 0, 0), limits=refusal(lambda: __import__("resource").prlimit(1, 7, (1, 1))),
       descriptor=call((438, 438), os.pidfd_open(1) if hasattr(os, "pidfd_open") else 0, 0, 0))
"""
    )
    harmless = {found.pop("signal"), found.pop("kill"), found.pop("limits")}
    # Of the same user, it hears of signals, which a first process does not obey: else nothing were found at all.
    assert harmless == ({"EPERM"} if prison.driver.capabilities.own_uid else {"done"})
    assert set(found.values()) <= {"EPERM", "EACCES"}


def test_no_two_sandboxes_are_the_same_to_the_kernel(prison: Prison) -> None:
    async def test() -> None:
        code = 'report(user=os.getuid(), alone=os.readlink("/proc/self/ns/user"))\nwait_for_go()'
        one, other = await prison.hold(code), await prison.hold(code)
        same_user = await one.said("user") == await other.said("user")
        same_namespace = await one.said("alone") == await other.said("alone")
        assert (same_user, same_namespace) == ((False, True) if prison.driver.capabilities.own_uid else (True, False))
        for prisoner in (one, other):
            await prisoner.sandbox.stop(0)

    prison.run(test())


def test_signals_reach_nobody_else(prison: Prison) -> None:
    async def test() -> None:
        neighbour = await prison.hold("report(up=True)\nwait_for_go()\nreport(alive=True)")
        await neighbour.said("up")
        attacker = await prison.hold(
            """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sent = []
for pid in range(3, 40000):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
        sent.append(pid)
with contextlib.suppress(OSError):
    os.kill(-1, signal.SIGTERM)
report(sent=sent)
"""
        )
        assert await attacker.said("sent") == []
        neighbour.let_go()
        assert await neighbour.said("alive") is True
        for prisoner in (neighbour, attacker):
            await prisoner.sandbox.stop(0)

    prison.run(test())


def test_a_daemon_that_forgot_its_parents_dies_with_the_sandbox(prison: Prison) -> None:
    async def test() -> None:
        prisoner = await prison.hold(
            """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        libc.prctl(1, 0, 0, 0, 0)
        for number in range(1, 65):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        libc.prctl(15, b"undying-daemon", 0, 0, 0)
        report(daemon=os.getpid())
        time.sleep(1000)
    os._exit(0)
time.sleep(1000)
"""
        )
        await prisoner.said("daemon")
        assert _processes_named("undying-daemon") != []
        await prisoner.sandbox.stop(0)
        assert _processes_named("undying-daemon") == []

    prison.run(test())


def test_a_runtime_that_ends_takes_its_daemons_along(prison: Prison) -> None:
    async def test() -> None:
        prisoner = await prison.hold(
            """
if os.fork() == 0:
    os.setsid()
    libc.prctl(15, b"left-daemon", 0, 0, 0)
    report(daemon=os.getpid())
    time.sleep(1000)
wait_for_go()
"""
        )
        await prisoner.said("daemon")
        prisoner.let_go()
        await prisoner.ended()
        await prisoner.sandbox.stop(0)
        assert _processes_named("left-daemon") == []

    prison.run(test())


def _processes_named(name: str) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208
        try:
            if entry.isdigit() and Path(f"/proc/{entry}/comm").read_text().strip() == name[:15]:
                found.append(int(entry))
        except OSError:
            continue
    return found
