"""What we put into an event stream, botocore's own parser takes out again."""

import struct

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, EventStreamMessage

from ondol.aws import eventstream


def parsed(data: bytes, piece: int = 1 << 30) -> list[EventStreamMessage]:
    """The messages in it, fed in pieces of so many bytes."""
    buffer = EventStreamBuffer()
    found = []
    for start in range(0, len(data), piece):
        buffer.add_data(data[start : start + piece])
        found += list(buffer)
    return found


@pytest.mark.parametrize("payload", [b"", b"x", "온돌".encode(), b"\r\n\0" * 5, bytes(range(256)) * 4096])
def test_a_chunk_comes_out_as_it_went_in(payload: bytes) -> None:
    [message] = parsed(eventstream.payload_chunk(payload))
    assert message.payload == payload
    assert message.headers == {
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    assert message.to_response_dict()["status_code"] == 200


@pytest.mark.parametrize(
    ("told", "json"),
    [
        ((None, None, None), b"{}"),
        (("Own.Luck", '{"a":"ü"}', None), '{"ErrorCode":"Own.Luck","ErrorDetails":"{\\"a\\":\\"ü\\"}"}'.encode()),
        ((None, None, "bG9n"), b'{"LogResult":"bG9n"}'),
    ],
)
def test_the_end_tells_what_there_is(told: tuple[str | None, str | None, str | None], json: bytes) -> None:
    [message] = parsed(eventstream.invoke_complete(*told))
    assert message.payload == json
    assert message.headers[":event-type"] == "InvokeComplete"
    assert message.headers[":content-type"] == "application/json"


def test_an_error_of_the_service_is_no_event() -> None:
    [message] = parsed(eventstream.error("ServiceException", "the worker is gone"))
    told = message.to_response_dict()
    assert told["status_code"] == 400
    assert told["headers"][":error-code"] == "ServiceException"
    assert told["headers"][":error-message"] == "the worker is gone"


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_messages_follow_each_other_in_whatever_pieces_they_come(piece: int) -> None:
    stream = (
        eventstream.payload_chunk(b"one")
        + eventstream.payload_chunk(b"two" * 100)
        + eventstream.invoke_complete(None, None, None)
    )
    assert [message.payload for message in parsed(stream, piece)] == [b"one", b"two" * 100, b"{}"]


@pytest.mark.parametrize("at", [0, 8, 12, 40, -10, -1])
def test_a_bit_that_flips_is_noticed(at: int) -> None:
    damaged = bytearray(eventstream.payload_chunk(b"a payload"))
    damaged[at] ^= 1
    with pytest.raises(ChecksumMismatch):
        parsed(bytes(damaged))


def test_the_length_counts_the_whole_message() -> None:
    message = eventstream.payload_chunk(b"12345")
    assert struct.unpack("!I", message[:4]) == (len(message),)
