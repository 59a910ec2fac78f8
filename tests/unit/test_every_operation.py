"""Each operation of the service model is served, or refused with a reason."""

from unittest.mock import Mock

from control_world import World, run

from ondol.aws.wire import LambdaWire
from ondol.control.unserved import UNSERVED
from ondol.durable.operations import DurableOperations
from ondol.frontend.invoke_api import OPERATIONS as INVOCATIONS


def test_every_operation_is_served_or_refused_and_none_is_both() -> None:
    async def test(world: World) -> None:
        durable = set(DurableOperations(Mock()).table())
        served = world.control.operations() | durable | INVOCATIONS
        assert served | UNSERVED.keys() == LambdaWire().operations
        assert not served & UNSERVED.keys()

    run(test)
