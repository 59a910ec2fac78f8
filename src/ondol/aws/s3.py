"""Reads packages from S3, or from a server that speaks it, with AWS's own client, in threads.

What S3 refuses is told in Lambda's words. A server that does not answer is named to the caller, who has set it up.
"""

import asyncio
from typing import Any

from ondol.model.credentials import SessionCredentials
from ondol.model.endpoint import Endpoints
from ondol.model.errors import AccessDenied, InvalidParameterValue, NotServed, RequestEntityTooLarge
from ondol.model.ids import AccountId, Region
from ondol.model.s3 import S3Object

_SERVICE = "s3"
_CONNECT_S = 5
_READ_S = 60


class S3Packages:
    """Signs with `credentials`; without any as the account itself, which servers for development take."""

    def __init__(self, endpoints: Endpoints, credentials: SessionCredentials | None) -> None:
        self._endpoints = endpoints
        self._credentials = credentials

    async def fetch(self, account: AccountId, region: Region, named: S3Object, largest: int) -> bytes:
        """The object's bytes. Raises `CallerError`, and `RequestEntityTooLarge` for more than `largest` of them."""
        endpoint = self._endpoints.of(_SERVICE)
        if endpoint is None:
            raise NotServed(
                "Code can be taken from S3 only if a server is configured for it: name one in ondol.toml under "
                '[endpoints], as s3 = "http://127.0.0.1:PORT", or start ondol with: ondol up --with moto'
            )
        own = self._credentials or SessionCredentials(account, "ondol")
        return await asyncio.to_thread(_fetch, str(endpoint), region, own, named, largest)


def _fetch(endpoint: str, region: str, credentials: SessionCredentials, named: S3Object, largest: int) -> bytes:
    # Importing it takes longer than all the rest of the start, and most never need it.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    versioned = {} if named.version is None else {"VersionId": named.version}
    try:
        found = _client(endpoint, region, credentials).get_object(Bucket=named.bucket, Key=named.key, **versioned)
        with found["Body"] as body:
            if found["ContentLength"] > largest:
                raise RequestEntityTooLarge(f"Zipped size must be smaller than {largest} bytes")
            content: bytes = body.read()
    except ClientError as error:
        raise _refusal(error.response["Error"], named) from error
    except BotoCoreError as error:
        raise InvalidParameterValue(f"The S3 server at {endpoint} could not be read: {error}") from error
    return content


def _client(endpoint: str, region: str, credentials: SessionCredentials) -> Any:
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    return Session().create_client(
        _SERVICE,
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret,
        aws_session_token=credentials.token or None,
        config=Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )


def _refusal(error: dict[str, str], named: S3Object) -> AccessDenied | InvalidParameterValue:
    code, message = error.get("Code", "Unknown"), error.get("Message", "")
    told = f"S3 Error Code: {code}. S3 Error Message: {message}"
    if code in {"AccessDenied", "403"}:
        return AccessDenied(
            "Your access has been denied by S3, please make sure your request credentials have permission to GetObject "
            f"for {named.bucket}/{named.key}. {told}"
        )
    return InvalidParameterValue(f"Error occurred while GetObject. {told}")
