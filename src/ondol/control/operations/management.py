"""What a function may set about how AWS runs it, where ondol has but one way.

Its runtimes have one version each, so when they are updated makes no difference: the mode is kept and shown, and a
version of a runtime that is not the one that runs is refused.
"""

from msgspec.structs import replace

from ondol.control.api import Caller
from ondol.control.catalog import Stored
from ondol.control.holders import Holders
from ondol.control.operations.lookup import Answer, Operations, Parameters, existing, key_of, label_of
from ondol.control.records import Edit
from ondol.control.registry import Registry
from ondol.model.arn import runtime_version_arn
from ondol.model.errors import InvalidParameterValue
from ondol.model.function import LATEST, FunctionKey

_MANUAL = "Manual"
_AUTO = "Auto"


class ManagementOperations:
    def __init__(self, registry: Registry, holders: Holders) -> None:
        self._registry = registry
        self._holders = holders

    def table(self) -> Operations:
        return {
            "PutRuntimeManagementConfig": self.put_runtime,
            "GetRuntimeManagementConfig": self.get_runtime,
            "PutFunctionRecursionConfig": self.put_recursion,
            "GetFunctionRecursionConfig": self.get_recursion,
        }

    async def put_runtime(self, caller: Caller, parameters: Parameters) -> Answer:
        key, mode = key_of(caller, parameters), parameters["UpdateRuntimeOn"]
        wanted = parameters.get("RuntimeVersionArn")
        if (mode == _MANUAL) != (wanted is not None):
            raise InvalidParameterValue(f"RuntimeVersionArn goes with UpdateRuntimeOn {_MANUAL}, and with no other.")

        def decide(stored: Stored | None) -> Edit:
            label = _version(key, stored, parameters)
            stored = existing(key, stored)
            record, running = stored.record, _runtime_arn(key, stored, label)
            if wanted not in {None, running}:
                raise InvalidParameterValue(f"ondol has one version of each runtime; this function's is {running}.")
            return Edit(replace(record, runtime_updates={**record.runtime_updates, label: mode}))

        return _shown(key, await self._registry.change(key, decide), parameters)

    async def get_runtime(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        return _shown(key, self._registry.catalog.get(key), parameters)

    async def put_recursion(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)

        def decide(stored: Stored | None) -> Edit:
            return Edit(replace(existing(key, stored).record, recursive_loop=parameters["RecursiveLoop"]))

        await self._registry.change(key, decide)
        await self._holders.announce(key)
        return {"RecursiveLoop": parameters["RecursiveLoop"]}

    async def get_recursion(self, caller: Caller, parameters: Parameters) -> Answer:
        key = key_of(caller, parameters)
        return {"RecursiveLoop": existing(key, self._registry.catalog.get(key)).record.recursive_loop}


def _shown(key: FunctionKey, stored: Stored | None, parameters: Parameters) -> Answer:
    label = _version(key, stored, parameters)
    stored = existing(key, stored)
    mode = stored.record.runtime_updates.get(label, _AUTO)
    qualifier = parameters.get("Qualifier")
    shown = {"UpdateRuntimeOn": mode, "FunctionArn": key.arn if qualifier is None else f"{key.arn}:{qualifier}"}
    return shown | ({"RuntimeVersionArn": _runtime_arn(key, stored, label)} if mode == _MANUAL else {})


def _version(key: FunctionKey, stored: Stored | None, parameters: Parameters) -> str:
    """Raises `ResourceNotFound`, and `InvalidParameterValue` for an alias."""
    record = existing(key, stored, parameters.get("Qualifier")).record
    label = label_of(key, record, parameters.get("Qualifier"))
    if label in record.aliases:
        raise InvalidParameterValue("Runtime updates are managed for $LATEST and for versions, not for aliases.")
    return label


def _runtime_arn(key: FunctionKey, stored: Stored, label: str) -> str:
    """Raises `InvalidParameterValue` for an image, which no runtime of AWS's is below."""
    settings = stored.record.settings if label == LATEST else stored.version(label).settings
    if settings.image is not None:
        raise InvalidParameterValue("Runtimes are not managed for functions created with container images.")
    return runtime_version_arn(settings.runtime, key.region)
