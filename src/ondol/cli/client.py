"""A light client of ondol: AWS's own requests, without an SDK that takes longer to import than the request takes."""

import base64
import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import Generator, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from ondol.cli.failure import CommandFailed

DEFAULT_ENDPOINT = "http://127.0.0.1:4566"
_FUNCTIONS = "/2015-03-31/functions"
_CREDENTIALS = "/_ondol/credentials"
_CONNECT_S = 10.0
_PORTS = {"http": 80, "https": 443}
_UNKNOWN = "UnrecognizedClientException"
_HOW_TO_BE_KNOWN = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a credential that its operator made (ondol credentials "
    "create), or as the operator ONDOL_DATA_DIR to its data directory"
)
_FORM = "application/x-www-form-urlencoded"


class Refused(CommandFailed):
    """ondol answered with an error; `code` is its AWS name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})" if message else code)
        self.code = code

    @property
    def not_found(self) -> bool:
        return self.code == "ResourceNotFoundException"


class Invoked(NamedTuple):
    payload: bytes
    version: str
    function_error: str | None
    request_id: str
    log: str


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Client:
    """Requests to one ondol, a connection each. Raises `CommandFailed` if there is none, `Refused` for its errors.

    `operator`: for a command that concerns all accounts.
    """

    def __init__(self, endpoint: str, *, operator: bool = False) -> None:
        from ondol.cli.identity import Identity  # noqa: PLC0415 - `ondol --help` does without

        address = urlsplit(endpoint)
        try:
            port = address.port
        except ValueError:
            # No number, or none that a port has.
            port = 0
        if address.scheme not in _PORTS or not address.hostname or port == 0:
            raise CommandFailed(f"{endpoint!r} is no address of an ondol; one looks like {DEFAULT_ENDPOINT}.", 2)
        self.endpoint = endpoint.rstrip("/")
        self._host, self._port = address.hostname, port or _PORTS[address.scheme]
        self._tls = _tls() if address.scheme == "https" else None
        self.identity = Identity(address.netloc.rpartition("@")[2], operator=operator)

    def account(self) -> str:
        """Whose functions are meant: ondol says it."""
        body = b"Action=GetCallerIdentity&Version=2011-06-15"
        reply = self._request("POST", "/", "sts", body=body, headers={"Content-Type": _FORM})
        found = re.search(rb"<Account>([0-9]{12})</Account>", reply.body)
        if found is None:
            raise self._stranger(reply)
        return found[1].decode()

    def functions(self) -> Iterator[dict[str, Any]]:
        marker: dict[str, str] = {}
        while True:
            page = self._lambda("GET", "/", query=marker)
            yield from page["Functions"]
            if not page.get("NextMarker"):
                return
            marker = {"Marker": page["NextMarker"]}

    def configuration(self, name: str) -> dict[str, Any]:
        return self._lambda("GET", f"/{quote(name, safe='')}/configuration")

    def create(self, members: Mapping[str, Any]) -> dict[str, Any]:
        return self._lambda("POST", "", members)

    def update_code(self, name: str, package: bytes) -> dict[str, Any]:
        return self._lambda("PUT", f"/{quote(name, safe='')}/code", {"ZipFile": base64.b64encode(package).decode()})

    def update_configuration(self, name: str, members: Mapping[str, Any]) -> dict[str, Any]:
        return self._lambda("PUT", f"/{quote(name, safe='')}/configuration", members)

    def delete(self, name: str) -> None:
        self._lambda("DELETE", f"/{quote(name, safe='')}")

    def invoke(
        self, name: str, payload: bytes, qualifier: str | None, want_log: bool, tenant: str | None = None
    ) -> Invoked:
        """Run a function and wait for its result, however long it takes."""
        headers = {"X-Amz-Log-Type": "Tail"} if want_log else {}
        reply = self._invoke(name, payload, qualifier, tenant, headers)
        return Invoked(
            reply.body,
            reply.headers.get("X-Amz-Executed-Version", ""),
            reply.headers.get("X-Amz-Function-Error"),
            reply.headers.get("x-amzn-RequestId", ""),
            base64.b64decode(reply.headers.get("X-Amz-Log-Result", "")).decode(errors="replace"),
        )

    def debug(self, name: str, port: int | None) -> Generator[dict[str, Any], None, None]:
        """An environment to be debugged: what happens to it, until it is no more or this is closed."""
        wanted = json.dumps({"function": name, "port": port}).encode()
        connection, answer = self._ask("POST", "/_ondol/debug", "lambda", body=wanted)
        try:
            if answer.status >= 400:
                raise self._refusal(Reply(answer.status, answer.headers, answer.read()))
            while line := answer.readline():
                yield json.loads(line)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        finally:
            # Whatever has not been read: the client goes, and that ends it.
            answer.close()
            connection.close()

    def invoke_later(self, name: str, payload: bytes, qualifier: str | None, tenant: str | None = None) -> str:
        """Have a function run when it can; the answer is the request's id."""
        reply = self._invoke(name, payload, qualifier, tenant, {"X-Amz-Invocation-Type": "Event"})
        return reply.headers.get("x-amzn-RequestId", "")

    def log_events(self, group: str, since_ms: int) -> Iterator[dict[str, Any]]:
        """Events of all streams of a group, by time."""
        parameters: dict[str, Any] = {"logGroupName": group, "startTime": since_ms}
        while True:
            headers = {"X-Amz-Target": "Logs_20140328.FilterLogEvents", "Content-Type": "application/x-amz-json-1.1"}
            reply = self._request("POST", "/", "logs", body=json.dumps(parameters).encode(), headers=headers)
            page = self._json(reply)
            yield from page["events"]
            if not page.get("nextToken"):
                return
            parameters["nextToken"] = page["nextToken"]

    def status(self) -> dict[str, Any]:
        return self._json(self._request("GET", "/_ondol/status", "lambda"))

    def own(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """An operation that AWS has none for, such as `http-apis/NAME`."""
        body = b"" if document is None else json.dumps(document).encode()
        return self._json(self._request(method, f"/_ondol/{path}", "lambda", body=body))

    def reset(self) -> dict[str, Any]:
        return self._json(self._request("POST", "/_ondol/reset", "lambda"))

    def create_credential(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        return self._json(self._request("POST", _CREDENTIALS, "lambda", body=json.dumps(wanted).encode()))

    def credentials(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self._json(self._request("GET", _CREDENTIALS, "lambda"))["Credentials"]
        return listed

    def revoke_credential(self, access_key: str) -> None:
        self._request("DELETE", f"{_CREDENTIALS}/{quote(access_key, safe='')}", "lambda")

    def _invoke(
        self, name: str, payload: bytes, qualifier: str | None, tenant: str | None, headers: Mapping[str, str]
    ) -> Reply:
        if tenant is not None:
            headers = {**headers, "X-Amz-Tenant-Id": tenant}
        query = {"Qualifier": qualifier} if qualifier else {}
        path = f"{_FUNCTIONS}/{quote(name, safe='')}/invocations"
        return self._request("POST", path, "lambda", body=payload, query=query, headers=headers)

    def _lambda(
        self, method: str, path: str, members: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        body = b"" if members is None else json.dumps(members).encode()
        return self._json(self._request(method, _FUNCTIONS + path, "lambda", body=body, query=query))

    def _request(
        self,
        method: str,
        path: str,
        service: str,
        *,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        connection, answer = self._ask(method, path, service, body=body, query=query, headers=headers)
        try:
            reply = Reply(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        finally:
            connection.close()
        if reply.status >= 400:
            raise self._refusal(reply)
        return reply

    def _ask(
        self,
        method: str,
        path: str,
        service: str,
        *,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A connection, and the answer that begins to come on it."""
        asked = urlencode(query) if query else ""
        fields = {"Content-Type": "application/json", **(headers or {})}
        sent = self.identity.signed(method, path, asked, fields, body, service=service)
        connection = self._connection()
        try:
            connection.connect()
            connection.sock.settimeout(None)
            connection.request(method, f"{path}?{asked}" if asked else path, body, sent)
            return connection, connection.getresponse()
        except (ConnectionRefusedError, TimeoutError) as error:
            connection.close()
            raise CommandFailed(
                f"Nothing answers at {self.endpoint}. Start ondol with: ondol up (or name another address with "
                "--endpoint or ONDOL_ENDPOINT)"
            ) from error
        except socket.gaierror as error:
            connection.close()
            raise CommandFailed(
                f"There is no machine {self._host} ({error.strerror}). Name another address with --endpoint or "
                "ONDOL_ENDPOINT."
            ) from error
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise CommandFailed(
                f"The certificate of {self.endpoint} is not to be trusted: {error.verify_message}. Name the file of "
                "whoever signed it in AWS_CA_BUNDLE."
            ) from error
        except ssl.SSLError as error:
            connection.close()
            raise CommandFailed(
                f"{self.endpoint} does not speak TLS as it should ({error.reason}). If it speaks none, call it as http://."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._broken(error) from error
        except BaseException:
            connection.close()
            raise

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT_S)
        return http.client.HTTPSConnection(self._host, self._port, timeout=_CONNECT_S, context=self._tls)

    def _broken(self, error: OSError | http.client.HTTPException) -> CommandFailed:
        return CommandFailed(
            f"The connection to {self.endpoint} broke before the answer came ({error or type(error).__name__}). "
            "See whether ondol still runs with: ondol status"
        )

    def _json(self, reply: Reply) -> dict[str, Any]:
        if not reply.body:
            return {}
        try:
            members = json.loads(reply.body)
        except ValueError as error:
            raise self._stranger(reply) from error
        if not isinstance(members, dict):
            raise self._stranger(reply)
        return members

    def _refusal(self, reply: Reply) -> CommandFailed:
        try:
            members = json.loads(reply.body)
        except ValueError:
            members = None
        code = reply.headers.get("x-amzn-ErrorType") or (members.get("__type") if isinstance(members, dict) else None)
        if not code:
            return self._stranger(reply)
        message = (members.get("message") or members.get("Message")) if isinstance(members, dict) else None
        name = str(code).partition(":")[0].rpartition("#")[2]
        if name == _UNKNOWN:
            return Refused(name, f"{self.endpoint} knows nobody with this access key: {_HOW_TO_BE_KNOWN}")
        return Refused(name, str(message or ""))

    def _stranger(self, reply: Reply) -> CommandFailed:
        return CommandFailed(
            f"What answers at {self.endpoint} is no ondol (it said {reply.status} to a request of Lambda's API). "
            "Name another address with --endpoint or ONDOL_ENDPOINT."
        )


def _tls() -> ssl.SSLContext:
    """Trusts whom this machine does, or the authorities in the file that SDKs are told of."""
    file = os.environ.get("AWS_CA_BUNDLE")
    try:
        return ssl.create_default_context(cafile=file or None)
    except OSError as error:
        raise CommandFailed(f"AWS_CA_BUNDLE names {file}, which holds no certificates: {error}.", 2) from error
