"""`ondol deploy template.yaml`: a template in SAM's form, made so."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ondol.cli.client import Client
from ondol.cli.console import Progress, say, table
from ondol.cli.deployment import name_of
from ondol.cli.failure import CommandFailed

if TYPE_CHECKING:
    from ondol.cli.stack import StackRun
    from ondol.templates.plan import Plan
    from ondol.templates.problems import TemplateRefused
    from ondol.templates.steps import Kind

_ENDINGS = frozenset({".yaml", ".yml", ".json", ".template"})

_USUAL = "template"
_BUILT = (".aws-sam", "build")


def is_template(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS and not path.is_dir()


def read_plan(client: Client, path: Path, name: str | None, given: Mapping[str, str]) -> "Plan":
    """The plan of a template; `name` is the stack's. Raises `CommandFailed`, which says all that is wrong."""
    from ondol.templates.making import Stack  # noqa: PLC0415 - `ondol --help` does without
    from ondol.templates.plan import plan_of  # noqa: PLC0415
    from ondol.templates.problems import TemplateRefused  # noqa: PLC0415

    stack = Stack(name or stack_name_of(path), client.account(), client.identity.region)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} cannot be read: {error}.", 2) from error
    try:
        return plan_of(text, stack, given)
    except TemplateRefused as refused:
        raise refusal(path, refused) from refused


def refuse_with_template(**given: object) -> None:
    """Raises `CommandFailed` for options of a function, which a template says itself."""
    for option, value in given.items():
        if value is not None:
            raise CommandFailed(f"--{option} is for a function; a template says it itself, or by --parameter.", 2)


def stack_name_of(path: Path) -> str:
    """A stack is called as its template's directory, and as its file where that has a name of its own.

    So two templates of one directory are two stacks, and what `sam build` made of a template is the stack that the
    template itself is.
    """
    directory = path.resolve().parent
    if directory.parts[-2:] == _BUILT:
        directory = directory.parents[1]
    names = [name_of(directory), *([] if path.stem == _USUAL else [name_of(Path(path.stem))])]
    return "-".join(names).replace("_", "-").strip("-")


def refusal(path: Path, refused: "TemplateRefused") -> CommandFailed:
    """Everything that is wrong with a template, a line each."""
    lines = [f"{path} cannot be deployed, and nothing was changed:"]
    for line, text in refused.problems:
        lines.append(f"  {f'line {line}' if line else 'template'}: {text}")
    return CommandFailed("\n".join(lines), 2)


def deploy_template(
    client: Client, path: Path, name: str | None, given: Mapping[str, str], *, nearest: bool, only_plan: bool
) -> None:
    """Raises `CommandFailed`."""
    from ondol.cli.code_packages import CodePackages  # noqa: PLC0415
    from ondol.cli.stack import StackRun  # noqa: PLC0415

    plan = read_plan(client, path, name, given)
    with CodePackages(path.parent) as packages:
        run = StackRun(client, plan, packages, small=True, nearest=nearest)
        if only_plan:
            show_plan(plan, run)
            return
        checked(path, run)
        with Progress(f"Deploying {plan.stack.name}"):
            run.perform(tell)
    for remark in plan.remarks:
        say(remark)
    rows = addresses(client, plan)
    if rows:
        typer.echo()
        table(("METHOD", "ADDRESS", "FUNCTION"), rows)
    show_outputs(client, plan, run.known)


def delete_template(client: Client, path: Path, name: str | None) -> str:
    """Delete all that a template made; the answer is the stack's name. Raises `CommandFailed`."""
    from ondol.cli.code_packages import CodePackages  # noqa: PLC0415
    from ondol.cli.stack import StackRun  # noqa: PLC0415
    from ondol.templates.making import Stack  # noqa: PLC0415
    from ondol.templates.plan import Plan  # noqa: PLC0415

    empty = Plan(Stack(name or stack_name_of(path), client.account(), client.identity.region), (), (), ())
    with CodePackages(path.parent) as packages:
        run = StackRun(client, empty, packages, small=True, nearest=False)
        if not run.exists:
            raise CommandFailed(f"There is no stack {empty.stack.name}.")
        run.perform(tell)
    return empty.stack.name


def checked(path: Path, run: "StackRun") -> None:
    """Raises `CommandFailed` for what would fail, before anything is changed."""
    from ondol.templates.problems import TemplateRefused  # noqa: PLC0415

    try:
        run.check()
    except TemplateRefused as refused:
        raise refusal(path, refused) from refused


def tell(done: str, kind: "Kind", name: str) -> None:
    typer.secho(f"{done:9} {kind} {name}", dim=done == "Unchanged" or None)


def show_plan(plan: "Plan", run: "StackRun") -> None:
    """The steps in their order, and what would be deleted; nothing is changed."""
    from ondol.templates.values import shown  # noqa: PLC0415

    rows = [("make", step.kind, shown(step.name), step.line or "-") for step in plan.steps]
    rows += [("delete", made.kind, made.name, "-") for made in run.leaving()]
    table(("STEP", "WHAT", "NAME", "LINE"), rows)
    for remark in plan.remarks:
        say(remark)


def addresses(client: Client, plan: "Plan") -> list[tuple[str, str, str]]:
    """Method, address and function of each route of a template."""
    from ondol.templates.steps import Kind  # noqa: PLC0415

    rows = []
    for step in plan.steps:
        if step.kind is Kind.API:
            url = client.own("GET", f"http-apis/{step.name}")["url"].rstrip("/")
            stage = "" if step.members["stage"] == "$default" else f"/{step.members['stage']}"
            for route in step.members["routes"]:
                path = "/" if route["path"] == "$default" else route["path"]
                rows.append((route["method"], f"{url}{stage}{path}", route["function"]))
    return rows


def show_outputs(client: Client, plan: "Plan", known: Mapping[Any, str]) -> None:
    """The template's outputs. An address that an API of it would have on AWS is shown as the one it has here."""
    from ondol.templates.steps import Kind  # noqa: PLC0415
    from ondol.templates.values import Attribute, filled, shown  # noqa: PLC0415

    if not plan.outputs:
        return
    here = {}
    for step in plan.steps:
        if step.kind is Kind.API:
            id, url = known[Attribute(step.id, "Ref")], known[Attribute(step.id, "ApiEndpoint")]
            here[f"https://{id}.execute-api.{client.identity.region}.amazonaws.com"] = url
    rows = []
    for output in plan.outputs:
        value = shown(filled(output.value, known))
        for there, url in here.items():
            value = value.replace(there, url)
        rows.append((output.name, value))
    typer.echo()
    table(("OUTPUT", "VALUE"), rows)
