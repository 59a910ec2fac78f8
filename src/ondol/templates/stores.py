"""Queues, topics, tables, buckets and streams of a template, which a server beside ondol keeps.

What is asked of them is what that server's own operations take. Source: CloudFormation user guide, "AWS::SQS::Queue",
"AWS::SNS::Topic", "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Kinesis::Stream"; AWS SAM developer guide,
"AWS::Serverless::SimpleTable".
"""

from typing import Any

from ondol.templates.making import Making, Resource
from ondol.templates.properties import Properties
from ondol.templates.steps import Kind, Step
from ondol.templates.values import Attribute

QUEUE, TOPIC, TABLE, BUCKET = "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::DynamoDB::Table", "AWS::S3::Bucket"
SIMPLE_TABLE, STREAM = "AWS::Serverless::SimpleTable", "AWS::Kinesis::Stream"

_NAMES = {
    QUEUE: ("QueueName", 80),
    TOPIC: ("TopicName", 256),
    TABLE: ("TableName", 255),
    SIMPLE_TABLE: ("TableName", 255),
    BUCKET: ("BucketName", 63),
    STREAM: ("Name", 128),
}
_SAID: dict[str, dict[str | None, str]] = {
    QUEUE: {None: "Ref", "QueueUrl": "Ref", "Arn": "Arn"},
    TOPIC: {None: "Arn", "TopicArn": "Arn"},
    TABLE: {"Arn": "Arn", "StreamArn": "StreamArn"},
    SIMPLE_TABLE: {"Arn": "Arn", "StreamArn": "StreamArn"},
    STREAM: {"Arn": "Arn"},
}
"""Which attribute of the step tells what Ref (None) and Fn::GetAtt say."""

_QUEUE = (
    *("ContentBasedDeduplication", "DeduplicationScope", "DelaySeconds", "FifoQueue", "FifoThroughputLimit"),
    *("KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "MaximumMessageSize", "MessageRetentionPeriod"),
    *("ReceiveMessageWaitTimeSeconds", "RedriveAllowPolicy", "RedrivePolicy", "SqsManagedSseEnabled"),
    "VisibilityTimeout",
)
_TOPIC = (
    "ContentBasedDeduplication",
    "DisplayName",
    "FifoTopic",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
)
_TABLE = (
    *("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "LocalSecondaryIndexes"),
    *("OnDemandThroughput", "ProvisionedThroughput", "SSESpecification", "TableClass"),
)
_BUCKET_NOTHING_HERE = (
    *("PublicAccessBlockConfiguration", "BucketEncryption", "OwnershipControls", "AccessControl"),
    "LoggingConfiguration",
)
_BUCKET_RULES = ("CorsConfiguration", "LifecycleConfiguration")
_STREAM = "StreamSpecification"
_TYPES = {"String": "S", "Number": "N", "Binary": "B"}


def store_reference(making: Making, resource: Resource, attribute: str | None) -> Any:
    """What Ref and Fn::GetAtt say of one; None for what they do not."""
    if resource.type == BUCKET:
        name = _name(making, resource)
        said = {None: name, "Arn": f"arn:{making.stack.partition}:s3:::{name}"}
        said |= {"DomainName": f"{name}.s3.amazonaws.com"}
        said |= {"RegionalDomainName": f"{name}.s3.{making.stack.region}.amazonaws.com"}
        return said.get(attribute)
    told = _SAID[resource.type].get(attribute)
    if told is not None:
        return Attribute(resource.id, told)
    named_by = {QUEUE: "QueueName", TOPIC: "TopicName"}.get(resource.type)
    return _name(making, resource) if attribute == named_by else None


def store_steps(making: Making, resource: Resource) -> list[Step]:
    properties = making.properties(resource)
    kind, members = {
        QUEUE: _queue,
        TOPIC: _topic,
        TABLE: _table,
        SIMPLE_TABLE: _simple_table,
        BUCKET: _bucket,
        STREAM: _stream,
    }[resource.type](properties)
    if resource.type == BUCKET and properties.without_effect(*_BUCKET_RULES):
        making.remark(f"Rules of {resource.id} for web pages and for the age of objects make no difference.")
    if resource.type == BUCKET and _tells_events(properties):
        making.to_events.add(_name(making, resource))
    tags = _tags(properties)
    properties.without_effect(_NAMES[resource.type][0])
    properties.finish()
    return [
        Step(
            resource.id,
            kind,
            _name(making, resource),
            members,
            resource.line,
            tags=tags,
            after=resource.after,
            retain=resource.retain,
        )
    ]


def _name(making: Making, resource: Resource) -> Any:
    member, longest = _NAMES[resource.type]
    name = making.name_of(resource, member, longest)
    if not isinstance(name, str) or resource.section.get(member) is not None:
        return name
    if resource.type in {QUEUE, TOPIC} and resource.section.get("FifoQueue", resource.section.get("FifoTopic")):
        return f"{name}.fifo"
    return name.lower() if resource.type == BUCKET else name


def _queue(properties: Properties) -> tuple[Kind, dict[str, Any]]:
    return Kind.QUEUE, _given(properties, _QUEUE)


def _topic(properties: Properties) -> tuple[Kind, dict[str, Any]]:
    members = _given(properties, _TOPIC)
    subscriptions = properties.items("Subscription")
    for each in subscriptions:
        if not isinstance(each, dict) or each.keys() != {"Endpoint", "Protocol"} or each["Protocol"] == "lambda":
            text = "must have Endpoint and Protocol; a function subscribes by an event of its own"
            properties.wrong(f"{properties.place}.Subscription {text}", properties.line_of("Subscription"))
    return Kind.TOPIC, {"Attributes": members, "Subscription": subscriptions}


def _table(properties: Properties) -> tuple[Kind, dict[str, Any]]:
    members = _given(properties, _TABLE)
    stream = properties.object(_STREAM)
    if stream is not None:
        members[_STREAM] = {"StreamEnabled": True, **stream}
    ttl = properties.object("TimeToLiveSpecification")
    if ttl is not None:
        members["TimeToLiveSpecification"] = ttl
    if "ProvisionedThroughput" not in members:
        members.setdefault("BillingMode", "PAY_PER_REQUEST")
    properties.without_effect("PointInTimeRecoverySpecification", "DeletionProtectionEnabled")
    return Kind.TABLE, members


def _simple_table(properties: Properties) -> tuple[Kind, dict[str, Any]]:
    key = properties.inside("PrimaryKey")
    name, kind = "id", "String"
    if key is not None:
        name, kind = key.known("Name", "id"), key.known("Type", "String")
        key.finish()
    throughput = properties.object("ProvisionedThroughput")
    properties.without_effect("SSESpecification", "PointInTimeRecoverySpecification")
    members: dict[str, Any] = {
        "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": _TYPES.get(kind, "S")}],
    }
    if throughput is None:
        return Kind.TABLE, members | {"BillingMode": "PAY_PER_REQUEST"}
    return Kind.TABLE, members | {"ProvisionedThroughput": throughput}


def _bucket(properties: Properties) -> tuple[Kind, dict[str, Any]]:
    properties.without_effect(*_BUCKET_NOTHING_HERE)
    versioning = properties.object("VersioningConfiguration")
    return Kind.BUCKET, {} if versioning is None else {"VersioningConfiguration": versioning}


def _tells_events(properties: Properties) -> bool:
    """Whether a bucket tells EventBridge of its objects. Functions hear of them by events of their own."""
    told = properties.inside("NotificationConfiguration")
    bridge = told.inside("EventBridgeConfiguration") if told is not None else None
    for inside in (bridge, told):
        if inside is not None:
            inside.flag("EventBridgeEnabled")
            inside.finish()
    return bridge is not None and bool(bridge.flag("EventBridgeEnabled", True))


def _stream(properties: Properties) -> tuple[Kind, dict[str, Any]]:
    properties.without_effect("StreamEncryption", "RetentionPeriodHours")
    mode = properties.object("StreamModeDetails")
    shards = properties.number("ShardCount")
    if mode is not None and mode.get("StreamMode") == "ON_DEMAND":
        return Kind.STREAM, {"StreamModeDetails": mode}
    return Kind.STREAM, {"ShardCount": 1 if shards is None else shards}


def _given(properties: Properties, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: properties.value(name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _tags(properties: Properties) -> dict[str, Any]:
    """CloudFormation has a list of them, SAM an object."""
    value = properties.value("Tags")
    if isinstance(value, dict):
        return value
    return {
        each["Key"]: each["Value"] for each in value or [] if isinstance(each, dict) and each.keys() >= {"Key", "Value"}
    }
