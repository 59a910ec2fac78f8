"""Which servers functions reach at which ports, and what their environment says of it."""

import gzip
import re
from pathlib import Path

import botocore
import pytest

from ondol.aws.sandbox_network import FIRST_PORT, plan_network, variables_now
from ondol.aws.service_ids import OWN, USUAL, variables_of
from ondol.model.endpoint import Endpoint, Endpoints
from ondol.model.network import MOST_RELAYED, AllowedHost, NetworkMode, Relayed, SandboxNetwork

S3 = Endpoint("127.0.0.1", 9000)
REST = Endpoint("moto.example", 443, tls=True)


def test_each_server_has_one_port_whatever_it_serves() -> None:
    network = plan_network(NetworkMode.RELAY, [], Endpoints({"s3": S3, "sqs": REST, "dynamodb": REST}))
    assert {(each.host, each.port, each.tls) for each in network.relayed} == {
        ("127.0.0.1", 9000, False),
        ("moto.example", 443, True),
    }
    at = {each.host: f"http://127.0.0.1:{each.at}" for each in network.relayed}
    assert network.variables == {
        "AWS_ENDPOINT_URL_S3": at["127.0.0.1"],
        "AWS_ENDPOINT_URL_S3_CONTROL": at["127.0.0.1"],
        "AWS_ENDPOINT_URL_SQS": at["moto.example"],
        "AWS_ENDPOINT_URL_DYNAMODB": at["moto.example"],
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": at["moto.example"],
    }


def test_a_default_has_the_usual_services_and_named_ones_have_their_own() -> None:
    variables = plan_network(NetworkMode.NAT, [], Endpoints({"s3": S3}, REST)).variables
    assert variables["AWS_ENDPOINT_URL_S3"] != variables["AWS_ENDPOINT_URL_SQS"] == variables["AWS_ENDPOINT_URL_SFN"]
    assert "AWS_ENDPOINT_URL" not in variables


@pytest.mark.parametrize("service", sorted(OWN))
def test_what_ondol_serves_itself_has_no_way_of_its_own(service: str) -> None:
    named = {service: S3} if service != "lambda" else {}
    network = plan_network(NetworkMode.RELAY, [], Endpoints(named, REST))
    assert not set(variables_of(service)) & network.variables.keys()


def test_allowed_hosts_keep_their_ports_and_nobody_elses_is_theirs() -> None:
    allowed = [AllowedHost("db", 5432), AllowedHost("odd", FIRST_PORT)]
    network = plan_network(NetworkMode.RELAY, allowed, Endpoints({"s3": S3}))
    assert network.relayed == (
        Relayed(5432, "db", 5432),
        Relayed(FIRST_PORT, "odd", FIRST_PORT),
        Relayed(FIRST_PORT + 1, "127.0.0.1", 9000),
    )


def test_without_a_network_there_is_nothing() -> None:
    assert plan_network(NetworkMode.NONE, [], Endpoints({"s3": S3}, REST)) == SandboxNetwork(NetworkMode.NONE)


def test_servers_beyond_what_a_sandbox_can_bind_are_left_to_ondol() -> None:
    servers = {f"service-{number}": Endpoint("127.0.0.1", 1000 + number) for number in range(MOST_RELAYED + 5)}
    network = plan_network(NetworkMode.RELAY, [], Endpoints(servers))
    assert len(network.relayed) == len(network.variables) == MOST_RELAYED


def test_the_names_are_those_of_the_sdks_own_models() -> None:
    known: dict[str, set[str]] = {}
    for model in Path(botocore.__file__).parent.glob("data/*/*/service-2.json.gz"):
        with gzip.open(model, "rt") as text:
            head = text.read(4096)
        found = dict(re.findall(r'"(serviceId|signingName|endpointPrefix)"\s*:\s*"([^"]+)"', head))
        signed = found.get("signingName", found["endpointPrefix"])
        known.setdefault(signed, set()).add(found["serviceId"].upper().replace(" ", "_"))
    for signed, ids in USUAL.items():
        assert set(ids) <= known[signed], signed


def test_what_ondol_must_see_has_no_way_of_its_own() -> None:
    network = plan_network(NetworkMode.RELAY, [], Endpoints({"sns": S3}, REST))
    assert "AWS_ENDPOINT_URL_SNS" not in network.variables and "AWS_ENDPOINT_URL_S3" in network.variables
    seen = variables_now(network, ["s3"])
    assert network.variables.keys() - seen.keys() == {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_S3_CONTROL"}
    assert variables_now(network, []) == network.variables
