"""When the images of functions are made ready on a worker, and when they are removed."""

import asyncio
from collections.abc import Awaitable, Callable

from ondol.model.function import FunctionImage, ImageOverrides
from ondol.model.ids import AccountId, CodeDigest
from ondol.model.runtime import ImageRoot, Launch, Program, Runtime, StartOf
from ondol.model.time import SECOND, Instant, WallTime
from ondol.runtimes.oci.errors import ImageAbsent, ImageError, ImageForbidden, ImageNotKept, RegistryUnreachable
from ondol.sandbox.driver import StartSpec
from ondol.sandbox.simulated import Behaviour, SimulatedDriver
from ondol.worker.disuse import Disuse
from ondol.worker.images import GRACE, Images, reason_code
from ondol.worker.slots import SlotKey, Slots

ONE, TWO = CodeDigest("1" * 64), CodeDigest("2" * 64)
IMAGE = FunctionImage("u", "r")


def behave(spec: StartSpec) -> Behaviour:
    raise AssertionError("nothing runs here")


class Fetcher:
    """Has what it was asked for, and takes no time."""

    def __init__(self) -> None:
        self.here: set[CodeDigest] = set()
        self.asked: list[CodeDigest] = []

    async def launch(self, image: FunctionImage, digest: CodeDigest) -> StartOf:
        self.asked.append(digest)
        await asyncio.sleep(0)
        self.here.add(digest)
        root = ImageRoot(digest, (), "/", takes_handler=False)
        return StartOf(Runtime("image", "1", Launch.EXEC, (), image=root), Program(image.overrides.command, (), "/"))

    async def kept(self) -> frozenset[CodeDigest]:
        return frozenset(self.here)

    def forget(self, digest: CodeDigest) -> None:
        self.here.discard(digest)


class HandClock:
    def __init__(self) -> None:
        self.time = Instant(0)

    def now(self) -> Instant:
        return self.time

    def wall(self) -> WallTime:
        return WallTime(0)


class Bench:
    def __init__(self) -> None:
        self.fetcher, self.clock, self.driver = Fetcher(), HandClock(), SimulatedDriver(behave)
        self.needed = {ONE, TWO}
        self.unpacked: list[CodeDigest] = []
        names = iter(range(1000))
        self.slots = Slots(self.driver, ahead=0, at_once=1, new_id=lambda: f"id-{next(names)}")
        self.images = Images(
            self.fetcher, driver=self.driver, slots=self.slots, needed=self.is_needed, clock=self.clock
        )
        unpack = self.driver.unpack_image

        async def counted(digest: CodeDigest) -> None:
            self.unpacked.append(digest)
            await unpack(digest)

        self.driver.unpack_image = counted  # type: ignore[method-assign]

    async def is_needed(self, digest: CodeDigest) -> bool:
        return digest in self.needed

    async def ready(self, digest: CodeDigest) -> None:
        start = await self.images.launch(IMAGE, digest)
        await self.slots.expect(SlotKey(start.runtime, AccountId("000000000000")))


def on_bench(work: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        bench = Bench()
        await work(bench)
        await bench.slots.close()

    asyncio.run(run())


def test_an_image_is_unpacked_once_whoever_asks_and_started_as_each_says() -> None:
    async def work(bench: Bench) -> None:
        other = FunctionImage("u", "r", ImageOverrides(command=("other",)))
        starts = await asyncio.gather(*(bench.images.launch(image, ONE) for image in (IMAGE, other, IMAGE)))
        assert bench.unpacked == [ONE]
        assert [start.program for start in starts] == [
            Program((), (), "/"),
            Program(("other",), (), "/"),
            Program((), (), "/"),
        ]
        assert len({start.runtime for start in starts}) == 1, "they share slots"

    on_bench(work)


def test_slots_go_at_once_and_the_image_after_the_grace_period() -> None:
    async def work(bench: Bench) -> None:
        await bench.ready(ONE)
        await bench.ready(TWO)
        await bench.images.collect(set())
        assert len(bench.driver.sandboxes) == 2
        bench.needed = {TWO}
        await bench.images.collect({ONE})
        assert len(bench.driver.sandboxes) == 2, "an environment still runs it"
        await bench.images.collect(set())
        assert len(bench.driver.sandboxes) == 1
        assert bench.driver.images == {ONE, TWO}
        bench.clock.time = Instant(GRACE - 1)
        await bench.images.collect(set())
        assert bench.driver.images == {ONE, TWO}
        bench.clock.time = Instant(GRACE)
        await bench.images.collect(set())
        assert bench.driver.images == {TWO}
        assert bench.fetcher.here == {TWO}
        await bench.ready(ONE)
        assert bench.driver.images == {ONE, TWO}, "it may come again"

    on_bench(work)


def test_an_image_that_is_needed_again_has_its_grace_anew() -> None:
    disuse = Disuse(10 * SECOND)
    assert disuse.over([ONE, TWO], Instant(0)) == []
    assert disuse.over([TWO], Instant(5 * SECOND)) == []
    assert disuse.over([ONE, TWO], Instant(10 * SECOND)) == [TWO]
    assert disuse.over([ONE], Instant(19 * SECOND)) == []
    assert disuse.over([ONE], Instant(20 * SECOND)) == [ONE]


def test_why_a_function_has_failed_is_said_by_awss_codes() -> None:
    codes = {
        kind: reason_code(kind("text"))
        for kind in (ImageAbsent, ImageForbidden, ImageNotKept, RegistryUnreachable, ImageError)
    }
    assert codes == {
        ImageAbsent: "ImageDeleted",
        ImageForbidden: "ImageAccessDenied",
        ImageNotKept: "InternalError",
        RegistryUnreachable: "InternalError",
        ImageError: "InvalidImage",
    }
