"""What tests of HTTP APIs share: ondol's own API for them, and calls as a client makes them."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from ondol_process import OndolProcess

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"


def own(ondol: OndolProcess, method: str, path: str, document: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and body of a request to ondol's own API."""
    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=30)
    sent = {"Authorization": SIGNED, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, None if document is None else json.dumps(document), sent)
    try:
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def made(ondol: OndolProcess, name: str, **document: Any) -> str:
    """The address of an API that is as described."""
    status, shown = own(ondol, "PUT", f"/_ondol/http-apis/{name}", document)
    assert status == 200, shown
    url: str = shown["url"]
    return url.rstrip("/")


def allowed(client: Any, function: str) -> None:
    """Let every API invoke a function, as SAM has it."""
    client.add_permission(
        FunctionName=function,
        StatementId="apis",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn="arn:aws:execute-api:us-east-1:000000000000:*/*/*",
    )


def fetched(ondol: OndolProcess, url: str, path: str) -> bytes:
    """The body that a client gets who finds the host's name on this machine."""
    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=30)
    connection.request("GET", path, headers={"Host": urlsplit(url).hostname or ""})
    try:
        return connection.getresponse().read()
    finally:
        connection.close()
