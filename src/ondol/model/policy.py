"""Resource policies: whether the policy of a function lets somebody do something with it.

Decides by its arguments alone. Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements". ondol
knows no organizations, so a statement for the members of one allows nobody. Of a caller whose key names an account and
nothing more it takes every identity of that account as meant.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ondol.model.errors import AccessDenied
from ondol.model.ids import AccountId

INVOKE = "lambda:InvokeFunction"
INVOKE_URL = "lambda:InvokeFunctionUrl"

# Keys of the context of a request, in lower case.
SOURCE_ARN = "aws:sourcearn"
SOURCE_ACCOUNT = "aws:sourceaccount"
URL_AUTH_TYPE = "lambda:functionurlauthtype"
INVOKED_VIA_URL = "lambda:invokedviafunctionurl"

_ALLOW = "Allow"
_DENY = "Deny"
_ANYBODY = "*"
_ARN_PARTS = 6


class Principal(msgspec.Struct, frozen=True):
    """Who asks: a service, an account or somebody of it, or with neither nobody known."""

    service: str | None = None
    """As `s3.amazonaws.com`."""

    account: AccountId | None = None
    arn: str | None = None
    """Which user, role or session of the account; None where only the account is known."""


class Condition(msgspec.Struct, frozen=True):
    operator: str
    key: str
    """In lower case: keys are the same in any."""

    values: tuple[str, ...]


class Statement(msgspec.Struct, frozen=True):
    allows: bool
    principals: tuple[tuple[str, str], ...]
    """Kind (`AWS`, `Service`, or `*` for anybody) and name."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()


Policy = tuple[Statement, ...]


class PolicyMalformed(ValueError):
    """A document is no policy, or one that cannot be evaluated; the text says why."""


def allows(
    policy: Sequence[Statement],
    action: str,
    resource: str,
    principal: Principal,
    context: Mapping[str, str] | None = None,
) -> bool:
    """Whether a statement allows it and none denies it. `context` is by condition key in lower case."""
    given = context or {}
    allowed = False
    for statement in policy:
        if _applies(statement, action, resource, principal, given):
            if not statement.allows:
                return False
            allowed = True
    return allowed


def denied(account: AccountId, action: str, resource: str) -> AccessDenied:
    """The refusal of what only a resource policy could have allowed to another account."""
    return AccessDenied(
        f"User: arn:aws:iam::{account}:root is not authorized to perform: {action} on resource: {resource} "
        f"because no resource-based policy allows the {action} action"
    )


def parse_policy(document: str) -> Policy:
    """Raises `PolicyMalformed`."""
    try:
        policy = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PolicyMalformed("it is not JSON") from error
    if not isinstance(policy, dict):
        raise PolicyMalformed("it is not a JSON object")
    statements = policy.get("Statement")
    return tuple(_statement(each) for each in (statements if isinstance(statements, list) else [statements]))


def _statement(statement: Any) -> Statement:
    if not isinstance(statement, dict):
        raise PolicyMalformed("it has a statement that is not a JSON object")
    unknown = statement.keys() - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    if unknown:
        raise PolicyMalformed(f"a statement has the element {min(unknown)}, which is not evaluated")
    if statement.get("Effect") not in {_ALLOW, _DENY}:
        raise PolicyMalformed("the effect of a statement is Allow or Deny")
    return Statement(
        statement["Effect"] == _ALLOW,
        _principals(statement.get("Principal")),
        _texts(statement.get("Action"), "an action"),
        _texts(statement.get("Resource"), "a resource"),
        _conditions(statement.get("Condition", {})),
    )


def _principals(principal: Any) -> tuple[tuple[str, str], ...]:
    if principal == _ANYBODY:
        return ((_ANYBODY, _ANYBODY),)
    if not isinstance(principal, dict) or not principal.keys() <= {"AWS", "Service"}:
        raise PolicyMalformed('a principal is "*", or names AWS or Service')
    return tuple((kind, name) for kind, names in principal.items() for name in _texts(names, "a principal"))


def _conditions(conditions: Any) -> tuple[Condition, ...]:
    if not isinstance(conditions, dict) or not all(isinstance(tests, dict) for tests in conditions.values()):
        raise PolicyMalformed("a condition is an object of objects")
    for operator in conditions:
        if operator != "Null" and operator.removesuffix("IfExists") not in _TESTS:
            raise PolicyMalformed(f"the condition operator {operator} is not evaluated")
    return tuple(
        Condition(operator, key.lower(), _texts(values, "a condition's value"))
        for operator, tests in conditions.items()
        for key, values in tests.items()
    )


def _texts(value: Any, what: str) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    texts = [str(text).lower() if isinstance(text, bool) else text for text in texts]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise PolicyMalformed(f"{what} is a text or a list of texts")
    return tuple(texts)


def _applies(
    statement: Statement, action: str, resource: str, principal: Principal, context: Mapping[str, str]
) -> bool:
    return (
        any(_like(action.lower(), pattern.lower()) for pattern in statement.actions)
        and any(_like(resource, pattern) for pattern in statement.resources)
        and any(_is(principal, kind, name) for kind, name in statement.principals)
        and all(_holds(condition, context.get(condition.key)) for condition in statement.conditions)
    )


def _is(principal: Principal, kind: str, name: str) -> bool:
    if name == _ANYBODY:
        return True
    if kind == "Service":
        return principal.service == name
    if principal.account is None:
        return False
    parts = name.split(":", _ARN_PARTS - 1)
    if len(parts) != _ARN_PARTS:
        return name == principal.account
    account, identity = parts[4:]
    if account != principal.account:
        return False
    if identity == "root" or principal.arn is None or principal.arn == name:
        return True
    role = _role(name)
    return role is not None and role == _role(principal.arn)


def _role(arn: str) -> str | None:
    """The name of the role that an ARN stands for, be it the role's own or that of a session in it."""
    identity = arn.rpartition(":")[2]
    if identity.startswith("assumed-role/"):
        return identity.split("/")[1]
    return identity.rpartition("/")[2] if identity.startswith("role/") else None


def _holds(condition: Condition, value: str | None) -> bool:
    if condition.operator == "Null":
        return str(value is None).lower() in condition.values
    base = condition.operator.removesuffix("IfExists")
    if value is None:
        # What is said of a key that is not there: a negation is true, all else only where it need not be there.
        return "Not" in base or base != condition.operator
    return _TESTS[base](value, condition.values)


def _like(text: str, pattern: str) -> bool:
    """What is between wildcards comes one after another; the earliest place is as good as any later one, so that no
    pattern takes long, whoever wrote it."""
    if pattern == text:
        return True
    first, *others = _between_wildcards(pattern)
    if not others:
        return first.fullmatch(text) is not None
    *inner, last = others
    begun = first.match(text)
    end = len(text) - len(pattern.rpartition("*")[2])
    if begun is None or begun.end() > end or last.match(text, end) is None:
        return False
    at = begun.end()
    for piece in inner:
        found = piece.search(text, at, end)
        if found is None:
            return False
        at = found.end()
    return True


@lru_cache(maxsize=1024)
def _between_wildcards(pattern: str) -> list[re.Pattern[str]]:
    """A question mark stands for one character."""
    pieces = map(re.escape, pattern.split("*"))
    return [re.compile(piece.replace(r"\?", "."), re.DOTALL) for piece in pieces]


def _arn_like(arn: str, pattern: str) -> bool:
    """Part by part, so that a wildcard reaches over no colon but in the last."""
    parts, patterns = (text.split(":", _ARN_PARTS - 1) for text in (arn, pattern))
    return len(parts) == len(patterns) and all(map(_like, parts, patterns))


def _any(test: Callable[[str, str], bool], expected: bool = True) -> Callable[[str, Sequence[str]], bool]:
    return lambda value, wanted: any(test(value, each) for each in wanted) is expected


def _same(value: str, wanted: str) -> bool:
    return value == wanted


def _same_in_any_case(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


_TESTS: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
    "StringEquals": _any(_same),
    "StringNotEquals": _any(_same, False),
    "StringEqualsIgnoreCase": _any(_same_in_any_case),
    "StringNotEqualsIgnoreCase": _any(_same_in_any_case, False),
    "StringLike": _any(_like),
    "StringNotLike": _any(_like, False),
    "ArnEquals": _any(_arn_like),
    "ArnLike": _any(_arn_like),
    "ArnNotEquals": _any(_arn_like, False),
    "ArnNotLike": _any(_arn_like, False),
    "Bool": _any(_same_in_any_case),
}
