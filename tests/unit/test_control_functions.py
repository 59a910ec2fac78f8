"""Functions as their API shows them: shapes exact to absent keys, and AWS's words for what is refused."""

import base64
import hashlib
import io
import zipfile
from typing import Any

import pytest
from control_world import BORN, CALLER, PREFIX, ROLE, World, key_of, package, run

from ondol.control.api import Caller, PrepareError
from ondol.model.errors import (
    InvalidParameterValue,
    NotServed,
    PreconditionFailed,
    RequestEntityTooLarge,
    ResourceConflict,
    ResourceNotFound,
)
from ondol.model.ids import AccountId, Region

ARN = f"{PREFIX}fn"
CODE = package()


def shown(**more: Any) -> dict[str, Any]:
    """A function with nothing set but what must be, as AWS shows it."""
    return {
        "FunctionName": "fn",
        "FunctionArn": ARN,
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "index.handler",
        "CodeSize": len(CODE),
        "CodeSha256": base64.b64encode(hashlib.sha256(CODE).digest()).decode(),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "LastModified": "2024-01-02T03:04:05.123+0000",
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/fn"},
        **more,
    }


def without_ids(configuration: dict[str, Any]) -> dict[str, Any]:
    """What is left when ids, which are never the same, are looked at and taken away."""
    assert configuration["RevisionId"]
    arn = configuration.get("RuntimeVersionConfig", {}).get("RuntimeVersionArn")
    if arn is not None:
        prefix, _, digest = arn.rpartition(":")
        assert prefix == "arn:aws:lambda:eu-west-1::runtime" and len(digest) == 64
    return {
        member: value for member, value in configuration.items() if member not in ("RevisionId", "RuntimeVersionConfig")
    }


def test_a_new_function_is_pending_and_then_active() -> None:
    async def test(world: World) -> None:
        world.code_host.open.clear()
        created = await world.create()
        pending = {
            "State": "Pending",
            "StateReason": "The function is being created.",
            "StateReasonCode": "Creating",
        }
        assert without_ids(created) == shown(**pending)
        assert await world("GetFunctionConfiguration", FunctionName="fn") == created
        world.code_host.open.set()
        active = await world.settled()
        assert without_ids(active) == shown(State="Active", LastUpdateStatus="Successful")
        assert active["RevisionId"] != created["RevisionId"]
        assert active["RuntimeVersionConfig"] == created["RuntimeVersionConfig"]

    run(test)


def test_get_function_has_tags_and_concurrency_only_when_there_are_any() -> None:
    async def test(world: World) -> None:
        configuration = await world.active()
        digest = hashlib.sha256(CODE).hexdigest()
        code = {"RepositoryType": "S3", "Location": digest}
        assert await world("GetFunction", FunctionName="fn") == {"Configuration": configuration, "Code": code}
        await world("TagResource", Resource=ARN, Tags={"team": "blue"})
        await world("PutFunctionConcurrency", FunctionName="fn", ReservedConcurrentExecutions=0)
        assert await world("GetFunction", FunctionName="fn") == {
            "Configuration": configuration,
            "Code": code,
            "Tags": {"team": "blue"},
            "Concurrency": {"ReservedConcurrentExecutions": 0},
        }
        assert await world.control.code_location(digest) == f"/memory/{digest}"
        assert await world.control.code_location("0" * 64) is None

    run(test)


def test_snap_start_is_kept_and_is_off() -> None:
    async def test(world: World) -> None:
        created = await world.create(SnapStart={"ApplyOn": "PublishedVersions"}, Publish=True)
        assert created["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
        version = await world.settled(qualifier="1")
        assert version["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
        named = {"FunctionName": "fn"}
        with pytest.raises(InvalidParameterValue, match=r"python3\.11 is not supported for SnapStart"):
            await world("UpdateFunctionConfiguration", named | {"Runtime": "python3.11"})
        updated = await world("UpdateFunctionConfiguration", named | {"SnapStart": {"ApplyOn": "None"}})
        assert updated["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}

    run(test)


def test_a_function_per_tenant_has_no_url() -> None:
    async def test(world: World) -> None:
        created = await world.create(TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
        assert created["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}
        with pytest.raises(InvalidParameterValue, match="A function URL is not supported"):
            await world("CreateFunctionUrlConfig", {"FunctionName": "fn", "AuthType": "NONE"})

    run(test)


def test_what_is_given_is_shown() -> None:
    async def test(world: World) -> None:
        created = await world.create(
            Description="d",
            Timeout=900,
            MemorySize=10240,
            EphemeralStorage={"Size": 1024},
            Environment={"Variables": {}},
            KMSKeyArn="arn:aws:kms:eu-west-1:000000000000:key/k",
            DeadLetterConfig={"TargetArn": "arn:aws:sqs:eu-west-1:000000000000:dead"},
            TracingConfig={"Mode": "Active"},
            Architectures=["arm64"],
            SnapStart={"ApplyOn": "None"},
            Layers=[],
            VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
            Tags={"a": "b"},
        )
        assert created["Environment"] == {"Variables": {}}
        assert created["KMSKeyArn"] == "arn:aws:kms:eu-west-1:000000000000:key/k"
        assert created["DeadLetterConfig"] == {"TargetArn": "arn:aws:sqs:eu-west-1:000000000000:dead"}
        assert (created["Timeout"], created["MemorySize"], created["EphemeralStorage"]) == (900, 10240, {"Size": 1024})
        assert created["TracingConfig"] == {"Mode": "Active"}
        assert created["Architectures"] == ["arm64"]
        assert created["VpcConfig"] == {
            "SubnetIds": [],
            "SecurityGroupIds": [],
            "VpcId": "",
            "Ipv6AllowedForDualStack": False,
        }
        assert "Layers" not in created and "Tags" not in created
        await world.settled()
        cleared = await world(
            "UpdateFunctionConfiguration", FunctionName="fn", KMSKeyArn="", DeadLetterConfig={"TargetArn": ""}
        )
        assert "KMSKeyArn" not in cleared and "DeadLetterConfig" not in cleared

    run(test)


def test_an_update_is_in_progress_until_its_code_is_ready() -> None:
    async def test(world: World) -> None:
        before = await world.active()
        world.code_host.open.clear()
        world.clock.time = BORN + 1000
        updated = await world("UpdateFunctionConfiguration", FunctionName="fn", Runtime="python3.13", Timeout=7)
        assert without_ids(updated) == shown(
            Runtime="python3.13",
            Timeout=7,
            LastModified="2024-01-02T03:04:06.123+0000",
            State="Active",
            LastUpdateStatus="InProgress",
            LastUpdateStatusReason="The function is being created.",
            LastUpdateStatusReasonCode="Creating",
        )
        assert updated["RuntimeVersionConfig"] != before["RuntimeVersionConfig"]
        world.code_host.open.set()
        settled = await world.settled()
        assert without_ids(settled) == shown(
            Runtime="python3.13",
            Timeout=7,
            LastModified="2024-01-02T03:04:06.123+0000",
            State="Active",
            LastUpdateStatus="Successful",
        )
        assert len({before["RevisionId"], updated["RevisionId"], settled["RevisionId"]}) == 3

    run(test)


def test_updates_wait_for_each_other() -> None:
    async def test(world: World) -> None:
        world.code_host.open.clear()
        await world.create()
        for operation, more in (
            ("UpdateFunctionConfiguration", {}),
            ("UpdateFunctionCode", {"ZipFile": CODE}),
            ("PublishVersion", {}),
        ):
            with pytest.raises(ResourceConflict) as raised:
                await world(operation, FunctionName="fn", **more)
            assert raised.value.message == (
                "The operation cannot be performed at this time. "
                "The function is currently in the following state: Pending"
            )
        world.code_host.open.set()
        await world.settled()
        world.code_host.open.clear()
        await world("UpdateFunctionCode", FunctionName="fn", ZipFile=package("new"))
        for operation, more in (
            ("UpdateFunctionConfiguration", {}),
            ("UpdateFunctionCode", {"ZipFile": CODE}),
            ("PublishVersion", {}),
        ):
            with pytest.raises(ResourceConflict) as raised:
                await world(operation, FunctionName="fn", **more)
            assert raised.value.message == (
                f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}"
            )

    run(test)


def test_a_revision_that_is_not_the_latest_is_refused() -> None:
    async def test(world: World) -> None:
        created = await world.create()
        settled = await world.settled()
        for operation, more in (
            ("UpdateFunctionConfiguration", {}),
            ("UpdateFunctionCode", {"ZipFile": CODE}),
            ("PublishVersion", {}),
        ):
            with pytest.raises(PreconditionFailed) as raised:
                await world(operation, FunctionName="fn", RevisionId=created["RevisionId"], **more)
            assert raised.value.message == (
                "The Revision Id provided does not match the latest Revision Id. "
                "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
            )
        await world("UpdateFunctionConfiguration", FunctionName="fn", RevisionId=settled["RevisionId"])

    run(test)


def test_a_dry_run_shows_the_new_code_and_changes_nothing() -> None:
    async def test(world: World) -> None:
        before = await world.active()
        new = package("new")
        shown = await world("UpdateFunctionCode", FunctionName="fn", ZipFile=new, DryRun=True)
        assert shown["CodeSha256"] == base64.b64encode(hashlib.sha256(new).digest()).decode()
        assert shown["CodeSize"] == len(new)
        assert await world("GetFunctionConfiguration", FunctionName="fn") == before
        assert len(world.blobs.contents) == 1

    run(test)


def test_code_that_can_not_be_made_ready_fails_the_function_and_a_later_update_repairs_it() -> None:
    async def test(world: World) -> None:
        world.code_host.refusal = PrepareError("InvalidRuntime", "no interpreter")
        created = await world.create()
        failed = await world.settled()
        assert (failed["State"], failed["StateReason"], failed["StateReasonCode"]) == (
            "Failed",
            "no interpreter",
            "InvalidRuntime",
        )
        assert (failed["LastUpdateStatus"], failed["LastUpdateStatusReasonCode"]) == ("Failed", "InvalidRuntime")
        assert failed["RevisionId"] != created["RevisionId"]
        with pytest.raises(ResourceConflict) as raised:
            await world("PublishVersion", FunctionName="fn")
        assert raised.value.message == (
            "The operation cannot be performed at this time. The function is currently in the following state: Failed"
        )
        world.code_host.refusal = None
        repairing = await world("UpdateFunctionConfiguration", FunctionName="fn", Runtime="python3.11")
        assert (repairing["State"], repairing["LastUpdateStatus"]) == ("Failed", "InProgress")
        repaired = await world.settled()
        assert (repaired["State"], repaired["LastUpdateStatus"]) == ("Active", "Successful")
        assert "StateReason" not in repaired and "LastUpdateStatusReason" not in repaired

    run(test)


def test_an_update_whose_code_can_not_be_made_ready_leaves_the_old_running() -> None:
    async def test(world: World) -> None:
        await world.active()
        before = await world.control.view(key_of("fn"))
        world.code_host.refusal = PrepareError("InvalidZipFileException", "not a zip")
        await world("UpdateFunctionCode", FunctionName="fn", ZipFile=package("new"))
        failed = await world.settled()
        assert (failed["State"], failed["LastUpdateStatus"]) == ("Active", "Failed")
        assert failed["LastUpdateStatusReason"] == "not a zip"
        assert failed["LastUpdateStatusReasonCode"] == "InvalidZipFileException"
        after = await world.control.view(key_of("fn"))
        assert before is not None and after is not None
        assert after.versions == before.versions

    run(test)


def test_logging_in_json_has_levels_and_in_text_has_none() -> None:
    async def logging(world: World, **config: str) -> dict[str, str]:
        await world("UpdateFunctionConfiguration", FunctionName="fn", LoggingConfig=config)
        settled = await world.settled()
        return dict(settled["LoggingConfig"])

    async def test(world: World) -> None:
        await world.active()
        group = {"LogGroup": "/aws/lambda/fn"}
        info = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
        assert await logging(world, LogFormat="JSON") == {"LogFormat": "JSON", **info, **group}
        assert await logging(world, LogFormat="JSON", SystemLogLevel="WARN") == {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "INFO",
            "SystemLogLevel": "WARN",
            **group,
        }
        assert await logging(world, LogGroup="/mine") == {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "INFO",
            "SystemLogLevel": "WARN",
            "LogGroup": "/mine",
        }
        assert await logging(world, LogFormat="Text") == {"LogFormat": "Text", **group}
        with pytest.raises(InvalidParameterValue):
            await logging(world, SystemLogLevel="WARN")

    run(test)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"Runtime": None},
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ),
        (
            {"Handler": None},
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ),
        ({"Code": {}}, "Please provide a source for function code."),
        (
            {"Code": {"ZipFile": CODE, "S3Bucket": "b"}},
            "Please do not provide other FunctionCode parameters when providing a ZipFile.",
        ),
        (
            {"Code": {"ZipFile": b"not a zip"}},
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        ({"Code": {"ZipFile": b""}}, "Uploaded file must be a non-empty zip"),
        ({"Runtime": "java21"}, "java21 is not installed here."),
        ({"Code": {"S3Bucket": "b"}}, "Please provide a source for function code."),
        ({"Code": {"S3Bucket": "b", "S3Key": "k"}}, "Error occurred while GetObject."),
        ({"Code": {"ImageUri": "i"}}, "Please provide a source for function code."),
        (
            {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
            "VpcConfig cannot be set: ondol does not have VPC access yet.",
        ),
        ({"FileSystemConfigs": [{}]}, "FileSystemConfigs cannot be set: ondol does not have file systems yet."),
        (
            {"SnapStart": {"ApplyOn": "PublishedVersions"}, "Runtime": "python3.11"},
            "python3.11 is not supported for SnapStart enabled functions.",
        ),
        (
            {"SnapStart": {"ApplyOn": "PublishedVersions"}, "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}},
            "SnapStart is not supported for functions enabled with tenancy configuration.",
        ),
        ({"Tags": {str(n): "" for n in range(51)}}, "Number of tags exceeds resource tag limit."),
        (
            {"Environment": {"Variables": {"A": "1", "AWS_REGION": "x", "_HANDLER": "y"}}},
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            "Reserved keys used in this request: AWS_REGION, _HANDLER",
        ),
        (
            {"Environment": {"Variables": {"SMALL": "ok", "LARGE": "x" * 4096}}},
            "Lambda was unable to configure your environment variables because the environment variables you have "
            'provided exceeded the 4KB limit. String measured: {"SMALL":"ok","LARGE":"' + "x" * 4096 + '"}',
        ),
    ],
)
def test_what_create_refuses(parameters: dict[str, Any], message: str) -> None:
    async def test(world: World) -> None:
        request = {
            "FunctionName": "fn",
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Role": ROLE,
            "Code": {"ZipFile": CODE},
            **parameters,
        }
        with pytest.raises(InvalidParameterValue) as raised:
            await world("CreateFunction", {name: value for name, value in request.items() if value is not None})
        assert raised.value.message == message
        assert raised.value.members == {}
        assert not await world.store.list("") and not world.blobs.contents

    run(test)


def test_a_large_package_is_accepted() -> None:
    async def test(world: World) -> None:
        code = package("".join(hashlib.sha256(bytes([n])).hexdigest() * 40 for n in range(256)) + "x" * 10**6)
        stored = io.BytesIO(code)
        with zipfile.ZipFile(stored, "a") as archive:
            archive.writestr("stored", bytes(200_000))
        created = await world.create(Code={"ZipFile": stored.getvalue()})
        assert created["CodeSize"] == len(stored.getvalue()) > 200_000
        assert await world.blobs.kept() == {stored.getvalue()}

    run(test)


def test_an_environment_just_within_the_limit_is_accepted() -> None:
    async def test(world: World) -> None:
        value = "x" * (4096 - len('{"A":""}'))
        created = await world.create(Environment={"Variables": {"A": value}})
        assert created["Environment"]["Variables"]["A"] == value

    run(test)


def test_a_name_is_taken_once_in_each_account_and_region() -> None:
    async def test(world: World) -> None:
        await world.active()
        with pytest.raises(ResourceConflict) as raised:
            await world.create(Code={"ZipFile": b"not even looked at"})
        assert raised.value.message == "Function already exist: fn"
        for other in (
            Caller(AccountId("111111111111"), CALLER.region),
            Caller(CALLER.account, Region("us-east-1")),
        ):
            listed = await world.control.perform("ListFunctions", other, {})
            assert listed == {"Functions": []}
            with pytest.raises(ResourceNotFound):
                await world.control.perform("GetFunction", other, {"FunctionName": "fn"})

    run(test)


def test_packages_over_their_limits_are_refused() -> None:
    async def test(world: World) -> None:
        with pytest.raises(RequestEntityTooLarge) as too_large:
            await world.create(Code={"ZipFile": bytes(52_428_801)})
        assert too_large.value.message == "Zipped size must be smaller than 52428800 bytes"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("small", "x")
        # The directory declares what nobody has packed: 300,000,000 bytes.
        content = bytearray(buffer.getvalue())
        at = content.rindex(b"PK\x01\x02") + 24
        content[at : at + 4] = (300_000_000).to_bytes(4, "little")
        with pytest.raises(InvalidParameterValue) as unzipped:
            await world.create(Code={"ZipFile": bytes(content)})
        assert unzipped.value.message == "Unzipped size must be smaller than 262144000 bytes"

    run(test)


@pytest.mark.parametrize("operation", ["UpdateFunctionCode", "UpdateFunctionConfiguration"])
def test_updates_of_what_is_not_there_or_not_a_function(operation: str) -> None:
    async def test(world: World) -> None:
        with pytest.raises(ResourceNotFound) as missing:
            await world(operation, FunctionName="fn", ZipFile=CODE)
        assert missing.value.message == f"Function not found: {ARN}"
        await world.active()
        with pytest.raises(InvalidParameterValue) as qualified:
            await world(operation, FunctionName="fn", Qualifier="1", ZipFile=CODE)
        assert qualified.value.message == (
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )

    run(test)


def test_an_image_for_a_zip_function_is_refused_in_aws_words() -> None:
    async def test(world: World) -> None:
        await world.active()
        with pytest.raises(InvalidParameterValue) as raised:
            await world("UpdateFunctionCode", FunctionName="fn", ImageUri="i")
        assert raised.value.message == ("Please don't provide ImageUri when updating a function with packageType Zip.")

    run(test)


@pytest.mark.parametrize("operation", ["GetFunction", "GetFunctionConfiguration"])
def test_what_is_not_found_is_named_as_it_was_asked_for(operation: str) -> None:
    async def test(world: World) -> None:
        for qualifier in (None, "$LATEST", "7", "blue"):
            suffix = "" if qualifier is None else f":{qualifier}"
            parameters = {"FunctionName": "fn"} | ({} if qualifier is None else {"Qualifier": qualifier})
            with pytest.raises(ResourceNotFound) as raised:
                await world(operation, parameters)
            assert raised.value.message == f"Function not found: {ARN}{suffix}"
        await world.active()
        with pytest.raises(ResourceNotFound) as raised:
            await world(operation, FunctionName="fn", Qualifier="7")
        assert raised.value.message == f"Function not found: {ARN}:7"

    run(test)


def test_the_latest_version_by_its_name_has_it_in_its_arn() -> None:
    async def test(world: World) -> None:
        await world.active()
        latest = await world("GetFunctionConfiguration", FunctionName="fn", Qualifier="$LATEST")
        assert (latest["FunctionArn"], latest["Version"]) == (f"{ARN}:$LATEST", "$LATEST")

    run(test)


def test_deleting() -> None:
    async def test(world: World) -> None:
        with pytest.raises(InvalidParameterValue) as latest:
            await world("DeleteFunction", FunctionName="fn", Qualifier="$LATEST")
        assert latest.value.message == "$LATEST version cannot be deleted without deleting the function."
        with pytest.raises(InvalidParameterValue) as alias:
            await world("DeleteFunction", FunctionName="fn", Qualifier="blue")
        assert alias.value.message == "Deletion of aliases is not currently supported."
        for more in ({}, {"Qualifier": "1233"}):
            with pytest.raises(ResourceNotFound) as missing:
                await world("DeleteFunction", FunctionName="fn", **more)
            assert missing.value.message == f"Function not found: {ARN}"
        await world.active(Publish=True)
        assert await world("DeleteFunction", FunctionName="fn", Qualifier="1233") == {}
        assert await world("DeleteFunction", FunctionName="fn") == {}
        assert not await world.store.list("")
        with pytest.raises(ResourceNotFound):
            await world("GetFunction", FunctionName="fn")
        assert (await world.active())["State"] == "Active"

    run(test)


def test_a_function_may_be_deleted_while_it_is_being_created() -> None:
    async def test(world: World) -> None:
        world.code_host.open.clear()
        await world.create()
        await world.code_host.asked.wait()
        await world("DeleteFunction", FunctionName="fn")
        again = await world.create(Description="another")
        world.code_host.open.set()
        settled = await world.settled()
        assert (settled["State"], settled["Description"]) == ("Active", "another")
        assert settled["RevisionId"] != again["RevisionId"]

    run(test)


def test_lists_come_in_pages_by_name() -> None:
    async def test(world: World) -> None:
        names = [f"fn-{n:03d}" for n in range(120)]
        for name in reversed(names):
            await world.create(name)
        for name in names:
            await world.settled(name)
        found: list[str] = []
        parameters: dict[str, Any] = {}
        pages = 0
        while True:
            answer = await world("ListFunctions", parameters)
            found += [item["FunctionName"] for item in answer["Functions"]]
            pages += 1
            if "NextMarker" not in answer:
                break
            parameters = {"Marker": answer["NextMarker"], "MaxItems": 10_000}
        assert (found, pages) == (names, 3)
        first = await world("ListFunctions", MaxItems=2)
        assert [item["FunctionName"] for item in first["Functions"]] == names[:2]
        await world("DeleteFunction", FunctionName=names[2])
        second = await world("ListFunctions", MaxItems=2, Marker=first["NextMarker"])
        assert [item["FunctionName"] for item in second["Functions"]] == names[3:5]
        item = first["Functions"][0]
        assert without_ids(item) == {
            **shown(FunctionName=names[0], FunctionArn=PREFIX + names[0]),
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{names[0]}"},
        }
        assert "RuntimeVersionConfig" not in item
        with pytest.raises(InvalidParameterValue):
            await world("ListFunctions", Marker="ä")

    run(test)


def test_all_versions_of_all_functions() -> None:
    async def test(world: World) -> None:
        for name in ("a", "b"):
            await world.active(name, Publish=True)
            await world("UpdateFunctionConfiguration", FunctionName=name, Description="2")
            await world.settled(name)
            await world("PublishVersion", FunctionName=name)
        wanted = [f"{PREFIX}{name}:{version}" for name in "ab" for version in ("$LATEST", "1", "2")]
        for size in range(1, 7):
            found: list[str] = []
            parameters: dict[str, Any] = {"FunctionVersion": "ALL", "MaxItems": size}
            while True:
                answer = await world("ListFunctions", parameters)
                found += [item["FunctionArn"] for item in answer["Functions"]]
                if "NextMarker" not in answer:
                    break
                parameters["Marker"] = answer["NextMarker"]
            assert found == wanted

    run(test)


def test_an_operation_that_is_not_there_is_named() -> None:
    async def test(world: World) -> None:
        assert "ListCapacityProviders" not in world.control.operations()
        with pytest.raises(NotServed) as raised:
            await world("ListCapacityProviders")
        assert raised.value.message.startswith("ondol does not have ListCapacityProviders: ondol runs functions on")

    run(test)
