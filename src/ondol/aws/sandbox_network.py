"""Which servers a function reaches at which ports of its sandbox, and what its environment says of them.

```
AWS_ENDPOINT_URL          ──▶ :9001, ondol     what it serves or must see, and for who knows no other variable, all else
AWS_ENDPOINT_URL_S3, ...  ──▶ :19001, ...      the server of [endpoints], byte for byte
```

Whatever an SDK understands, it reaches the right server: ondol passes on what it does not serve. Those that know the
variables of single services, as most do, take the short way past it. With a default endpoint the usual services have
such variables; the others go through ondol.
"""

from collections.abc import Iterable, Mapping

from ondol.aws.service_ids import OWN, SEEN, USUAL, variables_of
from ondol.model.endpoint import Endpoint, Endpoints
from ondol.model.network import (
    LOOPBACK,
    MOST_RELAYED,
    AllowedHost,
    NetworkMode,
    Relayed,
    SandboxNetwork,
)

FIRST_PORT = 19_001


def plan_network(mode: NetworkMode, allowed: Iterable[AllowedHost], endpoints: Endpoints) -> SandboxNetwork:
    """Allowed hosts keep their ports; each server of `endpoints` gets one, whichever services it has."""
    if mode is NetworkMode.NONE:
        return SandboxNetwork(mode)
    relayed = [Relayed(host.port, host.host, host.port) for host in allowed]
    taken = {each.at for each in relayed}
    free = (port for port in range(FIRST_PORT, FIRST_PORT + 2 * MOST_RELAYED) if port not in taken)
    ports: dict[Endpoint, int] = {}
    variables: dict[str, str] = {}
    for service in sorted({*endpoints.named, *(USUAL if endpoints.default is not None else ())} - OWN - SEEN):
        server = endpoints.of(service)
        assert server is not None
        if server not in ports:
            if len(relayed) == MOST_RELAYED:
                continue  # ondol passes its requests on
            ports[server] = next(free)
            relayed.append(Relayed(ports[server], server.host, server.port, server.tls))
        variables |= dict.fromkeys(variables_of(service), f"http://{LOOPBACK}:{ports[server]}")
    return SandboxNetwork(mode, tuple(relayed), variables)


def variables_now(network: SandboxNetwork, seen: Iterable[str]) -> Mapping[str, str]:
    """What a new environment's variables say, if at present the services `seen` must go by ondol."""
    by_ondol = {variable for service in seen for variable in variables_of(service)}
    return {name: url for name, url in network.variables.items() if name not in by_ondol}
