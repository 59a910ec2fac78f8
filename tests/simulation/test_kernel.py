"""The kernel's speed, and the report that it is summed up in."""

import json
import re
import subprocess
import sys
import time

import pytest

from ondol.model.limits import KeepAlive
from ondol.model.time import MILLISECOND, MINUTE, SECOND, Instant
from ondol.simulator.kernel import Kernel
from ondol.simulator.report import MB_NS_PER_GB_HOUR
from ondol.simulator.trace import Call, Function, Init, Site, Trace
from ondol.simulator.workloads import Load

FASTEST_START = Init(100 * MILLISECOND)
SLOWEST_S = 1 / 5_000
"""Processor time that an invocation may cost; it is a fifth of that on an ordinary machine."""


def calls_each(period: int, n: int, duration: int) -> list[Call]:
    return [Call(Instant(number * period + 1), 0, duration) for number in range(n)]


def run(calls: list[Call], site: Site, memory_mb: int = 1024) -> Kernel:
    kernel = Kernel(site, Trace([Function("f", memory_mb)], calls, lambda number: FASTEST_START))
    kernel.run()
    return kernel


def test_thousands_of_whole_invocations_a_second_on_a_thousand_workers() -> None:
    load = Load(30_000, seed=1)
    kernel = Kernel(Site(workers=1000), load.trace())
    began = time.process_time()
    kernel.run()
    assert time.process_time() - began < SLOWEST_S * load.calls
    assert kernel.figures.told.total() == load.calls


def test_calls_within_the_keep_alive_are_warm_and_those_after_it_are_cold() -> None:
    site = Site(workers=1, keep_alive=KeepAlive(idle=5 * MINUTE))
    assert run(calls_each(4 * MINUTE, 10, SECOND), site).figures.cold_runs == 1
    assert run(calls_each(6 * MINUTE, 10, SECOND), site).figures.cold_runs == 10


def test_memory_is_charged_from_placement_to_the_end_of_keep_alive() -> None:
    figures = run([Call(Instant(1), 0, 1800 * SECOND // 4)], Site(workers=1, keep_alive=KeepAlive(30 * MINUTE))).figures
    assert figures.busy_mb_ns / MB_NS_PER_GB_HOUR == pytest.approx(450 / 3600)
    assert figures.committed_mb_ns / MB_NS_PER_GB_HOUR == pytest.approx(2250 / 3600, abs=0.001)
    assert figures.committed_mb == 0


def test_load_is_concentrated_on_few_workers() -> None:
    calls = [Call(Instant(number + 1), 0, 60 * SECOND) for number in range(32)]
    kernel = run(calls, Site(workers=100, worker_environments=16))
    assert len(kernel.figures.workers_used) == 2


def simulate(*options: str) -> str:
    command = [sys.executable, "-m", "ondol.simulator", "--invocations", "3000", "--workers", "20", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_report_can_be_read() -> None:
    text = simulate()
    assert "3,000 invocations" in text
    assert re.search(r"cold starts +\d+\.\d+%", text)
    assert re.search(r"workers used +\d+ of 20", text)


def test_the_report_can_be_processed_and_is_the_same_for_the_same_seed() -> None:
    reports = [json.loads(simulate("--json", "--seed", seed)) for seed in ("4", "4", "5")]
    for report in reports:
        assert sum(report["outcomes"].values()) == report["invocations"] == 3000
        del report["took_s"], report["invocations_per_s"]
    assert reports[0] == reports[1] != reports[2]
