"""Environments lent to this frontend that wait for work, and invocations that wait for an environment.

Pure and synchronous. The environment used last is taken first: its memory is warm, and the others get to expire; but
provisioned ones, which do not expire, are taken before all others. Late binding: whichever environment is ready first,
a new one or one released, goes to whoever has waited longest.
"""

from collections import OrderedDict

from ondol.model.errors import InvariantError
from ondol.model.ids import EnvironmentId, RequestId, VersionId
from ondol.model.time import Instant
from ondol.worker_manager.api import Environment


class Idle:
    """Idle environments by version, last used last."""

    __slots__ = ("_by_version", "_idle", "_provisioned")

    def __init__(self) -> None:
        self._by_version: dict[VersionId, dict[EnvironmentId, Environment]] = {}
        self._provisioned: dict[VersionId, dict[EnvironmentId, Environment]] = {}
        self._idle: dict[EnvironmentId, tuple[Environment, Instant]] = {}

    def put(self, environment: Environment, now: Instant) -> None:
        stacks = self._provisioned if environment.provisioned else self._by_version
        stack = stacks.get(environment.version)
        if stack is None:
            stack = stacks[environment.version] = {}
        stack[environment.id] = environment
        self._idle[environment.id] = (environment, now)

    def take(self, version: VersionId) -> Environment | None:
        """The environment of this version that was used last, of the provisioned ones if one of these is idle."""
        stacks = self._provisioned if self._provisioned and version in self._provisioned else self._by_version
        stack = stacks.get(version)
        if stack is None:
            return None
        id, environment = stack.popitem()
        del self._idle[id]
        if not stack:
            del stacks[version]
        return environment

    def idle_since(self, id: EnvironmentId) -> Instant | None:
        """Since when it has been idle; None if it is not."""
        entry = self._idle.get(id)
        return entry[1] if entry else None

    def remove(self, id: EnvironmentId) -> bool:
        """Part with one, for a recall; whether it was idle."""
        entry = self._idle.pop(id, None)
        if entry is None:
            return False
        environment = entry[0]
        stacks = self._provisioned if environment.provisioned else self._by_version
        stack = stacks[environment.version]
        del stack[id]
        if not stack:
            del stacks[environment.version]
        return True

    def __len__(self) -> int:
        return len(self._idle)


class Expected:
    """Environments in use that should be free in a moment: their invocations have been answered."""

    __slots__ = ("_by_version",)

    def __init__(self) -> None:
        self._by_version: dict[VersionId, dict[EnvironmentId, Instant]] = {}

    def add(self, environment: Environment, now: Instant) -> None:
        answered = self._by_version.get(environment.version)
        if answered is None:
            answered = self._by_version[environment.version] = {}
        answered[environment.id] = now

    def discard(self, environment: Environment) -> None:
        answered = self._by_version.get(environment.version)
        if answered is not None:
            answered.pop(environment.id, None)
            if not answered:
                del self._by_version[environment.version]

    def within(self, version: VersionId, patience: int, now: Instant) -> tuple[int, Instant | None]:
        """How many were answered less than `patience` ago, and until when the first of them is expected."""
        answered = self._by_version.get(version)
        if answered is None:
            return 0, None
        recent = [since for since in answered.values() if now - since < patience]
        return len(recent), Instant(min(recent) + patience) if recent else None


class Waiting:
    """Invocations that wait for an environment of their version, longest first, and how many environments are coming.

    Each that is coming was asked for by one of those who wait or waited; no more are asked for than wait.
    """

    __slots__ = ("_asked", "_by_version", "_coming")

    def __init__(self) -> None:
        self._by_version: dict[VersionId, OrderedDict[RequestId, None]] = {}
        self._coming: dict[VersionId, int] = {}
        self._asked: set[RequestId] = set()

    def add(self, version: VersionId, request: RequestId) -> None:
        queue = self._by_version.get(version)
        if queue is None:
            queue = self._by_version[version] = OrderedDict()
        queue[request] = None

    def next(self, version: VersionId) -> RequestId | None:
        """Take the one that has waited longest."""
        queue = self._by_version.get(version)
        if queue is None:
            return None
        request, _ = queue.popitem(last=False)
        self._asked.discard(request)
        if not queue:
            del self._by_version[version]
        return request

    def remove(self, version: VersionId, request: RequestId) -> bool:
        """Whether it was waiting."""
        queue = self._by_version.get(version)
        if queue is None or request not in queue:
            return False
        del queue[request]
        self._asked.discard(request)
        if not queue:
            del self._by_version[version]
        return True

    def came(self, version: VersionId) -> None:
        """One of the environments that were coming is there, or will not come."""
        coming = self._coming.pop(version, 0)
        if coming == 0:
            raise InvariantError(f"an environment of {version} came that nobody had asked for")
        if coming > 1:
            self._coming[version] = coming - 1

    def waits(self, version: VersionId) -> bool:
        """Whether anybody does."""
        return version in self._by_version

    def ask(self, version: VersionId, expected: int) -> RequestId | None:
        """Who of those waiting is to ask for one more environment; None while one is coming or expected for each."""
        queue = self._by_version.get(version)
        coming = self._coming.get(version, 0)
        if queue is None or coming + expected >= len(queue):
            return None
        self._coming[version] = coming + 1
        newest_first = reversed(queue)
        request = next((request for request in newest_first if request not in self._asked), next(reversed(queue)))
        self._asked.add(request)  # perhaps again: the one it asked for went to somebody who had waited longer
        return request
