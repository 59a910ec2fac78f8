"""Functions whose code is a container image, from a registry or a layout, run as their images and settings say."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from configurations import CODE, settled
from extension_sources import BASH
from function_logs import lines_of, reports
from lambda_calls import Refusal, answer, arn, invalid, invoke, refusal

from oci_images import MadeImage, Registry, digest, entry, layer, make, system_layer, write_layout
from ondol_process import ROLE, RUNTIME, OndolProcess

TELLS = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
arguments="$0 $# $*"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  told=$(cat <<END
{"event": $event, "arguments": "$arguments", "cwd": "$(pwd)", "handler": "$_HANDLER", "own": "$OWN", "path": "$PATH",
 "region": "$AWS_REGION", "environment": "$AWS_EXECUTION_ENV", "uid": "$(id -u)", "edition": "$(cat /app/edition)",
 "task": "$(echo $(ls /var/task))", "root": "$(echo $(ls /))", "written": "$(touch /app/x 2>&1)"}
END
  )
  curl -sS -X POST "$api/invocation/$id/response" -d "$told" > /dev/null
done
"""
RUNNABLE = 0o755


def program(name: str, text: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, mode=RUNNABLE), text.encode()


class Images:
    """What tests run: one system, and images upon it."""

    def __init__(self, directory: Path) -> None:
        self.system = system_layer(directory)
        self.first = self.server("first")
        self.second = self.server("second")
        self.bare = self.made(
            [self.system, layer(program("var/task/bootstrap", TELLS), program("opt/extensions/tells", BASH))]
        )
        self.empty = self.made([layer(("etc/os-release", b""))])
        self.hostile = self.made([layer(("../escape", b""))])

    @staticmethod
    def made(layers: Sequence[bytes], execution: Mapping[str, Any] | None = None) -> MadeImage:
        return make(layers, execution, compressed=False)

    def server(self, edition: str) -> MadeImage:
        execution = {
            "Entrypoint": ["server", "two words"],
            "Cmd": ["app.handler"],
            "WorkingDir": "/app",
            "User": "1000:1000",
            "Env": ["PATH=/app/bin:/usr/bin:/bin", "OWN=the image's", "AWS_REGION=nowhere"],
        }
        files = layer(program("app/bin/server", TELLS), ("app/edition", edition.encode()), ("var/task/data", b""))
        return self.made([self.system, files], execution)


AWAY = "127.0.0.1:1"
"""A registry that nobody runs."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def registry(images: Images) -> Iterator[Registry]:
    made = {name: image for name, image in vars(images).items() if isinstance(image, MadeImage)}
    tags = {name: image.blobs[image.manifest["digest"]] for name, image in made.items()}
    with Registry("team/app", tags, *made.values()) as registry:
        yield registry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("allowed")


@pytest.fixture(scope="module")
def image_ondol(tmp_path_factory: pytest.TempPathFactory, folder: Path, registry: Registry) -> Iterator[OndolProcess]:
    settings = {
        "CODE_FOLDERS": str(folder),
        "CODE_REGISTRIES": f"{registry.host},{AWAY}",
        "WORKER_SLOTS_AHEAD": "1",
    }
    with OndolProcess(tmp_path_factory.mktemp("image-ondol") / "data", settings) as process:
        yield process


@pytest.fixture
def image_client(image_ondol: OndolProcess) -> Any:
    return image_ondol.client()


def create_image(client: Any, name: str, uri: str, **settings: Any) -> dict[str, Any]:
    """Create a function of an image, and wait until it is active."""
    created: dict[str, Any] = client.create_function(
        FunctionName=name, PackageType="Image", Role=ROLE, Code={"ImageUri": uri}, **settings
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    return created


def updated(client: Any, name: str) -> dict[str, Any]:
    """The configuration once the update under way is over."""
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    shown: dict[str, Any] = client.get_function_configuration(FunctionName=name)
    return shown


def plain_image(name: str, image: MadeImage) -> dict[str, Any]:
    """The configuration of a function that was given nothing but an image, once it is active."""
    return {
        "FunctionName": name,
        "FunctionArn": arn(name),
        "Role": ROLE,
        "CodeSize": 0,
        "CodeSha256": image.manifest["digest"].removeprefix("sha256:"),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Image",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }


@pytest.mark.sandbox
def test_an_image_is_shown_and_run_as_on_aws(image_client: Any, registry: Registry, images: Images, name: str) -> None:
    uri = f"{registry.host}/team/app:first"
    created = create_image(image_client, name, uri)
    pending = {"State": "Pending", "StateReason": "The function is being created.", "StateReasonCode": "Creating"}
    expected = plain_image(name, images.first)
    del expected["LastUpdateStatus"]
    assert settled(answer(created, 201)) == expected | pending
    shown = answer(image_client.get_function(FunctionName=name))
    assert settled(shown["Configuration"]) == plain_image(name, images.first)
    resolved = f"{registry.host}/team/app@{images.first.manifest['digest']}"
    assert shown["Code"] == {"RepositoryType": "ECR", "ImageUri": uri, "ResolvedImageUri": resolved}
    told, result = invoke(image_client, name, {"a": 1})
    assert "FunctionError" not in told
    assert result["arguments"] == "/app/bin/server 2 two words app.handler"
    assert (result["cwd"], result["handler"], result["edition"]) == ("/app", "app.handler", "first")
    assert (result["own"], result["path"]) == ("the image's", "/app/bin:/usr/bin:/bin")
    assert (result["region"], result["environment"]) == ("us-east-1", "")
    assert (result["task"], result["event"]) == ("data", {"a": 1})
    assert int(result["uid"]) not in (0, 1000, os.geteuid())
    assert "Read-only file system" in result["written"]
    assert "home" not in result["root"].split()


@pytest.mark.sandbox
def test_image_config_stands_above_what_the_image_says(image_client: Any, registry: Registry, name: str) -> None:
    config = {"EntryPoint": ["/app/bin/server"], "Command": ["one", "other.handler"], "WorkingDirectory": "/var"}
    uri = f"{registry.host}/team/app:first"
    created = create_image(image_client, name, uri, ImageConfig=config, Environment={"Variables": {"OWN": "mine"}})
    assert created["ImageConfigResponse"] == {"ImageConfig": config}
    result = invoke(image_client, name)[1]
    assert result["arguments"] == "/app/bin/server 2 one other.handler"
    assert (result["cwd"], result["handler"], result["own"]) == ("/var", "other.handler", "mine")

    def configured(config: dict[str, Any]) -> dict[str, Any]:
        image_client.update_function_configuration(FunctionName=name, ImageConfig=config)
        return updated(image_client, name)

    shown = configured({"Command": ["third.handler"]})
    assert shown["ImageConfigResponse"] == {"ImageConfig": {"Command": ["third.handler"]}}, "replaced as a whole"
    result = invoke(image_client, name)[1]
    assert (result["arguments"], result["cwd"]) == ("/app/bin/server 2 two words third.handler", "/app")
    assert "ImageConfigResponse" not in configured({})
    assert invoke(image_client, name)[1]["arguments"] == "/app/bin/server 2 two words app.handler"


def test_a_version_keeps_its_image_when_the_tag_moves(
    image_client: Any, registry: Registry, images: Images, name: str
) -> None:
    uri = f"{registry.host}/team/app:moving-{name}"
    registry.tags[f"moving-{name}"] = registry.tags["first"]
    create_image(image_client, name, uri)
    sha256 = images.first.manifest["digest"].removeprefix("sha256:")
    assert image_client.publish_version(FunctionName=name, CodeSha256=sha256)["Version"] == "1"
    assert image_client.publish_version(FunctionName=name)["Version"] == "1", "nothing has changed"
    registry.tags[f"moving-{name}"] = registry.tags["second"]
    assert invoke(image_client, name)[1]["edition"] == "first", "a tag is asked when a function is told to use it"
    published = image_client.update_function_code(FunctionName=name, ImageUri=uri, Publish=True)
    assert published["CodeSha256"] == images.second.manifest["digest"].removeprefix("sha256:")
    assert (published["Version"], published["CodeSize"]) == ("2", 0)
    updated(image_client, name)
    editions = {label: invoke(image_client, name, Qualifier=label)[1]["edition"] for label in ("$LATEST", "1", "2")}
    assert editions == {"$LATEST": "second", "1": "first", "2": "second"}
    code = {label: image_client.get_function(FunctionName=name, Qualifier=label)["Code"] for label in ("1", "2")}
    assert code["1"]["ResolvedImageUri"].endswith(images.first.manifest["digest"])
    assert code["2"]["ResolvedImageUri"].endswith(images.second.manifest["digest"])


def test_an_image_is_fetched_and_unpacked_once_and_survives_a_restart(
    image_ondol: OndolProcess, registry: Registry, images: Images, name: str
) -> None:
    pinned = f"{registry.host}/team/app@{images.second.manifest['digest']}"
    for number in range(3):
        create_image(image_ondol.client(), f"{name[:50]}-{number}", pinned, ImageConfig={"Command": [f"c{number}"]})
    own_layer = digest(images.second.layers[-1])
    assert registry.asked.count(f"/elsewhere/{own_layer}") == 1
    roots = {path: path.stat().st_ino for path in image_ondol.data_dir.glob("images/*/root")}
    assert not list(image_ondol.data_dir.glob("images/*/layers"))
    assert image_ondol.stop() == 0
    image_ondol.start()
    before = len(registry.asked)
    assert invoke(image_ondol.client(), f"{name[:50]}-1")[1]["handler"] == "c1"
    assert len(registry.asked) == before, "the registry is not needed any more"
    assert {path: path.stat().st_ino for path in image_ondol.data_dir.glob("images/*/root")} == roots


def test_a_layout_on_this_machine_is_an_image_below_an_allowed_folder(
    image_client: Any, folder: Path, images: Images, name: str
) -> None:
    layout = write_layout(folder / "app" / "layout", images.first, images.second, names=("one", "two"))
    uri = f"oci:{layout}:two"
    create_image(image_client, name, uri)
    assert invoke(image_client, name)[1]["edition"] == "second"
    code = image_client.get_function(FunctionName=name)["Code"]
    assert (code["ImageUri"], code["ResolvedImageUri"]) == (uri, f"oci:{layout}@{images.second.manifest['digest']}")
    image_client.update_function_code(FunctionName=name, ImageUri=f"oci:{layout}@{images.first.manifest['digest']}")
    updated(image_client, name)
    assert invoke(image_client, name)[1]["edition"] == "first"


def test_a_registry_that_is_not_named_is_not_asked(image_client: Any, registry: Registry, name: str) -> None:
    asked = len(registry.asked)
    other = registry.host.replace("127.0.0.1", "localhost")
    status, members = refusal(lambda: create_image(image_client, name, f"{other}/team/app:first"))
    assert (status, members["Error"]["Code"]) == (400, "InvalidParameterValueException")
    assert members["message"] == (
        f"Source image {other}/team/app:first is not valid. Provide a valid source image: images do not come from "
        f"{other}: whoever runs ondol names the registries in [code] registries of ondol.toml."
    )
    assert len(registry.asked) == asked


@pytest.mark.parametrize("place", ["elsewhere", "behind-a-link", "absent"])
def test_no_request_reads_what_is_not_below_an_allowed_folder(
    image_client: Any, folder: Path, tmp_path: Path, images: Images, place: str, name: str
) -> None:
    layout = write_layout(tmp_path / "elsewhere", images.first)
    (folder / "behind-a-link").unlink(missing_ok=True)
    (folder / "behind-a-link").symlink_to(layout)
    path = folder / place if place == "behind-a-link" else tmp_path / place
    status, members = refusal(lambda: create_image(image_client, name, f"oci:{path}:one"))
    assert status == 400
    assert members["Error"]["Code"] == "InvalidParameterValueException"
    assert members["message"] == (
        f"Source image oci:{path}:one is not valid. Provide a valid source image: it is below no folder that code may "
        "be taken from: start ondol with --hot-reload FOLDER, or name one in [code] folders of ondol.toml."
    )


def test_no_link_inside_a_layout_leads_out(
    image_client: Any, folder: Path, tmp_path: Path, images: Images, name: str
) -> None:
    outside = write_layout(tmp_path / "outside", images.first)
    (folder / "lured").mkdir()
    (folder / "lured" / "index.json").symlink_to(outside / "index.json")
    (folder / "lured" / "blobs").symlink_to(outside / "blobs")
    _, members = refusal(lambda: create_image(image_client, name, f"oci:{folder}/lured"))
    assert "cannot be read" in members["message"]


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("nothing", "does not exist. Provide a valid source image: {host} has no team/app:nothing."),
        (
            "latest@sha256:zz",
            "is not valid. Provide a valid source image: "
            "'oci:{uri}' is not how an image is named: oci:HOST[:PORT]/NAME[:TAG][@sha256:DIGEST].",
        ),
    ],
)
def test_an_image_that_is_not_there_is_refused_at_once(
    image_client: Any, registry: Registry, tag: str, text: str, name: str
) -> None:
    uri = f"{registry.host}/team/app:{tag}"
    expected = f"Source image {uri} {text.format(host=registry.host, uri=uri)}"
    assert refusal(lambda: create_image(image_client, name, uri)) == invalid(expected)


def test_a_registry_that_is_away_or_closed_is_said(image_client: Any, registry: Registry, name: str) -> None:
    _, members = refusal(lambda: create_image(image_client, name, f"{AWAY}/a/b:1"))
    assert members["message"].startswith(f"Source image {AWAY}/a/b:1 cannot be looked up: the registry {AWAY}")
    status, members = refusal(lambda: create_image(image_client, name, f"{registry.host}/some/where:1"))
    assert (status, members["Error"]["Code"]) == (403, "AccessDeniedException")
    assert f"docker login {registry.host}" in members["Error"]["Message"]


@pytest.mark.sandbox
def test_a_hostile_image_is_refused_whole(image_client: Any, registry: Registry, name: str) -> None:
    image_client.create_function(
        FunctionName=name, PackageType="Image", Role=ROLE, Code={"ImageUri": f"{registry.host}/team/app:hostile"}
    )
    while (state := image_client.get_function_configuration(FunctionName=name))["State"] == "Pending":
        pass
    assert (state["State"], state["StateReasonCode"]) == ("Failed", "InvalidImage")
    assert state["StateReason"] == "the image cannot be unpacked: '../escape' leads out of the image"
    image_client.update_function_code(FunctionName=name, ImageUri=f"{registry.host}/team/app:first")
    updated(image_client, name)
    assert invoke(image_client, name)[1]["edition"] == "first"


def test_an_image_that_is_not_whole_fails_the_function_with_the_reason(
    image_client: Any, folder: Path, images: Images, name: str
) -> None:
    image = images.server("partial")
    layout = write_layout(folder / "partial", image)
    lost = digest(image.layers[-1]).removeprefix("sha256:")
    (layout / "blobs" / "sha256" / lost).unlink()
    image_client.create_function(FunctionName=name, PackageType="Image", Role=ROLE, Code={"ImageUri": f"oci:{layout}"})
    while (state := image_client.get_function_configuration(FunctionName=name))["State"] == "Pending":
        pass
    assert (state["State"], state["StateReasonCode"]) == ("Failed", "InvalidImage")
    assert state["StateReason"] == f"The image cannot be had: {layout} lacks the layer blobs/sha256/{lost}."


@pytest.mark.sandbox
def test_what_cannot_be_started_is_told_as_on_aws(image_ondol: OndolProcess, registry: Registry, name: str) -> None:
    image_client = image_ondol.client()

    def expect(name: str, kind: str, text: str) -> None:
        told, result = invoke(image_client, name)
        assert told["FunctionError"] == "Unhandled"
        request = told["ResponseMetadata"]["RequestId"]
        assert result == {"errorType": f"Runtime.Invalid{kind}", "errorMessage": f"RequestId: {request} Error: {text}"}

    create_image(image_client, name, f"{registry.host}/team/app:first")
    for config, kind, text in (
        ({"EntryPoint": ["/no/such"]}, "Entrypoint", "fork/exec /no/such: no such file or directory"),
        ({"EntryPoint": ["/app/edition"]}, "Entrypoint", "fork/exec /app/edition: permission denied"),
        ({"EntryPoint": ["nosuch"]}, "Entrypoint", 'exec: "nosuch": executable file not found in $PATH'),
        ({"WorkingDirectory": "/gone"}, "WorkingDir", "the working directory doesn't exist: /gone"),
        (
            {"WorkingDirectory": "app"},
            "WorkingDir",
            "the working directory 'app' is invalid, it needs to be an absolute path",
        ),
    ):
        image_client.update_function_configuration(FunctionName=name, ImageConfig=config)
        updated(image_client, name)
        expect(name, kind, text)
    empty = f"e-{name}"[:60]
    create_image(image_client, empty, f"{registry.host}/team/app:empty")
    text = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    expect(empty, "Entrypoint", text)
    line = f"IMAGE\tLaunch error: {text}\tEntrypoint: []\tCmd: []\tWorkingDir: [/]\n"
    assert line in lines_of(image_ondol.client("logs"), empty, reports)


@pytest.mark.sandbox
def test_an_image_without_an_entrypoint_has_a_bootstrap_and_extensions_of_its_own(
    image_ondol: OndolProcess, registry: Registry, name: str
) -> None:
    client = image_ondol.client()
    create_image(client, name, f"{registry.host}/team/app:bare")
    result = invoke(client, name, 7)[1]
    assert (result["event"], result["arguments"], result["cwd"]) == (7, "/var/task/bootstrap 0 ", "/")
    lines = lines_of(image_ondol.client("logs"), name, reports)
    assert "EXTENSION\tName: tells\tState: Ready\tEvents: [INVOKE,SHUTDOWN]\n" in lines
    assert not any(line.startswith("INIT_START") for line in lines), "there is no runtime of AWS's to tell of"


HANDLER = "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"Handler": "m.h"}, HANDLER),
        ({"Runtime": RUNTIME}, HANDLER),
        (
            {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]},
            "Lambda layers are not supported for functions created with container images.",
        ),
    ],
)
def test_what_an_image_cannot_have_is_refused(
    image_client: Any, registry: Registry, name: str, settings: Mapping[str, Any], text: str
) -> None:
    uri = f"{registry.host}/team/app:first"
    assert refusal(lambda: create_image(image_client, name, uri, **settings)) == invalid(text)
    create_image(image_client, name, uri)
    update = image_client.update_function_configuration
    assert refusal(lambda: update(FunctionName=name, **settings)) == invalid(text)


def test_packages_and_images_do_not_mix(image_client: Any, registry: Registry, name: str) -> None:
    uri = f"{registry.host}/team/app:first"

    def made(code: Mapping[str, Any], **settings: Any) -> Refusal:
        return refusal(lambda: image_client.create_function(FunctionName=name, Role=ROLE, Code=dict(code), **settings))

    zipped = {"Runtime": RUNTIME, "Handler": "m.h"}
    assert made({"ImageUri": uri}, **zipped) == invalid("Please provide a source for function code.")
    provide = "Please provide ImageUri when {} a function with packageType Image."
    assert made({"ZipFile": CODE}, PackageType="Image") == invalid(provide.format("creating"))
    assert made({"ZipFile": CODE}, ImageConfig={"Command": ["h"]}, **zipped) == invalid(
        "Please don't provide ImageConfig when the intended function PackageType is Zip."
    )
    create_image(image_client, name, uri)
    update = image_client.update_function_code
    for code in ({"ZipFile": CODE}, {"S3Bucket": "bucket", "S3Key": "key"}, {}):
        assert refusal(lambda code=code: update(FunctionName=name, **code)) == invalid(provide.format("updating"))


def test_the_example_is_built_without_other_tools(image_client: Any, folder: Path, name: str) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "container-image"
    subprocess.run([sys.executable, example / "build.py", example, folder / "hello"], check=True)
    create_image(image_client, name, f"oci:{folder}/hello")
    assert invoke(image_client, name, "you")[1] == {"hello": "you", "from": "an image"}
