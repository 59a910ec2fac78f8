"""What left a template is deleted. What is gone already is no error: somebody else was quicker."""

from collections.abc import Callable, Mapping

from ondol.cli.aws_calls import AwsCalls, Declined
from ondol.cli.client import Client, Refused
from ondol.cli.failure import CommandFailed
from ondol.cli.stack_functions import StackFunctions
from ondol.cli.stack_record import Made
from ondol.cli.stack_stores import StackStores
from ondol.cli.stack_triggers import StackTriggers
from ondol.templates.steps import Kind

DELETED = "Deleted"


class StackRemoval:
    def __init__(
        self,
        client: Client,
        aws: AwsCalls,
        *,
        functions: StackFunctions,
        stores: StackStores,
        triggers: StackTriggers,
    ) -> None:
        self._client = client
        self._aws = aws
        self._functions = functions
        self._stores = stores
        self._removals: Mapping[Kind, Callable[[str], None]] = {
            Kind.MAPPING: self._mapping,
            Kind.PERMISSION: self._permission,
            Kind.API: self._api,
            Kind.URL: lambda name: self._of_function("DeleteFunctionUrlConfig", name),
            Kind.EVENT_INVOKE: lambda name: self._of_function("DeleteFunctionEventInvokeConfig", name),
            Kind.PROVISIONED: lambda name: self._of_function("DeleteProvisionedConcurrencyConfig", name),
            Kind.ALIAS: self._alias,
            Kind.FUNCTION: lambda name: self._gone("lambda", "DeleteFunction", {"FunctionName": name}),
            Kind.LAYER: self._layer,
            Kind.QUEUE: self._queue,
            Kind.TOPIC: self._topic,
            Kind.TABLE: lambda name: self._gone("dynamodb", "DeleteTable", {"TableName": name}),
            Kind.BUCKET: self._bucket,
            Kind.STREAM: lambda name: self._gone("kinesis", "DeleteStream", {"StreamName": name}),
            Kind.BUS: triggers.remove_bus,
            Kind.RULE: triggers.remove_rule,
            Kind.SCHEDULE: triggers.remove_schedule,
            Kind.NOTIFICATION: triggers.remove_notification,
            Kind.SUBSCRIPTION: triggers.remove_subscription,
        }

    def remove(self, made: Made) -> str:
        """Raises `CommandFailed`."""
        self._removals[made.kind](made.name)
        return DELETED

    def _gone(self, service: str, operation: str, members: dict[str, object]) -> None:
        try:
            self._aws(service, operation, members)
        except Declined as declined:
            if not declined.missing:
                raise

    def _of_function(self, operation: str, name: str, **more: object) -> None:
        function, colon, qualifier = name.partition(":")
        self._gone(
            "lambda", operation, {"FunctionName": function, **({"Qualifier": qualifier} if colon else {}), **more}
        )

    def _permission(self, name: str) -> None:
        function, _, statement = name.partition("/")
        self._of_function("RemovePermission", function, StatementId=statement)

    def _alias(self, name: str) -> None:
        function, _, alias = name.partition(":")
        self._gone("lambda", "DeleteAlias", {"FunctionName": function, "Name": alias})

    def _mapping(self, name: str) -> None:
        function, _, source = name.partition(" ")
        found = self._functions.mapping_of(function, source)
        if found is not None:
            self._gone("lambda", "DeleteEventSourceMapping", {"UUID": found["UUID"]})

    def _api(self, name: str) -> None:
        try:
            self._client.own("DELETE", f"http-apis/{name}")
        except Refused as refused:
            if not refused.not_found:
                raise

    def _layer(self, name: str) -> None:
        for version in self._aws.pages("lambda", "ListLayerVersions", {"LayerName": name}, "LayerVersions"):
            self._gone("lambda", "DeleteLayerVersion", {"LayerName": name, "VersionNumber": version["Version"]})

    def _queue(self, name: str) -> None:
        found = self._aws.find("sqs", "GetQueueUrl", {"QueueName": name})
        if found is not None:
            self._gone("sqs", "DeleteQueue", {"QueueUrl": found["QueueUrl"]})

    def _topic(self, name: str) -> None:
        arn = self._stores.topic_of(name)
        if arn is not None:
            self._gone("sns", "DeleteTopic", {"TopicArn": arn})

    def _bucket(self, name: str) -> None:
        try:
            self._gone("s3", "DeleteBucket", {"Bucket": name})
        except Declined as declined:
            if declined.code != "BucketNotEmpty":
                raise
            raise CommandFailed(f"The bucket {name} is not empty, and was not deleted: empty it first.") from declined
