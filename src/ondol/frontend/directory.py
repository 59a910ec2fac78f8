"""Views of functions that this frontend holds, and which version a qualifier means.

Pure. A view is kept until a newer one or the function's end is told; the newest wins, however they arrive.
"""

from collections.abc import Callable

import msgspec

from ondol.counting.api import Pool
from ondol.frontend.machine import Provisioned
from ondol.model.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from ondol.model.function import LATEST, FunctionKey, FunctionVersion, FunctionView, VersionState
from ondol.model.function_url import FunctionUrl


class Target(msgspec.Struct, frozen=True, gc=False):
    """What an invocation runs."""

    view: FunctionView
    version: FunctionVersion
    invoked_arn: str
    """The ARN by which it was invoked: with the alias or version that was asked for, if one was."""

    pool: Pool
    """What its permit comes from,"""

    provisioned: Provisioned | None = None
    """unless this has one."""


class _Held:
    """A view, and what its qualifiers were found to mean for as long as it is held."""

    __slots__ = ("targets", "view")

    def __init__(self, view: FunctionView) -> None:
        self.view = view
        self.targets: dict[str | None, Target] = {}


class Directory:
    """Views by function."""

    def __init__(self) -> None:
        self._held: dict[FunctionKey, _Held] = {}
        self._urls: dict[str, FunctionKey] = {}

    def adopt(self, view: FunctionView) -> None:
        held = self._held.get(view.key)
        if held is None or view.revision > held.view.revision:
            self._forget_urls(held)
            self._held[view.key] = _Held(view)
            for url in view.urls:
                self._urls[url.id] = view.key

    def forget(self, function: FunctionKey) -> None:
        self._forget_urls(self._held.pop(function, None))

    def url(self, id: str) -> tuple[FunctionView, FunctionUrl] | None:
        """The function URL with this id, and its function; None if no view is held that has it."""
        owner = self._urls.get(id)
        if owner is None:
            return None
        view = self._held[owner].view
        return view, next(url for url in view.urls if url.id == id)

    def _forget_urls(self, held: _Held | None) -> None:
        for url in held.view.urls if held is not None else ():
            self._urls.pop(url.id, None)

    def target(self, function: FunctionKey, qualifier: str | None, chance: Callable[[], float]) -> Target | None:
        """As `resolve`; None if the function's view is not held."""
        held = self._held.get(function)
        if held is None:
            return None
        known = held.targets.get(qualifier)
        if known is not None:
            return known
        target = resolve(held.view, qualifier, chance())
        alias = held.view.aliases.get(qualifier or LATEST)
        if alias is None or alias.additional_version is None:
            held.targets[qualifier] = target
        return target


def resolve(view: FunctionView, qualifier: str | None, chance: float) -> Target:
    """The version that a qualifier means; `chance`, from 0 to 1, chooses where an alias splits its traffic.

    Raises `ResourceNotFound`, and `ResourceConflict` while the version cannot be invoked (API reference, Invoke).
    """
    arn = view.key.arn if qualifier is None else f"{view.key.arn}:{qualifier}"
    number = qualifier or LATEST
    alias = view.aliases.get(number)
    if alias is not None:
        number = alias.version
        if alias.additional_version is not None and chance < alias.additional_weight:
            number = alias.additional_version
    version = view.versions.get(number)
    if version is None:
        raise not_found(view.key, qualifier)
    if version.state is not VersionState.ACTIVE:
        raise ResourceConflict(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {version.state.value}"
        )
    key, provisioned = view.key, view.provisioned.get(number, 0)
    return Target(
        view,
        version,
        arn,
        Pool(key.account, key.region, key.name if view.reserved_concurrency is not None else None),
        Provisioned(Pool(key.account, key.region, key.name, version.id), provisioned) if provisioned else None,
    )


def for_tenant(target: Target, tenant: str | None) -> Target:
    """What runs for a tenant where a function runs per tenant.

    Raises `InvalidParameterValue` where it does and no tenant is named, or one is named and it does not (developer
    guide, "Troubleshooting tenant isolation"; the second text is not AWS's own).
    """
    if not target.version.per_tenant:
        raise InvalidParameterValue(
            "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request "
            "and try again."
        )
    if tenant is None:
        raise InvalidParameterValue(
            "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try "
            "again."
        )
    return msgspec.structs.replace(target, version=target.version.of_tenant(tenant))


def not_found(function: FunctionKey, qualifier: str | None) -> ResourceNotFound:
    """As Invoke words it: the qualifier is always shown."""
    return ResourceNotFound(f"Function not found: {function.arn}:{qualifier or LATEST}", Type="User")
