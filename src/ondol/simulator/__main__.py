"""`python -m ondol.simulator`: a synthetic load on a fleet of simulated workers, at the kernel's speed."""

import argparse
import sys
import time

import msgspec

from ondol.model.limits import AccountLimits
from ondol.model.time import SECOND
from ondol.simulator.kernel import Kernel
from ondol.simulator.report import Report, rows, summarize
from ondol.simulator.trace import Site
from ondol.simulator.workloads import Load

STEP = 60 * SECOND
"""Progress is shown this often, in simulated time."""


def main() -> None:
    options = _options()
    load = Load(options.invocations, options.seed)
    site = Site(workers=options.workers, limits=account_limits(load))
    started = time.perf_counter()
    kernel = Kernel(site, load.trace())
    _run(kernel, load)
    report = summarize(load, site, kernel.figures, time.perf_counter() - started)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        _print(report)


def account_limits(load: Load) -> AccountLimits:
    """Room for twice what the load has in flight on average, in whole hundreds, but no less than AWS gives at first."""
    return AccountLimits(concurrency=max(AccountLimits().concurrency, -(-round(2 * load.in_flight) // 100) * 100))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ondol.simulator", description=__doc__)
    parser.add_argument("--invocations", type=_positive, default=1_000_000, metavar="N", help="default: 1000000")
    parser.add_argument("--workers", type=_positive, default=1000, metavar="N", help="default: 1000")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="another load (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _run(kernel: Kernel, load: Load) -> None:
    """To the end; with progress where somebody looks at it."""
    if not sys.stderr.isatty():
        kernel.run()
        return
    from rich.console import Console  # noqa: PLC0415 (only a terminal is worth its loading)
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("simulating", total=load.calls)
        until = 0
        while kernel.timeline:
            until += STEP
            kernel.run(until)
            progress.update(bar, completed=kernel.figures.calls)


def _print(report: Report) -> None:
    if not sys.stdout.isatty():
        width = max(len(name) for name, _ in rows(report))
        for name, value in rows(report):
            print(f"{name:<{width}}  {value}")
        return
    from rich.console import Console  # noqa: PLC0415 (as above)
    from rich.table import Table  # noqa: PLC0415

    table = Table(show_header=False)
    for row in rows(report):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
