"""What waits in queues, as bytes: an event that is to be tried, or a record that is to be delivered."""

import msgspec

from ondol.events.api import Event
from ondol.events.records import Delivery

Step = Event | Delivery

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Step)


def encode(step: Step) -> bytes:
    return _encoder.encode(step)


def decode(body: bytes) -> Step:
    step: Step = _decoder.decode(body)
    return step
