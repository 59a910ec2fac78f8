"""Functions, layers and what belongs to them, made as a template wants them."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ondol.cli.aws_calls import AwsCalls, conform, text_of
from ondol.cli.client import Client
from ondol.cli.deployment import ready
from ondol.cli.failure import CommandFailed
from ondol.templates.steps import Step, StoredCode

CREATED, UPDATED, UNCHANGED = "Created", "Updated", "Unchanged"

_SETTLED_WITHIN_S = 60.0
_POLL_S = 0.05
_ONLY_WHEN_CREATED = ("EventSourceArn", "StartingPosition", "StartingPositionTimestamp")
_EVENT_INVOKE = ("MaximumEventAgeInSeconds", "MaximumRetryAttempts", "DestinationConfig")
_WITH_CODE = ("Architectures",)
_WHEN_CREATED = ("PackageType", "TenancyConfig")
"""Members of CreateFunction that no update of its configuration has: some are of its code, others for ever."""


class StackFunctions:
    """Each operation answers what it did."""

    def __init__(self, client: Client, aws: AwsCalls) -> None:
        self._client = client
        self._aws = aws

    def function(self, step: Step, members: Mapping[str, Any], package: bytes | None) -> str:
        name = str(step.name)
        current = self._aws.find("lambda", "GetFunctionConfiguration", {"FunctionName": name})
        code = {"ZipFile": package} if package is not None else dict(_stored(step))
        tags = {key: text_of(value) for key, value in step.tags.items()}
        if current is None:
            self._aws("lambda", "CreateFunction", {"FunctionName": name, "Code": code, "Tags": tags, **members})
            ready(self._client, name)
            self._reserve(name, step.reserved, None)
            return CREATED
        ready(self._client, name)
        changed = self._new_code(name, code, package, members, current)
        wanted = {member: value for member, value in members.items() if member not in _WITH_CODE + _WHEN_CREATED}
        if not _is(current, wanted, self._shape("UpdateFunctionConfiguration")):
            self._aws("lambda", "UpdateFunctionConfiguration", {"FunctionName": name, **wanted})
            ready(self._client, name)
            changed = True
        changed |= self._tag(current["FunctionArn"], tags)
        told = self._aws("lambda", "GetFunctionConcurrency", {"FunctionName": name})
        changed |= self._reserve(name, step.reserved, told.get("ReservedConcurrentExecutions"))
        return UPDATED if changed else UNCHANGED

    def _new_code(
        self,
        name: str,
        code: Mapping[str, Any],
        package: bytes | None,
        members: Mapping[str, Any],
        current: Mapping[str, Any],
    ) -> bool:
        same = members.get("Architectures", current["Architectures"]) == current["Architectures"]
        if package is not None and same and _digest(package) == current["CodeSha256"]:
            return False
        architectures = {member: members[member] for member in _WITH_CODE if member in members}
        told = self._aws("lambda", "UpdateFunctionCode", {"FunctionName": name, **code, **architectures})
        ready(self._client, name)
        return bool(told["CodeSha256"] != current["CodeSha256"]) or not same

    def _tag(self, arn: str, wanted: Mapping[str, str]) -> bool:
        current = self._aws("lambda", "ListTags", {"Resource": arn}).get("Tags", {})
        if current == wanted:
            return False
        self._aws("lambda", "TagResource", {"Resource": arn, "Tags": wanted})
        left = sorted(current.keys() - wanted.keys())
        if left:
            self._aws("lambda", "UntagResource", {"Resource": arn, "TagKeys": left})
        return True

    def _reserve(self, name: str, wanted: int | None, current: int | None) -> bool:
        if wanted == current:
            return False
        if wanted is None:
            self._aws("lambda", "DeleteFunctionConcurrency", {"FunctionName": name})
        else:
            members = {"FunctionName": name, "ReservedConcurrentExecutions": wanted}
            self._aws("lambda", "PutFunctionConcurrency", members)
        return True

    def layer(self, step: Step, members: Mapping[str, Any], package: bytes | None) -> tuple[str, str]:
        """What was done, and the ARN of the version that is meant."""
        name = str(step.name)
        if package is not None:
            versions = self._aws.pages("lambda", "ListLayerVersions", {"LayerName": name}, "LayerVersions")
            latest = max(versions, key=lambda version: int(version["Version"]), default=None)
            if latest is not None and self._is_layer(name, latest, members, package):
                return UNCHANGED, latest["LayerVersionArn"]
        content = {"ZipFile": package} if package is not None else dict(_stored(step))
        told = self._aws("lambda", "PublishLayerVersion", {"LayerName": name, "Content": content, **members})
        return CREATED if told["Version"] == 1 else UPDATED, told["LayerVersionArn"]

    def _is_layer(self, name: str, latest: Mapping[str, Any], members: Mapping[str, Any], package: bytes) -> bool:
        told = self._aws("lambda", "GetLayerVersion", {"LayerName": name, "VersionNumber": latest["Version"]})
        same = all(told.get(member) == value for member, value in members.items())
        return same and bool(told["Content"]["CodeSha256"] == _digest(package))

    def alias(self, members: Mapping[str, Any]) -> tuple[str, str]:
        """What was done, and the ARN of the version that the alias means now."""
        function, name = members["FunctionName"], members["Name"]
        description = {"Description": members["Description"]} if "Description" in members else {}
        published = self._aws("lambda", "PublishVersion", {"FunctionName": function, **description})
        version = published["Version"]
        self._version_ready(function, version)
        meant = {"FunctionName": function, "Name": name, "FunctionVersion": version}
        current = self._aws.find("lambda", "GetAlias", {"FunctionName": function, "Name": name})
        if current is None:
            self._aws("lambda", "CreateAlias", meant)
        elif current["FunctionVersion"] != version:
            self._aws("lambda", "UpdateAlias", meant)
        else:
            return UNCHANGED, published["FunctionArn"]
        return CREATED if current is None else UPDATED, published["FunctionArn"]

    def _version_ready(self, function: str, version: str) -> None:
        meant = {"FunctionName": function, "Qualifier": version}
        wait(
            lambda: self._aws("lambda", "GetFunctionConfiguration", meant)["State"] != "Pending",
            f"Version {version} of {function} was not ready",
        )

    def provisioned(self, members: Mapping[str, Any]) -> str:
        current = self._aws.find("lambda", "GetProvisionedConcurrencyConfig", _named(members))
        wanted = members["ProvisionedConcurrentExecutions"]
        if current is not None and current["RequestedProvisionedConcurrentExecutions"] == wanted:
            return UNCHANGED
        self._aws("lambda", "PutProvisionedConcurrencyConfig", members)
        return CREATED if current is None else UPDATED

    def event_invoke(self, members: Mapping[str, Any]) -> str:
        named = _named(members)
        current = self._aws.find("lambda", "GetFunctionEventInvokeConfig", named)
        if current is not None and all(_shown(current, name) == _shown(members, name) for name in _EVENT_INVOKE):
            return UNCHANGED
        self._aws("lambda", "PutFunctionEventInvokeConfig", members)
        return CREATED if current is None else UPDATED

    def url(self, members: Mapping[str, Any]) -> tuple[str, str]:
        """What was done, and the URL."""
        named = _named(members)
        wanted = {name: value for name, value in members.items() if value != {}}
        current = self._aws.find("lambda", "GetFunctionUrlConfig", named)
        if current is not None and "Cors" in current and "Cors" not in wanted:
            # Settings can be changed, but not taken away; the URL stays the same.
            self._aws("lambda", "DeleteFunctionUrlConfig", named)
            return UPDATED, self._aws("lambda", "CreateFunctionUrlConfig", wanted)["FunctionUrl"]
        if current is None:
            return CREATED, self._aws("lambda", "CreateFunctionUrlConfig", wanted)["FunctionUrl"]
        given = {name: value for name, value in wanted.items() if name not in named}
        if _is(current, given, self._shape("UpdateFunctionUrlConfig")):
            return UNCHANGED, current["FunctionUrl"]
        return UPDATED, self._aws("lambda", "UpdateFunctionUrlConfig", wanted)["FunctionUrl"]

    def permission(self, members: Mapping[str, Any]) -> str:
        named = _named(members)
        policy = self._aws.find("lambda", "GetPolicy", named)
        statements = [] if policy is None else json.loads(policy["Policy"])["Statement"]
        there = [each for each in statements if each.get("Sid") == members["StatementId"]]
        if there and _is_statement(there[0], members):
            return UNCHANGED
        if there:
            self._aws("lambda", "RemovePermission", {**named, "StatementId": members["StatementId"]})
        self._aws("lambda", "AddPermission", members)
        return UPDATED if there else CREATED

    def mapping(self, members: Mapping[str, Any]) -> str:
        current = self.mapping_of(members["FunctionName"], members["EventSourceArn"])
        if current is None:
            told = self._aws("lambda", "CreateEventSourceMapping", members)
            self._mapping_settled(told["UUID"])
            return CREATED
        wanted = {name: value for name, value in members.items() if name not in _ONLY_WHEN_CREATED}
        enabled = current["State"] in {"Enabled", "Enabling", "Creating", "Updating"}
        given = {name: value for name, value in wanted.items() if name not in {"FunctionName", "Enabled"}}
        if enabled == wanted["Enabled"] and _is(current, given, self._shape("UpdateEventSourceMapping")):
            return UNCHANGED
        self._aws("lambda", "UpdateEventSourceMapping", {"UUID": current["UUID"], **wanted})
        self._mapping_settled(current["UUID"])
        return UPDATED

    def mapping_of(self, function: str, source: str) -> dict[str, Any] | None:
        """The mapping of a source to a function, unless it is being deleted."""
        members = {"FunctionName": function, "EventSourceArn": source}
        if self._aws.find("lambda", "GetFunctionConfiguration", {"FunctionName": function}) is None:
            return None
        found = self._aws.pages("lambda", "ListEventSourceMappings", members, "EventSourceMappings")
        return next((each for each in found if each["State"] != "Deleting"), None)

    def _mapping_settled(self, uuid: str) -> None:
        wait(
            lambda: self._aws("lambda", "GetEventSourceMapping", {"UUID": uuid})["State"] in {"Enabled", "Disabled"},
            f"The event source mapping {uuid} was not settled",
        )

    def _shape(self, operation: str) -> Any:
        return self._aws.shape("lambda", operation)


def wait(settled: Callable[[], bool], if_not: str) -> None:
    """Until it is so. Raises `CommandFailed`."""
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    while time.monotonic() < deadline:
        if settled():
            return
        time.sleep(_POLL_S)
    raise CommandFailed(f"{if_not} after {_SETTLED_WITHIN_S:.0f} s.")


def _stored(step: Step) -> Mapping[str, Any]:
    return step.code.members if isinstance(step.code, StoredCode) else {}


def _shown(configuration: Mapping[str, Any], name: str) -> Any:
    """A member of an event invoke configuration; a destination that is not there is shown as an empty one."""
    value = configuration.get(name)
    return value if name != "DestinationConfig" else {place: told for place, told in (value or {}).items() if told}


def _named(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: members[name] for name in ("FunctionName", "Qualifier") if name in members}


def _digest(package: bytes) -> str:
    return base64.b64encode(hashlib.sha256(package).digest()).decode()


def _is(current: Mapping[str, Any], wanted: Mapping[str, Any], shape: Any) -> bool:
    """Whether what is shown is what is wanted. What is not shown is as if it were empty."""
    conformed = conform(dict(wanted), shape)
    for name, value in conformed.items():
        told = current.get(name)
        if name == "Layers":
            told = [layer["Arn"] for layer in told or []]
        if name == "ImageConfig":
            if current.get("ImageConfigResponse", {}).get("ImageConfig", {}) != value:
                return False
        elif isinstance(value, dict) and isinstance(told, dict):
            if bool(told) > bool(value) or any(told.get(member) != item for member, item in value.items()):
                return False
        elif told != value and (told is not None or not _is_empty(value)):
            return False
    return True


def _is_empty(value: Any) -> bool:
    return not value or (isinstance(value, dict) and not any(value.values()))


def _is_statement(statement: Mapping[str, Any], members: Mapping[str, Any]) -> bool:
    """Whether a statement of a policy is what AddPermission would make of these members."""
    principal = statement["Principal"]
    who = principal if isinstance(principal, str) else next(iter(principal.values()))
    conditions = {key: value for test in statement.get("Condition", {}).values() for key, value in test.items()}
    wanted = {
        "AWS:SourceArn": members.get("SourceArn"),
        "AWS:SourceAccount": members.get("SourceAccount"),
        "lambda:FunctionUrlAuthType": members.get("FunctionUrlAuthType"),
        "lambda:InvokedViaFunctionUrl": "true" if members.get("InvokedViaFunctionUrl") else None,
    }
    return (
        who == members["Principal"]
        and statement["Action"] == members["Action"]
        and conditions == {key: value for key, value in wanted.items() if value is not None}
    )
