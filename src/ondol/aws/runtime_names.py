"""Whether a function may have the runtime that a request names, and AWS's words where it may not.

AWS checks this after the constraints of its model and under another name (`InvalidParameterValueException`).
Whether this machine can run a runtime is another question, and not answered here.
"""

import re
from collections.abc import Mapping
from typing import Any

from ondol.aws.departures import DEPRECATED_RUNTIMES, RUNTIME_ORDER
from ondol.aws.service_model import ServiceModel, load
from ondol.model.errors import InvalidParameterValue

RUNTIME_SHAPE = "FunctionRuntime"
"""The shape of fields that become a function's runtime."""


def accepted_runtimes() -> tuple[str, ...]:
    """The runtimes that a function may have, of all that Lambda's model names."""
    return RuntimeNames(load("lambda", "2015-03-31")).accepted


class RuntimeNames:
    """The runtimes of one service model."""

    def __init__(self, model: ServiceModel) -> None:
        modelled = [name for name in model.shapes["Runtime"].enum if name not in DEPRECATED_RUNTIMES]
        added = [name for name in modelled if name not in RUNTIME_ORDER]
        self.accepted = (*RUNTIME_ORDER, *added)
        self._names = frozenset(self.accepted)
        self._version_arn = re.compile(model.shapes["RuntimeVersionArn"].pattern or "", re.ASCII)

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse a runtime that is unknown or deprecated. Raises `InvalidParameterValue`."""
        runtime = params.get("Runtime")
        if runtime is None or runtime in self._names or self._version_arn.fullmatch(runtime):
            return
        if runtime in DEPRECATED_RUNTIMES:
            raise InvalidParameterValue(
                f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda "
                "functions. We recommend you use a supported runtime while creating or updating functions."
            )
        raise InvalidParameterValue(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{', '.join(self.accepted)}] or be a valid ARN"
        )
