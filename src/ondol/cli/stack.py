"""A stack: a template's plan performed step by step, and what has left the template deleted in the end.

A failure in the middle leaves what was done so far, which is recorded: the next run finds it, and goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from ondol.cli.aws_calls import AwsCalls
from ondol.cli.client import Client, Refused
from ondol.cli.code_packages import CodePackages
from ondol.cli.failure import CommandFailed
from ondol.cli.stack_functions import CREATED, UNCHANGED, UPDATED, StackFunctions
from ondol.cli.stack_record import Made, StackRecord
from ondol.cli.stack_removal import StackRemoval
from ondol.cli.stack_stores import PROBES, SERVICES, StackStores
from ondol.cli.stack_triggers import StackTriggers
from ondol.templates.making import STACK_TAG
from ondol.templates.plan import Plan
from ondol.templates.problems import Problem, TemplateRefused
from ondol.templates.steps import Inline, Kind, Step, StoredCode
from ondol.templates.values import Attribute, attributes_in, filled

_TRIGGERS = frozenset({Kind.RULE, Kind.SCHEDULE, Kind.NOTIFICATION, Kind.SUBSCRIPTION, Kind.BUS})

_NAMED = frozenset({*SERVICES, Kind.BUS, Kind.RULE, Kind.SCHEDULE})
"""What a template may name as something is named that was there before."""

Done = Callable[[str, Kind, str], None]
"""Told of each thing: what was done, to what kind, of which name."""


class StackRun:
    """One deployment of one stack."""

    def __init__(self, client: Client, plan: Plan, packages: CodePackages, *, small: bool, nearest: bool) -> None:
        self._client = client
        self._plan = plan
        self._packages = packages
        self._small = small
        self._nearest = nearest
        self._aws = AwsCalls(client)
        self._functions = StackFunctions(client, self._aws)
        self._stores = StackStores(self._aws, client.identity.region)
        self._triggers = StackTriggers(self._aws)
        self._record = StackRecord(client, plan.stack.name)
        self.known: dict[Attribute, str] = {}
        """What steps have told of what they made."""

        self.sizes: dict[str, int] = {}
        """Bytes of the packages that were made, by function."""

    @property
    def exists(self) -> bool:
        """Whether it was deployed before."""
        return self._record.exists

    def check(self) -> None:
        """Raises `TemplateRefused` or `CommandFailed` for what would fail; nothing is changed yet."""
        problems = []
        for step in self._plan.steps:
            wrong = self._packages.check(step)
            if wrong is None and step.kind is Kind.FUNCTION:
                wrong = self._foreign(step)
            if wrong is not None:
                problems.append(Problem(step.line, wrong))
        if problems:
            raise TemplateRefused(problems)
        for service in sorted({SERVICES[step.kind] for step in self._plan.steps if step.kind in SERVICES}):
            self._aws(service, PROBES[service], {})

    def leaving(self) -> Iterator[Made]:
        """What was made before and is in the template no more; the last first. What is not known yet stays."""
        wanted = {(step.kind, _recorded_as(step, self.known)) for step in self._plan.steps}
        unknown = {(step.kind, step.id) for step in self._plan.steps if _recorded_as(step, self.known) is None}
        for made in reversed(list(self._record)):
            if (made.kind, made.name) not in wanted and (made.kind, made.id) not in unknown:
                yield made

    def perform(self, done: Done) -> None:
        """Make it so. Raises `CommandFailed`, which says how far it came."""
        count = 0
        try:
            for step in self._plan.steps:
                done(self._make(step), step.kind, self._name(step))
                count += 1
            removal = StackRemoval(
                self._client, self._aws, functions=self._functions, stores=self._stores, triggers=self._triggers
            )
            for made in self.leaving():
                done(removal.remove(made), made.kind, made.name)
                self._record.forget(made)
            if not self._plan.steps:
                self._record.delete()
        except CommandFailed as failed:
            after = f"after {count} of {len(self._plan.steps)} steps, which stay"
            raise CommandFailed(f"{failed} Stopped {after}; the same command goes on from there.") from failed

    def perform_again(self, code_in: Callable[[Step], bool], done: Done) -> None:
        """After all of it was performed: only what has this code, and what depends on that. Raises `CommandFailed`."""
        affected: set[str] = set()
        for step in self._plan.steps:
            needs = {attribute.resource for attribute in attributes_in(step)}
            if step.kind is Kind.ALIAS:
                needs |= step.after
            if code_in(step) or needs & affected:
                affected.add(step.id)
                done(self._make(step), step.kind, self._name(step))

    def _foreign(self, step: Step) -> str | None:
        """Why a function of this name cannot be the stack's; None if it can."""
        found = self._aws.find("lambda", "GetFunction", {"FunctionName": step.name})
        if found is None:
            return None
        owner = found.get("Tags", {}).get(STACK_TAG)
        if owner == self._plan.stack.name:
            return None
        of = f"of the stack {owner}" if owner else "that no template made"
        return f"{step.id}: there is a function {step.name} already, {of}: choose another FunctionName, or delete it"

    def _make(self, step: Step) -> str:
        members: dict[str, Any] = filled(step.members, self.known)
        if self._nearest and "Runtime" in members:
            members["Runtime"] = self._nearest_of(members["Runtime"])
        recorded = _recorded_as(step, self.known)
        assert recorded is not None  # what it needs was made before
        made = Made(step.id, step.kind, recorded)
        new = not step.retain and made not in self._record
        if new:
            self._record.begin(made)
        done = self._made(step, members)
        if new and done != CREATED and step.kind in _NAMED:
            # Somebody else made it, and it is not the stack's to delete.
            self._record.forget(made)
        return done

    def _made(self, step: Step, members: dict[str, Any]) -> str:
        if step.kind in _TRIGGERS:
            return self._triggers.make(step, members)
        if step.kind in SERVICES:
            done, told = self._stores.make(step, members)
            self.known |= {Attribute(step.id, name): value for name, value in told.items()}
            return done
        return self._make_own(step, members)

    def _name(self, step: Step) -> str:
        """Of what was made."""
        return str(filled(step.name, self.known))

    def _make_own(self, step: Step, members: dict[str, Any]) -> str:
        """What ondol itself serves."""
        functions = self._functions
        step = self._with_code(step)
        match step.kind:
            case Kind.FUNCTION:
                return functions.function(step, members, self._package(step, members))
            case Kind.LAYER:
                done, arn = functions.layer(step, members, self._package(step, members))
                self.known[Attribute(step.id, "Ref")] = arn
            case Kind.ALIAS:
                done, arn = functions.alias(members)
                self.known[Attribute(step.id.removesuffix(f"Alias{members['Name']}"), "Version")] = arn
            case Kind.URL:
                done, url = functions.url(members)
                self.known[Attribute(step.id, "FunctionUrl")] = url
            case Kind.API:
                done = self._make_api(step, members)
            case Kind.PROVISIONED:
                done = functions.provisioned(members)
            case Kind.EVENT_INVOKE:
                done = functions.event_invoke(members)
            case Kind.PERMISSION:
                done = functions.permission(members)
            case _:
                done = functions.mapping(members)
        return done

    def _make_api(self, step: Step, members: dict[str, Any]) -> str:
        path = f"http-apis/{step.name}"
        try:
            before = self._client.own("GET", path)["revision"]
        except Refused as refused:
            if not refused.not_found:
                raise
            before = None
        told = self._client.own("PUT", path, members)
        self.known[Attribute(step.id, "Ref")] = told["id"]
        self.known[Attribute(step.id, "ApiEndpoint")] = told["url"].rstrip("/")
        if before is None:
            return CREATED
        return UNCHANGED if told["revision"] == before else UPDATED

    def _with_code(self, step: Step) -> Step:
        """With what is known now of its code."""
        if isinstance(step.code, Inline):
            return replace(step, code=Inline(filled(step.code.text, self.known)))
        if isinstance(step.code, StoredCode):
            return replace(step, code=StoredCode(filled(step.code.members, self.known)))
        return step

    def _package(self, step: Step, members: dict[str, Any]) -> bytes | None:
        package = self._packages.package(step, members, small=self._small)
        self.sizes[str(step.name)] = len(package or b"")
        return package

    def _nearest_of(self, runtime: str) -> str:
        from ondol.cli.choice import nearest_of  # noqa: PLC0415 - only where it was asked for

        return nearest_of(self._packages.catalog, runtime) if runtime.startswith(("python", "nodejs")) else runtime


def _recorded_as(step: Step, known: Mapping[Attribute, str]) -> str | None:
    """The name under which a step is recorded; None while it is not known."""
    try:
        return str(filled(step.name, known))
    except KeyError:
        return None
