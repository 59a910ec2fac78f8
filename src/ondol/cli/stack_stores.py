"""Queues, topics, tables, buckets and streams, made as a template wants them on the server that serves them."""

from collections.abc import Mapping
from typing import Any

from ondol.cli.aws_calls import AwsCalls, attribute_of, text_of
from ondol.cli.failure import CommandFailed
from ondol.cli.stack_functions import CREATED, UNCHANGED, UPDATED, wait
from ondol.templates.steps import Kind, Step

SERVICES = {Kind.QUEUE: "sqs", Kind.TOPIC: "sns", Kind.TABLE: "dynamodb", Kind.BUCKET: "s3", Kind.STREAM: "kinesis"}
PROBES = {
    **{"sqs": "ListQueues", "sns": "ListTopics", "dynamodb": "ListTables", "s3": "ListBuckets"},
    "kinesis": "ListStreams",
}
"""An operation of each that changes nothing: it tells whether anybody serves it."""

_FOR_EVER = frozenset({"FifoQueue"})
"""Attributes of a queue that cannot change."""

_CHANGEABLE = ("BillingMode", "ProvisionedThroughput", "StreamSpecification")
_HOME = "us-east-1"
"""The region whose name S3 does not take for a location."""

_QUEUE = {
    **{"DelaySeconds": "0", "MessageRetentionPeriod": "345600", "ReceiveMessageWaitTimeSeconds": "0"},
    **{"VisibilityTimeout": "30", "RedrivePolicy": "", "RedriveAllowPolicy": ""},
}
"""What a queue is of which the template does not say it: so it goes back to that when it says it no more."""

Told = dict[str, str]
"""What a step tells of what it made, by attribute."""


class StackStores:
    """Each operation answers what it did and what is known then."""

    def __init__(self, aws: AwsCalls, region: str) -> None:
        self._aws = aws
        self._region = region

    def make(self, step: Step, members: Mapping[str, Any]) -> tuple[str, Told]:
        tags = {key: text_of(value) for key, value in step.tags.items()}
        make = {
            Kind.QUEUE: self.queue,
            Kind.TOPIC: self.topic,
            Kind.TABLE: self.table,
            Kind.BUCKET: self.bucket,
            Kind.STREAM: self.stream,
        }
        return make[step.kind](str(step.name), members, tags)

    def queue(self, name: str, members: Mapping[str, Any], tags: Mapping[str, str]) -> tuple[str, Told]:
        wanted = {key: attribute_of(value) for key, value in members.items()}
        current = self._aws.find("sqs", "GetQueueUrl", {"QueueName": name})
        if current is None:
            told = self._aws("sqs", "CreateQueue", {"QueueName": name, "Attributes": wanted, "tags": tags})
        url = told["QueueUrl"] if current is None else current["QueueUrl"]
        now = self._aws("sqs", "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": ["All"]})["Attributes"]
        whole = _QUEUE | wanted
        changed = {key: value for key, value in whole.items() if key not in _FOR_EVER and now.get(key, "") != value}
        if current is not None and changed:
            self._aws("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": changed})
        done = CREATED if current is None else UPDATED if changed else UNCHANGED
        return done, {"Ref": url, "Arn": now["QueueArn"]}

    def topic(self, name: str, members: Mapping[str, Any], tags: Mapping[str, str]) -> tuple[str, Told]:
        arn = self.topic_of(name)
        done = CREATED if arn is None else UNCHANGED
        attributes = {key: attribute_of(value) for key, value in members["Attributes"].items()}
        if arn is None:
            listed = [{"Key": key, "Value": value} for key, value in tags.items()]
            arn = self._aws("sns", "CreateTopic", {"Name": name, "Attributes": attributes, "Tags": listed})["TopicArn"]
        subscribed = self._aws.pages("sns", "ListSubscriptionsByTopic", {"TopicArn": arn}, "Subscriptions")
        there = {(each["Protocol"], each["Endpoint"]) for each in subscribed}
        for each in members["Subscription"]:
            if (each["Protocol"], each["Endpoint"]) not in there:
                self._aws("sns", "Subscribe", {"TopicArn": arn, **each})
                done = done if done == CREATED else UPDATED
        return done, {"Arn": arn}

    def topic_of(self, name: str) -> str | None:
        """The ARN of a topic, which only the server knows."""
        topics = self._aws.pages("sns", "ListTopics", {}, "Topics")
        return next((each["TopicArn"] for each in topics if each["TopicArn"].rpartition(":")[2] == name), None)

    def table(self, name: str, members: Mapping[str, Any], tags: Mapping[str, str]) -> tuple[str, Told]:
        wanted = {key: value for key, value in members.items() if key != "TimeToLiveSpecification"}
        current = self._aws.find("dynamodb", "DescribeTable", {"TableName": name})
        if current is None:
            listed = [{"Key": key, "Value": value} for key, value in tags.items()]
            told = self._aws("dynamodb", "CreateTable", {"TableName": name, **wanted, "Tags": listed})
            done, table = CREATED, told["TableDescription"]
        else:
            done, table = self._changed_table(name, wanted, current["Table"])
        if "TimeToLiveSpecification" in members:
            self._keep_times(name, members["TimeToLiveSpecification"])
        told = {"Arn": table["TableArn"]}
        return done, told | ({"StreamArn": table["LatestStreamArn"]} if "LatestStreamArn" in table else {})

    def _changed_table(self, name: str, wanted: Mapping[str, Any], table: Mapping[str, Any]) -> tuple[str, Any]:
        if wanted["KeySchema"] != table["KeySchema"]:
            raise CommandFailed(f"The key of the table {name} cannot change. Give the table another name.")
        shown = {"BillingMode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")}
        shown["StreamSpecification"] = table.get("StreamSpecification")
        throughput = table.get("ProvisionedThroughput", {})
        shown["ProvisionedThroughput"] = {
            unit: throughput.get(unit) for unit in ("ReadCapacityUnits", "WriteCapacityUnits")
        }
        changed = {key: wanted[key] for key in _CHANGEABLE if key in wanted and wanted[key] != shown[key]}
        if not changed:
            return UNCHANGED, table
        definitions = {"AttributeDefinitions": wanted["AttributeDefinitions"]}
        told = self._aws("dynamodb", "UpdateTable", {"TableName": name, **definitions, **changed})
        return UPDATED, told["TableDescription"]

    def _keep_times(self, name: str, wanted: Mapping[str, Any]) -> None:
        told = self._aws("dynamodb", "DescribeTimeToLive", {"TableName": name})["TimeToLiveDescription"]
        if (told.get("TimeToLiveStatus") == "ENABLED") != (text_of(wanted.get("Enabled")) == "true"):
            members = {"TableName": name, "TimeToLiveSpecification": wanted}
            self._aws("dynamodb", "UpdateTimeToLive", members)

    def bucket(self, name: str, members: Mapping[str, Any], tags: Mapping[str, str]) -> tuple[str, Told]:
        current = self._aws.find("s3", "HeadBucket", {"Bucket": name})
        if current is None:
            place = {} if self._region == _HOME else {"LocationConstraint": self._region}
            self._aws("s3", "CreateBucket", {"Bucket": name} | ({"CreateBucketConfiguration": place} if place else {}))
        if "VersioningConfiguration" in members:
            self._aws("s3", "PutBucketVersioning", {"Bucket": name, **members})
        return CREATED if current is None else UNCHANGED, {}

    def stream(self, name: str, members: Mapping[str, Any], tags: Mapping[str, str]) -> tuple[str, Told]:
        current = self._aws.find("kinesis", "DescribeStreamSummary", {"StreamName": name})
        if current is None:
            self._aws("kinesis", "CreateStream", {"StreamName": name, **members, "Tags": tags})
        told = self._stream_ready(name)
        arn = {"Arn": told["StreamARN"]}
        if current is None or told["OpenShardCount"] == members.get("ShardCount", told["OpenShardCount"]):
            return CREATED if current is None else UNCHANGED, arn
        shards = {"TargetShardCount": members["ShardCount"], "ScalingType": "UNIFORM_SCALING"}
        self._aws("kinesis", "UpdateShardCount", {"StreamName": name, **shards})
        self._stream_ready(name)
        return UPDATED, arn

    def _stream_ready(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = {}

        def active() -> bool:
            told.update(self._aws("kinesis", "DescribeStreamSummary", {"StreamName": name})["StreamDescriptionSummary"])
            return bool(told["StreamStatus"] == "ACTIVE")

        wait(active, f"The stream {name} was not active")
        return told
