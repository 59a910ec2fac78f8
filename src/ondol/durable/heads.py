"""Which executions there are: by id, and by function and name. Pure."""

import re
from collections.abc import Iterator

from ondol.durable.records import Head
from ondol.model.errors import InvariantError
from ondol.model.function import FunctionKey

_ARN = re.compile(
    r".*:function:(?P<function>[^:/]+):(?P<version>[^:/]+)/durable-execution/(?P<name>[^/]+)/(?P<id>[^/]+)"
)


def read_arn(arn: str) -> tuple[str, str, str, str]:
    """Function, version, name and id that an execution's ARN has. Raises `InvariantError` for what is none."""
    matched = _ARN.fullmatch(arn)
    if matched is None:
        raise InvariantError(f"{arn!r} is no ARN of an execution")
    return matched["function"], matched["version"], matched["name"], matched["id"]


class Heads:
    def __init__(self) -> None:
        self._by_id: dict[str, Head] = {}
        self._by_function: dict[FunctionKey, dict[str, Head]] = {}

    def put(self, head: Head) -> None:
        self._by_id[head.id] = head
        self._by_function.setdefault(head.function, {})[head.name] = head

    def remove(self, head: Head) -> None:
        self._by_id.pop(head.id, None)
        named = self._by_function.get(head.function, {})
        if named.get(head.name) is not None and named[head.name].id == head.id:
            del named[head.name]
            if not named:
                del self._by_function[head.function]

    def get(self, id: str) -> Head | None:
        return self._by_id.get(id)

    def named(self, function: FunctionKey, name: str) -> Head | None:
        return self._by_function.get(function, {}).get(name)

    def find(self, arn: str) -> Head | None:
        """The execution of this ARN."""
        matched = _ARN.fullmatch(arn)
        head = None if matched is None else self._by_id.get(matched["id"])
        return head if head is not None and head.arn == arn else None

    def of(self, function: FunctionKey) -> list[Head]:
        """Those of one function, the latest first."""
        return sorted(self._by_function.get(function, {}).values(), key=lambda head: (-head.started, head.id))

    def __iter__(self) -> Iterator[Head]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)
