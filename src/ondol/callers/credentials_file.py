"""Credentials in a file for their owner alone, in the form of AWS's shared credentials file.

Every AWS SDK and CLI reads it where `AWS_SHARED_CREDENTIALS_FILE` names it.
"""

import configparser
import contextlib
import os
from pathlib import Path

from ondol.model.credentials import SessionCredentials

OPERATOR_FILE = "operator.credentials"
"""The operator's own, in the data directory: who can read it can read all the rest there too."""

DEFAULT_PROFILE = "default"
_ACCESS_KEY = "aws_access_key_id"
_SECRET = "aws_secret_access_key"
_TOKEN = "aws_session_token"


def read_credentials(file: Path, profile: str = DEFAULT_PROFILE) -> SessionCredentials | None:
    """Those of a profile; None where the file has none, is not there, or is not to be read."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text())
        section = parser[profile]
        return SessionCredentials(section[_ACCESS_KEY], section[_SECRET], section.get(_TOKEN, ""))
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError):
        return None


def write_credentials(file: Path, access_key: str, secret: str) -> None:
    """Write the file whole, in place of what was there, durable when this returns. Raises OSError."""
    text = f"[{DEFAULT_PROFILE}]\n{_ACCESS_KEY} = {access_key}\n{_SECRET} = {secret}\n"
    made = file.with_name(f"{file.name}.new")
    with contextlib.suppress(FileNotFoundError):
        made.unlink()
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as written:
        written.write(text)
        written.flush()
        os.fsync(written.fileno())
    made.replace(file)
