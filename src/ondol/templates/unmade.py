"""Resources of a template that are accepted and not made: without them all of it works here as it does on AWS.

They say who may do what, which nobody asks here, or watch what runs. Source: CloudFormation user guide, "Template
reference"; AWS SAM developer guide, "AWS::Serverless::Connector".
"""

from typing import Any

from ondol.templates.making import Making, Resource

_ROLE, _LOGS = "AWS::IAM::Role", "AWS::Logs::LogGroup"

_RIGHTS = "who may do what to the services beside, nobody asks here."
_WATCHING = "ondol sets no alarms, and shows what runs by `ondol status` and `ondol logs`."
_WHY = {
    **dict.fromkeys(
        (
            *(_ROLE, "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::Serverless::Connector"),
            *("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"),
            "AWS::Events::EventBusPolicy",
        ),
        _RIGHTS,
    ),
    **dict.fromkeys(
        (
            *("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::Dashboard"),
            *("AWS::ApplicationInsights::Application", "AWS::ResourceGroups::Group", "AWS::ApiGateway::Account"),
        ),
        _WATCHING,
    ),
    _LOGS: "a log group is there with its first line, and ondol keeps what it holds.",
}
UNMADE = frozenset(_WHY)

_LONGEST_GROUP = 512


def remark_of(resource: Resource) -> str:
    return f"{resource.id} is not made: {_WHY[resource.type]}"


def unmade_reference(making: Making, resource: Resource, attribute: str | None) -> Any:
    """What Ref and Fn::GetAtt say of one; None for what they do not."""
    stack = making.stack
    if resource.type == _ROLE:
        name = f"{stack.name}-{resource.id}"
        return {None: name, "Arn": f"arn:{stack.partition}:iam::{stack.account}:role/{name}"}.get(attribute)
    if resource.type == _LOGS:
        group = making.name_of(resource, "LogGroupName", _LONGEST_GROUP)
        return {None: group, "Arn": f"{stack.arn('logs', f'log-group:{group}')}:*"}.get(attribute)
    return f"{stack.name}-{resource.id}" if attribute is None else None
