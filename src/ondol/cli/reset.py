"""`ondol reset`: begin anew, with no function and no log."""

from typing import Annotated

import typer

from ondol.cli.client import DEFAULT_ENDPOINT, Client
from ondol.cli.console import say, sure
from ondol.cli.options import Endpoint


def reset(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Delete every function and every log, of all accounts and regions."""
    client = Client(endpoint, operator=True)
    client.status()  # who asks wants to know now if there is none
    sure(yes, f"every function and every log of the ondol at {client.endpoint}")
    number = client.reset()["functions"]
    say(f"Deleted {number} {'function' if number == 1 else 'functions'} and all logs.")
