"""What the operations that take code and settings have in common: what they need."""

from collections.abc import Callable

from ondol.control.api import Caller, ImageSource
from ondol.control.code_signing import require_deployable
from ondol.control.code_signing_registry import CodeSigningRegistry
from ondol.control.hot_reload import HotReload
from ondol.control.layer_catalog import LayerCatalog
from ondol.control.operations.code_signing import require_config
from ondol.control.operations.lookup import Parameters
from ondol.control.packages import NewCode, NewImage, Packages
from ondol.control.refusals import is_folder
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
        images: ImageSource,
        layers: LayerCatalog,
        code_signing: CodeSigningRegistry,
        settler: Settler,
        hot_reload: HotReload,
        cannot_run: CannotRun,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._registry = registry
        self._packages = packages
        self._images = images
        self._layers = layers
        self._code_signing = code_signing
        self._settler = settler
        self._hot_reload = hot_reload
        self._cannot_run = cannot_run
        self._clock = clock
        self._new_id = new_id

    async def _code(self, owner: Caller, source: Parameters) -> NewCode | NewImage:
        """What a request gives as code, which has been found to be served, checked. Raises `CallerError`."""
        if source.get("ImageUri"):
            return NewImage(*await self._images.resolve(source["ImageUri"]))
        if is_folder(source):
            return await self._hot_reload.take(source["S3Key"])
        return await self._packages.given(owner, source)

    def _check_signature(self, caller: Caller, arn: str | None, function: str) -> None:
        """Raises `CodeSigningConfigNotFound`, and `CodeVerificationFailed` where a signature is wanted."""
        if arn is not None:
            require_deployable(require_config(self._code_signing, caller, arn), function)

    def _check_runtime(self, parameters: Parameters) -> None:
        """Raises `InvalidParameterValue` for a runtime that AWS has and this installation cannot run."""
        if "Runtime" in parameters and (sentence := self._cannot_run(parameters["Runtime"])) is not None:
            raise InvalidParameterValue(sentence)
