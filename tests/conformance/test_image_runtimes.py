"""Functions whose runtime is an image: from a layout, an archive of docker's, and a registry, launched as each says."""

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from extension_sources import BASH
from function_logs import lines_of, reports
from lambda_calls import invoke

from oci_images import MadeImage, Registry, digest, entry, layer, make, system_layer, write_docker_save, write_layout
from ondol_process import ONDOL, ROLE, RUNTIME, OndolProcess, create, package

pytestmark = pytest.mark.sandbox

LOOP = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
arguments="$0 $# $*"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  told=$(cat <<END
{"event": $event, "arguments": "$arguments", "cwd": "$(pwd)", "handler": "$_HANDLER", "own": "$OWN",
 "path": "$PATH", "region": "$AWS_REGION", "uid": "$(id -u)",
 "task": "$(echo $(ls /var/task))", "etc": "$(echo $(ls /etc))", "root": "$(echo $(ls /))"}
END
  )
  curl -sS -X POST "$api/invocation/$id/response" -d "$told" > /dev/null
done
"""
ENTRYPOINT = """#!/bin/bash
if [ $# -ne 1 ]; then
  echo "entrypoint requires the handler name to be the first argument" 1>&2
  exit 142
fi
export _HANDLER="$1"
exec /var/runtime/bootstrap
"""
RUNNABLE = 0o755


def program(name: str, text: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, mode=RUNNABLE), text.encode()


def images(directory: Path) -> dict[str, MadeImage]:
    system = system_layer(directory)
    below = layer(("etc/doomed", b""), ("etc/kept", b""), program("var/runtime/bootstrap", LOOP))
    above = layer(("etc/.wh.doomed", b""), program("lambda-entrypoint.sh", ENTRYPOINT))
    server = layer(program("app/bin/server", LOOP), (entry("app", tarfile.DIRTYPE, 0o755), b""))
    variables = {"Env": ["OWN=the image's", "AWS_REGION=nowhere"]}
    application = {
        "Entrypoint": ["server", "two words"],
        "Cmd": ["third"],
        "WorkingDir": "/app",
        "Env": ["PATH=/app/bin:/usr/bin:/bin", "OWN=from the registry"],
    }
    return {
        "aws": make([system, below, above], {"Entrypoint": ["/lambda-entrypoint.sh"], **variables}),
        "bare": make([system, below], variables),
        "application": make([system, server], application),
        "broken": make([system, layer(("../escape", b""))]),
    }


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Registry, dict[str, MadeImage]]]:
    made = images(tmp_path_factory.mktemp("images"))
    application = made["application"]
    tags = {"latest": application.blobs[application.manifest["digest"]]}
    with Registry("team/server", tags, application) as registry:
        yield registry, made


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, registry: tuple[Registry, dict[str, MadeImage]]) -> Path:
    directory = tmp_path_factory.mktemp("configured")
    served, made = registry
    write_layout(directory / "aws", made["aws"])
    write_layout(directory / "broken", made["broken"])
    write_docker_save(directory / "bare.tar", made["bare"], "bare:1")
    file = directory / "ondol.toml"
    file.write_text(
        "[runtimes]\n"
        'java21 = "oci:./aws"\n'
        '"provided.al2" = "oci:./aws"\n'
        f'"{RUNTIME}" = "oci:{directory}/bare.tar"\n'
        f'"ruby3.3" = "oci:{served.host}/team/server"\n'
        'dotnet8 = "oci:/no/such/image"\n'
        'java17 = "oci:./broken"\n'
    )
    return file


@pytest.fixture(scope="module")
def image_ondol(tmp_path_factory: pytest.TempPathFactory, settings: Path) -> Iterator[OndolProcess]:
    with OndolProcess(tmp_path_factory.mktemp("image-ondol") / "data", {"CONFIG": str(settings)}) as process:
        yield process


@pytest.fixture
def image_client(image_ondol: OndolProcess) -> Any:
    return image_ondol.client()


def test_an_image_like_awss_own_is_launched_with_the_functions_handler(image_client: Any, name: str) -> None:
    create(image_client, name, {"code.txt": "1"}, Runtime="java21", Handler="com.example.Main::handle")
    told, answer = invoke(image_client, name, {"a": 1})
    assert "FunctionError" not in told
    assert answer["event"] == {"a": 1}
    assert answer["arguments"] == "/var/runtime/bootstrap 0 "
    assert answer["handler"] == "com.example.Main::handle"
    assert (answer["cwd"], answer["task"]) == ("/var/task", "code.txt")
    assert answer["etc"].split() == ["hosts", "kept", "resolv.conf"]
    assert (answer["own"], answer["region"]) == ("the image's", "us-east-1")
    assert int(answer["uid"]) not in (0, os.geteuid())
    assert "home" not in answer["root"].split()


def test_a_wrapper_is_left_to_the_image(image_client: Any, name: str) -> None:
    wrapper = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/no/such/wrapper"}}
    create(image_client, name, {"code.txt": "1"}, Runtime="java21", Environment=wrapper)
    assert invoke(image_client, name, 7)[1]["event"] == 7


def test_an_image_has_extensions_too(image_ondol: OndolProcess, name: str) -> None:
    client = image_ondol.client()
    content = {"ZipFile": package({"extensions/tells*": BASH})}
    published = client.publish_layer_version(LayerName=f"l-{name}"[:100], Content=content)
    create(client, name, {"code.txt": "1"}, Runtime="java21", Layers=[published["LayerVersionArn"]])
    assert invoke(client, name, 7)[1]["event"] == 7
    lines = lines_of(image_ondol.client("logs"), name, reports)
    assert "EXTENSION\tName: tells\tState: Ready\tEvents: [INVOKE,SHUTDOWN]\n" in lines


def test_provided_brings_its_own_bootstrap_and_has_the_images_system(image_client: Any, name: str) -> None:
    create(image_client, name, {"bootstrap*": LOOP}, Runtime="provided.al2")
    answer = invoke(image_client, name, 7)[1]
    assert (answer["arguments"], answer["cwd"], answer["own"]) == ("/var/task/bootstrap 0 ", "/var/task", "the image's")
    assert "kept" in answer["etc"].split()


def test_one_without_an_entrypoint_has_a_bootstrap_and_stands_before_the_machines_own(
    image_client: Any, name: str
) -> None:
    create(image_client, name, "def h(event, context): return 'python'")
    answer = invoke(image_client, name, 2)[1]
    assert (answer["event"], answer["arguments"]) == (2, "/var/runtime/bootstrap 0 ")


def test_one_from_a_registry_runs_as_docker_would_run_it(
    image_ondol: OndolProcess, registry: tuple[Registry, dict[str, MadeImage]], name: str
) -> None:
    client = image_ondol.client()
    create(client, name, {"code.txt": "1"}, Runtime="ruby3.3", Environment={"Variables": {"OWN": "the function's"}})
    answer = invoke(client, name)[1]
    assert answer["arguments"] == "/app/bin/server 2 two words third"
    assert (answer["cwd"], answer["handler"]) == ("/app", "m.h")
    assert (answer["own"], answer["path"]) == ("the function's", "/app/bin:/usr/bin:/bin")
    asked = registry[0].asked
    blobs = [path for path in asked if path.startswith("/elsewhere/")]
    assert len(blobs) == len(set(blobs)), "each blob is fetched once"
    assert "runtime ruby3.3: fetched" in image_ondol.complaints()


def test_after_a_restart_nothing_is_fetched_or_unpacked_again(
    image_ondol: OndolProcess, registry: tuple[Registry, dict[str, MadeImage]], name: str
) -> None:
    create(image_ondol.client(), name, {"code.txt": "1"}, Runtime="ruby3.3")
    roots = {path: path.stat().st_ino for path in image_ondol.data_dir.glob("images/*/root")}
    assert roots
    assert not list(image_ondol.data_dir.glob("images/*/layers"))
    fetched = [path for path in registry[0].asked if path.startswith("/elsewhere/")]
    assert image_ondol.stop() == 0
    image_ondol.start()
    assert invoke(image_ondol.client(), name, 3)[1]["event"] == 3
    assert {path: path.stat().st_ino for path in image_ondol.data_dir.glob("images/*/root")} == roots
    fetched_since = [path for path in registry[0].asked if path.startswith("/elsewhere/")][len(fetched) :]
    config = registry[1]["application"].config
    assert set(fetched_since) <= {f"/elsewhere/{digest(config)}"}, "only documents"


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        ("dotnet8", "the runtime dotnet8 cannot be had from oci:/no/such/image: there is no image at /no/such/image"),
        ("java17", "the image cannot be unpacked: '../escape' leads out of the image"),
    ],
)
def test_an_image_that_cannot_be_had_is_said_where_the_function_is_made(
    image_client: Any, name: str, runtime: str, reason: str
) -> None:
    image_client.create_function(
        FunctionName=name, Runtime=runtime, Role=ROLE, Handler="h", Code={"ZipFile": package({"f": "1"})}
    )
    while (state := image_client.get_function_configuration(FunctionName=name))["State"] == "Pending":
        pass
    assert state["State"] == "Failed"
    assert reason in state["StateReason"]


def test_doctor_shows_images_and_what_keeps_them_from_use(settings: Path, image_ondol: OndolProcess) -> None:
    environment = {**os.environ, "ONDOL_CONFIG": str(settings), "ONDOL_DATA_DIR": str(image_ondol.data_dir)}
    done = subprocess.run([ONDOL, "doctor", "--json"], env=environment, capture_output=True, text=True, check=True)
    images = json.loads(done.stdout)["images"]
    assert images["java21"]["problem"] is None
    assert re.fullmatch(r"sha256:[0-9a-f]{12}, 3 layers, (not fetched yet|fetched)", images["java21"]["image"])
    assert images["dotnet8"]["problem"] == "there is no image at /no/such/image"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('cobol85 = "oci:/image"', "line 3 is no runtime of Lambda's"),
        ('"go1.x" = "oci:/image"', "line 3 is no runtime of Lambda's"),
        ('java21 = "java:21"', "line 3: 'java:21' names no image"),
    ],
)
def test_what_can_never_be_is_refused_at_start_with_its_line(tmp_path: Path, line: str, reason: str) -> None:
    settings = tmp_path / "ondol.toml"
    settings.write_text(f"port = 0\n[runtimes]\n{line}\n")
    command: list[str | Path] = [ONDOL, "up", "--config", settings, "--data-dir", tmp_path / "data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.split())
