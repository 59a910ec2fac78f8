"""What an invocation means by a function and a qualifier: from the views that are held, or from control."""

from collections.abc import Callable

from ondol.aws.identity import Caller
from ondol.control.api import Control
from ondol.frontend.directory import Directory, Target, for_tenant, not_found, resolve
from ondol.model.errors import AccessDenied
from ondol.model.function import FunctionKey, FunctionView
from ondol.model.function_url import FunctionUrl
from ondol.model.policy import INVOKE, Principal, denied


class Targets:
    """Resolves names. `chance` chooses where an alias splits its traffic."""

    def __init__(self, control: Control, chance: Callable[[], float]) -> None:
        self._control = control
        self._directory = Directory()
        self._chance = chance

    def adopt(self, view: FunctionView) -> None:
        """Decide by this view, if it is newer than the one held."""
        self._directory.adopt(view)

    def forget(self, function: FunctionKey) -> None:
        self._directory.forget(function)

    def held(
        self, function: FunctionKey, qualifier: str | None, caller: Caller | None = None, tenant: str | None = None
    ) -> Target | None:
        """What would run now; None if the function's view is not held. Without a caller its own account asks.

        Raises as `resolve` and `for_tenant`, and `AccessDenied` where another account is not let invoke it.
        """
        target = self._directory.target(function, qualifier, self._chance)
        return None if target is None else _checked(target, qualifier, caller, tenant)

    async def find(
        self, function: FunctionKey, qualifier: str | None, caller: Caller | None = None, tenant: str | None = None
    ) -> Target:
        """As `held`, asking control for a view that is not. Raises `AccessDenied` too for what another account does
        not have."""
        target = self.held(function, qualifier, caller, tenant)
        if target is not None:
            return target
        view = await self._control.view(function)
        if view is None:
            foreign = caller is not None and caller.account != function.account
            raise AccessDenied("") if foreign else not_found(function, qualifier)
        self._directory.adopt(view)
        return _checked(resolve(view, qualifier, self._chance()), qualifier, caller, tenant)

    async def url(self, id: str) -> tuple[FunctionView, FunctionUrl] | None:
        """The function URL with this id."""
        found = self._directory.url(id)
        if found is None:
            owner = await self._control.url_owner(id)
            view = None if owner is None else await self._control.view(owner)
            if view is not None:
                self._directory.adopt(view)
            found = self._directory.url(id)
        return found


def require_permission(view: FunctionView, qualifier: str | None, action: str, caller: Caller) -> None:
    """Raises `AccessDenied` unless the function's policy lets another account do this with it under this name."""
    if not view.permits(qualifier, action, Principal(account=caller.account, arn=caller.identity)):
        resource = view.key.arn if qualifier is None else f"{view.key.arn}:{qualifier}"
        raise denied(caller.account, action, resource)


def _checked(target: Target, qualifier: str | None, caller: Caller | None, tenant: str | None) -> Target:
    if caller is not None and caller.account != target.view.key.account:
        require_permission(target.view, qualifier, INVOKE, caller)
    if tenant is not None or target.version.per_tenant:
        return for_tenant(target, tenant)
    return target
