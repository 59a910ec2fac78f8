"""What can go wrong with a sandbox. Light to import: programs that must start fast say it too."""


class SandboxError(Exception):
    """The driver could not do what it was asked; the text says why and what would help."""


class DirectoryInUse(SandboxError):
    """Another ondol has the data directory."""


class SandboxGone(SandboxError):
    """The sandbox this was meant for has ended."""


class UnpackRefused(Exception):
    """A package that must not be unpacked: the text says which entry, and why."""
