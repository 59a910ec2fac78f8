"""When what nobody needs any more is removed: not at once, for it may be needed again. Pure: times are given."""

from collections.abc import Iterable

from ondol.model.ids import CodeDigest
from ondol.model.time import Instant


class Disuse:
    """Remembers since when each has been of no use; `grace` in nanoseconds."""

    def __init__(self, grace: int) -> None:
        self._grace = grace
        self._since: dict[CodeDigest, Instant] = {}

    def over(self, unneeded: Iterable[CodeDigest], now: Instant) -> list[CodeDigest]:
        """Those that nobody has needed for the whole grace period. `unneeded` are all that nobody needs now."""
        self._since = {digest: self._since.get(digest, now) for digest in unneeded}
        return [digest for digest, since in self._since.items() if now - since >= self._grace]
