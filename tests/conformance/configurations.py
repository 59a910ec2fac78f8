"""What a function configuration must be, member by member."""

import base64
import hashlib
import re
from typing import Any

from lambda_calls import arn

from ondol_process import ROLE, RUNTIME, package

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")
CODE = package({"m.py": "def h(event, context): return event"})


def plain(name: str) -> dict[str, Any]:
    """The configuration of a function that was given nothing but what it must have, once it is active."""
    return {
        "FunctionName": name,
        "FunctionArn": arn(name),
        "Runtime": RUNTIME,
        "Role": ROLE,
        "Handler": "m.h",
        "CodeSize": len(CODE),
        "CodeSha256": base64.b64encode(hashlib.sha256(CODE).digest()).decode(),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }


def settled(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what differs each time, whose form is checked here."""
    assert ID.fullmatch(configuration["RevisionId"])
    assert TIME.fullmatch(configuration["LastModified"])
    if "RuntimeVersionConfig" in configuration:
        assert list(configuration["RuntimeVersionConfig"]) == ["RuntimeVersionArn"]
        own = configuration["RuntimeVersionConfig"]["RuntimeVersionArn"]
        assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", own)
    changing = {"RevisionId", "LastModified", "RuntimeVersionConfig"}
    return {member: value for member, value in configuration.items() if member not in changing}


def minimal(name: str, **settings: Any) -> dict[str, Any]:
    return {
        "FunctionName": name,
        "Runtime": RUNTIME,
        "Role": ROLE,
        "Handler": "m.h",
        "Code": {"ZipFile": CODE},
        **settings,
    }
