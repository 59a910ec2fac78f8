"""The payload that a function gets of a stream, and what it answers about a batch: pure.

Source: developer guide, "Using Lambda with Kinesis", "Stateful processing" and "Partial batch responses".
"""

import msgspec

from ondol.aws.moments import to_the_second
from ondol.model.time import WallTime
from ondol.pollers.api import Mapping
from ondol.pollers.lane import EMPTY_STATE, Attempt
from ondol.pollers.policy import reported_failures


class _Stateful(msgspec.Struct):
    state: msgspec.Raw = msgspec.Raw(EMPTY_STATE)


class _WindowEvent(msgspec.Struct, rename="camel"):
    records: list[msgspec.Raw] = msgspec.field(name="Records")
    window: dict[str, str]
    state: msgspec.Raw
    shard_id: str
    event_source_arn: str = msgspec.field(name="eventSourceARN")
    is_final_invoke_for_window: bool
    is_window_terminated_early: bool


_stateful = msgspec.json.Decoder(_Stateful)


def payload_of(attempt: Attempt, mapping: Mapping, shard: str) -> bytes:
    if attempt.window is None or mapping.stream is None:
        return b'{"Records":[' + b",".join([record.body for record in attempt.records]) + b"]}"
    start = attempt.window.start
    end = WallTime(start + mapping.stream.tumbling_window_s * 1000)
    event = _WindowEvent(
        records=[msgspec.Raw(record.body) for record in attempt.records],
        window={"start": to_the_second(start), "end": to_the_second(end)},
        state=msgspec.Raw(attempt.window.state),
        shard_id=shard,
        event_source_arn=mapping.source,
        is_final_invoke_for_window=attempt.final,
        is_window_terminated_early=attempt.early,
    )
    return msgspec.json.encode(event)


def first_failure(result: bytes, attempt: Attempt) -> int | None:
    """The number of the first record that the function reports as failed; None if it took all.

    What cannot be understood means that all failed.
    """
    sequences = [record.sequence for record in attempt.records]
    failures = reported_failures(result, sequences)
    if failures is None:
        return 0
    return next((number for number, sequence in enumerate(sequences) if sequence in failures), None)


def state_of(result: bytes) -> bytes | None:
    """The state that the function hands on; None if it hands on none, or what it could not be given again."""
    try:
        result.decode()
        return bytes(_stateful.decode(result).state)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
