"""Certificates that have signed themselves, made as they are needed."""

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Files(NamedTuple):
    certificate: Path
    key: Path


def make_certificate(
    directory: Path,
    *names: str,
    valid_h: float = 1.0,
    password: bytes | None = None,
    usage: x509.ObjectIdentifier | None = None,
) -> Files:
    """One for these hosts, in `directory` (in place of what is there); valid from an hour ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=valid_h))
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names or ("127.0.0.1",)]), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    encryption = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    files = Files(directory / "certificate.pem", directory / "key.pem")
    files.certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
    return files


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
