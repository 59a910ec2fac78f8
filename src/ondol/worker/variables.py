"""The environment variables of a function, as AWS sets them.

Source: developer guide, "Defined runtime environment variables". The function's own come last but cannot replace the
reserved ones, which CreateFunction refuses.
"""

from collections.abc import Mapping

from ondol.model.credentials import SessionCredentials
from ondol.model.function import FunctionVersion
from ondol.model.runtime import ImageRoot, Program
from ondol.sandbox.paths import LIBRARY_PATH, PROGRAM_PATH
from ondol.telemetry.api import LogStream

RUNTIME_API = "127.0.0.1:9001"

ENDPOINT = "AWS_ENDPOINT_URL"

IMAGES_OWN = ("LANG", "LD_LIBRARY_PATH", "PATH", "TZ")
"""Variables that a function in an image has from the image on AWS too."""


def function_variables(
    version: FunctionVersion,
    stream: LogStream,
    initialization: str,
    *,
    access: SessionCredentials | None = None,
    image: ImageRoot | None = None,
    program: Program | None = None,
    endpoints: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Everything that the runtime process finds in its environment; with `access`, how its code reaches AWS's API.

    The variables of an `image` lie beneath, but for those that say where its own programs are and how they speak; with
    a `program`, it is the function's code too.
    `endpoints` are those that lead SDKs to other services. A function that sets `AWS_ENDPOINT_URL` itself means all
    services by it, and has none of them.
    """
    variables = {
        "AWS_REGION": version.function.region,
        "AWS_DEFAULT_REGION": version.function.region,
        "AWS_LAMBDA_FUNCTION_NAME": version.function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
        "AWS_LAMBDA_LOG_GROUP_NAME": stream.group,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream.name,
        "AWS_LAMBDA_LOG_FORMAT": version.logs.format,
        "AWS_LAMBDA_RUNTIME_API": RUNTIME_API,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": PROGRAM_PATH,
        "LD_LIBRARY_PATH": LIBRARY_PATH,
        "PWD": "/var/task",
    }
    if access is not None:
        variables |= {
            "AWS_ACCESS_KEY_ID": access.access_key,
            "AWS_SECRET_ACCESS_KEY": access.secret,
            "AWS_SESSION_TOKEN": access.token,
            # Not AWS's: there the name of each service leads to it.
            ENDPOINT: f"http://{RUNTIME_API}",
        }
        if endpoints and ENDPOINT not in version.environment:
            variables |= endpoints
    if version.logs.application_level is not None:
        variables["AWS_LAMBDA_LOG_LEVEL"] = version.logs.application_level
    if program is None:
        variables["_HANDLER"] = version.handler
    elif len(program.command) > 1:
        # As AWS's emulator has it: of an entry point and its arguments the last is the handler.
        variables["_HANDLER"] = program.command[-1]
    if version.runtime.startswith("nodejs"):
        variables["NODE_PATH"] = _node_path(version.runtime)
    if program is None and not version.runtime.startswith("provided"):
        variables["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{version.runtime}"
    if image is not None:
        own = dict(image.variables)
        directory = image.directory if program is None else program.directory
        variables = own | variables | {name: own[name] for name in IMAGES_OWN if name in own} | {"PWD": directory}
    variables.update(version.environment)
    return variables


_WITHHELD = (
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
)


def extension_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of a function's variables that its extensions get (developer guide, "Using the Lambda Extensions API")."""
    return {name: value for name, value in variables.items() if name not in _WITHHELD and not name.startswith("_")}


def _node_path(runtime: str) -> str:
    own = runtime.removeprefix("nodejs").removesuffix(".x")
    layers = f"/opt/nodejs/node{own}/node_modules:/opt/nodejs/node_modules"
    return f"{layers}:/var/runtime/node_modules:/var/runtime:/var/task"


_READ_AT_START = ("LD_", "PYTHON", "MALLOC_", "GLIBC_", "AWS_LAMBDA_EXEC_WRAPPER")


def needs_fresh_interpreter(version: FunctionVersion) -> bool:
    """Whether the function's own variables act on an interpreter only as it starts, so that forking one will not do."""
    return any(name.startswith(_READ_AT_START) for name in version.environment)
