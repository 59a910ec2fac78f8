"""Operations that AWS has none for: HTTP APIs, and the records of what templates made."""

from typing import Any

import msgspec

from ondol.control.api import Caller, OwnOperation
from ondol.control.http_api_registry import HttpApiRegistry
from ondol.control.http_apis import WantedApi, describe_api, missing_api, require_valid
from ondol.control.stacks import StackRegistry
from ondol.model.errors import InvalidParameterValue
from ondol.model.foreign_json import UNREADABLE
from ondol.model.http_api import HttpApiKey


class OwnOperations:
    def __init__(self, apis: HttpApiRegistry, stacks: StackRegistry) -> None:
        self._apis = apis
        self._stacks = stacks

    async def perform(self, operation: OwnOperation, caller: Caller, name: str, document: bytes) -> dict[str, Any]:
        """Raises `InvalidParameterValue`, `ResourceNotFound`, `PlatformError`."""
        key = HttpApiKey(caller.account, caller.region, name)
        match operation:
            case OwnOperation.LIST_APIS:
                return {"apis": [describe_api(api) for api in self._apis.listed(caller.account, caller.region)]}
            case OwnOperation.GET_API:
                found = [api for api in self._apis.listed(caller.account, caller.region) if api.key == key]
                if not found:
                    raise missing_api(name)
                return describe_api(found[0])
            case OwnOperation.PUT_API:
                wanted = _read(document, WantedApi)
                require_valid(name, wanted)
                return describe_api(await self._apis.put(key, wanted))
            case OwnOperation.DELETE_API:
                await self._apis.delete(key)
            case OwnOperation.LIST_STACKS:
                return {"stacks": self._stacks.names(caller)}
            case OwnOperation.GET_STACK:
                return self._stacks.get(caller, name)
            case OwnOperation.PUT_STACK:
                await self._stacks.put(caller, name, _read(document, dict[str, Any]))
            case OwnOperation.DELETE_STACK:
                await self._stacks.delete(caller, name)
        return {}


def _read(document: bytes, shape: Any) -> Any:
    """Raises `InvalidParameterValue`."""
    try:
        return msgspec.json.decode(document, type=shape)
    except UNREADABLE as error:
        raise InvalidParameterValue(f"The document cannot be read: {error}.") from error
