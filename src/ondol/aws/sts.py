"""AWS STS as far as ondol serves it: GetCallerIdentity, in the query protocol.

Source: API reference, GetCallerIdentity (2011-06-15). ondol knows accounts and no users, so whoever has a key of an
account is its root, whose user id is the account's number; but code in a sandbox is a session of its function's role.
"""

import re

from ondol.aws.identity import Caller
from ondol.aws.protocols import XML
from ondol.aws.reply import WireReply

OPERATIONS = frozenset({"GetCallerIdentity"})

FORM_BYTES = 524_288
"""Of a request, the longest of which brings an identity provider's assertion."""

_ACTION = re.compile(rb"(?<![^&])Action=([A-Za-z]+)(?![^&])")

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def action_of(query: str, form: bytes) -> str | None:
    """The operation that a request names, in its query or in the form that is its body; None if it is hard to find."""
    found = _ACTION.search(query.encode("latin-1")) or _ACTION.search(form, 0, FORM_BYTES)
    return None if found is None else found[1].decode()


def caller_identity(caller: Caller, request_id: str) -> WireReply:
    """The answer to GetCallerIdentity."""
    result = f"<Arn>{caller.arn}</Arn><UserId>{caller.user_id}</UserId><Account>{caller.account}</Account>"
    body = (
        f'<GetCallerIdentityResponse xmlns="{_NAMESPACE}">'
        f"<GetCallerIdentityResult>{result}</GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    return WireReply(200, {"Content-Type": XML, "x-amzn-RequestId": request_id}, body.encode())
