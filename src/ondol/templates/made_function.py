"""A function of a template as its events and its URL see it, and how they are let invoke it."""

from typing import Any

from ondol.templates.making import Resource
from ondol.templates.steps import Kind, Step


class MadeFunction:
    """A function's name, and under which of its names others reach it."""

    def __init__(self, resource: Resource, name: str, alias: str | None) -> None:
        self.id = resource.id
        self.line = resource.line
        self.name = name
        self.alias = alias

    @property
    def qualified(self) -> str:
        return self.name if self.alias is None else f"{self.name}:{self.alias}"

    @property
    def named(self) -> dict[str, Any]:
        """The members of an operation that name it."""
        return {"FunctionName": self.name, **({} if self.alias is None else {"Qualifier": self.alias})}

    @property
    def after(self) -> frozenset[str]:
        return frozenset({self.id})


def permission(function: MadeFunction, id: str, statement: dict[str, Any], line: int, *after: str) -> Step:
    """The statement of a function's policy by which others may invoke it."""
    members = {**function.named, "StatementId": id, **statement}
    return Step(
        id, Kind.PERMISSION, f"{function.qualified}/{id}", members, line, after=function.after | frozenset(after)
    )
