"""`ondol dev`: a directory that is a function: deployed again at each save, its log shown meanwhile."""

from pathlib import Path
from typing import Annotated

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client
from ondol.cli.console import Progress, say
from ondol.cli.deployment import current_of, name_of, variables_of
from ondol.cli.failure import CommandFailed
from ondol.cli.feed import Feed, JsonFeed, TextFeed
from ondol.cli.log_tail import LogTail
from ondol.cli.logs import group_of
from ondol.cli.options import Endpoint, Handler, Json, NearestRuntime, Parameters, Runtime, Variables
from ondol.cli.template import is_template, refuse_with_template
from ondol.cli.template_dev import TemplateBench, dev_template
from ondol.cli.watcher import Watcher
from ondol.cli.workbench import Wanted, Workbench


def dev(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|TEMPLATE", help="The function's files, or a template.", show_default=False, exists=True
        ),
    ],
    *,
    name: Annotated[
        str | None, typer.Option(help="The function's name, or the stack's.", show_default="that of DIR")
    ] = None,
    runtime: Runtime = None,
    handler: Handler = None,
    env: Variables = None,
    nearest_runtime: NearestRuntime = False,
    parameter: Parameters = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: Json = False,
) -> None:
    """Deploy a directory, and again each time that something in it is saved; show what the function logs.

    Of a template all that it makes, and again what a save changes. Ctrl-C ends it. What was deployed stays.
    """
    from ondol.runtimes.catalog import find  # noqa: PLC0415 - `ondol --help` does without

    client = Client(endpoint)
    if is_template(directory):
        refuse_with_template(runtime=runtime, handler=handler, env=env)
        given = variables_of(parameter or [], "--parameter")
        shown: Feed = JsonFeed() if as_json else TextFeed(directory.parent)
        dev_template(TemplateBench(client, directory, name, given, nearest=nearest_runtime, feed=shown))
        return
    if not directory.is_dir():
        raise CommandFailed(f"{directory} is neither a directory nor a template.", 2)
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
