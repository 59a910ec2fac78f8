"""`ondol deploy`: make a directory or a zip a function, or an existing function's new code."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ondol.cli.choice import choose
from ondol.cli.client import DEFAULT_ENDPOINT, Client
from ondol.cli.console import Progress, say
from ondol.cli.deployment import advise, current_of, merged, name_of, put, ready, variables_of
from ondol.cli.failure import CommandFailed
from ondol.cli.options import Endpoint, Handler, NearestRuntime, Parameters, Runtime, Variables
from ondol.cli.package import DirectorySource, ZipSource, open_source
from ondol.cli.requirements import Requirements
from ondol.cli.template import deploy_template, is_template, refuse_with_template

if TYPE_CHECKING:
    from ondol.runtimes.catalog import Catalog


def deploy(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|ZIP|TEMPLATE", help="The function's files, or a template.", show_default=False, exists=True
        ),
    ],
    *,
    name: Annotated[
        str | None,
        typer.Option(
            help="The function's name, or the stack's.", show_default="that of DIR or ZIP, or of TEMPLATE's DIR"
        ),
    ] = None,
    runtime: Runtime = None,
    handler: Handler = None,
    memory: Annotated[int | None, typer.Option(help="In MB.", show_default="128")] = None,
    timeout: Annotated[int | None, typer.Option(help="In seconds.", show_default="3")] = None,
    env: Variables = None,
    nearest_runtime: NearestRuntime = False,
    parameter: Parameters = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Of a template: show what would be done, and do nothing.")
    ] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Create a function, or update it if it is there; wait until it can be invoked.

    A directory's requirements.txt is installed into the package. What is not given stays as it is.
    A template in SAM's form is made so as a whole: functions, layers, HTTP APIs, queues and more.
    """
    from ondol.runtimes.catalog import find  # noqa: PLC0415 - `ondol --help` does without

    client = Client(endpoint)
    if is_template(source):
        refuse_with_template(runtime=runtime, handler=handler, memory=memory, timeout=timeout, env=env)
        given = variables_of(parameter or [], "--parameter")
        deploy_template(client, source, name, given, nearest=nearest_runtime, only_plan=plan)
        return
    if parameter or plan:
        raise CommandFailed(f"--parameter and --plan are for templates, and {source} is none.", 2)
    name = name or name_of(source)
    variables = variables_of(env or [])
    current = current_of(client, name)
    package = open_source(source)
    with Progress("Looking for interpreters"):
        catalog = find()
    try:
        choice = choose(package, current, catalog, runtime=runtime, handler=handler, nearest=nearest_runtime)
        advise(package, choice.runtime)
        code = _build(package, choice.runtime, catalog)
    except OSError as error:
        raise CommandFailed(f"{error.filename or source} cannot be read: {error.strerror}.") from error
    members: dict[str, Any] = {"Runtime": choice.runtime, "Handler": choice.handler}
    if memory is not None:
        members["MemorySize"] = memory
    if timeout is not None:
        members["Timeout"] = timeout
    if variables:
        members["Environment"] = merged(current, variables)
    with Progress(f"Deploying {name}") as progress:
        put(client, name, code, members, current)
        progress.update(f"{name} is being made ready")
        ready(client, name)
    done = "Created" if current is None else "Updated"
    say(f"{done} {name} ({choice.runtime}, {choice.handler}, {len(code):,} bytes).")
    say(f"Run it with: ondol invoke {name} '{{}}'")


def _build(package: DirectorySource | ZipSource, runtime: str, catalog: "Catalog") -> bytes:
    """The package as a zip, with its requirements if it is a directory of Python code that has some."""
    with Requirements(lambda: catalog) as requirements:
        added = requirements.of(package, runtime) if isinstance(package, DirectorySource) else None
        with Progress("Making the package"):
            return package.zipped(added)
