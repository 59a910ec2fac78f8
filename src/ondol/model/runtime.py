"""A language runtime as a sandbox driver needs to know it."""

from enum import Enum

import msgspec


class Launch(Enum):
    """How the runtime process of a new environment comes to be."""

    ZYGOTE = "zygote"
    """Forked from an interpreter that already runs inside the base root."""

    EXEC = "exec"
    """Executed afresh: `provided.*`, and functions whose variables the interpreter reads at its own start."""


class ImageRoot(msgspec.Struct, frozen=True):
    """An image that a runtime runs on: its tree is the sandbox's root."""

    digest: str
    """Hexadecimal digits of its SHA-256; it names the image in the data directory."""

    variables: tuple[tuple[str, str], ...]
    """The image's own environment, below AWS's variables and the function's."""

    directory: str
    """Where its program starts."""

    takes_handler: bool
    """The function's handler is the last argument of its program."""


class Program(msgspec.Struct, frozen=True):
    """What is started where an image is a function's code."""

    entry_point: tuple[str, ...]
    arguments: tuple[str, ...]
    directory: str

    @property
    def command(self) -> tuple[str, ...]:
        """Empty: `bootstrap` in /var/task or /opt."""
        return (*self.entry_point, *self.arguments)


class Runtime(msgspec.Struct, frozen=True):
    """One runtime of this machine: what its base root is made from and how its process is launched."""

    name: str
    """As on AWS: `python3.11`, `provided.al2023`."""

    version: str
    """The interpreter's full version (`3.11.7`), or the runtime's own for `provided.*`."""

    launch: Launch

    command: tuple[str, ...]
    """What `EXEC` executes inside the sandbox, first found of its kind first. For `provided.*` it is empty:
    the function brings `bootstrap` in /var/task or /opt. A word in braces stands for a variable of the function."""

    interpreter: str | None = None
    """Path on the host of the interpreter that becomes /var/lang; none for `provided.*`."""

    bootstrap_dir: str | None = None
    """Path on the host of the directory that becomes /var/runtime."""

    libraries: tuple[str, ...] = ()
    """Paths on the host of packages and modules that its functions find beside the standard library."""

    image: ImageRoot | None = None
    """The image that is its root, if it has one, once it is fetched."""


class StartOf(msgspec.Struct, frozen=True):
    """How an environment of a version starts: the runtime that its slot was prepared of, and what runs in it."""

    runtime: Runtime
    program: Program | None = None
    """None: it is for the runtime to say."""
