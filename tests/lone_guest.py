"""What a sandbox's guest is told of extensions, for tests whose functions have none."""

from collections.abc import Sequence

from ondol.sandbox.driver import Exit


class LoneGuest:
    """Mixed into a guest: that there is an extension is a failure."""

    def extensions_found(self, names: Sequence[str]) -> None:
        raise AssertionError(f"extensions {names}")

    def extension_refused(self, name: str, reason: str) -> None:
        raise AssertionError(f"extension {name}: {reason}")

    def extension_exited(self, name: str, exit: Exit) -> None:
        raise AssertionError(f"extension {name}: {exit}")
