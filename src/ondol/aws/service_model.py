"""AWS's own description of a service, as botocore ships it: operations, shapes, constraints, errors.

Reads botocore's data file and leaves botocore alone: importing its model classes costs a fifth of the start-up
budget, for what is not needed here (documentation, waiters, endpoints). Where AWS does otherwise than its model
says, `ondol.aws.departures` has a row; they are applied here, once, so that everybody else sees one truth.
"""

import gzip
import importlib.util
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ondol.aws.departures import DEPARTURES, Departures, MemberRow, UnmodelledError


class Member(msgspec.Struct, frozen=True):
    """One field of a structure, or what a list or map holds."""

    shape: str
    location: str | None = None
    """`uri`, `querystring`, `header` or `statusCode`; none is the body."""

    name_on_wire: str | None = msgspec.field(default=None, name="locationName")


class ErrorTrait(msgspec.Struct, frozen=True):
    status: int = msgspec.field(default=0, name="httpStatusCode")


class Shape(msgspec.Struct, frozen=True):
    """A type of the model and its constraints: lengths of strings, lists, maps and blobs; values of numbers."""

    type: str
    members: dict[str, Member] = {}
    required: tuple[str, ...] = ()
    member: Member | None = None
    key: Member | None = None
    value: Member | None = None
    payload: str | None = None
    enum: tuple[str, ...] = ()
    pattern: str | None = None
    min: int | float | None = None
    max: int | float | None = None
    sensitive: bool = False
    exception: bool = False
    fault: bool = False
    error: ErrorTrait = ErrorTrait()


class Http(msgspec.Struct, frozen=True):
    method: str
    uri: str = msgspec.field(name="requestUri")
    status: int = msgspec.field(default=200, name="responseCode")


class ShapeName(msgspec.Struct, frozen=True):
    shape: str


class Operation(msgspec.Struct, frozen=True):
    name: str
    http: Http
    input: ShapeName | None = None
    output: ShapeName | None = None


class Metadata(msgspec.Struct, frozen=True):
    target_prefix: str = msgspec.field(default="", name="targetPrefix")


class ServiceModel(msgspec.Struct, frozen=True):
    """One service, departures included. A shape that is not in `shapes` is a broken model: `KeyError`."""

    metadata: Metadata
    operations: dict[str, Operation]
    shapes: dict[str, Shape]
    unmodelled_errors: tuple[UnmodelledError, ...] = ()


_DECODER = msgspec.json.Decoder(ServiceModel)


def load(service: str, version: str) -> ServiceModel:
    """The model of `service`. Takes about 10 ms; raises `FileNotFoundError` where botocore is not installed."""
    found = importlib.util.find_spec("botocore")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("botocore, which brings AWS's service models, is not installed")
    path = Path(found.submodule_search_locations[0], "data", service, version, "service-2.json.gz")
    model = _DECODER.decode(gzip.decompress(path.read_bytes()))
    return _depart(model, DEPARTURES[service])


def _depart(model: ServiceModel, departures: Departures) -> ServiceModel:
    shapes = dict(model.shapes)
    for row in departures.members:
        if row.like and row.shape not in shapes:
            original = shapes[row.like]
            added = tuple(name for name in original.enum if row.open and name not in row.enum)
            shapes[row.shape] = replace(original, enum=row.enum + added)
        shapes[row.structure] = _with_member(shapes[row.structure], row)
    for change in departures.shapes:
        shapes[change.shape] = replace(shapes[change.shape], **change.constraints)
    operations = dict(model.operations)
    for status in departures.statuses:
        operation = operations[status.operation]
        operations[status.operation] = replace(operation, http=replace(operation.http, status=status.status))
    return replace(model, shapes=shapes, operations=operations, unmodelled_errors=departures.errors)


def _with_member(structure: Shape, row: MemberRow) -> Shape:
    if not row.member:
        return replace(structure, member=Member(row.shape))
    members = structure.members | {row.member: replace(structure.members[row.member], shape=row.shape)}
    return replace(structure, members=members)
