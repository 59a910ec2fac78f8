"""Changing what others change too: whoever was slower reads what is there now, and decides again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ondol.model.errors import Outcome, PlatformError
from ondol.store.protocol import RevisionConflict, StoreError

_ATTEMPTS = 10

T = TypeVar("T")


async def repeated(what: str, attempt: Callable[[], Awaitable[T]], reload: Callable[[], Awaitable[None]]) -> T:
    """What an attempt answers that nobody was quicker than; `reload` comes between one that was too slow and the next.

    Raises what `attempt` raises, and `PlatformError` where the store could not: then nothing was changed.
    """
    try:
        for _ in range(_ATTEMPTS):
            try:
                return await attempt()
            except RevisionConflict:
                await reload()
    except StoreError as error:
        raise PlatformError(f"{what} was not changed: {error}", Outcome.NOT_STARTED) from error
    raise PlatformError(f"{what} was not changed: somebody else keeps changing it", Outcome.NOT_STARTED)
