"""Functions of a template: their code, their configuration, and what comes with them.

Source: AWS SAM developer guide, "AWS::Serverless::Function".
"""

from typing import Any

from ondol.templates.events import event_steps
from ondol.templates.made_function import MadeFunction, permission
from ondol.templates.making import LOGICAL_TAG, STACK_TAG, Making, Resource
from ondol.templates.properties import Properties
from ondol.templates.sources import HERE, code_at
from ondol.templates.steps import Code, Inline, Kind, Step, StoredCode
from ondol.templates.values import Attribute, Text, joined

TYPE = "AWS::Serverless::Function"
LONGEST_NAME = 64

_TEXTS = {"Description": "Description", "Handler": "Handler", "Runtime": "Runtime", "KmsKeyArn": "KMSKeyArn"}
_NUMBERS = {"MemorySize": "MemorySize", "Timeout": "Timeout"}
_OBJECTS = ("EphemeralStorage", "LoggingConfig", "SnapStart", "DurableConfig", "TenancyConfig")
_ROLES = ("Policies", "PermissionsBoundary", "RolePath", "AssumeRolePolicyDocument")
_DEPLOYMENT = ("AutoPublishCodeSha256", "AutoPublishAliasAllProperties", "PropagateTags")
_DEFAULTS: dict[str, Any] = {
    "Description": "",
    "MemorySize": 128,
    "Timeout": 3,
    "Environment": {"Variables": {}},
    "Layers": [],
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None"},
    "KMSKeyArn": "",
    "TracingConfig": {"Mode": "PassThrough"},
    "DeadLetterConfig": {"TargetArn": ""},
}
"""What a function is of which the template does not say it: so it goes back to that when it says it no more."""


def function_reference(making: Making, resource: Resource, attribute: str | None) -> Any:
    """What Ref and Fn::GetAtt say of a function; None for what they do not."""
    name = making.name_of(resource, "FunctionName", LONGEST_NAME)
    arn = joined([making.stack.arn("lambda", "function:"), name])
    if attribute in {None, "Arn"}:
        return name if attribute is None else arn
    alias = Properties(resource.section, resource.id, resource.line, making.evaluation, making.problems).known(
        "AutoPublishAlias"
    )
    if attribute == "Alias" and alias is not None:
        return joined([arn, ":", alias])
    return Attribute(resource.id, "Version") if attribute == "Version" and alias is not None else None


def role_arn(making: Making, function: str) -> str:
    """The role that SAM makes for a function which has none of its own; here it is a name and no more."""
    stack = making.stack
    return f"arn:{stack.partition}:iam::{stack.account}:role/{stack.name}-{function}Role"


def url_reference(resource: Resource) -> Attribute | None:
    """The address of a function's URL, where it has one."""
    return Attribute(f"{resource.id}Url", "FunctionUrl") if "FunctionUrlConfig" in resource.section else None


def function_steps(making: Making, resource: Resource) -> list[Step]:
    properties = making.properties(resource)
    properties.without_effect("FunctionName")
    name = making.name_of(resource, "FunctionName", LONGEST_NAME)
    if not isinstance(name, str):
        return []
    image = properties.known("PackageType", "Zip") == "Image"
    function = MadeFunction(resource, name, properties.known("AutoPublishAlias"))
    members = _members(making, resource, properties, name, image=image)
    step = Step(
        resource.id,
        Kind.FUNCTION,
        name,
        members,
        resource.line,
        code=_image(properties) if image else _code(resource, properties),
        tags={**(properties.object("Tags") or {}), STACK_TAG: making.stack.name, LOGICAL_TAG: resource.id},
        reserved=properties.number("ReservedConcurrentExecutions"),
        after=resource.after,
        retain=resource.retain,
    )
    steps = [step, *_alias_steps(function, properties)]
    steps += _provisioned_steps(function, properties)
    steps += _url_steps(function, properties)
    steps += _event_invoke_steps(making, function, properties)
    for event_id, event in properties.each("Events"):
        steps += event_steps(making, function, event_id, event)
    if properties.without_effect(*_ROLES):
        making.remark("Policies and roles are not enforced: a function may do here what its role may not on AWS.")
    if properties.without_effect("DeploymentPreference"):
        making.remark(
            "DeploymentPreference makes no difference: an alias moves at once, and no hook or alarm is asked."
        )
    properties.without_effect(*_DEPLOYMENT)
    properties.finish()
    return steps


def _logging(given: dict[str, Any], function: str) -> dict[str, Any]:
    """All of it, as an update changes no more of it than it names."""
    levels = (
        dict.fromkeys(("ApplicationLogLevel", "SystemLogLevel"), "INFO") if given.get("LogFormat") == "JSON" else {}
    )
    return {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function}", **levels, **given}


def _members(making: Making, resource: Resource, properties: Properties, name: str, *, image: bool) -> dict[str, Any]:
    given: dict[str, Any] = {member: properties.text(name) for name, member in _TEXTS.items()}
    given |= {member: properties.number(name) for name, member in _NUMBERS.items()}
    given |= {name: properties.object(name) for name in _OBJECTS}
    given["LoggingConfig"] = _logging(given["LoggingConfig"] or {}, name)
    environment = properties.object("Environment")
    given["Environment"] = {"Variables": {}, **environment} if isinstance(environment, dict) else None
    given["Architectures"] = properties.items("Architectures") or None
    given["Layers"] = properties.items("Layers") or None
    given["Role"] = properties.text("Role") or role_arn(making, resource.id)
    tracing = properties.known("Tracing")
    given["TracingConfig"] = tracing and {"Mode": "PassThrough" if tracing == "Disabled" else tracing}
    queue = properties.inside("DeadLetterQueue")
    if queue is not None:
        queue.known("Type")
        given["DeadLetterConfig"] = {"TargetArn": queue.text("TargetArn", required=True)}
        queue.finish()
    if image:
        # What Globals say of code is not meant of images, as in SAM.
        given |= {"PackageType": "Image", "ImageConfig": properties.object("ImageConfig") or {}}
        given |= dict.fromkeys(("Handler", "Runtime", "Layers"))
    for needed in () if image else ("Handler", "Runtime"):
        if given[needed] is None:
            properties.wrong(f"{properties.place} must have {needed}", resource.line)
    wanted = _DEFAULTS | {member: value for member, value in given.items() if value is not None}
    if image:
        del wanted["Layers"]
    return wanted


def _code(resource: Resource, properties: Properties) -> Code | None:
    inline: Text | None = properties.text("InlineCode")
    code: Code | None = code_at(properties, "CodeUri", build=not resource.built)
    if inline is not None and code is not None:
        properties.wrong(f"{properties.place} has CodeUri and InlineCode: one is enough", properties.line)
    if inline is not None:
        return Inline(inline)
    return HERE if code is None and "CodeUri" not in properties else code


def _image(properties: Properties) -> Code | None:
    uri = properties.text("ImageUri", required=True)
    properties.without_effect("CodeUri", "InlineCode")
    return StoredCode({"ImageUri": uri})


def _alias_steps(function: MadeFunction, properties: Properties) -> list[Step]:
    description = properties.text("VersionDescription")
    if function.alias is None:
        return []
    members = {"FunctionName": function.name, "Name": function.alias}
    return [
        Step(
            f"{function.id}Alias{function.alias}",
            Kind.ALIAS,
            function.qualified,
            members if description is None else {**members, "Description": description},
            properties.line_of("AutoPublishAlias"),
            after=function.after,
        )
    ]


def _provisioned_steps(function: MadeFunction, properties: Properties) -> list[Step]:
    config = properties.inside("ProvisionedConcurrencyConfig")
    if config is None:
        return []
    number = config.number("ProvisionedConcurrentExecutions")
    config.finish()
    line = properties.line_of("ProvisionedConcurrencyConfig")
    if function.alias is None or number is None:
        config.wrong(f"{config.place} needs ProvisionedConcurrentExecutions, and AutoPublishAlias beside it", line)
        return []
    members = {**function.named, "ProvisionedConcurrentExecutions": number}
    alias = frozenset({f"{function.id}Alias{function.alias}"})
    id = f"{function.id}ProvisionedConcurrency"
    return [Step(id, Kind.PROVISIONED, function.qualified, members, line, after=function.after | alias)]


def _url_steps(function: MadeFunction, properties: Properties) -> list[Step]:
    config = properties.inside("FunctionUrlConfig")
    if config is None:
        return []
    auth = config.known("AuthType", required=True)
    members = {**function.named, "AuthType": auth, "InvokeMode": config.known("InvokeMode", "BUFFERED")}
    members["Cors"] = config.object("Cors") or {}
    config.finish()
    line = properties.line_of("FunctionUrlConfig")
    steps = [Step(f"{function.id}Url", Kind.URL, function.qualified, members, line, after=function.after)]
    if auth == "NONE":
        public: dict[str, dict[str, Any]] = {
            "UrlPublicPermissions": {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
            "URLInvokeAllowPublicAccess": {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
        }
        for suffix, allowed in public.items():
            steps.append(permission(function, f"{function.id}{suffix}", {**allowed, "Principal": "*"}, line))
    return steps


def _event_invoke_steps(making: Making, function: MadeFunction, properties: Properties) -> list[Step]:
    config = properties.inside("EventInvokeConfig")
    if config is None:
        return []
    given = {name: config.number(name) for name in ("MaximumEventAgeInSeconds", "MaximumRetryAttempts")}
    members = {**function.named, **{name: value for name, value in given.items() if value is not None}}
    id, made = f"{function.id}EventInvokeConfig", list[Step]()
    destinations = config.inside("DestinationConfig")
    if destinations is not None:
        found = {}
        for name in ("OnSuccess", "OnFailure"):
            destination = destinations.inside(name)
            if destination is not None:
                kind, arn = _MADE_DESTINATIONS.get(destination.known("Type")), destination.text("Destination")
                if arn is None and kind is not None:
                    # SAM makes one where none is named.
                    made.append(_destination(making, f"{id}{name}{kind.name.title()}", kind, destination.line))
                    arn = Attribute(made[-1].id, "Arn")
                elif arn is None:
                    destination.wrong(f"{destination.place} must have Destination", destination.line)
                found[name] = {"Destination": arn}
                destination.finish()
        destinations.finish()
        members["DestinationConfig"] = found
    config.finish()
    line = properties.line_of("EventInvokeConfig")
    return [*made, Step(id, Kind.EVENT_INVOKE, function.qualified, members, line, after=function.after)]


_MADE_DESTINATIONS = {"SQS": Kind.QUEUE, "SNS": Kind.TOPIC}


def _destination(making: Making, id: str, kind: Kind, line: int) -> Step:
    members: dict[str, Any] = {"Attributes": {}, "Subscription": []} if kind is Kind.TOPIC else {}
    return Step(id, kind, f"{making.stack.name}-{id}", members, line)
