"""A sandbox whose program speaks for itself and ends: what it wrote, and how it ended."""

import asyncio

from lone_guest import LoneGuest
from ondol.sandbox.driver import Driver, Exit, SlotSpec, StartSpec

PATIENCE_S = 60.0


class Listener(LoneGuest):
    """The guest of such a sandbox."""

    def __init__(self) -> None:
        self.written = b""
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def connected(self) -> asyncio.Protocol:
        return asyncio.Protocol()

    def output(self, data: bytes) -> None:
        self.written += data

    def exited(self, exit: Exit) -> None:
        self.exit.set_result(exit)


async def run_to_end(driver: Driver, slot: SlotSpec, start: StartSpec) -> tuple[Exit, str]:
    sandbox = await driver.create(slot)
    listener = Listener()
    sandbox.attach(listener)
    await sandbox.start(start)
    ended = await asyncio.wait_for(listener.exit, PATIENCE_S)
    await sandbox.stop(0)
    return ended, listener.written.decode()
