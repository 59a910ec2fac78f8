"""Runs the program that asks for images, each time as a process of its own, which ends with whoever waits for it."""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

from ondol.runtimes.oci.errors import KINDS, ImageError

_PROGRAM = Path(__file__).with_name("__main__.py")


async def run(order: list[str], say: Callable[[str], None]) -> str:
    """The digest that the program has found; `say` hears of progress. Raises `ImageError`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(_PROGRAM), *order, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    last = ""
    try:
        async for line in process.stdout:
            word, _, last = line.decode(errors="replace").rstrip("\n").partition(" ")
            if word == "says":
                say(last)
        if await process.wait() == 0:
            return last
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    kind, _, text = last.partition(" ")
    if kind not in KINDS:
        raise ImageError(f"asking for it ended with status {process.returncode}")
    raise KINDS[kind](text)
