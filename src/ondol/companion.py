"""A server that runs beside ondol and no longer than ondol: moto, for the services of AWS that ondol does not serve.

It is an optional extra, a process of its own without any power, and listens on a free loopback port.
"""

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from ondol.model.endpoint import Endpoint

HOST = "127.0.0.1"
PROGRAM = "ondol.companion_moto"
LOG = "moto.log"

_START_S = 60.0


class CompanionError(Exception):
    """The companion cannot run: one sentence, with a way out."""


def check_installed() -> None:
    """Raises `CompanionError` if moto or what its server needs is not there."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask_cors") is None:
        raise CompanionError("--with moto needs moto, which is not installed: pip install 'ondol[moto]'")


class Companion:
    """A moto server. Make it when this process has given up its capabilities: it inherits what is left."""

    def __init__(self, data_dir: Path) -> None:
        self._log = data_dir / LOG
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, HOST, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # A Ctrl-C is ondol's to act on: functions that are still running may need their queues.
                start_new_session=True,
            )

    async def ready(self) -> Endpoint:
        """Wait until it answers; the answer is where. Raises `CompanionError`."""
        assert self._process.stdout is not None
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._process.stdout
        )
        try:
            async with asyncio.timeout(_START_S):
                line = await reader.readline()
        except TimeoutError as error:
            raise CompanionError(f"moto was not ready within {_START_S:g} s; see {self._log}") from error
        finally:
            transport.close()
        if not line.strip().isdigit():
            raise CompanionError(f"moto did not start; see {self._log}")
        return Endpoint(HOST, int(line))

    def close(self) -> None:
        """End it. What it held is gone: moto keeps everything in memory."""
        self._process.kill()
        self._process.wait()
