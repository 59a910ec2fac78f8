"""Tells counting what a function has reserved."""

from ondol.control.api import ConcurrencyKeeper
from ondol.control.catalog import Catalog
from ondol.model.function import FunctionKey


async def tell_reservation(catalog: Catalog, keeper: ConcurrencyKeeper, key: FunctionKey) -> None:
    """What is told is what is stored now and not what a caller wrote, so that whoever comes last is right."""
    stored = catalog.get(key)
    await keeper.reserve(key, None if stored is None else stored.record.reserved_concurrency)
