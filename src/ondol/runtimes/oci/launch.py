"""What a runtime on an image launches: as `docker run` would, with AWS's conventions where an image follows them."""

import posixpath

from ondol.model.runtime import ImageRoot, Launch, Runtime
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
    digest = image.digest.removeprefix("sha256:")
    variables = tuple(sorted(dict(entry.split("=", 1) for entry in execution.env or () if "=" in entry).items()))
    return Runtime(
        name=name,
        version=digest[:12],
        launch=Launch.EXEC,
        command=command,
        image=ImageRoot(digest, variables, posixpath.join("/", directory), takes_handler),
    )


def _program(name: str, directory: str) -> str:
    """A name without a slash is looked for along PATH when it is launched."""
    return posixpath.join("/", directory, name) if "/" in name else name
