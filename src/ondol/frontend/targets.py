"""What an invocation means by a function and a qualifier: from the views that are held, or from control."""

from collections.abc import Callable

from ondol.aws.identity import Caller
from ondol.control.api import Control
from ondol.frontend.directory import Directory, Target, not_found, resolve
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

    def held(self, function: FunctionKey, qualifier: str | None) -> Target | None:
        """None if the function's view is not held. Raises as `resolve`."""
        return self._directory.target(function, qualifier, self._chance)

    async def find(self, function: FunctionKey, qualifier: str | None, caller: Caller | None = None) -> Target:
        """What would run now; without a caller it is the function's own account that asks.

        Raises as `resolve`, and `AccessDenied` for what another account does not have, or does not let it invoke.
        """
        foreign = caller is not None and caller.account != function.account
        target = self.held(function, qualifier)
        if target is None:
            view = await self._control.view(function)
            if view is None:
                raise AccessDenied("") if foreign else not_found(function, qualifier)
            self._directory.adopt(view)
            target = resolve(view, qualifier, self._chance())
        if caller is not None and foreign:
            require_permission(target, qualifier, caller)
        return target

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


def require_permission(target: Target, qualifier: str | None, caller: Caller) -> None:
    """Raises `AccessDenied` unless the function's policy lets another account invoke it under this name."""
    principal = Principal(account=caller.account, arn=caller.identity)
    if not target.view.permits(qualifier, INVOKE, principal):
        raise denied(caller.account, INVOKE, target.invoked_arn)
