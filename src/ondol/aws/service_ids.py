"""Names of services: under which requests to them are signed, and by which SDKs know them.

An SDK looks for the address of a service in `AWS_ENDPOINT_URL_` and its identifier ("Service-specific endpoints", AWS
SDKs and tools reference guide). Several services may share one signing name.
"""

from collections.abc import Mapping

LAMBDA = "lambda"
LOGS = "logs"
STS = "sts"
S3 = "s3"
SNS = "sns"
EVENTS = "events"
SCHEDULER = "scheduler"

TRIGGERS = frozenset({EVENTS, SCHEDULER})
"""What ondol serves unless a server is named for it in `[endpoints]`: one that serves them all is not."""

OWN = frozenset({LAMBDA, LOGS, STS}) | TRIGGERS
"""Signing names of what ondol serves itself, Lambda and triggers wholly and of the others some operations."""

SEEN = frozenset({SNS})
"""What goes by ondol though a server has it: for what it causes here. Bulk does not."""

VARIABLE = "AWS_ENDPOINT_URL"

USUAL: Mapping[str, tuple[str, ...]] = {
    "appconfig": ("APPCONFIG", "APPCONFIGDATA"),
    "athena": ("ATHENA",),
    "cognito-idp": ("COGNITO_IDENTITY_PROVIDER",),
    "dynamodb": ("DYNAMODB", "DYNAMODB_STREAMS"),
    "es": ("ELASTICSEARCH_SERVICE", "OPENSEARCH"),
    "execute-api": ("APIGATEWAYMANAGEMENTAPI",),
    "firehose": ("FIREHOSE",),
    "kinesis": ("KINESIS",),
    "kms": ("KMS",),
    "monitoring": ("CLOUDWATCH",),
    "rds-data": ("RDS_DATA",),
    "s3": ("S3", "S3_CONTROL"),
    "secretsmanager": ("SECRETS_MANAGER",),
    "ses": ("SES", "SESV2"),
    "sqs": ("SQS",),
    "ssm": ("SSM",),
    "states": ("SFN",),
    "timestream": ("TIMESTREAM_QUERY", "TIMESTREAM_WRITE"),
}
"""Those that the code of functions mostly talks to while it runs."""


def variables_of(signing_name: str) -> tuple[str, ...]:
    """The variables in which SDKs look for the address of whatever is signed under this name.

    For a name that is not among the usual it is a guess from the name, as most identifiers are; a wrong one is read by
    nobody.
    """
    ids = USUAL.get(signing_name) or (signing_name.upper().replace("-", "_"),)
    return tuple(f"{VARIABLE}_{id}" for id in ids)
