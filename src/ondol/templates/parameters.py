"""Parameters of a template, and what is always there: pseudo parameters.

Source: CloudFormation user guide, "Parameters", "Pseudo parameters reference".
"""

import re
from collections.abc import Mapping
from typing import Any

from ondol.templates.document import Section
from ondol.templates.making import Stack
from ondol.templates.problems import Problems
from ondol.templates.values import shown

_TEXT, _NUMBER, _NUMBERS, _TEXTS = "String", "Number", "List<Number>", "CommaDelimitedList"
_KNOWN = frozenset({_TEXT, _NUMBER, _NUMBERS, _TEXTS, "List<String>"})
_OF_AWS = re.compile(r"(List<)?AWS::(EC2|Route53)::[A-Za-z:]+>?")
"""Names of what is on AWS: nobody looks here whether it is there."""


def pseudo_parameters(stack: Stack) -> dict[str, Any]:
    return {
        "AWS::AccountId": stack.account,
        "AWS::Region": stack.region,
        "AWS::Partition": stack.partition,
        "AWS::StackName": stack.name,
        "AWS::StackId": stack.arn("cloudformation", f"stack/{stack.name}/ondol"),
        "AWS::URLSuffix": "amazonaws.com.cn" if stack.partition == "aws-cn" else "amazonaws.com",
        "AWS::NotificationARNs": [],
    }


def parameter_values(declared: Section, given: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    """The value of each parameter: what was given, or its default."""
    for name in given.keys() - declared.keys():
        problems.add(0, f"--parameter {name}: the template has no such parameter")
    values = {}
    for name, parameter in declared.items():
        line = declared.line_of(name)
        if not isinstance(parameter, Section) or "Type" not in parameter:
            problems.add(line, f"Parameters.{name} must be an object with a Type")
            continue
        kind = str(parameter["Type"])
        if kind not in _KNOWN and not _OF_AWS.fullmatch(kind):
            problems.add(
                parameter.line_of("Type"), f"Parameters.{name}: ondol has no parameters of type {parameter['Type']}"
            )
            continue
        value = given.get(name, parameter.get("Default"))
        if value is None:
            problems.add(line, f"Parameters.{name} has no default: give one with --parameter {name}=VALUE")
            continue
        values[name] = _value(name, parameter, shown(value), line, problems)
    return values


def _value(name: str, parameter: Section, text: str, line: int, problems: Problems) -> Any:
    kind = str(parameter["Type"])
    listed = kind == _TEXTS or kind.startswith("List<")
    texts = [part.strip() for part in text.split(",")] if listed else [text]
    for each in texts:
        reason = _unfit(parameter, kind, each)
        if reason is not None:
            problems.add(line, f"Parameters.{name}: {each!r} {reason}")
    return texts if listed else text


def _unfit(parameter: Section, kind: str, text: str) -> str | None:
    """Why this is no value of the parameter."""
    allowed = parameter.get("AllowedValues")
    if isinstance(allowed, list) and text not in map(shown, allowed):
        return f"is none of {', '.join(map(shown, allowed))}"
    if "AllowedPattern" in parameter and not re.fullmatch(str(parameter["AllowedPattern"]), text):
        return f"does not have the form {parameter['AllowedPattern']}"
    if kind in {_NUMBER, _NUMBERS}:
        try:
            size = float(text)
        except ValueError:
            return "is no number"
        low, high = parameter.get("MinValue"), parameter.get("MaxValue")
    else:
        size, low, high = float(len(text)), parameter.get("MinLength"), parameter.get("MaxLength")
    try:
        if low is not None and size < float(low):
            return f"is less than {low}"
        return f"is more than {high}" if high is not None and size > float(high) else None
    except (TypeError, ValueError):
        return f"cannot be held to {low} and {high}, which are no numbers"
