"""Buckets that tell functions: which requests are looked into, and who is told what of them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trigger_world import ACCOUNT, FUNCTION, OWNER, World, scenario

from ondol.aws.s3_notifications import NAMESPACE, split_configuration, with_own
from ondol.aws.s3_requests import S3Kind, s3_call
from ondol.aws.xml_documents import MalformedXml, parse_xml, text
from ondol.model.errors import PlatformError
from ondol.model.s3 import FunctionNotification
from ondol.model.time import WallTime
from ondol.triggers.api import NotificationRefused, ObjectEvent, Requester, Told
from ondol.triggers.object_events import Sequencer, overlap, wants

WHO = Requester(ACCOUNT, ACCOUNT, "127.0.0.1", "request")
CREATED = ("s3:ObjectCreated:*",)


@pytest.mark.parametrize(
    ("method", "target", "kind", "bucket", "key"),
    [
        ("PUT", "/b/a%20b/%C3%BC+", S3Kind.PUT_OBJECT, "b", "a b/ü+"),
        ("PUT", "/b/k?x-id=PutObject&X-Amz-Signature=0", S3Kind.PUT_OBJECT, "b", "k"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", S3Kind.OTHER, "b", "k"),
        ("PUT", "/b/k?tagging", S3Kind.OTHER, "b", "k"),
        ("PUT", "/b/k?acl=", S3Kind.OTHER, "b", "k"),
        ("PUT", "/b", S3Kind.OTHER, "b", ""),
        ("PUT", "/b/", S3Kind.OTHER, "b", ""),
        ("PUT", "/b?notification", S3Kind.PUT_NOTIFICATIONS, "b", ""),
        ("GET", "/b/?notification=", S3Kind.GET_NOTIFICATIONS, "b", ""),
        ("GET", "/b/k", S3Kind.OTHER, "b", "k"),
        ("POST", "/b/k?uploadId=u", S3Kind.COMPLETE_UPLOAD, "b", "k"),
        ("POST", "/b/k?uploads", S3Kind.OTHER, "b", "k"),
        ("POST", "/b?delete", S3Kind.DELETE_OBJECTS, "b", ""),
        ("DELETE", "/b/k?versionId=v", S3Kind.DELETE_OBJECT, "b", "k"),
        ("DELETE", "/b/k?uploadId=u", S3Kind.OTHER, "b", "k"),
        ("DELETE", "/b/k?tagging", S3Kind.OTHER, "b", "k"),
        ("DELETE", "/b", S3Kind.DELETE_BUCKET, "b", ""),
        ("DELETE", "/b?policy", S3Kind.OTHER, "b", ""),
        ("GET", "/", S3Kind.OTHER, "", ""),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1:4566", "localhost:4566", "s3.localhost", "s3.eu-west-1.localhost:4566"])
def test_requests_are_told_apart(method: str, target: str, kind: S3Kind, bucket: str, key: str, host: str) -> None:
    path, _, query = target.partition("?")
    call = s3_call(method, host, path, query, {})
    assert (call.kind, call.bucket, call.key) == (kind, bucket, key)


@pytest.mark.parametrize(
    "host", ["my.bucket.s3.localhost:1", "my.bucket.s3.us-east-1.localhost", "my.bucket.localhost"]
)
def test_a_bucket_may_be_named_by_the_host(host: str) -> None:
    call = s3_call("PUT", host, "/k/l", "", {"x-amz-copy-source": "/a/b"})
    assert (call.kind, call.bucket, call.key) == (S3Kind.COPY_OBJECT, "my.bucket", "k/l")
    assert s3_call("DELETE", host, "/", "", {}).kind is S3Kind.DELETE_BUCKET


def notification(*events: str, prefix: str | None = None, suffix: str | None = None) -> FunctionNotification:
    return FunctionNotification("id", FUNCTION.arn, events or CREATED, prefix, suffix)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (notification(), notification(), True),
        (notification("s3:ObjectCreated:Put"), notification("s3:ObjectCreated:*"), True),
        (notification("s3:ObjectCreated:Put"), notification("s3:ObjectCreated:Copy"), False),
        (notification(prefix="a/"), notification(prefix="b/"), False),
        (notification(prefix="a/"), notification(prefix="a/b"), True),
        (notification(prefix="a/", suffix=".x"), notification(prefix="a/", suffix=".y"), False),
        (notification(prefix="a/"), notification(suffix=".y"), True),
        (notification(suffix=".jpg"), notification(suffix="jpg"), True),
    ],
)
def test_configurations_that_could_both_be_told_of_one_event_overlap(
    one: FunctionNotification, other: FunctionNotification, same: bool
) -> None:
    assert overlap([one, other]) is overlap([other, one]) is same


def test_who_is_told() -> None:
    event = ObjectEvent("ObjectCreated:Put", "in/a.csv", "PutObject")
    assert wants(notification(), event)
    assert wants(notification("s3:ObjectRemoved:*", "s3:ObjectCreated:Put", prefix="in/", suffix=".csv"), event)
    assert not wants(notification("s3:ObjectCreated:Post"), event)
    assert not wants(notification("s3:ObjectRemoved:*"), event)
    assert not wants(notification(prefix="out/"), event)
    assert not wants(notification(suffix=".txt"), event)


@given(st.lists(st.integers(0, 2**42)))
def test_sequencers_go_up_whatever_the_clock_does(times: list[int]) -> None:
    sequencer = Sequencer()
    numbers = [sequencer.next(WallTime(time)) for time in times]
    assert numbers == sorted(set(numbers))


# Documents


def configuration(inner: str, namespace: str = f' xmlns="{NAMESPACE}"') -> bytes:
    return f"<NotificationConfiguration{namespace}>{inner}</NotificationConfiguration>".encode()


FOR_FUNCTION = (
    "<CloudFunctionConfiguration><Id>i</Id><CloudFunction>arn</CloudFunction><Event>e</Event><Event>f</Event><Filter>"
    "<S3Key><FilterRule><Name>Prefix</Name><Value>p</Value></FilterRule></S3Key></Filter></CloudFunctionConfiguration>"
)
FOR_QUEUE = "<QueueConfiguration><Id>q</Id><Queue>arn</Queue><Event>e</Event></QueueConfiguration>"


@pytest.mark.parametrize("namespace", ["", f' xmlns="{NAMESPACE}"'])
def test_a_configuration_is_split_and_put_together(namespace: str) -> None:
    functions, to_events, rest = split_configuration(configuration(FOR_FUNCTION + FOR_QUEUE, namespace))
    assert functions == [FunctionNotification("i", "arn", ("e", "f"), "p")]
    assert not to_events and b"CloudFunction" not in rest and b"<Queue>arn</Queue>" in rest.replace(b"ns0:", b"")
    whole = with_own(rest, functions, True)
    assert split_configuration(whole) == (functions, True, split_configuration(whole)[2])
    assert with_own(whole, (), True).count(b"EventBridgeConfiguration") == 1


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<a>",
        b"<Other/>",
        b'<?xml version="1.0" encoding="none"?><NotificationConfiguration/>',
        b'<?xml version="1.0" encoding="utf-7"?><NotificationConfiguration/>',
        b"\xff\xfe<\x00",
        configuration("<CloudFunctionConfiguration><Id>i</Id></CloudFunctionConfiguration>"),
        configuration(FOR_FUNCTION.replace("Prefix", "Middle")),
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + configuration("&b;"),
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
    ],
)
def test_what_is_no_configuration(document: bytes) -> None:
    with pytest.raises(MalformedXml):
        split_configuration(document)


def test_spaces_before_a_document_are_a_servers_way_to_say_that_it_works() -> None:
    assert text(parse_xml(b'  \n <?xml version="1.0"?><R><ETag>e</ETag></R>'), "ETag") == "e"


# What is kept


async def kept(world: World, *notifications: FunctionNotification, to_events: bool = False) -> None:
    await world.service.buckets.keep("b", OWNER, Told(notifications, to_events))


@scenario
async def test_a_function_is_told_once_it_is_durable(world: World) -> None:
    await kept(world, notification())
    event = ObjectEvent("ObjectCreated:Put", "k", "PutObject", 1, "e")
    world.neighbours.broken = True
    with pytest.raises(PlatformError):
        await world.service.buckets.happened("b", WHO, [event])
    world.neighbours.broken = False
    await world.service.buckets.happened("b", WHO, [event, event])
    first, second = (payload["Records"][0]["s3"]["object"] for payload in world.payloads)
    assert first["sequencer"] < second["sequencer"] and (first["size"], first["eTag"]) == (1, "e")
    await world.restart(down_s=1)
    assert world.service.buckets.told_by("b") == Told((notification(),))
    await world.service.buckets.forget("b")
    await world.service.buckets.happened("b", WHO, [event])
    assert world.service.buckets.told_by("b") is None and len(world.payloads) == 2


@scenario
async def test_rules_are_told(world: World) -> None:
    await kept(world, to_events=True)
    await world.events("PutRule", Name="r", EventPattern='{"source": ["aws.s3"]}')
    await world.events("PutTargets", Rule="r", Targets=[{"Id": "it", "Arn": FUNCTION.arn}])
    await world.service.buckets.happened(
        "b", WHO, [ObjectEvent("ObjectRemoved:DeleteMarkerCreated", "k", "DeleteObject")]
    )
    [event] = world.payloads
    assert (event["detail-type"], event["detail"]["deletion-type"]) == ("Object Deleted", "Delete Marker Created")
    assert event["resources"] == ["arn:aws:s3:::b"]


@scenario
async def test_a_configuration_is_checked_against_the_functions_policy(world: World) -> None:
    buckets = world.service.buckets
    await buckets.check("b", OWNER, [notification()])
    policy: dict[str, Any] = msgspec.json.decode(world.neighbours.policy)
    policy["Statement"]["Condition"] = {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::other"}}
    world.neighbours.policy = msgspec.json.encode(policy).decode()
    with pytest.raises(NotificationRefused, match="Unable to validate the following destination configurations"):
        await buckets.check("b", OWNER, [notification()])
    await buckets.check("other", OWNER, [notification()])
    for refused in ([notification("s3:Replication:*")], [FunctionNotification("i", "arn:aws:sqs:r:a:q", CREATED)]):
        with pytest.raises(NotificationRefused):
            await buckets.check("other", OWNER, refused)
