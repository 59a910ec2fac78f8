"""What can go wrong, and whose fault it was.

```
OndolError
├── CallerError          the request was wrong: AWS's own name and text, 4xx
├── PlatformError        a part of ondol was: 5xx, and whether the invocation had begun
└── InvariantError       a bug: the service that met it stops, loudly
```

A customer's function that fails is no exception at all: see `ondol.model.invocation.FunctionFailure`.
Names and texts are AWS's (Lambda API reference, 2015-03-31); statuses come from the service model.
"""

from enum import Enum
from typing import ClassVar


class OndolError(Exception):
    """Root of what ondol raises on purpose."""


class CallerError(OndolError):
    """The caller asked for something that AWS refuses too.

    `code` is the error's name in the service model; `members` are the fields that its body carries beside
    `message` (for instance `Reason` of a throttle). A field that is not given is absent on the wire, but for
    `Type`, which is "User" unless given, and absent when given as "".
    """

    code: ClassVar[str] = "InvalidParameterValueException"

    def __init__(self, message: str, **members: str) -> None:
        super().__init__(message)
        self.message = message
        self.members = members


class InvalidParameterValue(CallerError):
    code = "InvalidParameterValueException"


class ValidationFailed(CallerError):
    """A constraint of the service model was not met. Unmodelled on the wire: only a message, no `Type`."""

    code = "ValidationException"


class ResourceNotFound(CallerError):
    code = "ResourceNotFoundException"


class ResourceConflict(CallerError):
    code = "ResourceConflictException"


class ResourceInUse(CallerError):
    code = "ResourceInUseException"


class PreconditionFailed(CallerError):
    code = "PreconditionFailedException"


class TooManyRequests(CallerError):
    code = "TooManyRequestsException"


class RequestTooLarge(CallerError):
    code = "RequestTooLargeException"


class RequestEntityTooLarge(CallerError):
    """413 of a request or package over its size. Unmodelled."""

    code = "RequestEntityTooLargeException"


class InvalidRequestContent(CallerError):
    code = "InvalidRequestContentException"


class CodeStorageExceeded(CallerError):
    code = "CodeStorageExceededException"


class PolicyLengthExceeded(CallerError):
    """A resource policy would become too long."""

    code = "PolicyLengthExceededException"


class ProvisionedConcurrencyConfigNotFound(CallerError):
    code = "ProvisionedConcurrencyConfigNotFoundException"


class CodeSigningConfigNotFound(CallerError):
    code = "CodeSigningConfigNotFoundException"


class CodeVerificationFailed(CallerError):
    """A function's code signing configuration does not let this package be deployed."""

    code = "CodeVerificationFailedException"


class AccessDenied(CallerError):
    """403. AWS sends an empty message where naming the resource would tell that it exists."""

    code = "AccessDeniedException"


class SerializationFailed(CallerError):
    """The request is not what its operation can be read from: broken JSON, or a value of the wrong type. Unmodelled."""

    code = "SerializationException"


class MissingAuthenticationToken(CallerError):
    """403 of a request that nobody signed."""

    code = "MissingAuthenticationTokenException"


class IncompleteSignature(CallerError):
    """A signature from which a part is missing, so that it can not be verified at all."""

    code = "IncompleteSignatureException"


class InvalidSignature(CallerError):
    """403 of a signature that is wrong, too old or not yet valid."""

    code = "InvalidSignatureException"


class UnrecognizedClient(CallerError):
    """403 of an access key that nobody has."""

    code = "UnrecognizedClientException"


class TlsRequired(CallerError):
    """400 of a request in the clear where TLS is spoken. Unmodelled."""

    code = "TlsRequiredException"


class InvalidParameter(CallerError):
    """CloudWatch Logs' word for what Lambda calls an invalid parameter value."""

    code = "InvalidParameterException"


class ResourceAlreadyExists(CallerError):
    """EventBridge's word for a conflict of names."""

    code = "ResourceAlreadyExistsException"


class InvalidEventPattern(CallerError):
    code = "InvalidEventPatternException"


class LimitExceeded(CallerError):
    """EventBridge's word for a quota that is used up."""

    code = "LimitExceededException"


class NameConflict(CallerError):
    """EventBridge Scheduler's word for a conflict of names."""

    code = "ConflictException"


class UnknownOperation(CallerError):
    """No operation of the service model is addressed."""

    code = "UnknownOperationException"


class NotServed(CallerError):
    """An operation of the service model that ondol does not have yet; the message names it."""

    code = "NotImplementedException"


class Outcome(Enum):
    """What is known of an invocation when a part of the platform failed it. A retry looks at this alone."""

    NOT_STARTED = "not-started"
    UNKNOWN = "unknown"
    FINISHED = "finished"


class PlatformError(OndolError):
    """A part of ondol failed. `outcome` says whether the customer's code may have run."""

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.message = message
        self.outcome = outcome


class InvariantError(OndolError):
    """A state that cannot be. Never caught by the service that raised it."""
