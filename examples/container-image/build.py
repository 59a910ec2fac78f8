"""Makes an OCI image layout without any other tool: `build.py DIRECTORY LAYOUT`.

The directory becomes /var/task of the image; the shell, curl, sed and cat of this machine come along, with the
libraries that they need. Its entry point is /var/task/bootstrap.
"""

import hashlib
import io
import json
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

PROGRAMS = ("sh", "curl", "sed", "cat")
EXECUTION = {"Entrypoint": ["/var/task/bootstrap"], "Cmd": ["an image"], "WorkingDir": "/var/task"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
KIND = "application/vnd.oci.image."


def main(directory: Path, layout: Path) -> None:
    (layout / "blobs/sha256").mkdir(parents=True)
    layer = packed({**programs(), **{f"var/task/{path.name}": path for path in directory.iterdir() if path.is_file()}})
    target = {"architecture": ARCHITECTURES[platform.machine()], "os": "linux"}
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    config = {**target, "config": EXECUTION, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{KIND}manifest.v1+json",
        "config": kept(layout, "config.v1+json", json.dumps(config).encode()),
        "layers": [kept(layout, "layer.v1.tar", layer)],
    }
    described = kept(layout, "manifest.v1+json", json.dumps(manifest).encode())
    index = {"schemaVersion": 2, "manifests": [{**described, "platform": target}]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def programs() -> dict[str, Path]:
    """By its name in the image, each program's file and its libraries'."""
    found: dict[str, Path] = {}
    for name in PROGRAMS:
        place = shutil.which(name)
        if place is None:
            sys.exit(f"this machine has no {name}: install it")
        needed = subprocess.run(["ldd", place], check=True, capture_output=True, text=True).stdout
        found[f"bin/{name}"] = Path(place)
        found |= {path.lstrip("/"): Path(path) for path in re.findall(r"(/\S+) \(0x", needed)}
    return found


def packed(files: dict[str, Path]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, path in sorted(files.items()):
            archive.add(path.resolve(), name)
    return written.getvalue()


def kept(layout: Path, kind: str, content: bytes) -> dict[str, Any]:
    """Write a blob; how others name it."""
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(content)
    return {"mediaType": KIND + kind, "digest": f"sha256:{digest}", "size": len(content)}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
