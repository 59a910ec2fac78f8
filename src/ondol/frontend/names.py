"""What this ondol is called: by loopback's names, and by those that its certificate is for."""

from ondol.model.network import is_our_name


class Names:
    """Shared by all who look at a Host header; `others` changes with the certificate."""

    def __init__(self) -> None:
        self.others: frozenset[str] = frozenset()

    def mean_us(self, host: str) -> bool:
        """Whether a Host header names this ondol."""
        return is_our_name(host, self.others)
