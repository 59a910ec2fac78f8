"""Control's door: AWS's operations on functions and layers, and views of functions for those who run them."""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ondol.model.function import FunctionImage, FunctionKey, FunctionView
from ondol.model.http_api import HttpApi
from ondol.model.ids import AccountId, CodeDigest, Region, VersionId
from ondol.model.s3 import S3Object


class Caller(msgspec.Struct, frozen=True, gc=False):
    """On whose behalf an operation is done."""

    account: AccountId
    region: Region


class OwnOperation(enum.Enum):
    """What templates need beside AWS's operations: HTTP APIs, and records of what a template made ("stacks")."""

    LIST_APIS = "ListHttpApis"
    GET_API = "GetHttpApi"
    PUT_API = "PutHttpApi"
    DELETE_API = "DeleteHttpApi"
    LIST_STACKS = "ListStacks"
    GET_STACK = "GetStack"
    PUT_STACK = "PutStack"
    DELETE_STACK = "DeleteStack"


class Control(Protocol):
    async def perform(self, operation: str, caller: Caller, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Do one of AWS's control operations.

        `operation` and the members of `parameters` and of the result are named as in the service model; parameters
        have passed its constraints, `FunctionName` is a bare name and `Qualifier` beside it. What is answered is
        durable. Of GetFunction's `Code` and of a layer version's `Content`, `Location` is the package's digest, and
        a `FunctionUrl` is the URL's id: a frontend makes links of them.
        Raises `CallerError` as AWS does, `PlatformError` if nothing was changed because the store could not.
        """
        ...

    def operations(self) -> frozenset[str]:
        """The operations that `perform` serves."""
        ...

    async def reset(self) -> int:
        """Delete all functions and layers of all accounts, durably; answers how many functions there were.

        Raises `PlatformError` if the store could not; some may be gone then.
        """
        ...

    async def view(self, function: FunctionKey) -> FunctionView | None:
        """The function as it runs now, or None. From then on its changes reach every registered holder."""
        ...

    async def url_owner(self, id: str) -> FunctionKey | None:
        """The function whose URL, or one of whose aliases' URLs, has this id."""
        ...

    async def http_api(self, id: str) -> HttpApi | None:
        """The HTTP API with this id. Its changes reach every registered holder."""
        ...

    async def perform_own(self, operation: OwnOperation, caller: Caller, name: str, document: bytes) -> dict[str, Any]:
        """Do what AWS has no operation for. What is answered is durable. Raises `CallerError`, `PlatformError`."""
        ...

    def register(self, holder: "ViewHolder") -> None:
        """`holder` will keep views, and must be told before an update counts as done."""
        ...

    async def code_location(self, digest: CodeDigest) -> str | None:
        """Path of the package with this digest, for those who unpack or download it."""
        ...

    async def needs(self, digest: CodeDigest) -> bool:
        """Whether some version has this package or image, or may have it in a moment."""
        ...


class ViewHolder(Protocol):
    """Somebody who decides by views of functions: a frontend."""

    @property
    def name(self) -> str: ...

    async def adopt(self, view: FunctionView) -> None:
        """Keep this view if it is newer than the one held. Once it returns, no invocation starts on an older one."""
        ...

    async def forget(self, function: FunctionKey) -> None:
        """The function was deleted."""
        ...

    async def adopt_api(self, api: HttpApi) -> None:
        """Answer by this if it is newer than what is held."""
        ...

    async def forget_api(self, id: str) -> None:
        """The HTTP API was deleted."""
        ...


class CodeHost(Protocol):
    """Who makes code ready to run before a version becomes Active: the workers."""

    async def prepare(
        self,
        account: AccountId,
        runtime: str,
        nearest_runtime: bool,
        code: CodeDigest,
        layers: Sequence[CodeDigest] = (),
        *,
        image: FunctionImage | None = None,
    ) -> None:
        """Have the runtime, slots of it for this account, and the unpacked trees at hand. Raises `PrepareError`.

        With an image, that is both runtime and code.
        """
        ...


class PrepareError(Exception):
    """A version cannot become Active: `code` is AWS's StateReasonCode, the text its StateReason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class PackageSource(Protocol):
    """Where packages are that a request does not bring but names."""

    async def fetch(self, account: AccountId, region: Region, named: S3Object, largest: int) -> bytes:
        """The bytes of an object of S3, for a caller of this account. Raises `CallerError`; `RequestEntityTooLarge`
        for more bytes than `largest`."""
        ...


class ImageSource(Protocol):
    """Where images are that a request names as a function's code."""

    async def resolve(self, uri: str) -> tuple[FunctionImage, CodeDigest]:
        """The image that is meant now, and its digest. Raises `CallerError`."""
        ...


class RuntimeCatalog(Protocol):
    """Who knows which runtimes this installation can run."""

    def check(self, runtime: str, nearest: bool) -> str | None:
        """None if it can, else a sentence that says what is missing and what to do about it.

        `nearest`: another interpreter of the same language will do.
        """
        ...


class ConcurrencyKeeper(Protocol):
    """Who must know what concurrency functions have for themselves: counting."""

    async def reserve(
        self, function: FunctionKey, concurrency: int | None, provisioned: Mapping[VersionId, int]
    ) -> None:
        """`concurrency` is reserved in all; of it, or of the account's, versions have so much `provisioned`."""
        ...


class Retirer(Protocol):
    """Who must know that versions stopped being current: the worker manager."""

    async def retire(self, view: FunctionView | None, function: FunctionKey) -> None:
        """Environments of `function` whose version id is not in `view` take no more invocations."""
        ...
