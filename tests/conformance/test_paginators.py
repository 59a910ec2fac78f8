"""Every paginator that boto3 has for Lambda, over what there really is."""

import json
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple

import botocore.session
import pytest
from botocore import xform_name
from event_sources import queue_of

from ondol.control.unserved import UNSERVED
from ondol_process import OndolProcess, create, package

PAGINATORS: dict[str, dict[str, Any]] = (
    botocore.session.get_session().get_component("data_loader").load_service_model("lambda", "paginators-1")
)["pagination"]

STATE = "GetDurableExecutionState"
"""Tells the function alone, and only while it runs."""

SERVED = sorted(PAGINATORS.keys() - UNSERVED.keys() - {STATE})
FUNCTION = "paged"
DURABLE = "paged-durable"
DURABLE_CODE = """
import json, boto3

functions = boto3.client("lambda")


def ids(result):
    return [operation["Id"] for operation in result["Operations"]]


def h(event, context):
    named = {"DurableExecutionArn": event["DurableExecutionArn"]}
    steps = [{"Id": f"step{number}", "Type": "STEP", "Action": "SUCCEED", "Payload": "1"} for number in range(5)]
    token = functions.checkpoint_durable_execution(**named, CheckpointToken=event["CheckpointToken"], Updates=steps)
    named["CheckpointToken"] = token["CheckpointToken"]

    def paged(**config):
        return functions.get_paginator("get_durable_execution_state").paginate(**named, PaginationConfig=config)

    begun = paged(MaxItems=3, PageSize=2).build_full_result()
    rest = paged(StartingToken=begun["NextToken"], PageSize=2).build_full_result()
    pages = [ids(page) for page in paged(PageSize=2)]
    return {"Status": "SUCCEEDED", "Result": json.dumps([pages, ids(begun), ids(rest)])}
"""
LAYER = "paged-layer"
COUNT = 5
PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/mine/abcdefghij"


class Listing(NamedTuple):
    """What an operation lists: asked for by which parameters, and under which names."""

    parameters: dict[str, Any]
    names: list[str]
    name_of: Callable[[Any], str]


@pytest.fixture(scope="module")
def client(door: OndolProcess) -> Any:
    """Of an account that has nothing but what is listed here."""
    return door.client(account="515151515151")


@pytest.fixture(scope="module")
def listings(client: Any, door: OndolProcess) -> dict[str, Listing]:
    """By operation."""
    numbers = [str(number) for number in range(1, COUNT + 1)]
    named = {"FunctionName": FUNCTION}
    create(client, FUNCTION, "def h(event, context): return 0")
    signing = [make_code_signing(client) for _ in numbers]
    others = [f"{FUNCTION}-{number}" for number in numbers[1:]]
    for other in others:
        create(client, other, "", CodeSigningConfigArn=signing[0])
    for number in numbers:
        client.publish_version(**named)
        change(client, number)
        client.create_alias(**named, Name=f"a{number}", FunctionVersion=number)
        client.create_function_url_config(**named, Qualifier=f"a{number}", AuthType="NONE")
        client.put_function_event_invoke_config(**named, Qualifier=number, MaximumRetryAttempts=1)
        content = {"ZipFile": package({"python/n.py": number})}
        client.publish_layer_version(LayerName=LAYER, Content=content)
        client.publish_layer_version(LayerName=f"{LAYER}-{number}", Content=content)
    mappings = []
    for number in numbers:
        _, queue = queue_of(door, f"paged-{number}", account="515151515151")
        made = client.create_event_source_mapping(**named, EventSourceArn=queue, Enabled=False)
        mappings.append(made["UUID"])
    arn = client.get_function_configuration(**named)["FunctionArn"]
    create(client, DURABLE, DURABLE_CODE, DurableConfig={"ExecutionTimeout": 60}, MemorySize=1769, Timeout=30)
    executions = [run_durable(client, f"e{number}")["DurableExecutionArn"] for number in numbers]
    history = client.get_durable_execution_history(DurableExecutionArn=executions[0])["Events"]
    aliases = [f"a{number}" for number in numbers]
    provisioned = "ListProvisionedConcurrencyConfigs"
    if provisioned in SERVED:
        for alias in aliases:
            client.put_provisioned_concurrency_config(**named, Qualifier=alias, ProvisionedConcurrentExecutions=1)
    listings = {
        provisioned: Listing(named, [f"{arn}:{alias}" for alias in aliases], function_arn),
        "ListDurableExecutionsByFunction": Listing(
            {"FunctionName": DURABLE}, executions, lambda item: item["DurableExecutionArn"]
        ),
        "GetDurableExecutionHistory": Listing(
            {"DurableExecutionArn": executions[0]},
            [str(event["EventId"]) for event in history],
            lambda item: str(item["EventId"]),
        ),
        "ListFunctions": Listing({}, [FUNCTION, *others, DURABLE], lambda item: item["FunctionName"]),
        "ListVersionsByFunction": Listing(named, ["$LATEST", *numbers], lambda item: item["Version"]),
        "ListAliases": Listing(named, aliases, lambda item: item["Name"]),
        "ListFunctionUrlConfigs": Listing(named, [f"{arn}:{alias}" for alias in aliases], function_arn),
        "ListFunctionEventInvokeConfigs": Listing(named, [f"{arn}:{number}" for number in numbers], function_arn),
        "ListLayers": Listing(
            {}, [LAYER, *(f"{LAYER}-{number}" for number in numbers)], lambda item: item["LayerName"]
        ),
        "ListLayerVersions": Listing({"LayerName": LAYER}, numbers[::-1], lambda item: str(item["Version"])),
        "ListEventSourceMappings": Listing(named, mappings, lambda item: item["UUID"]),
        "ListCodeSigningConfigs": Listing({}, signing, lambda item: item["CodeSigningConfigArn"]),
        "ListFunctionsByCodeSigningConfig": Listing(
            {"CodeSigningConfigArn": signing[0]}, [f"{arn}-{number}" for number in numbers[1:]], str
        ),
    }
    return {operation: listing for operation, listing in listings.items() if operation not in UNSERVED}


def run_durable(client: Any, name: str) -> dict[str, Any]:
    """The answer to an execution that somebody waited for."""
    told: dict[str, Any] = client.invoke(FunctionName=f"{DURABLE}:$LATEST", DurableExecutionName=name)
    assert "FunctionError" not in told, told["Payload"].read()
    return told


def make_code_signing(client: Any) -> str:
    made = client.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [PROFILE]})
    arn: str = made["CodeSigningConfig"]["CodeSigningConfigArn"]
    return arn


def change(client: Any, text: str) -> None:
    """Make what is published next another version."""
    client.update_function_code(
        FunctionName=FUNCTION, ZipFile=package({"m.py": f"def h(event, context): return {text}"})
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=FUNCTION, WaiterConfig={"Delay": 0.05})


def function_arn(item: dict[str, Any]) -> str:
    arn: str = item["FunctionArn"]
    return arn


def pages_of(client: Any, operation: str, listing: Listing, **config: Any) -> Any:
    paginator = client.get_paginator(xform_name(operation))
    return paginator.paginate(**listing.parameters, PaginationConfig=config)


def shown_on(operation: str, listing: Listing, pages: Iterable[dict[str, Any]]) -> list[list[str]]:
    """What stands on each page."""
    member = PAGINATORS[operation]["result_key"]
    return [[listing.name_of(item) for item in page[member]] for page in pages]


def test_each_paginator_has_something_to_list(listings: dict[str, Listing]) -> None:
    assert sorted(listings) == SERVED


@pytest.mark.parametrize("operation", SERVED)
def test_pages_have_the_size_that_was_asked_for_and_tell_everything_once(
    client: Any, listings: dict[str, Listing], operation: str
) -> None:
    listing = listings[operation]
    pages = list(pages_of(client, operation, listing, PageSize=2))
    shown = shown_on(operation, listing, pages)
    full, rest = divmod(len(listing.names), 2)
    assert [len(page) for page in shown] == [2] * full + [rest] * bool(rest)
    assert ["NextMarker" in page for page in pages] == [True] * (len(pages) - 1) + [False]
    told = list(chain.from_iterable(shown))
    assert sorted(told) == sorted(listing.names)
    [at_once] = shown_on(operation, listing, pages_of(client, operation, listing))
    assert told == at_once, "one order"


@pytest.mark.parametrize("operation", SERVED)
def test_a_listing_is_broken_off_and_taken_up_again(client: Any, listings: dict[str, Listing], operation: str) -> None:
    listing = listings[operation]
    begun = pages_of(client, operation, listing, MaxItems=3, PageSize=2).build_full_result()
    rest = pages_of(client, operation, listing, StartingToken=begun["NextToken"], PageSize=2).build_full_result()
    assert "NextToken" not in rest
    first, second = shown_on(operation, listing, [begun, rest])
    assert len(first) == 3
    assert sorted(first + second) == sorted(listing.names)


def test_a_function_reads_the_state_of_its_execution_in_pages(client: Any, listings: dict[str, Listing]) -> None:
    pages, begun, rest = json.loads(run_durable(client, "paged")["Payload"].read())
    assert [len(page) for page in pages] == [2, 2, 2], "five steps, and the execution itself"
    assert begun + rest == list(chain.from_iterable(pages))
