"""The certificate of a listener: which TLS it speaks with it, and for which names it is.

TLS 1.2 and 1.3; of 1.2 only what keeps yesterday's traffic secret when the key is stolen, and authenticates what it
encrypts (RFC 9325). That key and certificate go together, and that a client would take it, is tried before it is used.
"""

import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all good."""

_TURNS = 8
"""Flights of a handshake are fewer."""


class CertificateError(Exception):
    """A certificate that cannot be used: one sentence."""


class Certificate(msgspec.Struct, frozen=True):
    context: ssl.SSLContext
    names: frozenset[str]
    """Of hosts, in lower case, perhaps with a first label `*`; addresses of IPv6 in brackets."""


def load_certificate(certificate: Path, key: Path) -> Certificate:
    """Read both files, each in PEM; the certificate's may hold the chain. Raises `CertificateError`.

    Takes milliseconds: not for the event loop.
    """
    for file in (certificate, key):
        try:
            file.read_bytes()
        except OSError as error:
            raise CertificateError(f"{file} cannot be read: {error.strerror}") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A password that is asked for would be asked for on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
        return Certificate(context, _names(context, certificate))
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
        raise CertificateError(
            f"{certificate} and {key} are no certificate and unencrypted key that can be used ({reason})"
        ) from error


def _names(context: ssl.SSLContext, certificate: Path) -> frozenset[str]:
    """For whom the certificate is, as a client that trusts it reads it in a handshake."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_TURNS):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown: Mapping[str, Any] = client.getpeercert() or {}
    names = shown.get("subjectAltName", ())
    return frozenset(_host(kind, value) for kind, value in names if kind in {"DNS", "IP Address"})


def _host(kind: str, value: str) -> str:
    """As a Host header has it."""
    if kind == "DNS":
        return value.lower()
    address = ipaddress.ip_address(value.strip())
    return str(address) if isinstance(address, ipaddress.IPv4Address) else f"[{address}]"
