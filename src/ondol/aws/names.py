"""Which function a request means: the forms of FunctionName, and what AWS refuses in them.

```
 name   function:name   123456789012:function:name   arn:aws:lambda:region:123456789012:function:name
                                                     each with :qualifier or without
```
Grammar and ownership only: whether the function exists is for the service that keeps it. The order is: the
model's constraints (`ondol.aws.validate`), whose it is, where it is, whether the two qualifiers agree.
"""

import re
from functools import lru_cache

from ondol.model.arn import FunctionArn
from ondol.model.errors import AccessDenied, InvalidParameterValue, InvariantError, ResourceNotFound
from ondol.model.ids import AccountId, Region

LONGEST_NAME = 64
"""Characters of a bare function name; only what creates something by that name is held to it."""

_FUNCTION_NAME = re.compile(
    r"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?"
    r"(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_.]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?",
    re.ASCII,
)

_NAMES_SOMETHING_NEW = frozenset({"CreateFunction", "CreateEventSourceMapping"})

_ACROSS_ACCOUNTS = frozenset(
    {
        *(
            "CreateAlias",
            "DeleteAlias",
            "DeleteFunction",
            "DeleteFunctionConcurrency",
            "DeleteFunctionEventInvokeConfig",
        ),
        *("DeleteProvisionedConcurrencyConfig", "GetAlias", "GetFunction", "GetFunctionConcurrency"),
        *("GetFunctionConfiguration", "GetFunctionEventInvokeConfig", "GetPolicy", "GetProvisionedConcurrencyConfig"),
        *("Invoke", "InvokeWithResponseStream", "ListAliases", "ListFunctionEventInvokeConfigs"),
        *("ListProvisionedConcurrencyConfigs", "ListTags", "ListVersionsByFunction", "PublishVersion"),
        *("PutFunctionConcurrency", "PutFunctionEventInvokeConfig", "PutProvisionedConcurrencyConfig", "TagResource"),
        *("UntagResource", "UpdateAlias", "UpdateFunctionCode", "UpdateFunctionEventInvokeConfig"),
    }
)
"""Operations that a function's policy may open to other accounts (developer guide, "Supported API actions" of
resource-based policies); a streamed invocation is allowed as Invoke is."""


@lru_cache(maxsize=8192)
def resolve_function(
    function_name: str, qualifier: str | None, account: AccountId, region: Region, operation: str
) -> FunctionArn:
    """The function that `function_name` means to a caller of `account` in `region`.

    Its account is the caller's, or another's where `operation` allows that; then the service answers
    `AccessDenied("")` if there is no such function. Its qualifier is None where neither place has one.
    Raises `AccessDenied`, `ResourceNotFound` and `InvalidParameterValue` with AWS's texts; `InvariantError` for a
    name that the model's constraints refuse.
    Answers are remembered: a warm call pays 0.2 us.
    """
    found = _FUNCTION_NAME.fullmatch(function_name)
    if found is None:
        raise InvariantError(f"{function_name!r} has not been held against the model's constraints")
    name, named_account, named_region = found["name"], found["account"], found["region"]
    if named_account is not None and named_account != account and operation not in _ACROSS_ACCOUNTS:
        raise AccessDenied("")
    if named_region is not None and named_region != region:
        raise ResourceNotFound(f"Functions from '{named_region}' are not reachable in this region ('{region}')")
    if function_name == name and len(name) > LONGEST_NAME and operation in _NAMES_SOMETHING_NEW:
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {LONGEST_NAME}"
        )
    derived = found["qualifier"]
    if derived is not None and qualifier and qualifier != derived:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    owner = AccountId(named_account) if named_account is not None else account
    return FunctionArn(region, owner, name, qualifier or derived)
