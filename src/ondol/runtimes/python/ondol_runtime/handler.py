"""Finds the customer's handler: where modules come from, and which error says that there is none."""

# A function that does not need pathlib does not wait for its import.
# ruff: noqa: PTH112, PTH120, PTH208

from __future__ import annotations

import importlib
import os
import site
import sys
import types
from typing import TYPE_CHECKING

from .faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Handler = Callable[[Any, Any], Any]

_OWN_IMPORTS = frozenset(
    {"collections", "decimal", "enum", "functools", "importlib", "json", "logging", "ondol_runtime", "socket", "string"}
    | {"traceback", "typing"}
)
"""What this runtime has imported itself, zygote or not."""


def extend_path() -> None:
    """Put the function's and the layers' directories before all others, as AWS does.

    A PYTHONPATH of the customer's own is left in charge of the layers. Without one, child processes get AWS's.
    """
    layers = "/opt/python"
    layer_packages = f"{layers}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    if "PYTHONPATH" not in os.environ:
        sys.path[:0] = [layer_packages, layers]
        os.environ["PYTHONPATH"] = os.environ.get("LAMBDA_RUNTIME_DIR", "/var/runtime")
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    site.addsitedir(layer_packages)
    site.addsitedir(layers)


_hidden: dict[str, types.ModuleType] = {}
"""Held for ever: to let go of them would touch, and so copy, every page that they lie on."""


def hide_runtime() -> None:
    """Let the customer's modules be found under the names that the runtime used before them.

    Modules that lie in /var/runtime itself are not to be found any more, and `__main__` becomes an empty module.
    """
    main = types.ModuleType("__main__")
    main.__file__ = getattr(sys.modules["__main__"], "__file__", None)
    runtime_directory = os.path.dirname(os.path.dirname(__file__))
    own = [
        name
        for name, module in sys.modules.items()
        if name == "__main__" or os.path.dirname(getattr(module, "__file__", None) or "") == runtime_directory
    ]
    _hidden.update({name: sys.modules.pop(name) for name in own})
    sys.modules["__main__"] = main


def forget_brought_modules(preloaded: Iterable[str]) -> None:
    """Of what a zygote has imported ahead, forget whatever the function or a layer brings itself.

    Without a zygote that would have come first.
    """
    brought = {entry.partition(".")[0] for directory in _customer_directories() for entry in os.listdir(directory)}
    for name in brought.intersection(name.partition(".")[0] for name in preloaded).difference(_OWN_IMPORTS):
        for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(name + ".")]:
            del sys.modules[loaded]


def _customer_directories() -> list[str]:
    own = [path for path in sys.path if path.startswith(("/opt/", os.environ["LAMBDA_TASK_ROOT"]))]
    return [path for path in dict.fromkeys(own) if os.path.isdir(path)]


def find(name: str) -> Handler:
    """The callable that `name` ("module.function", "package/module.function") means.

    Raises `Fault` in AWS's words, or whatever the customer's module raised while it was imported.
    """
    module_name, dot, function = name.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        )
    if module_name.partition(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        raise Fault(
            "Runtime.UserCodeSyntaxError",
            f"Syntax error in module '{module_name}': {error}",
            [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'],
        ) from error
    try:
        found: Handler = getattr(module, function)
    except AttributeError as error:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module_name}'") from error
    return found
