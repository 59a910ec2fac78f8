"""How a command ends when it could not do what it was asked."""


class CommandFailed(Exception):
    """One sentence for the person at the terminal, with a way out; the exit code says 1 (failed) or 2 (misused)."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def no_such_function(name: str) -> CommandFailed:
    return CommandFailed(f"There is no function {name}. See those there are with: ondol list")
