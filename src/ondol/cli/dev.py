"""`ondol dev`: a directory that is a function: deployed again at each save, its log shown meanwhile."""

import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client
from ondol.cli.console import Progress, say
from ondol.cli.deployment import current_of, name_of, variables_of
from ondol.cli.failure import CommandFailed
from ondol.cli.feed import Feed, JsonFeed, TextFeed
from ondol.cli.logs import LogReader, group_of
from ondol.cli.options import Endpoint, Handler, Json, NearestRuntime, Runtime, Variables
from ondol.cli.watcher import Watcher
from ondol.cli.workbench import Wanted, Workbench

_LOG_POLL_S = 0.2


def dev(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The function's files.", show_default=False, exists=True, file_okay=False),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="The function's name.", show_default="that of DIR")] = None,
    runtime: Runtime = None,
    handler: Handler = None,
    env: Variables = None,
    nearest_runtime: NearestRuntime = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: Json = False,
) -> None:
    """Deploy a directory, and again each time that something in it is saved; show what the function logs.

    Ctrl-C ends it. The function stays.
    """
    from ondol.runtimes.catalog import find  # noqa: PLC0415 - `ondol --help` does without

    client = Client(endpoint)
    name = name or name_of(directory)
    wanted = Wanted(runtime, handler, nearest_runtime, variables_of(env or []))
    current = current_of(client, name)
    feed: Feed = JsonFeed() if as_json else TextFeed(directory)
    log = LogTail(client, feed, group_of(current or {}, name))
    try:
        with Progress("Looking for interpreters"):
            catalog = find()
        workbench = Workbench(client, name, directory, wanted=wanted, catalog=catalog, feed=feed)
        with Watcher(directory) as watcher, workbench:
            changed = frozenset(path.name for path in directory.glob("*.py"))
            while not workbench.update(changed, first=True):
                changed = watcher.changed()
            log.start()
            say(f"Watching {directory}. Ctrl-C ends it; {name} stays.")
            while True:
                changed = watcher.changed()
                try:
                    workbench.update(changed)
                except CommandFailed as failed:
                    feed.failed(str(failed))
    except KeyboardInterrupt:
        # The way to end it; what was deployed last runs on.
        return
    finally:
        log.stop()


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
