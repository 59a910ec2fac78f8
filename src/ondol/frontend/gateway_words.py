"""What API Gateway says where no function has: its two kinds spell it each in their own way. Pure.

Source: API Gateway developer guide, "Gateway response types for API Gateway" and "Troubleshooting HTTP APIs"; Lambda
developer guide, "Handling Lambda errors with an API Gateway API".
"""

import enum

from ondol.aws.http_event import JSON, HttpResult
from ondol.model.http_api import ApiKind


class Refusal(enum.Enum):
    """Why a request gets no answer of a function's."""

    NO_API = "there is no such API or stage"
    NO_ROUTE = "no route takes it"
    TOO_LARGE = "it is larger than may be"
    NOT_INVOKED = "the function could not be invoked"
    FAILED = "the function failed, or answered what is no response"
    LATE = "the function did not answer in time"


_REST = {
    Refusal.NO_API: (403, "ForbiddenException", b'{"message":"Forbidden"}'),
    Refusal.NO_ROUTE: (403, "MissingAuthenticationTokenException", b'{"message":"Missing Authentication Token"}'),
    Refusal.TOO_LARGE: (413, "RequestTooLargeException", b'{"message":"Request Too Long"}'),
    Refusal.NOT_INVOKED: (500, "InternalServerErrorException", b'{"message": "Internal server error"}'),
    Refusal.FAILED: (502, "InternalServerErrorException", b'{"message": "Internal server error"}'),
    Refusal.LATE: (504, "InternalServerErrorException", b'{"message": "Endpoint request timed out"}'),
}
_HTTP = {
    Refusal.NO_API: (404, b'{"message":"Not Found"}'),
    Refusal.NO_ROUTE: (404, b'{"message":"Not Found"}'),
    Refusal.TOO_LARGE: (413, b'{"message":"Request Entity Too Large"}'),
    Refusal.NOT_INVOKED: (500, b'{"message":"Internal Server Error"}'),
    Refusal.FAILED: (500, b'{"message":"Internal Server Error"}'),
    Refusal.LATE: (503, b'{"message":"Service Unavailable"}'),
}


def refusal(kind: ApiKind | None, why: Refusal) -> HttpResult:
    """The answer; of an API that is not there the kind is None."""
    if kind is ApiKind.HTTP:
        status, body = _HTTP[why]
        return HttpResult(status, [("Content-Type", JSON)], body)
    status, error, body = _REST[why]
    return HttpResult(status, [("Content-Type", JSON), ("x-amzn-ErrorType", error)], body)
