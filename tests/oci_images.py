"""Images for tests, made of what the test gives and of files of this machine; and a registry that has them."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from ondol.runtimes.oci.choice import this_machine
from ondol.sandbox.jail import base_system

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LARGE_BYTES = 1 << 20


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def entry(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, target
    return info


def layer(*entries: tuple[tarfile.TarInfo | str, bytes]) -> bytes:
    """An uncompressed layer; a text is the name of a plain file."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for given, content in entries:
            info = entry(given) if isinstance(given, str) else given
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


def system_layer(directory: Path) -> bytes:
    """This machine's shell, curl and a few programs, with the libraries that they need: a layer to build upon."""
    root = directory / "system"
    root.mkdir()
    base_system.lay_top_level(root)
    base_system.copy_programs(root)
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.iterdir()):
            archive.add(path, path.name)
    return written.getvalue()


class MadeImage(NamedTuple):
    blobs: dict[str, bytes]
    """By digest: config, manifest, layers."""

    manifest: dict[str, Any]
    """Its descriptor."""

    config: bytes
    layers: tuple[bytes, ...]
    """Uncompressed."""


def make(
    layers: Sequence[bytes],
    execution: Mapping[str, Any] | None = None,
    *,
    architecture: str | None = None,
    compressed: bool = True,
) -> MadeImage:
    """An image for this machine, unless another `architecture` is named."""
    kept = [gzip.compress(content, 1, mtime=0) if compressed else content for content in layers]
    platform = {"architecture": architecture or this_machine().architecture, "os": "linux"}
    rootfs = {"type": "layers", "diff_ids": [digest(content) for content in layers]}
    config = json.dumps({**platform, "config": dict(execution or {}), "rootfs": rootfs}).encode()
    kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compressed else "")
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor(kind, content) for content in kept],
        }
    ).encode()
    blobs = {digest(content): content for content in (config, manifest, *kept)}
    return MadeImage(blobs, {**descriptor(MANIFEST, manifest), "platform": platform}, config, tuple(layers))


def descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}


def index(*images: MadeImage, names: Sequence[str] = ()) -> bytes:
    manifests = [dict(image.manifest) for image in images]
    for manifest, name in zip(manifests, names, strict=False):
        manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


def write_layout(directory: Path, *images: MadeImage, names: Sequence[str] = ()) -> Path:
    """An OCI image layout of these images."""
    (directory / "blobs/sha256").mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_bytes(index(*images, names=names))
    for image in images:
        for name, content in image.blobs.items():
            (directory / "blobs/sha256" / name.removeprefix("sha256:")).write_bytes(content)
    return directory


def write_docker_save(file: Path, image: MadeImage, tag: str) -> Path:
    """What `docker save` wrote before it wrote layouts."""
    name = digest(image.config).removeprefix("sha256:")
    layers = [(f"{number}/layer.tar", content) for number, content in enumerate(image.layers)]
    manifest = [{"Config": f"{name}.json", "RepoTags": [tag], "Layers": [path for path, _ in layers]}]
    contents = [(f"{name}.json", image.config), ("manifest.json", json.dumps(manifest).encode()), *layers]
    file.write_bytes(layer(*contents))
    return file


class Registry:
    """A registry on loopback that wants a token for everything, and remembers what it was asked."""

    def __init__(self, repository: str, tags: Mapping[str, bytes], *images: MadeImage, secret: str = "") -> None:
        self.asked: list[str] = []
        self.tags = dict(tags)
        """What each means; a test may move one."""
        self.flowing = threading.Event()
        """While it is not set, large blobs stop in the middle."""

        self.flowing.set()
        self.stopped = threading.Event()
        """One has."""
        blobs = {name: content for image in images for name, content in image.blobs.items()}
        blobs |= {digest(content): content for content in tags.values()}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.asked.append(self.path)
                parts = urlsplit(self.path)
                given = self.headers.get("Authorization", "")
                if parts.path == "/token":
                    wanted = "Basic " + base64.b64encode(secret.encode()).decode() if secret else ""
                    scope = parse_qs(parts.query).get("scope")
                    good = given == wanted and scope == [f"repository:{repository}:pull"]
                    self._send(200 if good else 401, b'{"token": "t0ken"}' if good else b"{}")
                elif parts.path.startswith("/elsewhere/"):
                    # Where a registry keeps its blobs nobody may learn its tokens.
                    self._send(400 if given else 200, blobs[parts.path.removeprefix("/elsewhere/")])
                elif given != "Bearer t0ken":
                    host = self.headers["Host"]
                    challenge = f'Bearer realm="http://{host}/token",service="test"'
                    self._send(401, b"{}", {"WWW-Authenticate": challenge})
                else:
                    self._serve(parts.path.removeprefix(f"/v2/{repository}/"))

            def _serve(self, path: str) -> None:
                kind, _, name = path.partition("/")
                content = registry.tags.get(name) if kind == "manifests" else None
                content = blobs.get(name) if content is None else content
                if content is None:
                    self._send(404, b"{}")
                elif kind == "blobs":
                    self._send(307, b"", {"Location": f"/elsewhere/{name}"})
                else:
                    self._send(200, content)

            def _send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                half = len(content) // 2 if len(content) > LARGE_BYTES else 0
                self.wfile.write(content[:half])
                if half and not registry.flowing.is_set():
                    registry.stopped.set()
                    registry.flowing.wait()
                self.wfile.write(content[half:])

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> "Registry":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flowing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
