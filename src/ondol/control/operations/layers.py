"""Publish, show, list and delete layer versions."""

from collections.abc import Iterator

from ondol.control import paging
from ondol.control.api import Caller
from ondol.control.checks import check_source
from ondol.control.layer_policy import require_allowed
from ondol.control.layer_registry import LayerRegistry
from ondol.control.layer_view import describe_layer_version, describe_with_content, is_compatible
from ondol.control.layers import LayerKey, LayerVersionRecord, parse_layer_arn
from ondol.control.operations.lookup import Answer, Operations, Parameters
from ondol.control.packages import Packages
from ondol.control.refusals import refuse_unserved
from ondol.control.zip_checks import Package
from ondol.model.errors import InvalidParameterValue, ResourceNotFound
from ondol.model.policy import denied
from ondol.model.time import Clock, WallTime

_MISSING = "The resource you requested does not exist."


class LayerOperations:
    def __init__(self, layers: LayerRegistry, packages: Packages, clock: Clock) -> None:
        self._layers = layers
        self._packages = packages
        self._clock = clock

    def table(self) -> Operations:
        return {
            "PublishLayerVersion": self.publish,
            "GetLayerVersion": self.get,
            "GetLayerVersionByArn": self.get_by_arn,
            "ListLayers": self.list,
            "ListLayerVersions": self.list_versions,
            "DeleteLayerVersion": self.delete,
        }

    async def publish(self, caller: Caller, parameters: Parameters) -> Answer:
        """Answers once the package and the version are durable."""
        key = own_layer(caller, parameters, "PublishLayerVersion")
        check_source(parameters["Content"])
        refuse_unserved(parameters["Content"])
        content, package, _ = await self._packages.given(caller, parameters["Content"])
        self._packages.require_room(key.account, key.region, package.size)
        record = _new_version(package, self._clock.wall(), parameters)
        async with self._packages.kept(package, content):
            number = await self._layers.publish(key, record)
        return describe_with_content(key, number, record)

    async def get(self, caller: Caller, parameters: Parameters) -> Answer:
        key = named_layer(caller, parameters["LayerName"])
        return self._shown(caller, key, version_number(parameters))

    async def get_by_arn(self, caller: Caller, parameters: Parameters) -> Answer:
        named = parse_layer_arn(parameters["Arn"])
        if named is None:
            raise ResourceNotFound(_MISSING)
        key, number = named
        return self._shown(caller, key, number or 0)

    async def list(self, caller: Caller, parameters: Parameters) -> Answer:
        layers, following = paging.page(self._latest_matching(caller, parameters), parameters)
        return {"Layers": layers, **following}

    async def list_versions(self, caller: Caller, parameters: Parameters) -> Answer:
        key = own_layer(caller, parameters, "ListLayerVersions")
        first = paging.start(parameters)
        versions, following = paging.page(
            (
                (str(number), describe_layer_version(key, number, record))
                for number, record in self._layers.catalog.versions(key)
                if is_compatible(record, parameters) and not (first.isdecimal() and number > int(first))
            ),
            parameters,
        )
        return {"LayerVersions": versions, **following}

    async def delete(self, caller: Caller, parameters: Parameters) -> Answer:
        """There or not. Functions that use it go on; none can be told to use it any more."""
        key = own_layer(caller, parameters, "DeleteLayerVersion")
        await self._layers.change(key, version_number(parameters), lambda _: None)
        return {}

    def _shown(self, caller: Caller, key: LayerKey, number: int) -> Answer:
        record = self._layers.catalog.get(key, number) if key.region == caller.region else None
        require_allowed(record, key, number, caller.account)
        if record is None:
            raise ResourceNotFound(_MISSING)
        return describe_with_content(key, number, record)

    def _latest_matching(self, caller: Caller, parameters: Parameters) -> Iterator[tuple[str, Answer]]:
        catalog = self._layers.catalog
        for key in catalog.listed(caller.account, caller.region, paging.start(parameters)):
            for number, record in catalog.versions(key):
                if is_compatible(record, parameters):
                    latest = describe_layer_version(key, number, record)
                    yield key.name, {"LayerName": key.name, "LayerArn": key.arn, "LatestMatchingVersion": latest}
                    break


def named_layer(caller: Caller, name: str) -> LayerKey:
    """The layer that a name or an ARN means, whosever it is."""
    named = parse_layer_arn(name)
    return LayerKey(caller.account, caller.region, name) if named is None else named[0]


def own_layer(caller: Caller, parameters: Parameters, operation: str) -> LayerKey:
    """The caller's layer that a request names. Raises `AccessDenied`, `ResourceNotFound` for what is elsewhere."""
    key = named_layer(caller, parameters["LayerName"])
    if key.account != caller.account:
        raise denied(caller.account, f"lambda:{operation}", key.arn)
    if key.region != caller.region:
        raise ResourceNotFound(_MISSING)
    return key


def version_number(parameters: Parameters) -> int:
    """Raises `InvalidParameterValue` for what no version ever is."""
    number: int = parameters["VersionNumber"]
    if number < 1:
        raise InvalidParameterValue("Layer Version Cannot be less than 1")
    return number


def _new_version(package: Package, now: WallTime, parameters: Parameters) -> LayerVersionRecord:
    runtimes, architectures = parameters.get("CompatibleRuntimes"), parameters.get("CompatibleArchitectures")
    return LayerVersionRecord(
        code=package.digest,
        code_size=package.size,
        unzipped_size=package.unzipped_size,
        created=now,
        description=parameters.get("Description", ""),
        license=parameters.get("LicenseInfo"),
        runtimes=None if runtimes is None else tuple(runtimes),
        architectures=None if architectures is None else tuple(architectures),
    )
