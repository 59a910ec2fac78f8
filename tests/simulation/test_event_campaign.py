"""A shorter form of `make campaign`: whenever the events service dies, no event that was acknowledged is lost."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import pytest

from campaign.simulated import Figures, Wrong, campaign
from ondol.events.api import Event
from ondol.events.service import EventsService
from ondol.events.steps import Step
from ondol.store.protocol import Message

SEEDS = 300
BLOCK = 50


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The service says much of its troubles."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_nothing_is_lost(first: int) -> None:
    """A seed that fails is run again with `PYTHONPATH=tests python -m campaign simulated --seeds 1 --first SEED`."""
    figures = Figures()
    for seed in range(first, first + BLOCK):
        try:
            figures.add(campaign(seed))
        except Wrong as wrong:
            raise AssertionError(f"seed {seed}: {wrong}") from wrong
    assert figures.disturbed > BLOCK, "hardly anything was in hand at a kill: the test tests too little"


class AcknowledgesFirst(EventsService):
    async def _follow(self, message: Message, steps: Sequence[Step], delay: int = 0) -> None:
        self._acknowledge(message)
        await super()._follow(message, steps, delay)


class WaitsForNoDisk(EventsService):
    async def accept(self, event: Event) -> None:
        self._background.spawn(super().accept(event))
        await asyncio.sleep(0)


class TellsOne(EventsService):
    async def _follow(self, message: Message, steps: Sequence[Step], delay: int = 0) -> None:
        await super()._follow(message, steps[:1], delay)


class Hurries(EventsService):
    async def _follow(self, message: Message, steps: Sequence[Step], delay: int = 0) -> None:
        await super()._follow(message, steps, delay // 2)


class GivesUp(EventsService):
    def _put_back(self, message: Message, delay: int) -> None:
        if message.put_back == 3:
            self._acknowledge(message)
        else:
            super()._put_back(message, delay)


@pytest.mark.parametrize("broken", [AcknowledgesFirst, WaitsForNoDisk, TellsOne, Hurries, GivesUp])
def test_a_broken_service_is_noticed(broken: type[EventsService]) -> None:
    with pytest.raises(Wrong):
        for seed in range(BLOCK):
            campaign(seed, broken)
