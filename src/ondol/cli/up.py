"""`ondol up`: run ondol in this process until it is told to stop."""

import enum
import errno
import os
from pathlib import Path
from typing import Annotated

import typer

from ondol.cli.failure import CommandFailed


class Companion(enum.StrEnum):
    """What can be started beside ondol."""

    MOTO = "moto"


class Auth(enum.StrEnum):
    """As `ondol.model.network.AuthMode`, which takes longer to import."""

    NONE = "none"
    SIGV4 = "sigv4"


class Network(enum.StrEnum):
    """As `ondol.model.network.NetworkMode`, which takes longer to import."""

    NONE = "none"
    RELAY = "relay"
    NAT = "nat"


def up(
    *,
    host: Annotated[
        str | None,
        typer.Option(
            help="The address to listen at; one that other machines reach needs --auth sigv4 and TLS.",
            show_default="127.0.0.1",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Where to listen; 0 for a free port.", show_default="4566")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept.", show_default="~/.local/share/ondol")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The file with all other settings.", show_default="ondol.toml if there is one")
    ] = None,
    auth: Annotated[
        Auth | None,
        typer.Option(
            help="How callers are known: by what they say (none), or by verified signatures (sigv4; see: ondol "
            "credentials).",
            show_default="none",
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Speak TLS with this certificate (PEM, with its chain).", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="The certificate's key (PEM, not encrypted).", show_default=False)
    ] = None,
    nearest_runtime: Annotated[
        bool | None,
        typer.Option(
            "--nearest-runtime",
            help="Run functions on the nearest interpreter of their language if this machine lacks theirs.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Let functions reach this address, as host.ondol.internal:PORT. May be given several times.",
            show_default=False,
        ),
    ] = None,
    hot_reload: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Let directories below this one be functions' code, reloaded when they change "
            "(S3Bucket=hot-reload, S3Key=DIRECTORY), and images (ImageUri=oci:DIRECTORY). May be given several times.",
            show_default=False,
        ),
    ] = None,
    network: Annotated[
        Network | None,
        typer.Option(
            help="How far functions reach: none, relay (what is named here), or nat (that and the internet).",
            show_default="relay",
        ),
    ] = None,
    companion: Annotated[
        Companion | None,
        typer.Option(
            "--with",
            help="Start a moto server beside, for the services of AWS that ondol does not serve.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start ondol. Stop it with Ctrl-C: requests in flight get 30 s to end; a second Ctrl-C ends them at once."""
    from ondol.config import ConfigError, load  # noqa: PLC0415 - `ondol --help` does without

    flags = {
        "host": host,
        "port": port,
        "data_dir": None if data_dir is None else str(data_dir),
        "auth": None if auth is None else auth.value,
        "tls.cert": None if tls_cert is None else str(tls_cert),
        "tls.key": None if tls_key is None else str(tls_key),
        "nearest_runtime": nearest_runtime,
        "network.allow_hosts": allow_host or None,
        "code.folders": hot_reload or None,
        "network.mode": None if network is None else network.value,
        "with": None if companion is None else companion.value,
    }
    try:
        configuration = load(flags, os.environ, config)
    except ConfigError as error:
        raise CommandFailed(str(error), 2) from error
    from ondol.assembly import run  # noqa: PLC0415 - all of ondol
    from ondol.companion import CompanionError  # noqa: PLC0415
    from ondol.http import CertificateError  # noqa: PLC0415
    from ondol.sandbox.errors import DirectoryInUse, SandboxError  # noqa: PLC0415
    from ondol.store.protocol import StoreError  # noqa: PLC0415

    try:
        code = run(configuration)
    except ConfigError as error:
        raise CommandFailed(str(error), 2) from error
    except CertificateError as error:
        raise CommandFailed(f"{error}. Give others with --tls-cert and --tls-key.", 2) from error
    except DirectoryInUse as error:
        raise CommandFailed(
            f"Another ondol runs with its data in {configuration.data_dir} (see: ondol status). "
            "Stop it, or choose another directory with --data-dir."
        ) from error
    except SandboxError as error:
        raise CommandFailed(f"ondol cannot make sandboxes here: {error}. Look closer with: ondol doctor") from error
    except CompanionError as error:
        raise CommandFailed(f"{error}.") from error
    except StoreError as error:
        raise CommandFailed(f"ondol cannot use its store in {configuration.data_dir}: {error}.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandFailed(
                f"Port {configuration.port} is taken, perhaps by another ondol (see: ondol status). "
                "Choose another one with --port."
            ) from error
        raise CommandFailed(
            f"ondol cannot start with its data in {configuration.data_dir}: {error}. "
            "Another directory is chosen with --data-dir."
        ) from error
    raise typer.Exit(code)
