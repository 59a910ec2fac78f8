"""ondol killed while an image is fetched or unpacked: what is left is no image, and the next run has a whole one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_images import MadeImage, Registry, entry, layer, make, system_layer
from ondol_process import ROLE, OndolProcess, create, package

ECHO = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -X POST "$api/invocation/$id/response" -d "$event" > /dev/null
done
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> MadeImage:
    system = system_layer(tmp_path_factory.mktemp("system"))
    bootstrap = layer((entry("var/runtime/bootstrap", mode=0o755), ECHO.encode()))
    return make([system, bootstrap], {"Cmd": ["/var/runtime/bootstrap"]})


@pytest.fixture
def registry(image: MadeImage) -> Iterator[Registry]:
    with Registry("a/b", {"1": image.blobs[image.manifest["digest"]]}, image) as registry:
        yield registry


def ondol_with(registry: Registry, directory: Path) -> OndolProcess:
    settings = directory / "ondol.toml"
    settings.write_text(f'[runtimes]\njava21 = "oci:{registry.host}/a/b:1"\n')
    return OndolProcess(directory / "data", {"CONFIG": str(settings)})


def ask_for_a_function(ondol: OndolProcess) -> None:
    ondol.client().create_function(
        FunctionName="asked", Runtime="java21", Role=ROLE, Handler="h", Code={"ZipFile": package({"f": "1"})}
    )


def found(directory: Path, pattern: str) -> list[Path]:
    """Whatever is there, while directories come and go."""
    with contextlib.suppress(FileNotFoundError):
        return list(directory.glob(pattern))
    return []


def works(ondol: OndolProcess) -> bool:
    client = ondol.client()
    create(client, "echo", {"f": "1"}, Runtime="java21")
    return bool(client.invoke(FunctionName="echo", Payload=b"5")["Payload"].read() == b"5")


def test_killed_in_the_middle_of_a_layer(registry: Registry, tmp_path: Path) -> None:
    with ondol_with(registry, tmp_path) as ondol:
        registry.flowing.clear()
        ask_for_a_function(ondol)
        assert registry.stopped.wait(30)
        ondol.kill()
        images = tmp_path / "data/images"
        assert [path.name for path in images.iterdir() if not path.name.startswith(".")] == []
        registry.flowing.set()
        ondol.start()
        assert works(ondol)
        assert sorted(path.name for path in images.iterdir() if path.name.startswith(".")) == []


def test_stopped_in_the_middle_of_a_layer(registry: Registry, tmp_path: Path) -> None:
    with ondol_with(registry, tmp_path) as ondol:
        registry.flowing.clear()
        ask_for_a_function(ondol)
        assert registry.stopped.wait(30)
        assert ondol.stop() == 0


def test_killed_while_it_is_unpacked(registry: Registry, tmp_path: Path) -> None:
    with ondol_with(registry, tmp_path) as ondol:
        ask_for_a_function(ondol)
        images = tmp_path / "data/images"
        while not found(images, "*/.root.*"):
            assert not found(images, "*/root"), "it was too fast to be killed"
        ondol.kill()
        assert not list(images.glob("*/root"))
        ondol.start()
        assert works(ondol)
        assert not list(images.glob("*/.root.*"))


def ask_for_the_image(ondol: OndolProcess, registry: Registry) -> None:
    """As the code of a function."""
    ondol.client().create_function(
        FunctionName="asked", PackageType="Image", Role=ROLE, Code={"ImageUri": f"{registry.host}/a/b:1"}
    )


def becomes_active(ondol: OndolProcess) -> bool:
    """What was asked for before the kill is there."""
    client = ondol.client()
    client.get_waiter("function_active_v2").wait(
        FunctionName="asked", WaiterConfig={"Delay": 0.05, "MaxAttempts": 1200}
    )
    return bool(client.invoke(FunctionName="asked", Payload=b"5")["Payload"].read() == b"5")


def test_a_function_whose_image_was_being_fetched(registry: Registry, tmp_path: Path) -> None:
    with OndolProcess(tmp_path / "data") as ondol:
        registry.flowing.clear()
        ask_for_the_image(ondol, registry)
        assert registry.stopped.wait(30)
        ondol.kill()
        assert [path.name for path in (tmp_path / "data/images").iterdir() if not path.name.startswith(".")] == []
        registry.flowing.set()
        # What the tag means by now is another matter: the digest was recorded.
        registry.tags.clear()
        ondol.start()
        assert becomes_active(ondol)
        assert found(tmp_path / "data/images", ".*") == []


def test_a_function_whose_image_was_being_unpacked(registry: Registry, tmp_path: Path) -> None:
    with OndolProcess(tmp_path / "data") as ondol:
        ask_for_the_image(ondol, registry)
        images = tmp_path / "data/images"
        while not found(images, "*/.root.*"):
            assert not found(images, "*/root"), "it was too fast to be killed"
        ondol.kill()
        assert not found(images, "*/root")
        registry.tags.clear()
        ondol.start()
        assert becomes_active(ondol)
        assert not found(images, "*/.root.*")
