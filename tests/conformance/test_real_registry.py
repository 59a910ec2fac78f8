"""Images in a real registry, Docker's own as Debian has it, which lets nobody in without a password."""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_calls import invoke, refusal

from oci_images import MANIFEST, MadeImage, entry, layer, make, system_layer
from ondol_process import ROLE, OndolProcess

PROGRAM = Path(__file__).resolve().parents[2] / ".venvs" / "registry" / "usr" / "bin" / "docker-registry"
pytestmark = pytest.mark.skipif(
    not PROGRAM.exists() and shutil.which("apt-get") is None,
    reason="the registry is Debian's, and this is another system",
)
PATIENCE_S = 20.0
PASSWORD = base64.b64encode(b"me:pass:word").decode()
HASHED = "me:$2b$04$abcdefghijklmnopqrstuu7govE5p0NSk1WUEk5C2Qm3hpPC6VJ66\n"
BOOTSTRAP = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -X POST "$api/invocation/$id/response" -d "{\\"event\\": $event, \\"from\\": \\"$1\\"}" > /dev/null
done
"""


class DockersRegistry:
    """One that runs on a free port of loopback, and what `docker push` does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "passwords").write_text(HASHED)
        (directory / "config.yml").write_text(
            "version: 0.1\n"
            "log: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {directory}/kept}}, delete: {{enabled: true}}}}\n"
            f"auth: {{htpasswd: {{realm: test, path: {directory}/passwords}}}}\n"
            "http: {addr: '127.0.0.1:0'}\n"
        )

    def __enter__(self) -> "DockersRegistry":
        self._log = (self._directory / "log").open("wb")
        self._process = subprocess.Popen(
            [PROGRAM, "serve", self._directory / "config.yml"], stdout=self._log, stderr=self._log
        )
        self.host = f"127.0.0.1:{self._port()}"
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def push(self, repository: str, tag: str, image: MadeImage) -> None:
        base = f"http://{self.host}/v2/{repository}"
        manifest = image.blobs[image.manifest["digest"]]
        for name, content in image.blobs.items():
            if content is not manifest:
                place = self._ask("POST", f"{base}/blobs/uploads/").headers["Location"]
                self._ask("PUT", f"{place}&digest={name}", content, "application/octet-stream")
        self._ask("PUT", f"{base}/manifests/{tag}", manifest, MANIFEST)

    def delete(self, repository: str, image: MadeImage) -> None:
        self._ask("DELETE", f"http://{self.host}/v2/{repository}/manifests/{image.manifest['digest']}")

    def _ask(self, method: str, url: str, content: bytes = b"", kind: str = "") -> Any:
        headers = {"Authorization": f"Basic {PASSWORD}", "Content-Type": kind}
        request = urllib.request.Request(url, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response

    def _port(self) -> int:
        """The port that it listens at: it says that itself nowhere."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            inodes = {f"socket:[{inode}]": port for inode, port in _listening()}
            for descriptor in Path(f"/proc/{self._process.pid}/fd").iterdir():
                try:
                    target = str(descriptor.readlink())
                except FileNotFoundError:
                    continue
                if target in inodes:
                    return inodes[target]
        raise AssertionError(f"the registry does not listen: {(self._directory / 'log').read_text()}")


def _listening() -> Iterator[tuple[str, int]]:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            yield fields[9], int(fields[1].partition(":")[2], 16)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockersRegistry]:
    if not PROGRAM.exists():
        pytest.fail("the registry is not set up: run .venv/bin/python tests/prepare.py")
    with DockersRegistry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


def test_what_was_pushed_runs_with_the_password_that_docker_login_keeps(
    registry: DockersRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    system = system_layer(tmp_path)
    execution = {"Entrypoint": ["/bootstrap"], "Cmd": ["the registry"]}
    image = make([system, layer((entry("bootstrap", mode=0o755), BOOTSTRAP.encode()))], execution)
    registry.push("team/app", "1", image)
    docker = tmp_path / "docker"
    docker.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(docker))
    uri = f"{registry.host}/team/app:1"
    with OndolProcess(tmp_path / "data", {"WORKER_SLOTS_AHEAD": "1"}) as ondol:
        client = ondol.client()

        def create() -> None:
            client.create_function(FunctionName=name, PackageType="Image", Role=ROLE, Code={"ImageUri": uri})

        status, members = refusal(create)
        assert (status, members["Error"]["Code"]) == (403, "AccessDeniedException")
        (docker / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": PASSWORD}}}))
        create()
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200}
        )
        assert invoke(client, name, 7)[1] == {"event": 7, "from": "the registry"}
        sha256 = client.get_function_configuration(FunctionName=name)["CodeSha256"]
        assert f"sha256:{sha256}" == image.manifest["digest"]
        registry.delete("team/app", image)
        _, members = refusal(lambda: client.update_function_code(FunctionName=name, ImageUri=uri))
        assert members["message"].startswith(f"Source image {uri} does not exist. Provide a valid source image")
        assert invoke(client, name, 8)[1]["event"] == 8
