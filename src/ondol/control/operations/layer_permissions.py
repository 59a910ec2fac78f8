"""Permissions of layer versions: who else may use one."""

from collections.abc import Callable

from ondol.control.api import Caller
from ondol.control.layer_policy import granted, policy_text, require_policy_revision, revoked, statement_text
from ondol.control.layer_registry import LayerRegistry
from ondol.control.layers import LayerKey, LayerVersionRecord
from ondol.control.operations.layers import own_layer, version_number
from ondol.control.operations.lookup import Answer, Operations, Parameters
from ondol.model.errors import ResourceNotFound


class LayerPermissionOperations:
    def __init__(self, layers: LayerRegistry, new_id: Callable[[], str]) -> None:
        self._layers = layers
        self._new_id = new_id

    def table(self) -> Operations:
        return {
            "AddLayerVersionPermission": self.add,
            "RemoveLayerVersionPermission": self.remove,
            "GetLayerVersionPolicy": self.get_policy,
        }

    async def add(self, caller: Caller, parameters: Parameters) -> Answer:
        key = own_layer(caller, parameters, "AddLayerVersionPermission")
        number = version_number(parameters)
        resource = key.version_arn(number)

        def decide(record: LayerVersionRecord | None) -> LayerVersionRecord:
            record = _existing(key, number, record)
            require_policy_revision(record, parameters.get("RevisionId"))
            return granted(record, resource, parameters, self._new_id)

        record = _existing(key, number, await self._layers.change(key, number, decide))
        added = next(statement for statement in record.statements if statement.id == parameters["StatementId"])
        return {"Statement": statement_text(added, resource), "RevisionId": record.policy_revision}

    async def remove(self, caller: Caller, parameters: Parameters) -> Answer:
        key = own_layer(caller, parameters, "RemoveLayerVersionPermission")
        number = version_number(parameters)

        def decide(record: LayerVersionRecord | None) -> LayerVersionRecord:
            record = _existing(key, number, record)
            require_policy_revision(record, parameters.get("RevisionId"))
            return revoked(record, parameters["StatementId"], self._new_id)

        await self._layers.change(key, number, decide)
        return {}

    async def get_policy(self, caller: Caller, parameters: Parameters) -> Answer:
        key = own_layer(caller, parameters, "GetLayerVersionPolicy")
        number = version_number(parameters)
        record = _existing(key, number, self._layers.catalog.get(key, number))
        return {"Policy": policy_text(record, key.version_arn(number)), "RevisionId": record.policy_revision}


def _existing(key: LayerKey, number: int, record: LayerVersionRecord | None) -> LayerVersionRecord:
    if record is None:
        raise ResourceNotFound(f"Layer version {key.version_arn(number)} does not exist.")
    return record
