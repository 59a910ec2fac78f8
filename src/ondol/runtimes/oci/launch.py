"""What is launched of an image: as `docker run` would, with AWS's conventions where an image is a runtime."""

import posixpath

from ondol.model.function import ImageOverrides
from ondol.model.runtime import ImageRoot, Launch, Program, Runtime
from ondol.runtimes.oci.choice import Execution
from ondol.runtimes.oci.kept import FetchedImage

AWS_ENTRYPOINT = "/lambda-entrypoint.sh"
"""Of AWS's base images: its one argument is the handler, and it execs their bootstrap."""

BOOTSTRAP = "/var/runtime/bootstrap"
TASK_ROOT = "/var/task"


def runtime_on(name: str, image: FetchedImage) -> Runtime:
    """The runtime called `name` that is this image.

    For `provided.*` an image is only the system: the function brings `bootstrap`, as on AWS.
    """
    execution = image.execution
    entrypoint = execution.entrypoint or ()
    directory = execution.working_dir if execution.working_dir not in ("", "/") else TASK_ROOT
    takes_handler = entrypoint == (AWS_ENTRYPOINT,)
    command: tuple[str, ...]
    if name.startswith("provided"):
        command, takes_handler, directory = (), False, TASK_ROOT
    elif takes_handler:
        command = entrypoint
    elif entrypoint:
        command = (_program(entrypoint[0], directory), *entrypoint[1:], *(execution.cmd or ()))
    else:
        command = (BOOTSTRAP,)
    return _runtime(name, image, command, posixpath.join("/", directory), takes_handler)


def runtime_of(image: FetchedImage) -> Runtime:
    """What slots are prepared of for the functions whose code is this image; what each of them starts, differs."""
    return _runtime(f"image {image.digest[:19]}", image, (), "/", takes_handler=False)


def program_of(execution: Execution, overrides: ImageOverrides) -> Program:
    """What is started where an image is the code: each of its settings, unless the function has its own.

    Source: developer guide, "Create a Lambda function using a container image", container image settings.
    """
    entry_point = overrides.entry_point or execution.entrypoint or ()
    command = overrides.command or execution.cmd or ()
    return Program(entry_point, command, overrides.directory or execution.working_dir or "/")


def _runtime(name: str, image: FetchedImage, command: tuple[str, ...], directory: str, takes_handler: bool) -> Runtime:
    digest = image.digest.removeprefix("sha256:")
    entries = (entry for entry in image.execution.env or () if "=" in entry)
    variables = tuple(sorted(dict(entry.split("=", 1) for entry in entries).items()))
    root = ImageRoot(digest, variables, directory, takes_handler)
    return Runtime(name=name, version=digest[:12], launch=Launch.EXEC, command=command, image=root)


def _program(name: str, directory: str) -> str:
    """A name without a slash is looked for along PATH when it is launched."""
    return posixpath.join("/", directory, name) if "/" in name else name
