"""An ondol that verifies its callers, over TLS, and what they sign with."""

import configparser
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from certificates import make_certificate
from ondol_process import OndolProcess

LIST = "/2015-03-31/functions"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return self.headers.get("x-amzn-errortype", "")

    @property
    def message(self) -> str:
        members = json.loads(self.body)
        text: str = members.get("message", members.get("Message"))
        return text


class Key(NamedTuple):
    access_key: str
    secret: str

    def client(self, ondol: OndolProcess, service: str = "lambda", endpoint: str | None = None, **settings: Any) -> Any:
        """An unmodified boto3 client that signs with this, and repeats nothing by itself."""
        own = {"retries": {"max_attempts": 0}, "read_timeout": 60, **settings.pop("config", {})}
        return boto3.client(
            service,
            endpoint_url=endpoint or ondol.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
            config=Config(**own),
            verify=ondol.certificate,
            **settings,
        )

    def signed(self, ondol: OndolProcess, method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, str]:
        """The fields that botocore's signer makes of a request to Lambda."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = AWSRequest(method, f"{ondol.endpoint}{path}", named, body)
        SigV4Auth(Credentials(self.access_key, self.secret), "lambda", "us-east-1").add_auth(request)
        return {"Host": urlsplit(ondol.endpoint).netloc, **dict(request.headers)}


def operator_of(ondol: OndolProcess) -> Key:
    parser = configparser.RawConfigParser()
    parser.read(ondol.data_dir / "operator.credentials")
    held = parser["default"]
    return Key(held["aws_access_key_id"], held["aws_secret_access_key"])


def send(ondol: OndolProcess, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    """A request with exactly these fields."""
    connection = http.client.HTTPConnection(urlsplit(ondol.endpoint).netloc, timeout=20)
    if ondol.certificate is not None:
        trusted = ssl.create_default_context(cafile=ondol.certificate)
        connection = http.client.HTTPSConnection(urlsplit(ondol.endpoint).netloc, timeout=20, context=trusted)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if "content-length" not in {name.lower() for name in headers}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def ask(ondol: OndolProcess, key: Key, method: str, path: str, body: bytes = b"") -> Answer:
    return send(ondol, method, path, key.signed(ondol, method, path, body), body)


def make_key(ondol: OndolProcess, *rights: str, account: str = "000000000000", name: str | None = None) -> Key:
    """A new credential, made by the operator."""
    wanted = {"account": account, "rights": list(rights or ("invoke", "read", "manage"))}
    body = json.dumps(wanted if name is None else {**wanted, "name": name}).encode()
    answer = ask(ondol, operator_of(ondol), "POST", "/_ondol/credentials", body)
    assert answer.status == 201, answer
    made = json.loads(answer.body)
    return Key(made["AccessKeyId"], made["SecretAccessKey"])


def revoke(ondol: OndolProcess, key: Key) -> None:
    answer = ask(ondol, operator_of(ondol), "DELETE", f"/_ondol/credentials/{key.access_key}")
    assert answer.status == 204, answer


def running(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[OndolProcess]:
    files = make_certificate(directory, "127.0.0.1", "localhost", "ondol.example.com", "*.ondol.example.com")
    tls = {"TLS_CERT": str(files.certificate), "TLS_KEY": str(files.key)}
    with OndolProcess(directory / "data", {"AUTH": "sigv4", **tls, **(settings or {})}) as process:
        yield process
