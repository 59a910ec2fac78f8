"""Code signing configurations, and which functions have one."""

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from ondol.control import paging
from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.checks import check_tags
from ondol.control.code_signing import (
    CodeSigningKey,
    CodeSigningRecord,
    changed_config,
    describe_config,
    missing_config,
    missing_for_function,
    new_config,
    new_key,
    parse_code_signing_arn,
)
from ondol.control.code_signing_registry import CodeSigningRegistry
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of, require_function
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.model.errors import InvalidParameterValue, ResourceConflict
from ondol.model.function import LATEST, FunctionKey
from ondol.model.time import Clock


class CodeSigningOperations:
    def __init__(
        self, registry: Registry, configs: CodeSigningRegistry, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._registry = registry
        self._configs = configs
        self._clock = clock
        self._new_id = new_id

    def table(self) -> Operations:
        return {
            "CreateCodeSigningConfig": self.create,
            "GetCodeSigningConfig": self.get,
            "UpdateCodeSigningConfig": self.update,
            "DeleteCodeSigningConfig": self.delete,
            "ListCodeSigningConfigs": self.list,
            "PutFunctionCodeSigningConfig": self.put_function,
            "GetFunctionCodeSigningConfig": self.get_function,
            "DeleteFunctionCodeSigningConfig": self.delete_function,
            "ListFunctionsByCodeSigningConfig": self.list_functions,
        }

    async def create(self, caller: Caller, parameters: Parameters) -> Answer:
        check_tags(parameters.get("Tags") or {})
        key = new_key(caller.account, caller.region, self._new_id())
        config = new_config(parameters, self._clock.wall())
        await self._configs.change(key, lambda _: config)
        return {"CodeSigningConfig": describe_config(key, config)}

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        key = self._own(caller, parameters)
        return {"CodeSigningConfig": describe_config(key, self._existing(key))}

    async def update(self, caller: Caller, parameters: Parameters) -> Answer:
        key = self._own(caller, parameters)

        def decide(record: CodeSigningRecord | None) -> CodeSigningRecord:
            if record is None:
                raise missing_config(key.arn)
            return changed_config(record, parameters, self._clock.wall())

        await self._configs.change(key, decide)
        return {"CodeSigningConfig": describe_config(key, self._existing(key))}

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        key = self._own(caller, parameters)
        if any(self._functions(key)):
            raise ResourceConflict(f"The code signing configuration {key.arn} cannot be deleted: functions have it.")
        await self._configs.change(key, lambda _: None)
        return {}

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        first = paging.start(parameters)
        configs, following = paging.page(
            (
                (key.id, describe_config(key, self._existing(key)))
                for key in self._configs.listed(caller.account, caller.region)
                if key.id >= first
            ),
            parameters,
        )
        return {"CodeSigningConfigs": configs, **following}

    async def put_function(self, caller: Caller, parameters: Parameters) -> Answer:
        key, arn = key_of(caller, parameters), parameters["CodeSigningConfigArn"]
        require_config(self._configs, caller, arn)
        await self._give(key, parameters, arn)
        return {"CodeSigningConfigArn": arn, "FunctionName": key.name}

    async def get_function(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        require_function(parameters, LATEST)
        arn = existing(key, self._registry.catalog.get(key)).record.code_signing
        return {} if arn is None else {"CodeSigningConfigArn": arn, "FunctionName": key.name}

    async def delete_function(self, caller: Caller, parameters: Parameters) -> Answer:
        await self._give(key_of(caller, parameters), parameters, None)
        return {}

    async def list_functions(self, caller: Caller, parameters: Parameters) -> Answer:
        key = self._own(caller, parameters)
        named = ((function.name, function.arn) for function in self._functions(key, paging.start(parameters)))
        arns, following = paging.page(named, parameters)
        return {"FunctionArns": arns, **following}

    async def _give(self, key: FunctionKey, parameters: Parameters, arn: str | None) -> None:
        def decide(stored: Stored | None) -> Edit:
            require_function(parameters, LATEST)
            record = existing(key, stored).record
            if arn is not None and record.settings.image is not None:
                raise InvalidParameterValue(
                    "Code signing is not supported for functions created with container images."
                )
            return Edit(replace(record, code_signing=arn))

        await self._registry.change(key, decide)

    def _own(self, caller: Caller, parameters: Parameters) -> CodeSigningKey:
        """The caller's configuration that a request names. Raises `ResourceNotFound`."""
        arn = parameters["CodeSigningConfigArn"]
        key = parse_code_signing_arn(arn)
        if key is None or (key.account, key.region) != (caller.account, caller.region):
            raise missing_config(arn)
        self._existing(key)
        return key

    def _existing(self, key: CodeSigningKey) -> CodeSigningRecord:
        config = self._configs.get(key)
        if config is None:
            raise missing_config(key.arn)
        return config

    def _functions(self, key: CodeSigningKey, first: str = "") -> Iterator[FunctionKey]:
        """Those that have this configuration, by name, beginning at `first`."""
        for function, stored in self._registry.catalog.listed(key.account, key.region, first):
            if stored.record.code_signing == key.arn:
                yield function


def require_config(configs: CodeSigningRegistry, caller: Caller, arn: str) -> CodeSigningRecord:
    """The configuration that a function is to have. Raises `CodeSigningConfigNotFound`."""
    key = parse_code_signing_arn(arn)
    own = key is not None and (key.account, key.region) == (caller.account, caller.region)
    config = configs.get(key) if key is not None and own else None
    if config is None:
        raise missing_for_function(arn)
    return config
