"""What hostile code can use up. Each bomb goes off only once the test has seen that its limit is in force."""

import os

import pytest
from prison import MEMORY_MB, Prison, limit_files

from ondol.sandbox.driver import Exit

pytestmark = pytest.mark.sandbox


def test_a_fork_bomb_stays_within_its_limit(prison: Prison) -> None:
    async def test() -> None:
        prisoner = await prison.hold(
            """
import resource
report(limit=resource.getrlimit(resource.RLIMIT_NPROC)[1])
wait_for_go()
children = 0
while children < 1100:
    try:
        pid = os.fork()
    except OSError as error:
        report(stopped=errno.errorcode[error.errno], children=children)
        break
    if pid == 0:
        time.sleep(1000)
        os._exit(0)
    children += 1
time.sleep(1000)
""",
            memory_mb=2048,
        )
        assert prison.driver.capabilities.process_limit
        files = limit_files(prisoner.sandbox, "pids.max")
        assert {int(file.read_text()) for file in files} == ({1024} if os.geteuid() == 0 else set())
        assert files or await prisoner.said("limit") == 1024
        await prisoner.waits()
        prisoner.let_go()
        assert await prisoner.said("stopped") in ("EAGAIN", "ENOMEM")
        assert await prisoner.said("children") < 1024
        await prisoner.sandbox.stop(0)

    prison.run(test())


def test_a_memory_bomb_is_ended_at_its_limit(prison: Prison) -> None:
    async def test() -> None:
        assert prison.driver.capabilities.memory_limit
        prisoner = await prison.hold(
            """
report(waiting=True)
wait_for_go()
kept = []
while True:
    kept.append(bytearray(os.urandom(1 << 20)))
"""
        )
        await prisoner.said("waiting")
        limits = limit_files(prisoner.sandbox, "memory.limit_in_bytes") + limit_files(prisoner.sandbox, "memory.max")
        # Of a watch nothing is to be seen before it acts.
        assert {int(file.read_text()) for file in limits} == ({MEMORY_MB << 20} if os.geteuid() == 0 else set())
        await prisoner.waits()
        prisoner.let_go()
        assert await prisoner.ended() == Exit(signal=9, out_of_memory=True)
        assert prisoner.sandbox.stats().memory_peak_bytes <= MEMORY_MB << 20
        await prisoner.sandbox.stop(0)

    prison.run(test())


def test_memory_is_counted_over_all_processes(prison: Prison) -> None:
    async def test() -> None:
        prisoner = await prison.hold(
            """
for _ in range(5):
    if os.fork() == 0:
        kept = os.urandom(80 << 20)
        report(holds=True)
        time.sleep(1000)
while True:
    pid, status = os.wait()
    report(killed=os.WTERMSIG(status))
"""
        )
        await prisoner.guard.until(lambda: "killed" in prisoner.guard.reports() or prisoner.guard.exit is not None)
        # The kernel ends who asks for too much; a watch, and some kernels, end the sandbox.
        assert prisoner.guard.reports().get("killed", 9) == 9
        assert prisoner.guard.exit in (None, Exit(signal=9, out_of_memory=True))
        await prisoner.sandbox.stop(0)

    prison.run(test())


def test_memory_that_processes_share_is_counted_once(prison: Prison) -> None:
    async def test() -> None:
        prisoner = await prison.hold(
            """
shared = os.urandom(100 << 20)
for _ in range(8):
    if os.fork() == 0:
        time.sleep(1000)
# Several times as long as a watch takes to look.
until = time.monotonic() + 0.5
while time.monotonic() < until:
    total = sum(shared[:: 1 << 20])
report(total=total)
time.sleep(1000)
"""
        )
        assert await prisoner.said("total") > 0
        await prisoner.sandbox.stop(0)

    prison.run(test())


def test_tmp_ends_where_it_was_said_to_and_costs_no_memory_limit(prison: Prison) -> None:
    assert prison.driver.capabilities.tmp_limit
    found = prison.results(
        """
block = b"x" * (1 << 20)
written = 0
with open("/tmp/fill", "wb", buffering=0) as file:
    while written < 600 << 20:
        try:
            written += file.write(block)
        except OSError as error:
            report(stopped=errno.errorcode[error.errno])
            break
report(written=written >> 20, mode=oct(os.stat("/tmp").st_mode), there=os.listdir("/tmp"))
"""
    )
    assert found["stopped"] == "ENOSPC"
    assert 480 <= found["written"] <= 512
    assert found["mode"] == "0o41777"
    assert found["there"] == ["fill"]


def test_descriptors_end_at_1024(prison: Prison) -> None:
    found = prison.results(
        """
opened = []
try:
    while len(opened) < 2000:
        opened.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    stopped = errno.errorcode[error.errno]
for descriptor in opened:
    os.close(descriptor)
report(stopped=stopped, opened=len(opened))
"""
    )
    assert found["stopped"] == "EMFILE"
    assert found["opened"] < 1024
