"""Errors for clients of any AWS service, in the protocol that they speak: for services that ondol does not serve.

What is refused for who asks has another name in each family of protocols (common errors of the API references of SQS,
S3, EC2 and DynamoDB); ondol raises Lambda's.

The protocol is read from the request alone, without the service's model. Shapes follow Smithy's descriptions of the
AWS protocols (json 1.0 and 1.1, rest-json, rest-xml, query, ec2 and rpc-v2-cbor).
"""

import struct
from collections.abc import Mapping
from enum import Enum
from xml.sax.saxutils import escape

import msgspec

from ondol.aws.errors import BUG
from ondol.aws.reply import JSON, JSON_RPC, WireReply
from ondol.model.errors import CallerError, Outcome, PlatformError

TARGET = "x-amz-target"
"""Names the operation in the JSON protocols; no call of Lambda has it."""

XML = "text/xml"
CBOR = "application/cbor"

_FORM = "application/x-www-form-urlencoded"
_REST_XML = frozenset({"cloudfront", "route53"})
"""S3 has a shape of its own."""


class Protocol(Enum):
    """How a client wants to be told of an error."""

    JSON_RPC = "json"
    REST_JSON = "rest-json"
    XML = "query and rest-xml"
    S3 = "s3"
    EC2 = "ec2"
    CBOR = "rpc-v2-cbor"


def protocol_of(service: str, query: str, headers: Mapping[str, str]) -> Protocol:
    """What the client of `service` (its signing name) speaks, from what it sent; header names in lower case."""
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return Protocol.CBOR
    if service.startswith("s3"):
        return Protocol.S3
    if service == "ec2":
        return Protocol.EC2
    if TARGET in headers:
        return Protocol.JSON_RPC
    if service in _REST_XML or headers.get("content-type", "").startswith(_FORM) or "Action=" in query:
        return Protocol.XML
    return Protocol.REST_JSON


def failure(protocol: Protocol, status: int, code: str, message: str, request_id: str) -> WireReply:
    """An error, framed: `code` is its name, `status` from 500 up blames the server."""
    headers = {"x-amzn-RequestId": request_id}
    if protocol in {Protocol.JSON_RPC, Protocol.REST_JSON}:
        kind = JSON_RPC if protocol is Protocol.JSON_RPC else JSON
        body = msgspec.json.encode({"__type": code, "message": message})
        return WireReply(status, {"Content-Type": kind, **headers, "x-amzn-ErrorType": code}, body)
    if protocol is Protocol.CBOR:
        body = _cbor({"__type": code, "message": message})
        return WireReply(status, {"Content-Type": CBOR, "smithy-protocol": "rpc-v2-cbor", **headers}, body)
    told = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if protocol is Protocol.S3:
        text = f"<Error>{told}<RequestId>{request_id}</RequestId></Error>"
        headers = {"x-amz-request-id": request_id}
    elif protocol is Protocol.EC2:
        text = f"<Response><Errors><Error>{told}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    else:
        blamed = "Receiver" if status >= 500 else "Sender"
        error = f"<Error><Type>{blamed}</Type>{told}</Error>"
        text = f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
    return WireReply(status, {"Content-Type": XML, **headers}, f'<?xml version="1.0"?>\n{text}'.encode())


_QUERY_NAMES: Mapping[str, tuple[int, str]] = {
    "MissingAuthenticationTokenException": (403, "MissingAuthenticationToken"),
    "IncompleteSignatureException": (400, "IncompleteSignature"),
    "InvalidSignatureException": (403, "SignatureDoesNotMatch"),
    "UnrecognizedClientException": (403, "InvalidClientTokenId"),
    "AccessDeniedException": (403, "AccessDenied"),
}
_S3_NAMES: Mapping[str, tuple[int, str]] = {
    "MissingAuthenticationTokenException": (403, "AccessDenied"),
    "IncompleteSignatureException": (400, "AuthorizationHeaderMalformed"),
    "InvalidSignatureException": (403, "SignatureDoesNotMatch"),
    "UnrecognizedClientException": (403, "InvalidAccessKeyId"),
    "AccessDeniedException": (403, "AccessDenied"),
    "RequestEntityTooLargeException": (400, "EntityTooLarge"),
    "NotImplementedException": (501, "NotImplemented"),
}
_EC2_NAMES: Mapping[str, tuple[int, str]] = {
    **_QUERY_NAMES,
    "UnrecognizedClientException": (401, "AuthFailure"),
    "AccessDeniedException": (403, "UnauthorizedOperation"),
}
_NAMES = {Protocol.XML: _QUERY_NAMES, Protocol.S3: _S3_NAMES, Protocol.EC2: _EC2_NAMES}

_REST_STATUS = 403
_RPC_STATUS = 400


def refusal(protocol: Protocol, error: Exception, request_id: str) -> WireReply:
    """A request refused before its service was asked, in the words of its protocol; a bug is told without its text."""
    if isinstance(error, PlatformError):
        status = 503 if error.outcome is Outcome.NOT_STARTED else 500
        return failure(protocol, status, "ServiceUnavailable", error.message, request_id)
    if not isinstance(error, CallerError):
        return failure(protocol, 500, "InternalFailure", BUG, request_id)
    usual = _REST_STATUS if protocol is Protocol.REST_JSON else _RPC_STATUS
    status, code = _NAMES.get(protocol, {}).get(error.code, (usual, error.code))
    return failure(protocol, status, code, error.message, request_id)


def _cbor(members: Mapping[str, str]) -> bytes:
    """A map of a few texts (RFC 8949, 3)."""
    return bytes([0xA0 | len(members)]) + b"".join(map(_cbor_text, (text for pair in members.items() for text in pair)))


def _cbor_text(text: str) -> bytes:
    data = text.encode()
    return b"\x7a" + struct.pack(">I", len(data)) + data
