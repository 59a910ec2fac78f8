"""Checkpoint tokens and callback ids: opaque to whoever has them, and checked when they come back. Pure.

A checkpoint token names the invocation that may use it and how many checkpoints there were before: so each is good for
one checkpoint, and none after its invocation. A callback's id holds its execution's, which is random: who was not told
it does not guess it. Both have the alphabet of base64, as the service model wants.
"""

import base64
import binascii

import msgspec


class CheckpointToken(msgspec.Struct, frozen=True, array_like=True):
    execution: str
    invocation: str
    checkpoints: int


class CallbackId(msgspec.Struct, frozen=True, array_like=True):
    execution: str
    operation: str


_tokens = msgspec.json.Decoder(CheckpointToken)
_callbacks = msgspec.json.Decoder(CallbackId)


def write(token: CheckpointToken | CallbackId) -> str:
    return base64.b64encode(msgspec.json.encode(token)).decode()


def read_token(text: str) -> CheckpointToken | None:
    """None for what is no token."""
    try:
        return _tokens.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None


def read_callback(text: str) -> CallbackId | None:
    """None for what is no callback's id."""
    try:
        return _callbacks.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
