"""Versions and aliases under any sequence of operations and restarts, against a model of what users are promised."""

import asyncio
import io
import itertools
import zipfile
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ondol.control.api import Caller
from ondol.control.records import VERSIONS
from ondol.control.service import ControlService
from ondol.model.errors import CallerError, ResourceConflict
from ondol.model.function import FunctionImage, FunctionKey, FunctionView
from ondol.model.ids import AccountId, CodeDigest, Region, VersionId
from ondol.model.limits import AccountLimits
from ondol.model.s3 import S3Object
from ondol.model.time import Instant, WallTime
from ondol.store.memory import MemoryBlobs, MemoryStore
from ondol.worker_manager.api import Provision, Wanted

CALLER = Caller(AccountId("000000000000"), Region("eu-west-1"))
KEY = FunctionKey(CALLER.account, CALLER.region, "fn")
ALIASES = ("blue", "green")


def package(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), text)
    return buffer.getvalue()


class StillClock:
    def now(self) -> Instant:
        return Instant(0)

    def wall(self) -> WallTime:
        return WallTime(0)


class Neighbours:
    """Workers, counting, the manager and the runtimes: all agree to everything."""

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
        return None

    async def reserve(
        self, function: FunctionKey, concurrency: int | None, provisioned: Mapping[VersionId, int]
    ) -> None:
        return None

    async def provision(self, function: FunctionKey, wanted: Sequence[Wanted]) -> None:
        return None

    async def provision_of(self, version: VersionId) -> Provision | None:
        return None

    async def provisioned(self, version: VersionId) -> Provision | None:
        return None

    async def retire(self, view: FunctionView | None, function: FunctionKey) -> None:
        return None

    def check(self, runtime: str, nearest: bool) -> str | None:
        return None

    async def fetch(self, account: AccountId, region: Region, named: S3Object, largest: int) -> bytes:
        raise AssertionError("nobody names a package in S3")


class VersionsAndAliases(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = MemoryStore()
        self.blobs = MemoryBlobs(StillClock())
        self.ids = itertools.count()
        self.control = self.service()
        self.run(self.control.open())
        self.exists = False
        self.description = ""
        self.versions: dict[str, str] = {}
        """Descriptions by number, as published."""

        self.aliases: dict[str, tuple[str, str | None]] = {}
        self.published = 0
        self.ever: dict[tuple[int, str], str] = {}
        """The CodeSha256 and description of every version that ever was, by life and number."""

        self.life = 0

    def run(self, operation: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(operation)

    def service(self) -> ControlService:
        neighbours = Neighbours()
        return ControlService(
            store=self.store,
            blobs=self.blobs,
            clock=StillClock(),
            limits=AccountLimits(),
            code_host=neighbours,
            concurrency=neighbours,
            retirer=neighbours,
            provisioner=neighbours,
            runtimes=neighbours,
            package_source=neighbours,
            image_source=neighbours,
            pollers=neighbours,
            new_id=lambda: str(next(self.ids)),
            tell=print,
        )

    def perform(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.run(self.control.perform(operation, CALLER, {"FunctionName": "fn", **parameters}))
        return answer

    def settle(self) -> dict[str, Any]:
        async def settled() -> dict[str, Any]:
            while True:
                shown = await self.control.perform("GetFunctionConfiguration", CALLER, {"FunctionName": "fn"})
                if shown.get("LastUpdateStatus") == "Successful":
                    return shown
                await asyncio.sleep(0)

        answer: dict[str, Any] = self.run(settled())
        return answer

    def teardown(self) -> None:
        self.run(self.control.close())
        self.runner.close()

    @precondition(lambda self: not self.exists)
    @rule(publish=st.booleans())
    def create(self, publish: bool) -> None:
        self.perform(
            "CreateFunction",
            Runtime="python3.12",
            Handler="index.handler",
            Role="arn:aws:iam::000000000000:role/r",
            Code={"ZipFile": package("0")},
            Publish=publish,
        )
        self.settle()
        self.exists = True
        self.life += 1
        self.description = ""
        self.published = 1 if publish else 0
        self.versions = {"1": ""} if publish else {}
        self.aliases = {}

    @precondition(lambda self: self.exists)
    @rule(text=st.sampled_from("abc"))
    def describe(self, text: str) -> None:
        self.perform("UpdateFunctionConfiguration", Description=text)
        self.settle()
        self.description = text

    @precondition(lambda self: self.exists)
    @rule()
    def publish(self) -> None:
        last = str(self.published)
        unchanged = self.versions.get(last) == self.description
        answer = self.perform("PublishVersion")
        if unchanged:
            assert answer["Version"] == last
        else:
            self.published += 1
            assert answer["Version"] == str(self.published)
            self.versions[answer["Version"]] = self.description

    @precondition(lambda self: self.exists)
    @rule(text=st.sampled_from("xyz"))
    def update_code_and_publish(self, text: str) -> None:
        # A text of its own each time: code that is new is always a new version.
        answer = self.perform("UpdateFunctionCode", ZipFile=package(text + str(next(self.ids))), Publish=True)
        self.settle()
        self.published += 1
        assert answer["Version"] == str(self.published)
        self.versions[answer["Version"]] = self.description

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def delete_version(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.versions)))
        referenced = any(number in alias for alias in self.aliases.values())
        try:
            self.perform("DeleteFunction", Qualifier=number)
        except ResourceConflict:
            assert referenced
        else:
            assert not referenced
            del self.versions[number]

    @precondition(lambda self: self.versions)
    @rule(name=st.sampled_from(ALIASES), data=st.data())
    def point(self, name: str, data: st.DataObject) -> None:
        numbers = [*sorted(self.versions), "99"]
        version = data.draw(st.sampled_from([*numbers, "$LATEST"]))
        additional = data.draw(st.none() | st.sampled_from(numbers))
        weights = {} if additional is None else {additional: 0.5}
        allowed = (
            version != "99"
            and additional not in ("99", version)
            and not (version == "$LATEST" and additional is not None)
        )
        operation = "UpdateAlias" if name in self.aliases else "CreateAlias"
        try:
            self.perform(
                operation, Name=name, FunctionVersion=version, RoutingConfig={"AdditionalVersionWeights": weights}
            )
        except CallerError:
            assert not allowed
        else:
            assert allowed
            self.aliases[name] = (version, additional)

    @precondition(lambda self: self.aliases)
    @rule(name=st.sampled_from(ALIASES))
    def delete_alias(self, name: str) -> None:
        self.perform("DeleteAlias", Name=name)
        self.aliases.pop(name, None)

    @precondition(lambda self: self.exists)
    @rule()
    def delete_function(self) -> None:
        self.perform("DeleteFunction")
        self.exists = False
        self.versions, self.aliases = {}, {}

    @rule()
    def restart(self) -> None:
        self.run(self.control.close())
        self.control = self.service()
        self.run(self.control.open())

    @invariant()
    def what_is_shown_is_what_was_published(self) -> None:
        assert len(self.run(self.store.list(VERSIONS))) == len(self.versions)
        if not self.exists:
            assert self.run(self.control.view(KEY)) is None
            return
        shown = self.perform("ListVersionsByFunction", MaxItems=50)["Versions"]
        assert [version["Version"] for version in shown[1:]] == sorted(self.versions, key=int)[:49]
        for version in shown[1:]:
            assert version["Description"] == self.versions[version["Version"]]
            frozen = f"{version['CodeSha256']} {version['Description']}"
            assert self.ever.setdefault((self.life, version["Version"]), frozen) == frozen

    @invariant()
    def the_view_leads_every_name_to_something_that_runs(self) -> None:
        view: FunctionView | None = self.run(self.control.view(KEY))
        if view is None:
            return
        assert set(view.versions) == {"$LATEST", *self.versions}
        assert {name: (alias.version, alias.additional_version) for name, alias in view.aliases.items()} == self.aliases
        for alias in view.aliases.values():
            assert alias.version in view.versions
            assert alias.additional_version is None or alias.additional_version in view.versions
        assert len({version.id for version in view.versions.values()}) == len(view.versions)


VersionsAndAliases.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestVersionsAndAliases = VersionsAndAliases.TestCase
