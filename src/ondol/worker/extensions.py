"""The extensions of one environment: who they are, what each is doing, and which event it gets next.

Pure. Source: developer guide, "Using the Lambda Extensions API to create extensions"; error types and texts are those
of AWS's runtime interface emulator. External ones are processes of their own, known by their files before they
register; internal ones are whatever else registers, from the runtime's processes, while init lasts.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from ondol.model.limits import EXTENSIONS

INVOKE = "INVOKE"
SHUTDOWN = "SHUTDOWN"


class Activity(Enum):
    """What an extension is doing, in AWS's words."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    """It waits for an event."""

    RUNNING = "Running"
    """It has got an event, and has not asked for the next."""

    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    LAUNCH_ERROR = "LaunchError"


class ExtensionRefused(Exception):
    """An extension asked for what cannot be; type and text go back to it."""

    def __init__(self, error_type: str, text: str) -> None:
        super().__init__(text)
        self.error_type = error_type


class Extension:
    """One extension."""

    __slots__ = ("activity", "alive", "error_type", "events", "external", "id", "name")

    def __init__(self, name: str, external: bool) -> None:
        self.name = name
        self.external = external
        self.id = ""
        self.activity = Activity.STARTED
        self.events: tuple[str, ...] = ()
        self.error_type: str | None = None
        """What it reported, or why it could not be started."""

        self.alive = True
        """Its process has not ended: its own, or for an internal one the runtime's."""


class Extensions:
    """All extensions of one environment."""

    def __init__(self, found: Iterable[str] = ()) -> None:
        self._named = {name: Extension(name, external=True) for name in found}
        self._identified: dict[str, Extension] = {}
        self._open = True
        self.fatal: str | None = None
        """The type of the first error that one of them reported: what the end of any process is put down to."""

    def __iter__(self) -> Iterator[Extension]:
        return iter(self._named.values())

    @property
    def too_many(self) -> bool:
        return len(self._named) > EXTENSIONS

    @property
    def registered(self) -> bool:
        """Whether all external ones have registered, so that the runtime may start."""
        return all(extension.activity is not Activity.STARTED for extension in self._named.values())

    @property
    def settled(self) -> bool:
        """Whether all wait for an event, so that init or the invocation is over when the runtime waits too."""
        return all(extension.activity is Activity.READY for extension in self._named.values())

    @property
    def shutting_down(self) -> bool:
        """Whether any that was or will be told of the shutdown still runs."""
        return any(extension.alive and SHUTDOWN in extension.events for extension in self._named.values())

    # What they ask for

    def register(self, name: str, events: Sequence[str], id: str) -> None:
        """An extension registers for these events, and is known by `id` from then on. Raises `ExtensionRefused`."""
        extension = self._named.get(name)
        if extension is None:
            self._refuse_events(events, internal=True)
            if not self._open:
                raise ExtensionRefused("Extension.RegistrationClosed", "Extension registration closed already")
            if len(self._named) >= EXTENSIONS:
                raise ExtensionRefused("Extension.TooManyExtensions", f"Extension limit ({EXTENSIONS}) reached")
            extension = self._named[name] = Extension(name, external=False)
        else:
            self._refuse_events(events, internal=not extension.external)
            if not extension.external:
                raise ExtensionRefused(_INVALID_STATE, "Extension with this name already registered")
            _require(extension, Activity.REGISTERED, name, Activity.STARTED)
        extension.id = id
        extension.events = tuple(dict.fromkeys(events))
        extension.activity = Activity.REGISTERED
        self._identified[id] = extension

    def asks(self, id: str) -> None:
        """It asks for its next event. Raises `ExtensionRefused`."""
        extension = self._identify(id, f"Unknown extension {id}")
        _require(extension, Activity.READY, id, Activity.REGISTERED, Activity.RUNNING)
        extension.activity = Activity.READY

    def init_failed(self, id: str, error_type: str) -> None:
        """It reports that it could not get ready. Raises `ExtensionRefused`."""
        extension = self._identify(id, _UNKNOWN_IDENTIFIER)
        _require(extension, Activity.INIT_ERROR, id, Activity.REGISTERED, Activity.INIT_ERROR)
        self._failed(extension, Activity.INIT_ERROR, error_type, "Extension.InitError")

    def exit_failed(self, id: str, error_type: str) -> None:
        """It reports why it is about to exit. Raises `ExtensionRefused`."""
        extension = self._identify(id, _UNKNOWN_IDENTIFIER)
        allowed = (Activity.REGISTERED, Activity.READY, Activity.RUNNING, Activity.EXIT_ERROR)
        _require(extension, Activity.EXIT_ERROR, id, *allowed)
        self._failed(extension, Activity.EXIT_ERROR, error_type, "Extension.ExitError")

    # What happens to them

    def close_registration(self) -> None:
        """The runtime is ready: nobody can join any more."""
        self._open = False

    def refused(self, name: str, error_type: str) -> None:
        """This one could not be started."""
        extension = self._named[name]
        extension.activity = Activity.LAUNCH_ERROR
        extension.error_type = error_type
        extension.alive = False

    def exited(self, name: str) -> None:
        """Its process has ended."""
        self._named[name].alive = False

    def invoke(self) -> tuple[str, ...]:
        """An invocation begins: the identifiers of those that get the event."""
        return self._tell(INVOKE)

    def shut_down(self) -> tuple[str, ...]:
        """The runtime is gone: the identifiers of those that get the event now, of those that wait for one."""
        return self._tell(SHUTDOWN)

    # Inside

    def _tell(self, event: str) -> tuple[str, ...]:
        alive = (extension for extension in self._identified.values() if extension.alive)
        told = [each for each in alive if each.activity is Activity.READY and event in each.events]
        for extension in told:
            extension.activity = Activity.RUNNING
        return tuple(extension.id for extension in told)

    def _identify(self, id: str, unknown: str) -> Extension:
        extension = self._identified.get(id)
        if extension is None:
            raise ExtensionRefused("Extension.UnknownExtensionIdentifier", unknown)
        return extension

    def _failed(self, extension: Extension, activity: Activity, error_type: str, fatal: str) -> None:
        if extension.activity is not activity:
            extension.activity = activity
            extension.error_type = error_type
        self.fatal = self.fatal or fatal

    def _refuse_events(self, events: Sequence[str], *, internal: bool) -> None:
        for event in events:
            if event not in (INVOKE, SHUTDOWN):
                raise ExtensionRefused(_INVALID_EVENT, f"{event}: ErrorInvalidEventType")
            if internal and event == SHUTDOWN:
                text = f"{event}: ShutdownEventNotSupportedForInternalExtension"
                raise ExtensionRefused(_INVALID_EVENT, text)


_INVALID_EVENT = "Extension.InvalidEventType"
_INVALID_STATE = "Extension.InvalidExtensionState"
_UNKNOWN_IDENTIFIER = "Unknown Lambda-Extension-Identifier"


def _require(extension: Extension, wanted: Activity, who: str, *allowed: Activity) -> None:
    if extension.activity not in allowed:
        raise ExtensionRefused(
            _INVALID_STATE,
            f"State transition from {extension.activity.value} to {wanted.value} failed for extension {who}. "
            "Error: State transition is not allowed",
        )
