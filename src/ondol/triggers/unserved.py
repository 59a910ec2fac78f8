"""Operations of EventBridge that ondol does not have, and what it lacks for each."""

from collections.abc import Mapping

_ARCHIVES = "it keeps no archive of events, so that there is nothing to replay"
_CONNECTIONS = "rules invoke functions, and no other address"
_PARTNERS = "it has no partners whose events could come in"
_ENDPOINTS = "it is in one place, so that there is no endpoint for several"
_POLICIES = "events stay within an account and a region"

UNSERVED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("CancelReplay", "CreateArchive", "DeleteArchive", "DescribeArchive", "DescribeReplay", "ListArchives"),
            *("ListReplays", "StartReplay", "UpdateArchive"),
        ),
        _ARCHIVES,
    ),
    **dict.fromkeys(
        (
            *("CreateApiDestination", "CreateConnection", "DeauthorizeConnection", "DeleteApiDestination"),
            *("DeleteConnection", "DescribeApiDestination", "DescribeConnection", "ListApiDestinations"),
            *("ListConnections", "UpdateApiDestination", "UpdateConnection"),
        ),
        _CONNECTIONS,
    ),
    **dict.fromkeys(
        (
            *("ActivateEventSource", "CreatePartnerEventSource", "DeactivateEventSource", "DeletePartnerEventSource"),
            *(
                "DescribeEventSource",
                "DescribePartnerEventSource",
                "ListEventSources",
                "ListPartnerEventSourceAccounts",
            ),
            *("ListPartnerEventSources", "PutPartnerEvents"),
        ),
        _PARTNERS,
    ),
    **dict.fromkeys(
        ("CreateEndpoint", "DeleteEndpoint", "DescribeEndpoint", "ListEndpoints", "UpdateEndpoint"), _ENDPOINTS
    ),
    **dict.fromkeys(("PutPermission", "RemovePermission"), _POLICIES),
}
"""By operation: the reason, as the end of a sentence. What is served has no row; a test sees to it."""
