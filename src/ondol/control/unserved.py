"""Operations of the service model that ondol does not have, and what it lacks for each."""

from collections.abc import Mapping

_MACHINES = "ondol runs functions on the machines that its operator has: it starts and stops none"

UNSERVED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("CreateCapacityProvider", "DeleteCapacityProvider", "GetCapacityProvider", "ListCapacityProviders"),
            *("ListFunctionVersionsByCapacityProvider", "UpdateCapacityProvider"),
            *("GetFunctionScalingConfig", "PutFunctionScalingConfig"),
        ),
        _MACHINES,
    ),
}
"""By operation: the reason, as the end of a sentence. What is served has no row; a test sees to it."""
