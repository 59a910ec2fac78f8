"""Who we are to a registry: as docker's own configuration says, its credential programs included."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from ondol.runtimes.oci.errors import ImageError

PROGRAM_TIMEOUT_S = 20
_TOKEN_USER = "<token>"


class Credentials(msgspec.Struct, frozen=True):
    username: str
    secret: str
    is_token: bool = False
    """The secret is an identity token, to be exchanged rather than sent."""

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()


def find(host: str) -> Credentials | None:
    """What `docker login` has kept for this registry. Raises `ImageError` if that cannot be read."""
    directory = os.environ.get("DOCKER_CONFIG") or "~/.docker"
    file = Path(directory, "config.json").expanduser()
    try:
        configuration = json.loads(file.read_bytes())
    except OSError:
        return None
    except ValueError as error:
        raise ImageError(f"{file} is not valid JSON: {error}") from error
    keys = (host, f"https://{host}")
    program = configuration.get("credHelpers", {}).get(host) or configuration.get("credsStore")
    for key in keys:
        found = _kept(configuration.get("auths", {}).get(key, {}), file)
        if found is None and program:
            found = _asked(program, key)
        if found is not None:
            return found
    return None


def _kept(entry: dict[str, Any], file: Path) -> Credentials | None:
    username, secret = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        try:
            username, _, secret = base64.b64decode(entry["auth"]).decode().partition(":")
        except ValueError as error:
            raise ImageError(f"{file} has an `auth` that is not base64") from error
    if entry.get("identitytoken"):
        return Credentials(username, entry["identitytoken"], is_token=True)
    return Credentials(username, secret) if username else None


def _asked(program: str, key: str) -> Credentials | None:
    """What a credential program answers; None where it has nothing, or is not there."""
    try:
        ended = subprocess.run(
            [f"docker-credential-{program}", "get"],
            input=key.encode(),
            capture_output=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=True,
        )
        answer = json.loads(ended.stdout)
        username, secret = answer["Username"], answer["Secret"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None
    return Credentials(username, secret, is_token=username == _TOKEN_USER)
