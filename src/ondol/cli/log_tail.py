"""What a function logs from now on, shown as it comes."""

import threading
import time

from ondol.cli.client import Client
from ondol.cli.failure import CommandFailed
from ondol.cli.feed import Feed
from ondol.cli.logs import LogReader

_LOG_POLL_S = 0.2


class LogTail:
    """Shows what a function logs from now on, on a thread of its own."""

    def __init__(self, client: Client, feed: Feed, group: str) -> None:
        self._reader = LogReader(client, group, int(time.time() * 1000))
        self._feed = feed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_LOG_POLL_S):
            try:
                for event in self._reader.unseen():
                    self._feed.log(event)
            except CommandFailed:
                continue  # nothing was logged yet, or ondol is away, which the next save will say
