"""Where the code of functions and layers is."""

from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from ondol.templates.properties import Properties
from ondol.templates.steps import Folder, StoredCode
from ondol.templates.values import UNKNOWN

HERE = Folder(PurePath(), build=True)
"""Where the template is: the code of a function that says nothing of it (CloudFormation user guide, "Upload local
artifacts to an S3 bucket with the AWS CLI")."""


def code_at(properties: Properties, name: str, *, build: bool, within: str = "") -> Folder | StoredCode | None:
    """What CodeUri or ContentUri says: a path, `s3://bucket/key`, or an object with Bucket and Key; None if nothing."""
    value: Any = properties.value(name)
    if value is None or value is UNKNOWN:
        return None
    if isinstance(value, dict) and {"Bucket", "Key"} <= value.keys() <= {"Bucket", "Key", "Version"}:
        version = {"S3ObjectVersion": value["Version"]} if "Version" in value else {}
        return StoredCode({"S3Bucket": value["Bucket"], "S3Key": value["Key"], **version})
    if not isinstance(value, str):
        properties.wrong(
            f"{properties.place}.{name} must be a path, or an object of S3 with Bucket and Key",
            properties.line_of(name),
        )
        return None
    if value.startswith("s3://"):
        address = urlsplit(value)
        return StoredCode({"S3Bucket": address.netloc, "S3Key": address.path.lstrip("/")})
    return Folder(PurePath(value), within, build)
