"""Which layer versions a function means, at the moment in which it is told to use them. Texts are AWS's."""

from collections.abc import Sequence

from ondol.control.api import Caller
from ondol.control.layer_catalog import LayerCatalog
from ondol.control.layer_policy import require_allowed
from ondol.control.layers import LayerKey, parse_layer_arn
from ondol.control.records import UsedLayer
from ondol.model.errors import InvalidParameterValue

LAYERS_EACH = 5
"""The most that one function has (developer guide, "Lambda quotas")."""


def used_layers(catalog: LayerCatalog, owner: Caller, arns: Sequence[str]) -> tuple[UsedLayer, ...]:
    """The layers under these ARNs, for a function of `owner`. Raises `InvalidParameterValue`, `AccessDenied`."""
    if len(arns) > LAYERS_EACH:
        raise InvalidParameterValue(f"Cannot reference more than {LAYERS_EACH} layers.")
    chosen: dict[LayerKey, UsedLayer] = {}
    for arn in arns:
        key, used = _used(catalog, owner, arn)
        if key in chosen:
            raise InvalidParameterValue(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{chosen[key].arn} and {arn} are versions of the same layer."
            )
        chosen[key] = used
    return tuple(chosen.values())


def _used(catalog: LayerCatalog, owner: Caller, arn: str) -> tuple[LayerKey, UsedLayer]:
    missing = InvalidParameterValue(f"Layer version {arn} does not exist.")
    named = parse_layer_arn(arn)
    if named is None:
        raise missing
    key, number = named
    if number is None:
        raise missing
    if key.account == owner.account and key.region != owner.region:
        raise InvalidParameterValue(
            f"Layers are not in the same region as the function. Layers are expected to be in region {owner.region}."
        )
    record = catalog.get(key, number) if key.region == owner.region else None
    require_allowed(record, key, number, owner.account)
    if record is None:
        raise missing
    return key, UsedLayer(arn, record.code, record.code_size, record.unzipped_size)
