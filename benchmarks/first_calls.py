"""First calls of functions of two kinds that differ in one thing, beside each other: what that adds to a cold start."""

import time
from collections.abc import Callable

from client import Caller
from cold_start import EVERY_S, GONE_WITHIN_S, SETTLED_S
from functions import CREATED, await_active
from harness import BenchmarkError
from platform_under_test import Ondol

BATCH = 10
UNPACKED_WITHIN_S = 120.0


def first_calls(
    here: Ondol, caller: Caller, batches: int, create: tuple[Callable[[str], bytes], Callable[[str], bytes]]
) -> tuple[list[float], list[float]]:
    """Milliseconds of each first call, of the two kinds, in pairs: they take turns, one call every 50 ms.

    `create` has for each kind the request that creates a function of a name. All are deleted after each batch.
    """
    took: tuple[list[float], list[float]] = ([], [])
    for batch in range(batches):
        functions = [(f"first-{batch}-{n}-{kind}", kind) for n in range(BATCH) for kind in (0, 1)]
        for name, kind in functions:
            caller.request("POST", CREATED, create[kind](name))
        for name, _ in functions:
            await_active(caller, name, UNPACKED_WITHIN_S)
        time.sleep(SETTLED_S)
        due = time.monotonic()
        for name, kind in functions:
            time.sleep(max(0.0, due - time.monotonic()))
            due += EVERY_S
            took[kind].append(caller.timed_invoke(name))
        if (there := len(here.environments())) != len(functions):
            raise BenchmarkError(f"{len(functions)} first calls left {there} environments: not all were cold starts")
        for name, _ in functions:
            caller.request("DELETE", f"{CREATED}/{name}")
        here.await_environments(0, GONE_WITHIN_S)
    return took
