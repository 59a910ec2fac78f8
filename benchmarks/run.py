"""Measure ondol beside its peers and the floor, in one run: `make bench`. See docs/benchmarks.md."""

import argparse
import json
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import after_idle
import bare_kernel
import callback
import cold_rate
import cold_start
import dev_loop
import events
import idle_count
import idle_memory
import image_start
import many_functions
import node_latency
import ordinary_users
import package_size
import peers
import queue_mapping
import start_up
import stream_latency
import table
import throughput
import verified
import warm_latency
from figure import Effort, Line
from harness import BenchmarkError

FIGURES = {
    module.FIGURE.name: module.FIGURE
    for module in (
        warm_latency,
        throughput,
        verified,
        stream_latency,
        queue_mapping,
        after_idle,
        cold_start,
        cold_rate,
        package_size,
        image_start,
        idle_memory,
        idle_count,
        many_functions,
        node_latency,
        callback,
        events,
        dev_loop,
        ordinary_users,
        start_up,
        bare_kernel,
    )
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the figures; 0 if all that must be kept is kept, 1 if not, 2 if something could not be measured."""
    options = _options(arguments)
    # Ended from outside, it still ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    peers.install()
    lines: list[Line] = []
    broken: dict[str, str] = {}
    for name in options.only or FIGURES:
        began = time.monotonic()
        print(f"{name} ... ", end="", file=sys.stderr, flush=True)
        try:
            lines += FIGURES[name].measure(Effort(options.quick))
        except BenchmarkError as error:
            broken[name] = str(error)
        except Exception as error:  # noqa: BLE001 - what was measured before is not to be lost
            traceback.print_exc()
            broken[name] = repr(error)
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.json:
        print(json.dumps({"machine": _machine(), "lines": [line.as_json() for line in lines], "broken": broken}))
    else:
        table.show(lines, broken, _machine())
    if broken:
        return 2
    return 1 if any(line.verdict == "FAIL" for line in lines) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=FIGURES, help=", ".join(FIGURES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds: four minutes, rougher figures")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser.parse_args(arguments)


def _machine() -> dict[str, object]:
    """Where this was measured: figures of two machines do not compare."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processors": os.cpu_count(),
        "model": models[0].partition(":")[2].strip() if models else platform.machine(),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
