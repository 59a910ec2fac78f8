"""What tests of HTTP APIs share: ondol's own API for them, and calls as a client makes them."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from test_access import signed

from ondol_process import OndolProcess


def own(ondol: OndolProcess, method: str, path: str, document: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and body of a request to ondol's own API."""
    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=30)
    sent = {**signed(), **{name.replace("_", "-"): value for name, value in headers.items()}}
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
