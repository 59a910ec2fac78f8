"""`ondol credentials`: who may call an ondol that verifies signatures."""

import enum
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client, Refused
from ondol.cli.console import say, table
from ondol.cli.failure import CommandFailed
from ondol.cli.options import Endpoint, Json

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke what callers sign with (see: ondol up --auth).")


class Right(enum.StrEnum):
    """As `ondol.callers.api.Right`, which takes longer to import."""

    INVOKE = "invoke"
    READ = "read"
    MANAGE = "manage"


@app.command("create")
def create(
    *,
    right: Annotated[
        list[Right] | None,
        typer.Option(help="What it may do; may be given several times.", show_default="all three"),
    ] = None,
    account: Annotated[str, typer.Option(help="Whose functions it is for.")] = "000000000000",
    name: Annotated[
        str | None, typer.Option(help="Who has it: shown where something is refused.", show_default="the access key")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Write it there, for AWS_SHARED_CREDENTIALS_FILE, and do not show the secret."),
    ] = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: Json = False,
) -> None:
    """Make an access key and its secret, which is shown this once."""
    if file is not None and (file.exists() or not file.absolute().parent.is_dir()):
        raise CommandFailed(f"{file} is there already, or its directory is not: name a new file.", 2)
    wanted: dict[str, Any] = {"account": account, "rights": sorted(set(right or Right))}
    made = _client(endpoint).create_credential(wanted if name is None else {**wanted, "name": name})
    if file is not None:
        _write(file, made)
    if as_json:
        typer.echo(json.dumps(made, indent=2))
        return
    typer.echo(f"AWS_ACCESS_KEY_ID={made['AccessKeyId']}")
    if file is None:
        typer.echo(f"AWS_SECRET_ACCESS_KEY={made['SecretAccessKey']}")
        say("The secret is not shown again.")
    else:
        say(f"Wrote it to {file}. Use it with: export AWS_SHARED_CREDENTIALS_FILE={file}")
    say(f"It may {', '.join(made['Rights'])} in account {made['Account']}.")


@app.command("list")
def list_credentials(*, endpoint: Endpoint = DEFAULT_ENDPOINT, as_json: Json = False) -> None:
    """List credentials, without their secrets."""
    listed = _client(endpoint).credentials()
    if as_json:
        typer.echo(json.dumps(listed, indent=2))
        return
    rows = [
        (
            each["AccessKeyId"],
            each["Name"],
            each["Account"],
            "operator" if each["Operator"] else ", ".join(each["Rights"]),
            datetime.fromtimestamp(each["Created"] / 1000, UTC).isoformat(sep=" ", timespec="seconds")[:19],
        )
        for each in listed
    ]
    table(("ACCESS KEY", "NAME", "ACCOUNT", "MAY", "CREATED (UTC)"), rows)


@app.command("revoke")
def revoke(
    access_key: Annotated[str, typer.Argument(metavar="ACCESS_KEY", show_default=False)],
    *,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Let a credential count no more, from now on and for ever."""
    try:
        _client(endpoint).revoke_credential(access_key)
    except Refused as refused:
        if refused.not_found:
            raise CommandFailed(
                f"There is no credential {access_key}. See those there are with: ondol credentials list"
            ) from refused
        raise
    say(f"Revoked {access_key}.")


def _client(endpoint: str) -> Client:
    return Client(endpoint, operator=True)


def _write(file: Path, made: dict[str, Any]) -> None:
    from ondol.callers.credentials_file import write_credentials  # noqa: PLC0415 - `ondol --help` does without

    try:
        write_credentials(file, made["AccessKeyId"], made.pop("SecretAccessKey"))
    except OSError as error:
        raise CommandFailed(
            f"{file} could not be written: {error.strerror}. Nobody has the secret: revoke the credential with: "
            f"ondol credentials revoke {made['AccessKeyId']}"
        ) from error
