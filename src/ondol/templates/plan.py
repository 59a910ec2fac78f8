"""A template's plan: the steps that make it so, in their order, and what is told in the end.

Decides which resources there are, under which conditions, and which comes before which. Everything that is wrong with
a template is found here, before anything is changed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from ondol.templates import apis, functions, layers, stores, unmade
from ondol.templates.document import Items, Section, read
from ondol.templates.evaluation import Evaluation
from ondol.templates.making import Making, Resource, Stack
from ondol.templates.parameters import parameter_values, pseudo_parameters
from ondol.templates.problems import Problem, Problems, TemplateRefused
from ondol.templates.properties import Properties
from ondol.templates.steps import ORDER, Step
from ondol.templates.triggers import (
    BUS,
    SUBSCRIPTION,
    bus_reference,
    bus_steps,
    notification_steps,
    subscription_steps,
)
from ondol.templates.values import attributes_in

SERVERLESS = "AWS::Serverless-2016-10-31"
_EXTENSIONS = "AWS::LanguageExtensions"
"""More functions; those that `evaluation` has not are refused where they stand."""

_SECTIONS = frozenset(
    {
        *("AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Parameters", "Mappings", "Conditions"),
        *("Globals", "Resources", "Outputs"),
    }
)
_GLOBALS = {"Function": functions.TYPE, "Api": apis.REST, "HttpApi": apis.HTTP, "SimpleTable": stores.SIMPLE_TABLE}
_GLOBALS |= {"LayerVersion": layers.TYPE}
_MEMBERS = frozenset(
    {
        *("Type", "Properties", "Condition", "DependsOn", "Metadata", "DeletionPolicy", "UpdateReplacePolicy"),
        "Connectors",
    }
)
_BUILT = "SamResourceId"
"""What `sam build` writes into the Metadata of a resource, beside what stands there."""

_STORES = frozenset({stores.QUEUE, stores.TOPIC, stores.TABLE, stores.BUCKET, stores.SIMPLE_TABLE, stores.STREAM})

_Reference = Callable[[Making, Resource, str | None], Any]
_REFERENCES: Mapping[str, _Reference] = {
    functions.TYPE: functions.function_reference,
    layers.TYPE: layers.layer_reference,
    apis.REST: apis.api_reference,
    apis.HTTP: apis.api_reference,
    **dict.fromkeys(_STORES, stores.store_reference),
    BUS: bus_reference,
    **dict.fromkeys(unmade.UNMADE, unmade.unmade_reference),
}


class Output(msgspec.Struct, frozen=True):
    name: str
    description: str
    value: Any


class Plan(msgspec.Struct, frozen=True):
    stack: Stack
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    remarks: tuple[str, ...]
    """What the template says that makes no difference here, a sentence each."""


def plan_of(text: str, stack: Stack, given: Mapping[str, str]) -> Plan:
    """`given` are values of parameters. Raises `TemplateRefused`."""
    problems = Problems()
    try:
        document = read(text)
        for name in document.keys() - _SECTIONS:
            problems.add(document.line_of(name), f"{name}: ondol does not serve this section")
        _require_transform(document, problems)
        return _Planning(document, stack, given, problems).plan()
    except RecursionError as error:
        raise TemplateRefused([Problem(0, "it is nested too deeply")]) from error


class _Planning:
    """One template on its way to a plan."""

    def __init__(self, document: Section, stack: Stack, given: Mapping[str, str], problems: Problems) -> None:
        self._problems = problems
        self._document = document
        self._declared = self._section("Resources")
        parameters = parameter_values(self._section("Parameters"), given, problems)
        self._evaluation = Evaluation(
            parameters=pseudo_parameters(stack) | parameters,
            mappings=self._section("Mappings"),
            conditions=self._section("Conditions"),
            reference=self._reference,
            problems=problems,
        )
        self._naming: list[str] = []
        # Nothing can be referred to while conditions decide which resources there are.
        self._making = Making(stack, self._evaluation, problems, {})
        self._making = Making(stack, self._evaluation, problems, self._resources())

    def plan(self) -> Plan:
        making = self._making
        steps: list[Step] = []
        written = sorted(making.resources.values(), key=lambda each: each.type in {apis.REST, apis.HTTP})
        for resource in written:  # APIs last: the routes are told by functions
            if resource.id not in apis.IMPLICIT or making.routes.get(resource.id):
                steps += self._steps(resource)
        steps += notification_steps(making)
        for api in making.routes.keys() - making.resources.keys():
            self._problems.add(making.routes[api][0]["line"], f"there is no API {api} in this template")
        outputs = tuple(self._outputs())
        self._problems.refuse_any()
        ordered = _ordered(steps, outputs, self._problems)
        self._problems.refuse_any()
        return Plan(making.stack, ordered, outputs, tuple(making.remarks))

    def _section(self, name: str) -> Section:
        found: Any = self._document.get(name)
        if isinstance(found, Section):
            section: Section = found
            return section
        if found is not None:
            self._problems.add(self._document.line_of(name), f"{name} must be an object")
        return _empty(self._document.line_of(name))

    def _resources(self) -> dict[str, Resource]:
        """Those whose conditions hold, and the APIs that events may imply."""
        found = {}
        for id, declared in self._declared.items():
            line = self._declared.line_of(id)
            if not isinstance(declared, Section) or not isinstance(declared.get("Type"), str):
                self._problems.add(line, f"Resources.{id} must be an object with a Type")
                continue
            for name in declared.keys() - _MEMBERS:
                self._problems.add(declared.line_of(name), f"Resources.{id}.{name}: ondol does not serve it")
            if "Condition" in declared and not self._evaluation.holds(declared["Condition"], line):
                continue
            found[id] = self._resource(id, declared, line)
        for id, kind in apis.IMPLICIT.items():
            found.setdefault(id, Resource(id, kind, self._with_globals(kind, _empty(0)), 0))
        return found

    def _resource(self, id: str, declared: Section, line: int) -> Resource:
        kind = declared["Type"]
        properties = declared.get("Properties", _empty(line))
        if not isinstance(properties, Section):
            self._problems.add(declared.line_of("Properties"), f"Resources.{id}.Properties must be an object")
            properties = _empty(line)
        after = declared.get("DependsOn", [])
        policy, metadata = declared.get("DeletionPolicy", "Delete"), declared.get("Metadata")
        return Resource(
            id,
            kind,
            self._with_globals(kind, properties),
            line,
            after=frozenset([after] if isinstance(after, str) else after) & self._declared.keys(),
            retain=str(policy).startswith("Retain"),
            built=isinstance(metadata, Section) and _BUILT in metadata,
        )

    def _with_globals(self, kind: str, properties: Section) -> Section:
        found = self._section("Globals")
        for name in found.keys() - _GLOBALS.keys():
            self._problems.add(found.line_of(name), f"Globals.{name}: ondol does not serve it")
        for name, meant in _GLOBALS.items():
            if meant == kind and isinstance(found.get(name), Section):
                merged: Section = _merged(found[name], properties)
                return merged
        return properties

    def _reference(self, id: str, attribute: str | None, line: int) -> Any:
        resource = self._making.resources.get(id)
        if resource is None:
            return self._generated(id, attribute)
        refer = _REFERENCES.get(resource.type)
        if refer is None:
            return None
        if id in self._naming:
            self._problems.add(line, f"the name of {id} depends on itself")
            return None
        self._naming.append(id)
        found = refer(self._making, resource, attribute)
        self._naming.pop()
        return found

    def _generated(self, id: str, attribute: str | None) -> Any:
        """What is said of resources that SAM makes beside those of the template."""
        resources = self._making.resources
        owner = resources.get(id.removesuffix("Role"))
        if id.endswith("Role") and owner is not None and owner.type == functions.TYPE:
            arn = functions.role_arn(self._making, owner.id)
            return {None: arn.rpartition("/")[2], "Arn": arn}.get(attribute)
        owner = resources.get(id.removesuffix("Url"))
        if id.endswith("Url") and owner is not None and attribute == "FunctionUrl":
            return functions.url_reference(owner)
        return apis.stage_reference(self._making, id) if attribute is None else None

    def _steps(self, resource: Resource) -> list[Step]:
        if resource.type == functions.TYPE:
            if not resource.built:
                self._require_no_build(resource.id)
            return functions.function_steps(self._making, resource)
        if resource.type == layers.TYPE:
            metadata = self._declared[resource.id].get("Metadata")
            return layers.layer_steps(
                self._making, resource, metadata if isinstance(metadata, Section) else _empty(resource.line)
            )
        if resource.type in {apis.REST, apis.HTTP}:
            return apis.api_steps(self._making, resource)
        if resource.type in _STORES:
            return stores.store_steps(self._making, resource)
        if resource.type == BUS:
            return bus_steps(self._making, resource)
        if resource.type == SUBSCRIPTION:
            return subscription_steps(self._making, resource)
        if resource.type in unmade.UNMADE:
            self._making.remark(unmade.remark_of(resource))
        else:
            self._problems.add(resource.line, f"{resource.id}: ondol does not serve {resource.type}")
        return []

    def _require_no_build(self, id: str) -> None:
        metadata = self._declared[id].get("Metadata")
        method = metadata.get("BuildMethod") if isinstance(metadata, Section) else None
        if method is not None and not str(method).startswith("python"):
            text = f"Resources.{id}.Metadata.BuildMethod: ondol has no {method}. Build it with sam build, and deploy"
            self._problems.add(metadata.line_of("BuildMethod"), f"{text} .aws-sam/build/template.yaml")

    def _outputs(self) -> Iterable[Output]:
        declared = self._section("Outputs")
        for name, output in declared.items():
            if not isinstance(output, Section) or "Value" not in output:
                self._problems.add(declared.line_of(name), f"Outputs.{name} must be an object with a Value")
                continue
            properties = Properties(output, f"Outputs.{name}", declared.line_of(name), self._evaluation, self._problems)
            condition = output.get("Condition")
            properties.without_effect("Condition", "Export")
            if condition is None or self._evaluation.holds(condition, output.line_of("Condition")):
                yield Output(name, properties.text("Description", ""), properties.value("Value"))
            else:
                properties.without_effect("Description", "Value")
            properties.finish()


def _require_transform(document: Section, problems: Problems) -> None:
    transforms = document.get("Transform", [])
    listed = transforms if isinstance(transforms, list) else [transforms]
    named = [each.get("Name") if isinstance(each, dict) else each for each in listed]
    for each in named:
        if each not in (SERVERLESS, _EXTENSIONS):
            problems.add(document.line_of("Transform"), f"Transform {each}: ondol does not serve it")
    if SERVERLESS not in named:
        problems.add(document.line_of("Transform"), f"a template must have Transform: {SERVERLESS}")


def _ordered(steps: list[Step], outputs: Iterable[Output], problems: Problems) -> tuple[Step, ...]:
    """By kind, but what a step needs comes before it."""
    kinds = sorted(steps, key=lambda step: ORDER[step.kind])
    by_id: dict[str, Step] = {}
    for step in kinds:
        if by_id.setdefault(step.id, step) is not step:
            problems.add(step.line, f"{step.id} is what two things of this template would be called: rename one")
    placed: dict[str, Step] = {}

    def place(step: Step, on_the_way: tuple[str, ...]) -> None:
        if step.id in placed:
            return
        if step.id in on_the_way:
            problems.add(step.line, f"{' needs '.join((*on_the_way[on_the_way.index(step.id) :], step.id))}: a circle")
            return
        for needed in sorted({attribute.resource for attribute in attributes_in(step)} | step.after):
            if needed in by_id:
                place(by_id[needed], (*on_the_way, step.id))
            elif needed not in step.after:
                problems.add(step.line, f"{step.id} needs {needed}, which this template does not make")
        placed[step.id] = step

    for step in kinds:
        place(step, ())
    for attribute in attributes_in([output.value for output in outputs]):
        if attribute.resource not in by_id:
            problems.add(0, f"an output needs {attribute.resource}, which this template does not make")
    return tuple(placed.values())


def _merged(base: Any, over: Any) -> Any:
    """What Globals say with what a resource says: objects member by member, lists one after the other but for one.

    Source: AWS SAM developer guide, "Globals section", "Overridable properties".
    """
    if isinstance(base, Section) and isinstance(over, Section):
        if any(len(each) == 1 and next(iter(each)).startswith(("Fn::", "Ref")) for each in (base, over)):
            return over
        merged = Section(base)
        merged.line, merged.lines = over.line, {**base.lines, **over.lines}
        for name, value in over.items():
            merged[name] = _merged(base[name], value) if name in base and name != "Architectures" else value
        return merged
    if isinstance(base, Items) and isinstance(over, Items):
        items = Items([*base, *over])
        items.lines = [*base.lines, *over.lines]
        return items
    return over


def _empty(line: int) -> Section:
    section = Section()
    section.line, section.lines = line, {}
    return section
