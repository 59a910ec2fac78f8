"""What every figure is made of: processes that are sure to end, pairs that take turns, medians."""

import contextlib
import os
import select
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "build" / "benchmarks"
PAIRS = 5
"""Rounds in which the things compared take turns, at least."""


class BenchmarkError(Exception):
    """Something needed for a figure is missing or broken: one sentence for whoever runs the benchmarks."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def process(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    errors: Path | None = None,
    silent: bool = False,
    stop_s: float = 60.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for as long as the block runs: SIGTERM at its end, SIGKILL `stop_s` after.

    Its standard output is a pipe for whoever waits for a line of it, unless it is `silent`; `errors` keeps its
    standard error.
    """
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(errors.open("wb")) if errors is not None else subprocess.DEVNULL
        running = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if silent else subprocess.PIPE,
            stderr=kept,
            env={**os.environ, **(environment or {})},
        )
        try:
            yield running
        finally:
            end(running, stop_s)
            if running.stdout is not None:
                running.stdout.close()


def end(running: subprocess.Popen[bytes], stop_s: float) -> None:
    """End one process, by its id, and wait for it."""
    if running.poll() is None:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(stop_s)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def await_line(running: subprocess.Popen[bytes], beginning: str, limit_s: float) -> str:
    """The first line of its standard output that begins so. Raises `BenchmarkError` when none comes in time."""
    assert running.stdout is not None
    until = time.monotonic() + limit_s
    held = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([running.stdout], [], [], left)[0]:
            piece = os.read(running.stdout.fileno(), 65536)
            if not piece:
                raise BenchmarkError(f"{running.args!r} ended before it said {beginning!r}")
            held += piece
        *lines, held = held.split(b"\n")
        for line in lines:
            if line.startswith(beginning.encode()):
                return line.decode()
    raise BenchmarkError(f"{running.args!r} did not say {beginning!r} within {limit_s:g} s")


def await_port(running: subprocess.Popen[bytes], port: int, limit_s: float = 30.0) -> None:
    """Wait until the process listens. Raises `BenchmarkError` when it does not in time."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until and running.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.02)
    raise BenchmarkError(f"{running.args!r} does not listen on port {port}")


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int = PAIRS) -> dict[str, list[float]]:
    """Let the measures take turns, A B A B; one unkept turn each comes first, to warm up.

    Figures of one round stand side by side in time, so a slow moment of the machine slows all of them.
    """
    for measure in measures.values():
        measure()
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            figures[name].append(measure())
    return figures


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of the pairs, which is steadier than the ratio of the medians."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
