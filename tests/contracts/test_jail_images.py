"""What the jail makes of images that are functions' code: one root for all, a program for each, and then nothing."""

import asyncio
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_to_end import PATIENCE_S, run_to_end

from oci_images import entry, layer, make, system_layer, write_layout
from ondol.model.ids import CodeDigest, SandboxId
from ondol.model.runtime import Program
from ondol.runtimes.oci.fetch import fetch_exactly, resolve
from ondol.runtimes.oci.launch import runtime_of
from ondol.runtimes.oci.reference import parse
from ondol.sandbox.driver import Exit, SlotSpec, StartSpec
from ondol.sandbox.errors import UnpackRefused
from ondol.sandbox.jail.driver import JailDriver

pytestmark = pytest.mark.sandbox

ACCOUNT = "111122223333"


class Bench:
    """An open driver, and images fetched for it."""

    def __init__(self, directory: Path) -> None:
        self.images = directory / "data" / "images"
        self.runner = asyncio.Runner()
        self.driver = JailDriver(directory / "data")
        self.runner.run(self.driver.open([]))
        self._directory = directory
        self._made = 0

    def fetched(self, *layers: bytes) -> tuple[CodeDigest, Path]:
        """A fetched image, and its directory."""
        self._made += 1
        layout = write_layout(self._directory / f"layout-{self._made}", make(layers, compressed=False))
        reference = parse(f"oci:{layout}")
        digest = resolve(reference)
        fetch_exactly(reference, digest, self.images, lambda text: None)
        name = digest.removeprefix("sha256:")
        return CodeDigest(name), self.images / name

    async def run(self, digest: CodeDigest, program: Program) -> tuple[Exit, str]:
        self._made += 1
        fetched = fetch_exactly(parse("oci:/nowhere"), digest, self.images, lambda text: None)
        slot = SlotSpec(SandboxId(f"image-{self._made}"), runtime_of(fetched), ACCOUNT)
        variables = {"PATH": "/usr/bin:/bin", "_HANDLER": ""}
        return await run_to_end(self.driver, slot, StartSpec(None, (), variables, 256, 1.0, 512, program=program))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return system_layer(tmp_path_factory.mktemp("system"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("images"))
    yield bench
    bench.runner.run(bench.driver.close())
    bench.runner.close()


def test_one_root_serves_programs_that_differ_and_is_gone_when_it_is_discarded(bench: Bench, system: bytes) -> None:
    digest, directory = bench.fetched(system, layer(("var/task/data", b"the image's"), ("app/x", b"")))

    async def work() -> None:
        await asyncio.gather(*(bench.driver.unpack_image(digest) for _ in range(3)))
        assert not (directory / "layers").exists()
        assert await bench.run(digest, Program(("cat",), ("data",), "/var/task")) == (Exit(code=0), "the image's")
        assert await bench.run(digest, Program(("/bin/ls",), (), "/app")) == (Exit(code=0), "x\n")
        nowhere = await bench.run(digest, Program(("ls",), ("-a", "-l"), "/gone"))
        text = "IMAGE\tLaunch error: the working directory doesn't exist: /gone"
        assert nowhere == (Exit(code=127), f"{text}\tEntrypoint: [ls]\tCmd: [-a,-l]\tWorkingDir: [/gone]\n")
        await bench.driver.discard_image(digest)
        await bench.driver.discard_image(digest)
        assert list(bench.images.iterdir()) == []

    bench.runner.run(work())


def test_what_was_discarded_may_come_again(bench: Bench, system: bytes) -> None:
    async def work() -> None:
        for text in (b"one", b"two"):
            digest, _ = bench.fetched(system, layer(("data", text)))
            await bench.driver.unpack_image(digest)
            assert await bench.run(digest, Program(("cat",), ("/data",), "/")) == (Exit(code=0), text.decode())
            await bench.driver.discard_image(digest)

    for _ in range(2):
        bench.runner.run(work())


def test_a_hostile_image_is_refused_and_can_be_discarded(bench: Bench) -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        archive.addfile(entry("link", tarfile.SYMTYPE, target="/etc"))
        archive.addfile(entry("link/passwd"))
    digest, directory = bench.fetched(written.getvalue())

    async def work() -> None:
        with pytest.raises(UnpackRefused, match="leads through 'link'"):
            await bench.driver.unpack_image(digest)
        assert not list(directory.glob("*root*"))
        await bench.driver.discard_image(digest)
        assert not directory.exists()

    bench.runner.run(work())


def test_what_a_killed_run_was_unpacking_or_discarding_is_removed_at_the_next_start(tmp_path: Path) -> None:
    halves = [tmp_path / "data" / name for name in ("code/.a.7.unpacking", "images/.b.8.discarded", "code/.c.swept")]
    for half in halves:
        (half / "below").mkdir(parents=True)
        (half / "below" / "file").touch()

    async def work() -> None:
        driver = JailDriver(tmp_path / "data")
        await driver.open([])
        try:
            async with asyncio.timeout(PATIENCE_S):
                while any([*(tmp_path / "data/code").iterdir(), *(tmp_path / "data/images").iterdir()]):
                    await driver.discard_image(CodeDigest("none"))
        finally:
            await driver.close()

    asyncio.run(work())
