"""Create, show, change, list and delete event source mappings.

Source: API reference; texts as AWS's clients see them.
"""

from collections.abc import Callable

from msgspec.structs import replace

from ondol.control import paging
from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.checks import check_shared, check_tags
from ondol.control.event_source_registry import EventSourceRegistry
from ondol.control.event_source_settings import changed_mapping, new_mapping
from ondol.control.event_source_settler import EventSourceSettler
from ondol.control.event_sources import (
    SETTLED,
    MappingRecord,
    MappingState,
    changed_state,
    describe_mapping,
    function_arn,
)
from ondol.control.operations.lookup import Answer, Operations, Parameters, key_of
from ondol.control.records import Settings
from ondol.control.registry import Registry
from ondol.model.errors import (
    InvalidParameterValue,
    Outcome,
    PlatformError,
    ResourceConflict,
    ResourceInUse,
    ResourceNotFound,
)
from ondol.model.function import LATEST
from ondol.model.limits import LONGEST_SYNCHRONOUS_S
from ondol.model.time import Clock
from ondol.pollers.api import Mapping, Pollers, SourceRefused, SourceUnavailable
from ondol.pollers.sources import Kind, parse_source

_PAGE_ITEMS = 100


class EventSourceOperations:
    def __init__(
        self,
        *,
        functions: Registry,
        mappings: EventSourceRegistry,
        settler: EventSourceSettler,
        pollers: Pollers,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._functions = functions
        self._mappings = mappings
        self._settler = settler
        self._pollers = pollers
        self._clock = clock
        self._new_id = new_id

    def table(self) -> Operations:
        return {
            "CreateEventSourceMapping": self.create,
            "GetEventSourceMapping": self.get,
            "UpdateEventSourceMapping": self.update,
            "DeleteEventSourceMapping": self.delete,
            "ListEventSourceMappings": self.list,
        }

    async def create(self, caller: Caller, parameters: Parameters) -> Answer:
        mapping = new_mapping(self._new_id(), key_of(caller, parameters), parameters)
        tags = dict(parameters.get("Tags") or {})
        check_tags(tags)
        self._refuse_duplicate(mapping)
        await self._check(mapping)
        enabled = parameters.get("Enabled", True)
        record = MappingRecord(mapping, MappingState.CREATING, enabled, self._clock.wall(), tags)
        self._refuse_duplicate(mapping)
        await self._mappings.create(record)
        self._settler.start(mapping.id)
        return self._shown(record)

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        return self._shown(self._existing(caller, parameters))

    async def update(self, caller: Caller, parameters: Parameters) -> Answer:
        """One that is, or shall be, disabled may have lost its function and its source."""
        record = self._existing(caller, parameters)
        _require_settled(record, "update")
        mapping = changed_mapping(record.mapping, parameters)
        enabled = parameters.get("Enabled", record.enabled)
        if enabled:
            await self._check(mapping)
        elif "FunctionName" in parameters:
            self._function_of(mapping)
        if _reads(mapping) != _reads(record.mapping):
            self._refuse_duplicate(mapping)
        now = self._clock.wall()

        def decide(stored: MappingRecord | None) -> MappingRecord:
            if stored is None:
                raise _not_found()
            _require_settled(stored, "update")
            return replace(stored, mapping=mapping, state=changed_state(stored, enabled), enabled=enabled, modified=now)

        return await self._changed(record, decide)

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        record = self._existing(caller, parameters)

        def decide(stored: MappingRecord | None) -> MappingRecord:
            if stored is None:
                raise _not_found()
            if stored.state is not MappingState.CREATING:
                # One that waits for its source in vain must not stay for ever.
                _require_settled(stored, "delete")
            return replace(stored, state=MappingState.DELETING)

        return await self._changed(record, decide)

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        wanted = parameters.get("EventSourceArn")
        function, qualifier = parameters.get("FunctionName"), parameters.get("Qualifier")
        first = paging.start(parameters)
        shown = (
            (record.mapping.id, self._shown(record))
            for record in self._mappings.listed(caller.account, caller.region)
            if record.mapping.id >= first
            and wanted in (None, record.mapping.source)
            and function in (None, record.mapping.function.name)
            and (function is None or qualifier == record.mapping.qualifier)
        )
        page, following = paging.page(shown, parameters, _PAGE_ITEMS)
        return {"EventSourceMappings": page, **following}

    def _shown(self, record: MappingRecord) -> Answer:
        return describe_mapping(record, self._pollers.last_result(record.mapping.id))

    def _existing(self, caller: Caller, parameters: Parameters) -> MappingRecord:
        record = self._mappings.get(parameters["UUID"])
        if record is None or (record.mapping.account, record.mapping.region) != (caller.account, caller.region):
            raise _not_found()
        return record

    async def _changed(self, record: MappingRecord, decide: Callable[[MappingRecord | None], MappingRecord]) -> Answer:
        changed = await self._mappings.change(record, decide)
        assert changed is not None
        self._settler.start(changed.mapping.id)
        return self._shown(changed)

    async def _check(self, mapping: Mapping) -> None:
        """Whether the function and the source are there."""
        settings = self._function_of(mapping)
        try:
            await self._pollers.check(mapping, settings.timeout_s)
        except SourceRefused as error:
            raise InvalidParameterValue(str(error)) from error
        except SourceUnavailable as error:
            raise PlatformError(f"The event source cannot be asked: {error}", Outcome.NOT_STARTED) from error

    def _function_of(self, mapping: Mapping) -> Settings:
        """The settings of what it runs. Raises `InvalidParameterValue` if that is not there, or takes no batches."""
        stored = self._functions.catalog.get(mapping.function)
        if stored is None or not _has(stored, mapping.qualifier):
            raise InvalidParameterValue("Function does not exist")
        settings = _settings(stored, mapping.qualifier)
        check_shared(settings.tenancy, "An event source mapping")
        _check_durable(settings, mapping.qualifier)
        return settings

    def _refuse_duplicate(self, mapping: Mapping) -> None:
        for record in self._mappings.listed(mapping.account, mapping.region):
            other = record.mapping
            if _reads(other) == _reads(mapping):
                raise ResourceConflict(_duplicate(other))


def _reads(mapping: Mapping) -> tuple[str, ...]:
    """What no other mapping may have: a broker has many queues."""
    queue = (mapping.broker.virtual_host or "/", mapping.broker.queue) if mapping.broker is not None else ()
    return (mapping.source, function_arn(mapping), *queue)


def _duplicate(other: Mapping) -> str:
    """Source and name stand between blanks, on AWS too."""
    source = parse_source(other.source)
    if source is not None and source.kind is Kind.SQS:
        return (
            f'An event source mapping with SQS arn (" {other.source} ") and function (" {other.function.name} ") '
            f"already exists. Please update or delete the existing mapping with UUID {other.id}"
        )
    return (
        f'The event source arn (" {other.source} ") and function (" {other.function.name} ") provided mapping '
        f"already exists. Please update or delete the existing mapping with UUID {other.id}"
    )


def _has(stored: Stored, qualifier: str | None) -> bool:
    record = stored.record
    return qualifier in (None, LATEST) or qualifier in record.versions or qualifier in record.aliases


def _check_durable(settings: Settings, qualifier: str | None) -> None:
    """A mapping waits for each execution (developer guide, "Event source mappings with durable functions")."""
    if settings.durable is None:
        return
    if qualifier is None:
        raise InvalidParameterValue("You cannot invoke a durable function using an unqualified ARN.")
    if settings.durable.timeout_s > LONGEST_SYNCHRONOUS_S:
        raise InvalidParameterValue(
            "An event source mapping needs a durable function with an ExecutionTimeout of at most 15 minutes."
        )


def _settings(stored: Stored, qualifier: str | None) -> Settings:
    alias = stored.record.aliases.get(qualifier or LATEST)
    number = alias.version if alias is not None else qualifier
    if number is None or number == LATEST:
        return stored.record.settings
    return stored.version(number).settings


def _require_settled(record: MappingRecord, verb: str) -> None:
    if record.state not in SETTLED:
        raise ResourceInUse(f"Cannot {verb} the event source mapping because it is in use.")


def _not_found() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")
