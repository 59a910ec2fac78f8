"""Which version a qualifier means, and which view of a function is held."""

import random

import msgspec
import pytest

from ondol.frontend.access import is_our_name
from ondol.frontend.directory import Directory, for_tenant, resolve
from ondol.model.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from ondol.model.function import Alias, FunctionKey, FunctionVersion, FunctionView, LogSettings, VersionState
from ondol.model.ids import AccountId, CodeDigest, Region, VersionId

KEY = FunctionKey(AccountId("000000000000"), Region("us-east-1"), "f")


def version(number: str, state: VersionState = VersionState.ACTIVE) -> FunctionVersion:
    return FunctionVersion(
        VersionId(f"f/{number}"),
        function=KEY,
        version=number,
        runtime="python3.11",
        handler="m.h",
        code=CodeDigest("d"),
        role="r",
        memory_mb=128,
        timeout_s=3,
        tmp_mb=512,
        environment={},
        logs=LogSettings("/aws/lambda/f"),
        state=state,
    )


def view(revision: int = 1, latest: VersionState = VersionState.ACTIVE) -> FunctionView:
    versions = {"$LATEST": version("$LATEST", latest), "1": version("1"), "2": version("2")}
    aliases = {"live": Alias("live", "1"), "split": Alias("split", "1", "2", 0.25)}
    return FunctionView(KEY, revision, versions, aliases)


@pytest.mark.parametrize(
    ("qualifier", "means", "arn"),
    [
        (None, "$LATEST", KEY.arn),
        ("$LATEST", "$LATEST", f"{KEY.arn}:$LATEST"),
        ("2", "2", f"{KEY.arn}:2"),
        ("live", "1", f"{KEY.arn}:live"),
    ],
)
def test_a_qualifier_means_a_version_and_is_the_name_it_was_invoked_by(
    qualifier: str | None, means: str, arn: str
) -> None:
    target = resolve(view(), qualifier, 0.5)
    assert (target.version.version, target.invoked_arn) == (means, arn)


def test_a_function_per_tenant_runs_as_another_version_for_each() -> None:
    per_tenant = msgspec.structs.replace(version("1"), per_tenant=True)
    target = resolve(FunctionView(KEY, 1, {"1": per_tenant}, {}), "1", 0)
    blue, green = (for_tenant(target, tenant).version for tenant in ("blue", "green"))
    assert len({blue.id, green.id, per_tenant.id}) == 3
    assert blue.common_id == green.common_id == per_tenant.common_id == per_tenant.id
    assert (blue.tenant, blue.arn) == ("blue", per_tenant.arn)
    assert for_tenant(target, "blue").version.id == blue.id
    with pytest.raises(InvalidParameterValue, match="Add a valid tenant ID"):
        for_tenant(target, None)
    with pytest.raises(InvalidParameterValue, match="Remove the tenant ID"):
        for_tenant(resolve(view(), None, 0), "blue")


@pytest.mark.parametrize(("chance", "means"), [(0.0, "2"), (0.249, "2"), (0.25, "1"), (0.999, "1")])
def test_a_weighted_alias_sends_its_share_to_the_second_version(chance: float, means: str) -> None:
    assert resolve(view(), "split", chance).version.version == means


def test_an_unknown_qualifier_is_not_found_by_its_name() -> None:
    with pytest.raises(ResourceNotFound, match=rf"Function not found: {KEY.arn}:nothing"):
        resolve(view(), "nothing", 0.5)


@pytest.mark.parametrize("state", [VersionState.PENDING, VersionState.FAILED])
def test_what_is_not_active_cannot_be_invoked(state: VersionState) -> None:
    with pytest.raises(ResourceConflict, match=f"following state: {state.value}"):
        resolve(view(latest=state), None, 0.5)


def test_the_newest_view_wins_however_they_arrive() -> None:
    directory = Directory()
    directory.adopt(view(2))
    directory.adopt(view(1))
    target = directory.target(KEY, None, random.random)
    assert target is not None
    assert target.view.revision == 2
    directory.forget(KEY)
    assert directory.target(KEY, None, random.random) is None


def test_a_target_that_was_found_is_found_anew_in_a_newer_view() -> None:
    directory = Directory()
    directory.adopt(view(1))
    first = directory.target(KEY, "live", random.random)
    assert directory.target(KEY, "live", random.random) is first
    newer = msgspec.structs.replace(view(2), aliases={"live": Alias("live", "2")})
    directory.adopt(newer)
    moved = directory.target(KEY, "live", random.random)
    assert moved is not None
    assert moved.version.version == "2"


def test_a_split_is_decided_for_each_invocation() -> None:
    directory = Directory()
    directory.adopt(view())
    chances = iter((0.0, 0.9, 0.1))
    targets = [directory.target(KEY, "split", chances.__next__) for _ in range(3)]
    assert [target.version.version for target in targets if target is not None] == ["2", "1", "2"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:4566", "[::1]", "a.b.localhost:4566"])
def test_our_names(host: str) -> None:
    assert is_our_name(host)


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.", "xlocalhost", "[::2]"])
def test_names_that_are_not_ours(host: str) -> None:
    assert not is_our_name(host)
