"""What Terraform's AWS provider asks of a role, a function, a permission, a URL and a mapping, call by call.

The provider can not be had here; its calls, their order and what it compares are those of its version 6
(`internal/service/lambda` of its repository). A plan reads each resource and holds it against what was written: that it
finds no difference is what these tests are about.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from event_sources import queue_of, until
from lambda_calls import arn, error_of

from ondol_process import RUNTIME, OndolProcess

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}

State = dict[str, Any]
"""What the provider keeps of a resource, under the names of its schema."""


def archive(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as files:
        files.writestr("m.py", f"def h(event, context): return {text!r}")
    return buffer.getvalue()


class Provider:
    """The provider's create, read, update and delete of each resource."""

    def __init__(self, door: OndolProcess) -> None:
        self.functions = door.client()
        self.iam = door.client("iam")

    # aws_iam_role

    def create_role(self, name: str) -> State:
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), MaxSessionDuration=3600)
        return self.read_role(name)

    def read_role(self, name: str) -> State:
        role = self.iam.get_role(RoleName=name)["Role"]
        inline = self.iam.list_role_policies(RoleName=name)["PolicyNames"]
        managed = self.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        return {"arn": role["Arn"], "trust": role["AssumeRolePolicyDocument"], "inline": inline, "managed": managed}

    def delete_role(self, name: str) -> None:
        assert self.iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
        self.iam.delete_role(RoleName=name)

    # aws_lambda_function

    def create_function(self, name: str, written: State, code: bytes) -> State:
        """`written` has the names of the API, as far as Terraform's configuration gives them."""
        self.functions.create_function(
            FunctionName=name, PackageType="Zip", Publish=True, Code={"ZipFile": code}, **written
        )
        self.functions.get_function(FunctionName=name)  # at once: it is there
        until(lambda: self.status(name, "State", {"Pending"}) == "Active")
        return self.read_function(name)

    def read_function(self, name: str) -> State:
        told = self.functions.get_function(FunctionName=name)
        configuration = told["Configuration"]
        pages = self.functions.get_paginator("list_versions_by_function").paginate(
            FunctionName=name, PaginationConfig={"PageSize": 10_000}
        )
        latest = [version for page in pages for version in page["Versions"]][-1]
        signing = self.functions.get_function_code_signing_config(FunctionName=name)
        wanted = (
            *("Description", "Handler", "MemorySize", "Role", "Runtime", "Timeout", "TracingConfig", "Architectures"),
            *("Environment", "EphemeralStorage", "LoggingConfig", "DeadLetterConfig", "KMSKeyArn", "PackageType"),
            *("FileSystemConfigs", "ImageConfigResponse", "Layers", "SnapStart", "VpcConfig", "CodeSha256", "CodeSize"),
            *("TenancyConfig", "LastModified", "FunctionArn"),
        )
        return {
            **{member: configuration[member] for member in wanted if member in configuration},
            "Tags": told.get("Tags", {}),
            "reserved": told.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1),
            "qualified_arn": latest["FunctionArn"],
            "version": latest["Version"],
            "code_signing_config_arn": signing.get("CodeSigningConfigArn", ""),
            "source_kms_key_arn": told["Code"].get("SourceKMSKeyArn", ""),
        }

    def update_configuration(self, name: str, changed: State) -> None:
        self.functions.update_function_configuration(FunctionName=name, **changed)
        until(lambda: self.status(name, "LastUpdateStatus", {"InProgress"}) == "Successful")

    def update_code(self, name: str, code: bytes) -> None:
        self.functions.update_function_code(FunctionName=name, ZipFile=code)
        until(lambda: self.status(name, "LastUpdateStatus", {"InProgress"}) == "Successful")

    def publish(self, name: str) -> str:
        published = self.functions.publish_version(FunctionName=name)
        version: str = published["Version"]

        def updated() -> bool:
            told = self.functions.get_function_configuration(FunctionName=published["FunctionArn"], Qualifier=version)
            return bool(told.get("LastUpdateStatus", "InProgress") == "Successful")

        until(updated)
        return version

    def delete_function(self, name: str) -> None:
        self.functions.delete_function(FunctionName=name)
        assert self.is_gone(lambda: self.functions.get_function(FunctionName=name))

    def status(self, name: str, member: str, pending: set[str]) -> str:
        status: str = self.functions.get_function(FunctionName=name)["Configuration"].get(member, "InProgress")
        assert status in {*pending, "Active", "Successful"}
        return status

    # aws_lambda_permission

    def create_permission(self, name: str, written: State) -> State:
        self.functions.add_permission(FunctionName=name, **written)
        return self.read_permission(name, written["StatementId"], written.get("Qualifier"))

    def read_permission(self, name: str, id: str, qualifier: str | None = None) -> State:
        named = {"FunctionName": name} | ({} if qualifier is None else {"Qualifier": qualifier})
        policy = json.loads(self.functions.get_policy(**named)["Policy"])
        statement = next(each for each in policy["Statement"] if each["Sid"] == id)
        principal = statement["Principal"]
        condition = statement.get("Condition", {})
        equals, like = condition.get("StringEquals", {}), condition.get("ArnLike", {})
        found = {
            "StatementId": statement["Sid"],
            "Action": statement["Action"],
            "Principal": principal if isinstance(principal, str) else principal.get("AWS", principal.get("Service")),
            "Qualifier": statement["Resource"].removeprefix(arn(name)).removeprefix(":"),
            "EventSourceToken": equals.get("lambda:EventSourceToken"),
            "FunctionUrlAuthType": equals.get("lambda:FunctionUrlAuthType"),
            "PrincipalOrgID": equals.get("aws:PrincipalOrgID"),
            "SourceAccount": equals.get("AWS:SourceAccount"),
            "SourceArn": like.get("AWS:SourceArn"),
            "InvokedViaFunctionUrl": condition.get("Bool", {}).get("lambda:InvokedViaFunctionUrl") == "true",
        }
        return {member: value for member, value in found.items() if value}

    def delete_permission(self, name: str, written: State) -> None:
        named = {"FunctionName": name} | {key: written[key] for key in ("Qualifier",) if key in written}
        self.functions.remove_permission(**named, StatementId=written["StatementId"])
        try:
            policy = json.loads(self.functions.get_policy(**named)["Policy"])
        except self.functions.exceptions.ResourceNotFoundException:
            return
        assert written["StatementId"] not in [each["Sid"] for each in policy["Statement"]]

    # aws_lambda_function_url

    def create_url(self, name: str, written: State) -> State:
        self.functions.create_function_url_config(FunctionName=name, **written)
        public = {
            "FunctionURLAllowPublicAccess": {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
            "FunctionURLAllowInvokeAction": {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
        }
        for id, allowed in public.items() if written["AuthType"] == "NONE" else ():
            try:
                self.functions.add_permission(FunctionName=name, StatementId=id, Principal="*", **allowed)
            except ClientError as error:
                text = f"The statement id ({id}) provided already exists"
                assert error.response["Error"]["Code"] == "ResourceConflictException"
                assert text in error.response["Error"]["Message"]
        return self.read_url(name)

    def read_url(self, name: str) -> State:
        told = self.functions.get_function_url_config(FunctionName=name)
        kept = ("AuthType", "Cors", "FunctionArn", "FunctionUrl", "InvokeMode")
        return {member: told[member] for member in kept if member in told}

    def update_url(self, name: str, changed: State) -> State:
        self.functions.update_function_url_config(FunctionName=name, **changed)
        return self.read_url(name)

    def delete_url(self, name: str) -> None:
        self.functions.delete_function_url_config(FunctionName=name)
        assert self.is_gone(lambda: self.functions.get_function_url_config(FunctionName=name))

    # aws_lambda_event_source_mapping

    def create_mapping(self, written: State) -> tuple[str, State]:
        uuid: str = self.functions.create_event_source_mapping(Enabled=True, **written)["UUID"]
        self.mapping_settles(uuid, {"Creating", "Enabling", "Disabling"})
        return uuid, self.read_mapping(uuid)

    def read_mapping(self, uuid: str) -> State:
        told = self.functions.get_event_source_mapping(UUID=uuid)
        changing = {"LastModified", "LastProcessingResult", "ResponseMetadata", "StateTransitionReason"}
        return {member: value for member, value in told.items() if member not in changing}

    def update_mapping(self, uuid: str, changed: State) -> State:
        self.functions.update_event_source_mapping(UUID=uuid, **changed)
        self.mapping_settles(uuid, {"Updating", "Enabling", "Disabling"})
        return self.read_mapping(uuid)

    def mapping_settles(self, uuid: str, pending: set[str]) -> None:
        def settled() -> bool:
            state = self.functions.get_event_source_mapping(UUID=uuid)["State"]
            assert state in {*pending, "Enabled", "Disabled"}
            return state not in pending

        until(settled)

    def delete_mapping(self, uuid: str) -> None:
        self.functions.delete_event_source_mapping(UUID=uuid)
        until(lambda: self.is_gone(lambda: self.functions.get_event_source_mapping(UUID=uuid)))

    def is_gone(self, read: Any) -> bool:
        try:
            read()
        except self.functions.exceptions.ResourceNotFoundException:
            return True
        return False


@pytest.fixture(scope="module")
def provider(door: OndolProcess) -> Provider:
    return Provider(door)


@pytest.fixture
def function(provider: Provider, name: str) -> Iterator[str]:
    """A function that another resource belongs to."""
    provider.create_function(name, written_function(arn(name), {}), archive("first"))
    yield name
    provider.delete_function(name)


def written_function(role: str, more: State) -> State:
    """What the provider sends of the smallest configuration, its defaults included."""
    return {
        "Description": "",
        "MemorySize": 128,
        "Timeout": 3,
        "Handler": "m.h",
        "Role": "arn:aws:iam::000000000000:role/r" if not role.startswith("arn:aws:iam:") else role,
        "Runtime": RUNTIME,
        "Tags": {},
        **more,
    }


def test_a_role_and_a_function_are_applied_planned_changed_and_destroyed(provider: Provider, name: str) -> None:
    role = provider.create_role(name)
    assert role == provider.read_role(name) == {"arn": role["arn"], "trust": TRUST, "inline": [], "managed": []}
    more = {
        "Environment": {"Variables": {"KEY": "value"}},
        "EphemeralStorage": {"Size": 1024},
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "WARN"},
        "TracingConfig": {"Mode": "Active"},
        "Tags": {"team": "heat"},
    }
    written = written_function(role["arn"], more)
    applied = provider.create_function(name, written, archive("first"))
    written["LoggingConfig"] = written["LoggingConfig"] | {"LogGroup": f"/aws/lambda/{name}"}
    assert {member: applied[member] for member in written} == written
    assert (applied["version"], applied["qualified_arn"]) == ("1", arn(name, "1"))
    assert provider.read_function(name) == applied, "a plan after the apply"

    provider.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    provider.update_configuration(name, {"Timeout": 9, "Environment": {"Variables": {}}})
    provider.update_code(name, archive("second"))
    assert provider.publish(name) == "2"
    changed = provider.read_function(name)
    assert provider.read_function(name) == changed
    assert (changed["Timeout"], changed["Environment"], changed["reserved"]) == (9, {"Variables": {}}, 3)
    assert (changed["version"], changed["CodeSha256"] != applied["CodeSha256"]) == ("2", True)

    provider.functions.delete_function_concurrency(FunctionName=name)
    assert provider.read_function(name)["reserved"] == -1
    provider.functions.tag_resource(Resource=arn(name), Tags={"team": "floor"})
    provider.functions.untag_resource(Resource=arn(name), TagKeys=["team"])
    assert provider.read_function(name)["Tags"] == {}
    provider.delete_function(name)
    provider.delete_role(name)


@pytest.mark.parametrize(
    "written",
    [
        {"Principal": "events.amazonaws.com", "SourceArn": "arn:aws:events:us-east-1:000000000000:rule/every"},
        {"Principal": "s3.amazonaws.com", "SourceAccount": "111122223333", "Qualifier": "1"},
        {"Principal": "*", "FunctionUrlAuthType": "NONE", "Action": "lambda:InvokeFunctionUrl"},
        {"Principal": "*", "InvokedViaFunctionUrl": True},
        {"Principal": "arn:aws:iam::111122223333:role/other", "PrincipalOrgID": "o-a1b2c3d4e5"},
        {"Principal": "alexa-appkit.amazon.com", "EventSourceToken": "skill"},
    ],
    ids=lambda written: written["Principal"].split(".")[0].replace("*", "all") + str(len(written)),
)
def test_a_permission_is_applied_planned_and_destroyed(provider: Provider, function: str, written: State) -> None:
    whole = {"StatementId": "terraform", "Action": "lambda:InvokeFunction", **written}
    assert provider.create_permission(function, whole) == whole
    assert provider.read_permission(function, "terraform", whole.get("Qualifier")) == whole
    provider.delete_permission(function, whole)


def test_a_url_is_applied_planned_changed_and_destroyed(provider: Provider, function: str) -> None:
    cors = {"AllowCredentials": True, "AllowMethods": ["GET"], "AllowOrigins": ["https://example.com"], "MaxAge": 60}
    applied = provider.create_url(function, {"AuthType": "NONE", "Cors": cors, "InvokeMode": "BUFFERED"})
    assert (applied["AuthType"], applied["Cors"], applied["InvokeMode"]) == ("NONE", cors, "BUFFERED")
    assert applied["FunctionUrl"].endswith("/")
    assert provider.read_url(function) == applied
    changed = provider.update_url(function, {"AuthType": "AWS_IAM", "InvokeMode": "RESPONSE_STREAM"})
    assert changed == applied | {"AuthType": "AWS_IAM", "InvokeMode": "RESPONSE_STREAM"}
    # A block that was deleted from the file is sent as an empty one, and must not be read back.
    assert "Cors" not in provider.update_url(function, {"Cors": {}})
    provider.delete_url(function)
    again = provider.create_url(function, {"AuthType": "NONE", "InvokeMode": "BUFFERED"})
    assert "Cors" not in again
    provider.delete_url(function)


def test_a_mapping_is_applied_planned_changed_and_destroyed(
    provider: Provider, function: str, door: OndolProcess
) -> None:
    _, queue = queue_of(door, function)
    written = {
        "EventSourceArn": queue,
        "FunctionName": function,
        "BatchSize": 5,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 4},
        "FilterCriteria": {"Filters": [{"Pattern": '{"body": ["attic"]}'}]},
        "Tags": {"team": "heat"},
    }
    uuid, applied = provider.create_mapping(written)
    read = {**written, "FunctionArn": arn(function)}
    del read["FunctionName"], read["Tags"]
    assert {member: applied[member] for member in read} == read
    assert applied["State"] == "Enabled"
    assert provider.functions.list_tags(Resource=applied["EventSourceMappingArn"])["Tags"] == {"team": "heat"}
    assert provider.read_mapping(uuid) == applied
    changed = provider.update_mapping(uuid, {"Enabled": False, "BatchSize": 7, "FilterCriteria": {}})
    assert (changed["State"], changed["BatchSize"]) == ("Disabled", 7)
    assert "FilterCriteria" not in changed
    assert provider.read_mapping(uuid) == changed
    provider.delete_mapping(uuid)


def test_a_second_function_of_the_name_is_a_conflict(provider: Provider, function: str) -> None:
    error = error_of(lambda: provider.create_function(function, written_function("", {}), archive("other")))
    assert error["Error"]["Code"] == "ResourceConflictException"
