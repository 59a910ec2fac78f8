"""How long a warm call takes at one connection, beside AWS's emulator, another emulator and the floor."""

import contextlib
import statistics

import peers
from client import Caller
from figure import Effort, Figure, Line
from floor_server import floor
from functions import create
from harness import interleaved, median_ratio
from platform_under_test import ondol

CALLS = 300
MINISTACK_CALLS = 5


def measure(effort: Effort) -> list[Line]:
    """Python's http.client, kept alive, one call after the other; turns of 300 calls."""
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(ondol())
        create(here.port, "echo")
        create(here.port, "echo-128", memory_mb=128)
        mini_port = stack.enter_context(peers.ministack())
        create(mini_port, "echo")
        ours = stack.enter_context(Caller(here.port))
        emulator = stack.enter_context(Caller(stack.enter_context(peers.emulator())))
        mini = stack.enter_context(Caller(mini_port))
        floor_caller = stack.enter_context(Caller(stack.enter_context(floor(1))))
        p50s = interleaved(
            {
                "ondol": lambda: ours.p50("echo", CALLS),
                "emulator": lambda: emulator.p50(peers.EMULATED, CALLS),
                "ondol 128": lambda: ours.p50("echo-128", CALLS),
                "ministack": lambda: mini.p50("echo", MINISTACK_CALLS),
                "floor": lambda: floor_caller.p50("echo", CALLS),
            },
            effort.pick(15, 5),
        )
    middle = {name: statistics.median(figures) for name, figures in p50s.items()}

    def beside(size: str, peer: str, name: str, must: float | None = None, aim: float | None = None) -> Line:
        return Line(
            name=f"warm p50, 1 connection, {size}",
            ours=middle[name],
            unit="ms",
            peer=peer,
            theirs=middle[peer],
            judged=median_ratio(p50s[name], p50s[peer]),
            judged_unit="x",
            must=must,
            aim=aim,
        )

    return [
        beside("1,769 MB", "emulator", "ondol", 0.6, 0.4),
        beside("128 MB", "emulator", "ondol 128"),
        beside("1,769 MB", "ministack", "ondol"),
        beside("1,769 MB", "floor", "ondol"),
    ]


FIGURE = Figure("warm", measure)
