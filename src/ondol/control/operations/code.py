"""What the operations that take code and settings have in common: what they need."""

from collections.abc import Callable

from ondol.control.layer_catalog import LayerCatalog
from ondol.control.operations.lookup import Parameters
from ondol.control.packages import Packages
from ondol.control.registry import Registry
from ondol.control.settler import Settler
from ondol.model.errors import InvalidParameterValue
from ondol.model.time import Clock

CannotRun = Callable[[str], str | None]
"""Why a runtime cannot be run here, or None if it can."""


class CodeOperations:
    def __init__(
        self,
        *,
        registry: Registry,
        packages: Packages,
        layers: LayerCatalog,
        settler: Settler,
        cannot_run: CannotRun,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._registry = registry
        self._packages = packages
        self._layers = layers
        self._settler = settler
        self._cannot_run = cannot_run
        self._clock = clock
        self._new_id = new_id

    def _check_runtime(self, parameters: Parameters) -> None:
        """Raises `InvalidParameterValue` for a runtime that AWS has and this installation cannot run."""
        if "Runtime" in parameters and (sentence := self._cannot_run(parameters["Runtime"])) is not None:
            raise InvalidParameterValue(sentence)
