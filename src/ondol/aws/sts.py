"""AWS STS as far as ondol serves it: GetCallerIdentity, in the query protocol.

Source: API reference, GetCallerIdentity (2011-06-15). ondol knows accounts and no users, so whoever has a key of an
account is its root, whose user id is the account's number; but code in a sandbox is a session of its function's role.
"""

from urllib.parse import parse_qs

from ondol.aws.identity import Caller
from ondol.aws.protocols import XML
from ondol.aws.reply import WireReply
from ondol.model.arn import partition_of

OPERATIONS = frozenset({"GetCallerIdentity"})

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def action_of(query: str, form: bytes) -> str | None:
    """The operation that a request names, in its query or in the form that is its body."""
    for pairs in (query, form.decode("latin-1")):
        named = parse_qs(pairs).get("Action")
        if named:
            return named[0]
    return None


def caller_identity(caller: Caller, request_id: str) -> WireReply:
    """The answer to GetCallerIdentity."""
    account = caller.account
    arn = caller.role_session or f"arn:{partition_of(caller.region)}:iam::{account}:root"
    user = account if caller.role_session is None else f"{caller.access_key}:{arn.rpartition('/')[2]}"
    result = f"<Arn>{arn}</Arn><UserId>{user}</UserId><Account>{account}</Account>"
    body = (
        f'<GetCallerIdentityResponse xmlns="{_NAMESPACE}">'
        f"<GetCallerIdentityResult>{result}</GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    return WireReply(200, {"Content-Type": XML, "x-amzn-RequestId": request_id}, body.encode())
