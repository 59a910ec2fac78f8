"""Which runtime and handler a deployment names: as given, else as the function has them, else guessed and said."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ondol.cli.console import say
from ondol.cli.failure import CommandFailed
from ondol.cli.guess import LOOKED_FOR, guess, runtime_of
from ondol.cli.package import Source

if TYPE_CHECKING:
    from ondol.runtimes.catalog import Catalog

_TEMPLATES = ("template.yaml", "template.yml")


class Choice(NamedTuple):
    runtime: str
    handler: str


def choose(
    package: Source,
    current: Mapping[str, Any] | None,
    catalog: "Catalog",
    *,
    runtime: str | None,
    handler: str | None,
    nearest: bool,
) -> Choice:
    """Raises `CommandFailed` if nothing is given and the files say nothing."""
    runtime = runtime or (current or {}).get("Runtime")
    handler = handler or (current or {}).get("Handler")
    if handler is None and (runtime or "").startswith("provided"):
        # The program `bootstrap` is what runs; AWS wants a handler all the same, and hands it over.
        handler = "bootstrap"
    if runtime is None or handler is None:
        runtime, handler = _guessed(package, catalog, runtime, handler)
    if nearest and runtime.startswith(("python", "nodejs")):
        runtime = nearest_of(catalog, runtime)
    return Choice(runtime, handler)


def _guessed(package: Source, catalog: "Catalog", runtime: str | None, handler: str | None) -> Choice:
    """What is missing, from the files."""
    guessed = guess(package.names, package.read)
    if guessed is None or not (runtime or guessed.language).startswith(guessed.language):
        for template in _TEMPLATES:
            if template in package.names:
                raise CommandFailed(
                    f"Nothing here looks like a handler, but there is a template: name its file, {template}, instead "
                    "of the directory.",
                    2,
                )
        missing = " and ".join(name for name, given in (("--runtime", runtime), ("--handler", handler)) if not given)
        raise CommandFailed(f"Nothing here looks like a handler (looked for {LOOKED_FOR}). Give {missing}.", 2)
    choice = Choice(runtime or runtime_of(guessed.language, catalog.runtimes), handler or guessed.handler)
    say(f"Guessed {choice.runtime} and {choice.handler}, because {guessed.reason}.")
    return choice


def newest_python(catalog: "Catalog") -> str:
    """Such as `3.13`: what this machine prefers."""
    minors = [int(name.removeprefix("python3.")) for name in catalog.runtimes if name.startswith("python3.")]
    return f"3.{max(minors)}" if minors else "3.13"


def nearest_of(catalog: "Catalog", runtime: str) -> str:
    """The runtime of this machine that will do for it. Raises `CommandFailed`."""
    from ondol.runtimes.catalog import RuntimeMissing  # noqa: PLC0415 - `ondol --help` does without

    try:
        found = catalog.resolve(runtime, nearest=True).name
    except RuntimeMissing as error:
        raise CommandFailed(str(error)) from error
    if found != runtime:
        say(f"This machine has no {runtime}; took the nearest, {found}.")
    return found
