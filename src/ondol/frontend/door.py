"""Whose a request is that was signed for another service than Lambda: ondol's own, or that of a server elsewhere.

Pure. The scope of its signature names the service, and nothing else does: a path of S3 may look like one of Lambda's.
People's tools send everything to one port, so ondol serves what it has and passes on the rest (`ondol.model.endpoint`).
"""

from collections.abc import Mapping

from ondol.aws.service_ids import OWN
from ondol.model.endpoint import Endpoint, Endpoints

Served = Mapping[str, frozenset[str]]
"""The operations that ondol serves of services of which it does not serve all."""


class NoServer(Exception):
    """Nobody serves this; the text says which line of the configuration is missing."""

    def __init__(self, service: str, operation: str | None) -> None:
        what = f"the operation {operation} of {service}" if service in OWN and operation else f"the service {service}"
        super().__init__(
            f"ondol does not serve {what} itself, and no server is configured that does: name one in ondol.toml under "
            f'[endpoints], as {service} = "http://127.0.0.1:PORT", or start ondol with: ondol up --with moto'
        )


def server_of(service: str, operation: str | None, served: Served, endpoints: Endpoints) -> Endpoint | None:
    """Who answers: None means ondol itself. Raises `NoServer`."""
    if operation is not None and operation in served.get(service, ()):
        return None
    endpoint = endpoints.of(service)
    if endpoint is None:
        raise NoServer(service, operation)
    return endpoint
