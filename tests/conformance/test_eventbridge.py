"""EventBridge as its clients see it: rules, targets, buses, events, on a running ondol that has no other server."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from triggered import ACCOUNT, awaited, permit, recorder

from ondol_process import OndolProcess, create

RULE = f"arn:aws:events:us-east-1:{ACCOUNT}:rule"


@pytest.fixture(scope="module")
def events(ondol: OndolProcess) -> Any:
    return ondol.client("events")


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def entry(source: str, detail: Any, **more: Any) -> dict[str, Any]:
    return {"Source": source, "DetailType": "happened", "Detail": json.dumps(detail), **more}


def ruled(events: Any, name: str, pattern: Any, arn: str, bus: str = "default", **target: Any) -> str:
    rule: str = events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))["RuleArn"]
    answer = events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "it", "Arn": arn, **target}])
    assert answer["FailedEntryCount"] == 0
    return rule


def test_an_event_reaches_the_functions_whose_rules_match(ondol: OndolProcess, events: Any, name: str) -> None:
    arn = recorder(ondol, name, "events", f"{RULE}/{name}")
    ruled(events, name, {"source": [name], "detail": {"n": [{"numeric": [">", 1]}]}}, arn)
    answer = events.put_events(
        Entries=[
            entry(name, {"n": 1}),
            entry(name, {"n": 2}, Resources=["r"], Time="2026-01-02T03:04:05Z"),
            entry("another", {"n": 2}),
        ]
    )
    assert answer["FailedEntryCount"] == 0
    assert awaited(ondol, name) == [
        {
            "version": "0",
            "id": answer["Entries"][1]["EventId"],
            "detail-type": "happened",
            "source": name,
            "account": ACCOUNT,
            "time": "2026-01-02T03:04:05Z",
            "region": "us-east-1",
            "resources": ["r"],
            "detail": {"n": 2},
        }
    ]


def test_what_is_wrong_with_one_entry_is_told_of_that(events: Any) -> None:
    good = entry("s", {})
    answer = events.put_events(
        Entries=[good, {**good, "Detail": "no"}, {**good, "Detail": "[]"}, {"Source": "s"}, {**good, "Source": "aws.x"}]
    )
    assert answer["FailedEntryCount"] == 4
    codes = [result.get("ErrorCode") for result in answer["Entries"]]
    refused = "NotAuthorizedForSourceException"
    assert codes == [None, "MalformedDetail", "MalformedDetail", "InvalidArgument", refused]
    with pytest.raises(ClientError) as error:
        events.put_events(Entries=[good] * 11)
    assert refusal(error)[0] == "ValidationException"
    with pytest.raises(ClientError) as error:
        events.put_events(Entries=[entry("s", "x" * 600_000)] * 2)
    assert refusal(error) == ("ValidationException", "Total size of the entries in the request is over the limit.")


def test_a_bus_that_is_not_there_takes_events_and_loses_them(events: Any) -> None:
    assert events.put_events(Entries=[entry("s", {}, EventBusName="nowhere")])["FailedEntryCount"] == 0


def test_inputs_of_targets(ondol: OndolProcess, events: Any, name: str) -> None:
    arn = recorder(ondol, name, "events")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    template = (
        '{"who": <who>, "text": "<who> said \\"<n>\\"", "list": <all>, "gone": <gone>, "rule": <aws.events.rule-name>}'
    )
    paths = {"who": "$.detail.who", "n": "$.detail.list[0].n", "all": "$.detail.list[*].n", "gone": "$.detail.none"}
    events.put_targets(
        Rule=name,
        Targets=[
            {"Id": "constant", "Arn": arn, "Input": '{"constant": 1}'},
            {"Id": "part", "Arn": arn, "InputPath": "$.detail"},
            {"Id": "made", "Arn": arn, "InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}},
        ],
    )
    events.put_events(Entries=[entry(name, {"who": 'ä"', "list": [{"n": 1}, {"n": 2}]})])
    got = awaited(ondol, name, 3)
    assert {"constant": 1} in got
    assert {"who": 'ä"', "list": [{"n": 1}, {"n": 2}]} in got
    assert {"who": 'ä"', "text": 'ä" said "1"', "list": [1, 2], "gone": None, "rule": name} in got


def test_without_a_permission_nothing_is_invoked_and_the_log_says_how_to_give_one(
    ondol: OndolProcess, events: Any, name: str
) -> None:
    arn = create(ondol.client(), name, "def h(event, context): print('\"ran\"')")["FunctionArn"]
    rule = ruled(events, name, {"source": [name]}, arn)
    events.put_events(Entries=[entry(name, {})])
    said = ondol.complaints()
    assert f"{rule} does not reach {arn}" in said and f"--source-arn {rule}" in said
    permit(ondol, name, "events", f"{RULE}/other")
    events.put_events(Entries=[entry(name, {})])
    ondol.client().remove_permission(FunctionName=name, StatementId="trigger")
    permit(ondol, name, "events", rule)
    events.put_events(Entries=[entry(name, {})])
    assert awaited(ondol, name) == ["ran"]


def test_a_role_needs_no_permission_and_an_alias_is_invoked_as_such(
    ondol: OndolProcess, events: Any, name: str
) -> None:
    client = ondol.client()
    create(client, name, "def h(event, context): print('\"' + context.invoked_function_arn + '\"')")
    version = client.publish_version(FunctionName=name)["Version"]
    alias = client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)["AliasArn"]
    ruled(events, name, {"source": [name]}, alias, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/invoker")
    events.put_events(Entries=[entry(name, {})])
    assert awaited(ondol, name) == [alias]


def test_rules_are_shown_switched_and_deleted(ondol: OndolProcess, events: Any, name: str) -> None:
    arn = recorder(ondol, name, "events")
    pattern = json.dumps({"source": [name]})
    made = events.put_rule(Name=name, EventPattern=pattern, Description="d", Tags=[{"Key": "k", "Value": "v"}])
    assert made["RuleArn"] == f"{RULE}/{name}"
    events.put_targets(Rule=name, Targets=[{"Id": "it", "Arn": arn, "RetryPolicy": {"MaximumRetryAttempts": 2}}])
    shown = events.describe_rule(Name=name)
    del shown["ResponseMetadata"]
    assert shown == {
        "Name": name,
        "Arn": made["RuleArn"],
        "EventPattern": pattern,
        "State": "ENABLED",
        "Description": "d",
        "EventBusName": "default",
        "CreatedBy": ACCOUNT,
    }
    assert [rule["Name"] for rule in events.list_rules(NamePrefix=name)["Rules"]] == [name]
    assert events.list_rule_names_by_target(TargetArn=arn)["RuleNames"] == [name]
    [target] = events.list_targets_by_rule(Rule=name)["Targets"]
    assert target == {"Id": "it", "Arn": arn, "RetryPolicy": {"MaximumRetryAttempts": 2}}
    events.disable_rule(Name=name)
    events.put_events(Entries=[entry(name, {"n": 1})])
    events.enable_rule(Name=name)
    events.put_events(Entries=[entry(name, {"n": 2})])
    assert [event["detail"] for event in awaited(ondol, name)] == [{"n": 2}]
    events.tag_resource(ResourceARN=made["RuleArn"], Tags=[{"Key": "l", "Value": "w"}])
    events.untag_resource(ResourceARN=made["RuleArn"], TagKeys=["k"])
    assert events.list_tags_for_resource(ResourceARN=made["RuleArn"])["Tags"] == [{"Key": "l", "Value": "w"}]
    with pytest.raises(ClientError) as error:
        events.delete_rule(Name=name)
    assert refusal(error) == ("ValidationException", "Rule can't be deleted since it has targets.")
    events.remove_targets(Rule=name, Ids=["it", "other"])
    events.delete_rule(Name=name)
    events.delete_rule(Name=name)
    with pytest.raises(ClientError) as error:
        events.describe_rule(Name=name)
    assert refusal(error) == ("ResourceNotFoundException", f"Rule {name} does not exist on EventBus default.")


def test_buses(ondol: OndolProcess, events: Any, name: str) -> None:
    bus = name[-20:]
    made = events.create_event_bus(Name=bus, Tags=[{"Key": "k", "Value": "v"}])
    assert made["EventBusArn"] == f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/{bus}"
    assert events.list_tags_for_resource(ResourceARN=made["EventBusArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
    with pytest.raises(ClientError) as error:
        events.create_event_bus(Name=bus)
    assert refusal(error) == ("ResourceAlreadyExistsException", f"Event bus {bus} already exists.")
    assert events.describe_event_bus(Name=bus)["Arn"] == made["EventBusArn"]
    assert events.describe_event_bus()["Name"] == "default"
    assert {"default", bus} <= {each["Name"] for each in events.list_event_buses()["EventBuses"]}
    arn = recorder(ondol, name, "events", f"{RULE}/{bus}/{name}")
    assert ruled(events, name, {"source": [name]}, arn, bus) == f"{RULE}/{bus}/{name}"
    events.put_events(Entries=[entry(name, {"n": 1}), entry(name, {"n": 2}, EventBusName=made["EventBusArn"])])
    assert [event["detail"] for event in awaited(ondol, name)] == [{"n": 2}]
    with pytest.raises(ClientError) as error:
        events.delete_event_bus(Name=bus)
    assert refusal(error)[0] == "ValidationException"
    events.remove_targets(Rule=name, EventBusName=bus, Ids=["it"])
    events.delete_rule(Name=name, EventBusName=bus)
    events.delete_event_bus(Name=bus)
    with pytest.raises(ClientError) as error:
        events.describe_event_bus(Name=bus)
    assert refusal(error) == ("ResourceNotFoundException", f"Event bus {bus} does not exist.")


def test_pages(events: Any, name: str) -> None:
    names = [f"{name[-30:]}-{number}" for number in range(5)]
    for each in names:
        events.put_rule(Name=each, EventPattern='{"source": ["s"]}')
    first = events.list_rules(NamePrefix=name[-30:], Limit=2)
    second = events.list_rules(NamePrefix=name[-30:], Limit=3, NextToken=first["NextToken"])
    assert [rule["Name"] for rule in first["Rules"] + second["Rules"]] == names
    assert "NextToken" not in second


def test_a_pattern_can_be_tried(events: Any) -> None:
    event = {
        "id": "1",
        "detail-type": "t",
        "source": "s",
        "account": "1",
        "time": "t",
        "region": "r",
        "detail": {"a": 1},
    }
    for pattern, matches in (({"detail": {"a": [1]}}, True), ({"detail": {"a": [2]}}, False)):
        assert events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))["Result"] is matches
    with pytest.raises(ClientError) as error:
        events.test_event_pattern(EventPattern='{"a": "b"}', Event=json.dumps(event))
    assert refusal(error)[0] == "InvalidEventPatternException"


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({}, "ValidationException", "EventPattern or ScheduleExpression must be specified"),
        (
            {"ScheduleExpression": "rate(1 minutes)"},
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        ({"ScheduleExpression": "at(2030-01-01T00:00:00)"}, "ValidationException", "ScheduleExpression is not valid"),
        ({"EventPattern": "{}"}, "InvalidEventPatternException", "Event pattern is not valid. Reason: "),
        (
            {"EventPattern": '{"a": ["b"]}', "EventBusName": "none"},
            "ResourceNotFoundException",
            "Event bus none does not",
        ),
        ({"EventPattern": '{"a": ["b"]}', "State": "OFF"}, "ValidationException", "enum value set"),
    ],
)
def test_rules_that_cannot_be(events: Any, settings: dict[str, str], code: str, words: str) -> None:
    with pytest.raises(ClientError) as error:
        events.put_rule(Name="never", **settings)
    assert refusal(error)[0] == code and words in refusal(error)[1]


FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"Arn": QUEUE}, "invokes Lambda functions and nothing else"),
        ({"Arn": FUNCTION, "DeadLetterConfig": {"Arn": FUNCTION}}, "dead letters go to a standard queue"),
        ({"Arn": FUNCTION, "SqsParameters": {"MessageGroupId": "g"}}, "SqsParameters of target it cannot be set"),
        ({"Arn": FUNCTION, "Input": "no"}, "JSON syntax error in input for target it"),
        ({"Arn": FUNCTION, "Input": "1", "InputPath": "$"}, "Only one of Input, InputPath, or InputTransformer"),
        ({"Arn": FUNCTION, "InputPath": "$['a']"}, "Invalid InputPath for target it"),
        ({"Arn": FUNCTION, "InputTransformer": {"InputTemplate": "<a>"}}, "no value for the variable a"),
        ({"Arn": FUNCTION, "InputTransformer": {"InputTemplate": "a b"}}, "is no JSON text"),
    ],
)
def test_targets_that_cannot_be(events: Any, name: str, target: dict[str, Any], words: str) -> None:
    events.put_rule(Name=name[-60:], EventPattern='{"source": ["s"]}')
    with pytest.raises(ClientError) as error:
        events.put_targets(Rule=name[-60:], Targets=[{"Id": "it", **target}])
    assert refusal(error)[0] == "ValidationException" and words in refusal(error)[1]
    assert events.list_targets_by_rule(Rule=name[-60:])["Targets"] == []


def test_a_rule_has_five_targets_at_most(events: Any, name: str) -> None:
    events.put_rule(Name=name, EventPattern='{"source": ["s"]}')
    with pytest.raises(ClientError) as error:
        events.put_targets(Rule=name, Targets=[{"Id": str(number), "Arn": FUNCTION} for number in range(6)])
    assert refusal(error)[0] == "LimitExceededException"


def test_what_is_not_there_is_refused_by_name(events: Any) -> None:
    with pytest.raises(ClientError) as error:
        events.create_archive(ArchiveName="a", EventSourceArn=f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default")
    assert refusal(error)[0] == "NotImplementedException"
    assert "CreateArchive" in refusal(error)[1] and "archive" in refusal(error)[1]
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_accounts_and_regions_have_rules_of_their_own(ondol: OndolProcess, events: Any, name: str) -> None:
    events.put_rule(Name=name, EventPattern='{"source": ["s"]}')
    for other in (ondol.client("events", account="111122223333"), ondol.client("events", region="eu-west-1")):
        assert other.list_rules(NamePrefix=name)["Rules"] == []


def test_code_in_a_function_puts_events_and_makes_rules(ondol: OndolProcess, events: Any, name: str) -> None:
    code = f"""
import json, boto3
def h(event, context):
    boto3.client("events").put_events(Entries=[{{"Source": "{name}", "DetailType": "t", "Detail": "{{}}"}}])
    try:
        boto3.client("events", region_name="eu-west-1").list_rules()
    except Exception as error:
        return str(error)
"""
    create(ondol.client(), f"{name[:50]}-puts", code, MemorySize=1769, Timeout=20)
    ruled(events, name, {"source": [name]}, recorder(ondol, name, "events"))
    answer = ondol.client().invoke(FunctionName=f"{name[:50]}-puts")["Payload"].read()
    assert b"AccessDenied" in answer and b"outside of us-east-1" in answer
    assert awaited(ondol, name)[0]["source"] == name


def test_a_destination_may_be_a_bus(ondol: OndolProcess, events: Any, name: str) -> None:
    bus = events.create_event_bus(Name=name[-30:])["EventBusArn"]
    client = ondol.client()
    caller = f"{name[:50]}-call"
    function = create(client, caller, "def h(event, context): return 5", MemorySize=1769)["FunctionArn"]
    client.put_function_event_invoke_config(FunctionName=caller, DestinationConfig={"OnSuccess": {"Destination": bus}})
    ruled(events, name, {"detail": {"responsePayload": [5]}}, recorder(ondol, name, "events"), name[-30:])
    client.invoke(FunctionName=caller, InvocationType="Event", Payload=b"{}")
    [event] = awaited(ondol, name)
    assert event["detail-type"] == "Lambda Function Invocation Result - Success"
    assert (event["source"], event["resources"]) == ("lambda", [bus, f"{function}:$LATEST"])
    assert event["detail"]["requestPayload"] == {}
