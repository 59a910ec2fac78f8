"""`ondol doctor`: what this machine can isolate and enforce, what is missing, and what to do about it.

Needs no ondol that runs. It opens the very driver that `ondol up` uses, over an empty directory, and asks it.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import ondol
from ondol.cli.console import Progress
from ondol.cli.failure import CommandFailed
from ondol.cli.options import Json

if TYPE_CHECKING:
    from ondol.config import Config

_ENFORCED = {
    "memory_limit": "memory is limited",
    "cpu_limit": "the share of the processor is limited",
    "process_limit": "the number of processes is limited",
    "tmp_limit": "the size of /tmp is limited",
    "freeze": "idle environments are frozen",
    "network_isolated": "the network is isolated",
    "own_uid": "each sandbox has a user of its own",
}
_DESCRIPTORS = 4
"""That ondol holds for an environment at work: its listener, its output, the runtime's connection, the client's."""


def doctor(*, as_json: Json = False) -> None:
    """Examine this machine: what ondol can isolate and enforce here. Needs no ondol that runs."""
    from ondol.config import ConfigError, load  # noqa: PLC0415 - `ondol --help` does without

    try:
        config = load({}, os.environ)
    except ConfigError as error:
        raise CommandFailed(str(error), 2) from error
    with Progress("Examining this machine"):
        report = examine(config)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _show(report)
    if not report["usable"]:
        raise typer.Exit(1)


def examine(config: "Config") -> dict[str, Any]:
    """Everything found, ready for JSON. `advice` is what to do, a sentence each; `usable` whether functions can run."""
    from ondol.runtimes.catalog import find  # noqa: PLC0415 - `ondol --help` does without

    images = _images(config)
    runtimes = {name: runtime.version for name, runtime in find().runtimes.items()}
    enforced, problem, shortfalls = _sandboxes(config.data_dir)
    internet_needs = _missing_for_internet()
    room = _nearest_existing(config.data_dir)
    free_mb = shutil.disk_usage(room).free >> 20
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    advice = [f"Functions cannot run here: {problem}."] if problem else []
    advice += shortfalls
    if internet_needs and config.network == "nat":
        advice.append(f"ondol cannot start: the network mode nat needs {internet_needs}. Choose relay instead.")
    if not any(name.startswith("python") for name in runtimes):
        advice.append("No Python was found that a function could run on: install one, from 3.8 to 3.14.")
    advice += [
        f"The runtime {name} cannot be had from {image['reference']}: {image['problem']}."
        for name, image in images.items()
        if image["problem"]
    ]
    if not os.access(room, os.W_OK):
        advice.append(f"The data directory {config.data_dir} cannot be written: set data_dir in ondol.toml.")
    if free_mb < 1024:
        advice.append(f"Only {free_mb} MB are free where {config.data_dir} is: packages, logs and /tmp need room.")
    if descriptors < config.worker.environments * _DESCRIPTORS:
        most = descriptors // _DESCRIPTORS
        advice.append(
            f"This process may open {descriptors} files, enough for about {most} environments of the "
            f"{config.worker.environments} that are allowed: raise the limit (ulimit -Hn)."
        )
    return {
        "version": ondol.__version__,
        "usable": problem is None and not (internet_needs and config.network == "nat"),
        "machine": {
            "kernel": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "processors": config.worker.processors,
            "memory_mb": config.worker.memory_mb,
            "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
            "descriptors": descriptors,
        },
        "sandboxes": enforced,
        "internet": {"possible": internet_needs is None, "needs": internet_needs},
        "runtimes": {name: version for name, version in runtimes.items() if name not in images},
        "images": images,
        "data_dir": {"path": str(config.data_dir), "free_mb": free_mb},
        "advice": advice,
    }


def _images(config: "Config") -> dict[str, dict[str, str | None]]:
    """By runtime, the image that the configuration names, and what it is or why it cannot be used."""
    if not config.runtimes:
        return {}
    from ondol.aws.runtime_names import accepted_runtimes  # noqa: PLC0415 - `ondol --help` does without
    from ondol.config import ConfigError  # noqa: PLC0415
    from ondol.runtimes.oci.errors import ImageError  # noqa: PLC0415
    from ondol.runtimes.oci.fetch import look  # noqa: PLC0415
    from ondol.runtimes.oci.runtime_images import check_images  # noqa: PLC0415

    try:
        references = check_images(config.runtimes, accepted_runtimes())
    except ConfigError as error:
        raise CommandFailed(str(error), 2) from error
    found: dict[str, dict[str, str | None]] = {}
    for name, reference in references.items():
        found[name] = {"reference": reference, "image": None, "problem": None}
        try:
            found[name]["image"] = look(reference, config.data_dir / "images")
        except ImageError as error:
            found[name]["problem"] = str(error)
    return found


def _sandboxes(data_dir: Path) -> tuple[dict[str, Any] | None, str | None, list[str]]:
    """What the driver enforces, or why it cannot be used, and its shortfalls."""
    import asyncio  # noqa: PLC0415 - `ondol --help` does without

    from ondol.sandbox.driver import Capabilities  # noqa: PLC0415
    from ondol.sandbox.errors import SandboxError  # noqa: PLC0415
    from ondol.sandbox.jail.driver import JailDriver  # noqa: PLC0415

    async def probe(directory: Path) -> Capabilities:
        driver = JailDriver(directory)
        await driver.open([])
        try:
            return driver.capabilities
        finally:
            await driver.close()

    try:
        with tempfile.TemporaryDirectory(prefix="ondol-doctor-", dir=_nearest_existing(data_dir)) as directory:
            found = asyncio.run(probe(Path(directory)))
    except (SandboxError, OSError) as error:
        return None, str(error), []
    enforced: dict[str, Any] = {name: getattr(found, name) for name in ("driver", *_ENFORCED)}
    return enforced, None, list(found.shortfalls)


def _missing_for_internet() -> str | None:
    """What this machine lacks to give functions the internet."""
    from ondol.sandbox.jail import spawner  # noqa: PLC0415 - `ondol --help` does without

    program = Path(spawner.__file__).with_name("router_probe.py")
    tried = subprocess.run([sys.executable, "-I", "-S", program], check=False, capture_output=True, text=True)
    return None if tried.returncode == 0 else tried.stderr.strip().rpartition("\n")[2]


def _nearest_existing(directory: Path) -> Path:
    return next(place for place in (directory, *directory.parents) if place.is_dir())


def _show(report: dict[str, Any]) -> None:
    machine, data_dir = report["machine"], report["data_dir"]
    typer.secho(f"ondol {report['version']} on {machine['kernel']}, {machine['architecture']}", bold=True)
    typer.echo(
        f"{machine['processors']:g} processors, {machine['memory_mb']} MB of memory, running as {machine['user']}"
    )
    typer.echo(f"Data in {data_dir['path']}, {data_dir['free_mb']} MB free there")
    typer.secho("\nSandboxes", bold=True)
    if report["sandboxes"] is None:
        _mark(False, "none can be made")
    else:
        for name, text in _ENFORCED.items():
            _mark(report["sandboxes"][name], text)
    _mark(report["internet"]["possible"], "functions can have the internet (--network nat)")
    typer.secho("\nRuntimes", bold=True)
    for name, version in report["runtimes"].items():
        _mark(True, name if name.startswith("provided") else f"{name} ({version})")
    for name, image in report["images"].items():
        _mark(image["problem"] is None, f"{name} from {image['reference']} ({image['image'] or image['problem']})")
    typer.secho("\nWhat to do" if report["advice"] else "\nNothing is missing.", bold=True)
    for sentence in report["advice"]:
        typer.echo(f"  {sentence}")


def _mark(good: bool, text: str) -> None:
    typer.secho("  yes  " if good else "  no   ", fg=typer.colors.GREEN if good else typer.colors.RED, nl=False)
    typer.echo(text)
