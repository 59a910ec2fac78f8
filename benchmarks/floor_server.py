"""Starts the floor, `floor.py`, as a process of its own."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import await_port, free_port, process


@contextlib.contextmanager
def floor(functions: int) -> Iterator[int]:
    """The floor with so many idle processes behind it, at the port yielded."""
    port = free_port()
    program = Path(__file__).with_name("floor.py")
    with process([sys.executable, program, str(port), str(functions)], silent=True) as running:
        await_port(running, port)
        yield port
