"""The API as the code in a sandbox reaches it: who it acts as, whether it signed, and what it may do.

Nothing is taken on trust here: a request carries the session token of the very environment whose connection it came
on, and a signature over all of it. With that it may invoke and read, say how far a durable execution of its own
function has come, complete callbacks, and use the logs and STS, in its own account; what changes functions is refused.
"""

from collections.abc import AsyncIterable, Iterable

from ondol.aws.identity import Caller
from ondol.aws.session import Session, Sessions
from ondol.aws.signing import Scope, Signer, Terms, signer_of
from ondol.aws.sigv4 import Claim, claim_of, known_terms
from ondol.frontend.verifier import Verifier
from ondol.http import Request
from ondol.model.errors import AccessDenied, UnrecognizedClient
from ondol.model.ids import EnvironmentId, Region
from ondol.model.time import Clock

LARGEST_REQUEST = 8 * 1024 * 1024
"""Bytes: more than the largest payload, and little enough to be held while it is verified."""

_ACCOUNT_IN_ARN = 4
_READING = ("Get", "List", "Invoke", "SendDurableExecutionCallback")
_ITS_OWN = ("CheckpointDurableExecution", "GetDurableExecutionState")
"""Of executions of its own function."""


class SandboxDoor:
    """Verifies requests out of sandboxes."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._verifier = Verifier(clock)

    async def verified(self, environment: EnvironmentId, request: Request) -> tuple[Session, Scope]:
        """Who signed this request, and for what; its body is whole then.

        Raises `UnrecognizedClient`, what `claim_of` and `verify` raise, and `RequestEntityTooLarge`.
        """
        claim = claim_of(request.headers, "", known_terms)
        session, signer = self._session(environment, claim)
        await self._verifier.verify_whole(claim, signer, request, limit=LARGEST_REQUEST, what="code in a function")
        return session, claim.terms.scope

    async def verified_passing(
        self, environment: EnvironmentId, request: Request
    ) -> tuple[Caller, AsyncIterable[bytes]]:
        """Who signed this request, which goes on to another server, and its body, as of `Verifier.verify_passing`."""
        claim = claim_of(request.headers, request.query, known_terms)
        session, signer = self._session(environment, claim)
        body = await self._verifier.verify_passing(claim, signer, request, limit=LARGEST_REQUEST)
        return caller_as(session, claim.terms.scope), body

    def _session(self, environment: EnvironmentId, claim: Claim[Terms]) -> tuple[Session, Signer]:
        session = self._sessions.read(claim.token, claim.terms.scope.access_key)
        if session is None or session.environment != environment:
            raise UnrecognizedClient("The security token included in the request is invalid.")
        return session, signer_of(self._sessions.secret(claim.token), claim.terms)


def caller_as(session: Session, scope: Scope) -> Caller:
    """The caller that a verified session is, in the region that it signed for."""
    return Caller(session.account, Region(scope.region), scope.access_key, session.arn)


def check_allowed(session: Session, caller: Caller, operation: str, resources: Iterable[str]) -> None:
    """Raise `AccessDenied` for an operation of Lambda that code in a sandbox may not do: not at all, not in another
    region, or not to these names, ARNs and parts of ARNs."""
    refusal = f"User: {session.arn} is not authorized to perform: lambda:{operation}"
    if caller.region != session.region:
        raise AccessDenied(f"{refusal} outside of {session.region}")
    if operation in _ITS_OWN:
        for resource in resources:
            _check_own(session, resource, refusal)
        return
    if not operation.startswith(_READING):
        raise AccessDenied(f"{refusal} because code in a sandbox may only invoke and read")
    for resource in resources:
        if _account_of(resource) not in {None, session.account}:
            raise AccessDenied(f"{refusal} on resource: {resource}")


def check_region(session: Session, caller: Caller, service: str) -> None:
    """Raise `AccessDenied` for what code in a sandbox asks of a service in another region than its own."""
    if caller.region != session.region:
        raise AccessDenied(f"User: {session.arn} is not authorized to use {service} outside of {session.region}")


def _check_own(session: Session, execution: str, refusal: str) -> None:
    named = execution.partition("/")[0].split(":")[2:7]
    if named != ["lambda", session.region, session.account, "function", session.function]:
        raise AccessDenied(f"{refusal} on resource: {execution}")


def _account_of(resource: str) -> str | None:
    """The account that an ARN, or the form `account:function:name`, names; None if it names none."""
    parts = resource.split(":")
    if parts[0] == "arn":
        return parts[4] if len(parts) > _ACCOUNT_IN_ARN else ""
    return parts[0] if len(parts) > 1 and parts[0].isdigit() else None
