"""ondol at an address that other machines reach: who comes in from there, and what ondol asks for before it listens."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from lambda_calls import error_of, invoke, permit_url
from signed_calls import LIST, Key, make_key, send

import networks
from certificates import make_certificate
from networks import HOST, Internet
from ondol_process import ONDOL, OndolProcess, create


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ([], "--auth sigv4 and TLS (--tls-cert and --tls-key) are missing"),
        (["--auth", "sigv4"], "TLS (--tls-cert and --tls-key) is missing"),
        (["--tls-cert", "c", "--tls-key", "k"], "--auth sigv4 is missing"),
    ],
)
def test_other_machines_are_not_let_in_unverified_or_in_the_clear(
    tmp_path: Path, flags: list[str], missing: str
) -> None:
    command = [ONDOL, "up", "--host", "0.0.0.0", "--data-dir", tmp_path / "data", *flags]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.returncode == 2 and missing in ended.stderr and ended.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_certificate_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, valid_h=-0.5)
    command = [ONDOL, "up", "--tls-cert", files.certificate, "--tls-key", files.key, "--data-dir", tmp_path / "data"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.returncode == 2 and "expired" in ended.stderr and ended.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    with networks.played() as internet:
        yield internet


@pytest.fixture(scope="module")
def ondol(internet: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OndolProcess]:
    directory = tmp_path_factory.mktemp("beyond")
    files = make_certificate(directory, HOST, "127.0.0.1")
    tls = {"TLS_CERT": str(files.certificate), "TLS_KEY": str(files.key)}
    with OndolProcess(directory / "data", {"HOST": HOST, "AUTH": "sigv4", **tls}) as process:
        yield process


@pytest.mark.root
def test_who_signs_comes_in_from_another_machine_and_nobody_else(ondol: OndolProcess, internet: Internet) -> None:
    address = urlsplit(ondol.endpoint)
    assert (address.scheme, address.hostname) == ("https", HOST) and address.port is not None
    assert internet.connect(HOST, address.port) == "connected"
    client = make_key(ondol).client(ondol)
    create(client, "f", "def h(event, context): return event")
    assert invoke(client, "f", {"from": "afar"})[1] == {"from": "afar"}
    assert error_of(Key("000000000000", "x").client(ondol).list_functions)["Error"]["Code"] == (
        "UnrecognizedClientException"
    )
    assert send(ondol, "GET", LIST, {"Host": address.netloc}).status == 403
    assert send(ondol, "GET", LIST, {"Host": "evil.example"}).status == 403
    url = client.create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"]
    assert url.startswith(f"https://{address.netloc}/_ondol/url/")
    assert send(ondol, "GET", urlsplit(url).path, {"Host": address.netloc}).status == 403
    permit_url(client, "f")
    event = json.loads(send(ondol, "GET", urlsplit(url).path, {"Host": address.netloc}).body)
    assert event["requestContext"]["http"]["sourceIp"] == HOST


@pytest.mark.root
def test_the_command_reaches_it(ondol: OndolProcess) -> None:
    key = make_key(ondol, "read")
    variables = {
        "ONDOL_ENDPOINT": ondol.endpoint,
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_CA_BUNDLE": str(ondol.certificate),
    }
    command = [ONDOL, "list", "--json"]
    listed = subprocess.run(command, check=False, env={**os.environ, **variables}, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert isinstance(json.loads(listed.stdout), list)
