"""Rules of EventBridge in virtual time: their schedules, and what a broken store or a restart does to them."""

import asyncio

import pytest
from trigger_world import ACCOUNT, FUNCTION, OWNER, World, scenario

from ondol.aws.wire import EventsWire
from ondol.model.errors import NotServed, PlatformError, ResourceNotFound
from ondol.triggers.api import BusEntry
from ondol.triggers.inputs import InvalidInput, NothingToSend, check_path, check_template, fill, find
from ondol.triggers.unserved import UNSERVED

MINUTE = 60.0
RULE = f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/r"


async def scheduled(world: World, expression: str, **target: object) -> None:
    await world.events("PutRule", Name="r", ScheduleExpression=expression)
    await world.events("PutTargets", Rule="r", Targets=[{"Id": "it", "Arn": FUNCTION.arn, **target}])


@scenario
async def test_a_rate_begins_one_period_after_its_rule(world: World) -> None:
    await asyncio.sleep(30)
    await scheduled(world, "rate(5 minutes)")
    await asyncio.sleep(16 * MINUTE)
    assert world.times == [330, 630, 930]
    assert world.payloads[0] == {
        "version": "0",
        "id": "id-0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": "2026-01-01T00:05:30Z",
        "region": "eu-west-1",
        "resources": [RULE],
        "detail": {},
    }


@scenario
async def test_cron_goes_by_utc(world: World) -> None:
    await scheduled(world, "cron(30 0/6 * * ? *)", Input='"now"')
    await asyncio.sleep(13 * 60 * MINUTE)
    assert world.times == [30 * MINUTE, 390 * MINUTE, 750 * MINUTE]
    assert world.payloads[0] == "now"


@scenario
async def test_a_rule_that_is_off_or_gone_or_changed_does_not_fire(world: World) -> None:
    await scheduled(world, "rate(1 minute)")
    await asyncio.sleep(1.5 * MINUTE)
    await world.events("DisableRule", Name="r")
    await asyncio.sleep(5 * MINUTE)
    await world.events("EnableRule", Name="r")
    await asyncio.sleep(1.5 * MINUTE)
    assert world.times == [60, 450]
    await world.events("PutRule", Name="r", ScheduleExpression="rate(1 hour)")
    await asyncio.sleep(10 * MINUTE)
    await world.events("RemoveTargets", Rule="r", Ids=["it"])
    await world.events("DeleteRule", Name="r")
    await asyncio.sleep(120 * MINUTE)
    assert len(world.times) == 2


@scenario
async def test_after_a_restart_the_last_that_was_missed_is_made_up_for_and_none_comes_twice(world: World) -> None:
    await scheduled(world, "rate(10 minutes)")
    await asyncio.sleep(10 * MINUTE + 1)
    assert world.times == [600]
    await world.restart(down_s=1)
    await world.restart(down_s=35 * MINUTE)
    assert world.times == [600]
    await asyncio.sleep(10 * MINUTE)
    assert world.times == [600, 600 + 35 * MINUTE + 2, 3000]
    assert [payload["time"][11:16] for payload in world.payloads] == ["00:10", "00:40", "00:50"]


@scenario
async def test_what_the_store_refused_is_tried_again(world: World) -> None:
    await scheduled(world, "rate(1 hour)")
    world.neighbours.broken = True
    await asyncio.sleep(60 * MINUTE + 12)
    world.neighbours.broken = False
    await asyncio.sleep(MINUTE)
    assert world.times == [3615]
    assert world.payloads[0]["time"] == "2026-01-01T01:00:00Z"


@scenario
async def test_an_event_is_not_acknowledged_unless_all_that_follows_is_kept(world: World) -> None:
    await world.events("PutRule", Name="r", EventPattern='{"source": ["s"]}')
    await world.events("PutTargets", Rule="r", Targets=[{"Id": "it", "Arn": FUNCTION.arn}])
    entry = {"Source": "s", "DetailType": "t", "Detail": "{}", "TraceHeader": "Root=1"}
    world.neighbours.broken = True
    with pytest.raises(PlatformError):
        await world.events("PutEvents", Entries=[entry])
    world.neighbours.broken = False
    await world.events("PutEvents", Entries=[entry])
    [(_, event)] = world.neighbours.accepted
    assert (event.function, event.qualifier, event.trace) == (FUNCTION, None, "Root=1")


@scenario
async def test_the_conditions_of_a_permission_are_the_rule_and_its_account(world: World) -> None:
    await world.events("PutRule", Name="r", EventPattern='{"source": ["s"]}')
    await world.events("PutTargets", Rule="r", Targets=[{"Id": "it", "Arn": FUNCTION.arn}])
    statement = (
        '{"Statement": {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*", "Principal": '
        '{"Service": "events.amazonaws.com"}, "Condition": {"ArnLike": {"AWS:SourceArn": "%s"}, '
        '"StringEquals": {"AWS:SourceAccount": "%s"}}}}'
    )
    for arn, account, invoked in ((RULE, ACCOUNT, 1), (f"{RULE}2", ACCOUNT, 1), (RULE, "111122223333", 1)):
        world.neighbours.policy = statement % (arn, account)
        await world.events("PutEvents", Entries=[{"Source": "s", "DetailType": "t", "Detail": "{}"}])
        assert len(world.neighbours.accepted) == invoked


@scenario
async def test_what_a_function_cannot_have_is_a_dead_letter(world: World) -> None:
    queue = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:dead"
    gone = f"{FUNCTION.arn}2"
    await world.events("PutRule", Name="r", EventPattern='{"source": ["s"]}')
    targets = [
        {"Id": str(n), "Arn": arn, "DeadLetterConfig": {"Arn": queue}} for n, arn in enumerate((FUNCTION.arn, gone))
    ]
    await world.events("PutTargets", Rule="r", Targets=targets)
    assert (await world.events("ListTargetsByRule", Rule="r"))["Targets"][0]["DeadLetterConfig"] == {"Arn": queue}
    world.neighbours.policy = '{"Statement": []}'
    await world.events("PutEvents", Entries=[{"Source": "s", "DetailType": "t", "Detail": "{}"}])
    refused, missing = sorted(world.neighbours.letters, key=lambda letter: letter.attributes["TARGET_ARN"])
    assert world.times == [] and refused.queue == queue
    assert '"detail-type":"t"' in refused.body
    assert refused.attributes["RULE_ARN"] == ("String", RULE)
    assert [each.attributes["ERROR_CODE"][1] for each in (refused, missing)] == ["NO_PERMISSIONS", "NO_RESOURCE"]


@scenario
async def test_a_record_for_a_bus_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(ResourceNotFound):
        await world.service.put(f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/none", BusEntry("lambda", "t", {}))


@scenario
async def test_every_operation_is_served_or_refused_with_a_reason(world: World) -> None:
    served = world.service.operations("events")
    assert served | UNSERVED.keys() == EventsWire().operations
    assert not served & UNSERVED.keys()
    for operation, reason in UNSERVED.items():
        with pytest.raises(NotServed, match=operation):
            await world.service.perform("events", operation, OWNER, {})
        assert reason


# Inputs

EVENT = {"a": {"b": [{"c": 1}, {"c": "x"}]}, "d-e": "text", "detail": {"f/g": True}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", EVENT),
        ("$.d-e", "text"),
        ("$.a.b[1].c", "x"),
        ("$.a.b[*].c", [1, "x"]),
        ("$.a.b[7]", None),
        ("$.a.none.c", None),
        ("$.d-e.c", None),
        ("$.detail.f/g", True),
        ("$.detail.*", [True]),
    ],
)
def test_paths(path: str, found: object) -> None:
    check_path(path)
    assert find(EVENT, path) == found


@pytest.mark.parametrize("path", ["", "a", "$a", "$.", "$..a", "$['a']", "$.a[?(@.b)]", "$.a[-1]", "$.a[1:2]"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(InvalidInput):
        check_path(path)


VALUES = {"t": 'a"b\n', "n": 1.5, "o": {"k": "v"}, "z": None}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ('{"x": <t>, "y": <n>}', '{"x": "a\\"b\\n", "y": 1.5}'),
        ('"<t> is <n>"', '"a\\"b\\n is 1.5"'),
        (
            '{"x": <o>, "y": "<o>", "z": <z>, "w": "<z>"}',
            '{"x": {"k":"v"}, "y": "{\\"k\\":\\"v\\"}", "z": null, "w": ""}',
        ),
        ('"<other> \\"<t>\\""', '"<other> \\"a\\"b\\n\\""'),
        ("[<n>,<n>]", "[1.5,1.5]"),
    ],
)
def test_templates(template: str, filled: str) -> None:
    assert fill(template, VALUES) == filled


@pytest.mark.parametrize("each", ["<event>", '"<event>"'])
def test_a_short_template_makes_no_endless_text(each: str) -> None:
    with pytest.raises(NothingToSend, match="more than 1048576 bytes"):
        fill(f"[{','.join([each] * 600)}]", {"event": {"detail": "x" * 100_000}})


@pytest.mark.parametrize("template", ["<n> of <n>", "{<n>: 1}}", '{"a": <other>}', "text", '{"a": }'])
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(InvalidInput):
        check_template(template, frozenset(VALUES))
