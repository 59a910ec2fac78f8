"""The users that sandboxes run as, where each has its own: two numbers for each, and one for who unpacks.

An ordinary user may have none to give. Then all sandboxes share one number, and each lives in a user namespace in
which it is alone: `None` stands for that.
"""

from __future__ import annotations

from collections import deque


class Users:
    """`count` users from `first` on, handed out in twos; None again and again if there are none."""

    def __init__(self, first: int, count: int) -> None:
        self.own = count > 0
        """Whether each sandbox has a user of its own."""

        self.first = first
        self._free = deque(range(first, first + count - 1, 2))

    def take(self) -> int | None:
        """The number of a sandbox's processes; the next one is its first process's. Raises `OSError` at the end."""
        if not self.own:
            return None
        if not self._free:
            raise OSError("every user that sandboxes can have is taken")
        return self._free.popleft()

    def give_back(self, user: int | None) -> None:
        """Nothing of its sandbox remains."""
        if user is not None:
            self._free.append(user)
