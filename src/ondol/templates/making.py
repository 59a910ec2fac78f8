"""What all share who turn resources of one template into steps: the stack, the values, the names, the routes."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ondol.templates.document import Section
from ondol.templates.evaluation import Evaluation
from ondol.templates.problems import Problems
from ondol.templates.properties import Properties
from ondol.templates.values import Text

LOGICAL_TAG = "ondol:logical-id"
STACK_TAG = "ondol:stack"
"""Tags by which a function says which template made it, as `aws:cloudformation:...` does on AWS."""


class Stack(msgspec.Struct, frozen=True):
    """What a template is deployed as, and where."""

    name: str
    account: str
    region: str

    @property
    def partition(self) -> str:
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


class Resource(msgspec.Struct, frozen=True):
    """One resource of the template, with what Globals say of its type."""

    id: str
    type: str
    section: Section
    """Its properties, not evaluated."""

    line: int
    after: frozenset[str] = frozenset()
    retain: bool = False
    built: bool = False
    """`sam build` has made its code: nothing is left to install or to build."""


class Making:
    def __init__(
        self, stack: Stack, evaluation: Evaluation, problems: Problems, resources: Mapping[str, Resource]
    ) -> None:
        self.stack = stack
        self.evaluation = evaluation
        self.problems = problems
        self.resources = resources
        self.routes: dict[str, list[dict[str, Any]]] = {}
        """Of each HTTP API by its logical name, as functions' events have them."""

        self.notifications: dict[str, list[dict[str, Any]]] = {}
        """What each bucket, by its name, is to tell functions."""

        self.to_events: set[str] = set()
        """Names of buckets that tell EventBridge."""

        self._remarks: dict[str, None] = {}

    @property
    def remarks(self) -> list[str]:
        """What the template says and makes no difference here."""
        return list(self._remarks)

    def remark(self, text: str) -> None:
        self._remarks[text] = None

    def properties(self, resource: Resource) -> Properties:
        place = f"Resources.{resource.id}.Properties"
        return Properties(resource.section, place, resource.line, self.evaluation, self.problems)

    def name_of(self, resource: Resource, member: str, longest: int) -> Text:
        """The name that a resource is given, or one of its stack's and its own."""
        given = Properties(
            resource.section, f"Resources.{resource.id}.Properties", resource.line, self.evaluation, self.problems
        ).known(member)
        if given is not None:
            text: Text = given
            return text
        name = f"{self.stack.name}-{resource.id}"
        if len(name) > longest:
            self.problems.add(resource.line, f"{name} is too long for a name of {resource.type}: give it a {member}")
        return name
