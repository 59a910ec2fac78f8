"""Images in a registry. Source: OCI Distribution Specification 1.1; Docker Registry v2 token authentication.

HTTPS, but for registries on this very machine. What is asked for by digest is believed by digest alone; an
Authorization header never follows a redirect.
"""

import contextlib
import http.client
import ipaddress
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import IO, Any

from ondol.runtimes.oci import credentials
from ondol.runtimes.oci.choice import (
    DOCUMENT_BYTES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Image,
    Platform,
    choose,
    verified,
)
from ondol.runtimes.oci.errors import ImageAbsent, ImageError, ImageForbidden, RegistryUnreachable
from ondol.runtimes.oci.reference import RegistryImage

TIMEOUT_S = 30
TOKEN_BYTES = 1 << 20
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917 - the library's
        check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class RegistrySource:
    """One image's registry. Every method raises `ImageError`."""

    def __init__(self, reference: RegistryImage) -> None:
        self._reference = reference
        host = reference.host
        here = is_loopback(host)
        self._base = f"{'http' if here else 'https'}://{host}/v2/{reference.repository}"
        handlers: list[Any] = [_Redirects()]
        if here:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._authorization: str | None = None

    def image(self, wanted: Platform) -> Image:
        """The image for this machine."""
        name = self._reference.manifest
        top = self._document(f"{self._base}/manifests/{name}")
        if self._reference.digest is not None:
            verified(top, Descriptor(self._reference.digest, len(top)))
        return choose(top, self, wanted)

    def document(self, descriptor: Descriptor) -> bytes:
        kind = "manifests" if descriptor.media_type in (*INDEX_TYPES, *MANIFEST_TYPES) else "blobs"
        return self._document(f"{self._base}/{kind}/{_known(descriptor.digest)}")

    @contextlib.contextmanager
    def layer(self, number: int, descriptor: Descriptor) -> Iterator[IO[bytes]]:
        """The bytes of a layer, as they arrive."""
        with self._get(f"{self._base}/blobs/{_known(descriptor.digest)}") as response:
            yield response

    def close(self) -> None:
        """Nothing is held between requests."""

    def _document(self, url: str) -> bytes:
        with self._get(url) as response:
            try:
                found: bytes = response.read(DOCUMENT_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                raise RegistryUnreachable(f"{self._reference.host} broke off: {error}") from error
        if len(found) > DOCUMENT_BYTES:
            raise ImageError(f"{url} has more than {DOCUMENT_BYTES} bytes")
        return found

    def _get(self, url: str) -> Any:
        try:
            return self._send(url)
        except urllib.error.HTTPError as refusal:
            if refusal.code != 401 or self._authorization is not None:
                raise self._refused(url, refusal) from refusal
            self._authorization = self._authorize(refusal.headers.get_all("WWW-Authenticate") or [])
        try:
            return self._send(url)
        except urllib.error.HTTPError as refusal:
            raise self._refused(url, refusal) from refusal

    def _send(self, url: str) -> Any:
        request = urllib.request.Request(url)
        request.add_header("Accept", ", ".join((*INDEX_TYPES, *MANIFEST_TYPES, "*/*")))
        if self._authorization is not None:
            request.add_unredirected_header("Authorization", self._authorization)
        return self._open(request)

    def _open(self, request: urllib.request.Request) -> Any:
        try:
            return self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise RegistryUnreachable(f"the registry {self._reference.host} cannot be reached: {reason}") from error

    def _refused(self, url: str, refusal: urllib.error.HTTPError) -> ImageError:
        host, asked = self._reference.host, self._reference.manifest
        if url.startswith(self._base):
            asked = url.rpartition("/")[2]
        name = f"{self._reference.repository}{'@' if _DIGEST.fullmatch(asked) else ':'}{asked}"
        refusal.close()
        if refusal.code in (401, 403):
            return ImageForbidden(f"{host} does not let us have {name}; log in with: docker login {host}")
        if refusal.code == 404:
            return ImageAbsent(f"{host} has no {name}")
        if refusal.code == 429 or refusal.code >= 500:
            return RegistryUnreachable(f"{host} answered {refusal.code} to {url}")
        return ImageError(f"{host} answered {refusal.code} to {url}")

    def _authorize(self, challenges: list[str]) -> str:
        """The Authorization that this registry asks for."""
        known = credentials.find(self._reference.host)
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                return "Bearer " + self._token(dict(_PARAMETER.findall(rest)), known)
            if scheme.lower() == "basic" and known is not None:
                return known.basic()
        raise ImageForbidden(
            f"{self._reference.host} wants to know who asks; log in with: docker login {self._reference.host}"
        )

    def _token(self, challenge: dict[str, str], known: credentials.Credentials | None) -> str:
        realm = challenge.get("realm", "")
        check_url(realm)
        asked = {
            "service": challenge.get("service", ""),
            "scope": challenge.get("scope") or f"repository:{self._reference.repository}:pull",
        }
        data = None
        if known is not None and known.is_token:
            exchange = {"grant_type": "refresh_token", "client_id": "ondol", "refresh_token": known.secret}
            data = urllib.parse.urlencode(asked | exchange).encode()
            request = urllib.request.Request(realm, data)
        else:
            joint = "&" if "?" in realm else "?"
            request = urllib.request.Request(realm + joint + urllib.parse.urlencode(asked))
            if known is not None:
                request.add_unredirected_header("Authorization", known.basic())
        try:
            with self._open(request) as response:
                answer = json.loads(response.read(TOKEN_BYTES))
            return str(answer.get("token") or answer["access_token"])
        except urllib.error.HTTPError as refusal:
            raise self._refused(realm, refusal) from refusal
        except (ValueError, KeyError, AttributeError) as error:
            raise ImageError(f"{realm} answered with no token") from error


def is_loopback(host: str) -> bool:
    """Whether this host, with or without its port, is this machine and can only be it."""
    name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_url(url: str) -> None:
    """Refuse to follow a registry to where others could listen. Raises `ImageError`."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc.rpartition("@")[2])):
        raise ImageError(f"the registry leads to {url}, which is not https")


def _known(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ImageError(f"it names something by '{digest}', which is no sha256")
    return digest
