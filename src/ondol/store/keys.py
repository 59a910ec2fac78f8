"""What a key, a prefix, a value and a message may be: what every store, the cluster engine's included, can take."""

from ondol.model.errors import InvariantError
from ondol.store.protocol import StoreError

KEY_BYTES = 512
VALUE_BYTES = 1_048_576
"""What is larger is a blob."""

MESSAGE_BYTES = 8_388_608


def check_key(key: str) -> None:
    """Segments of printable characters, joined by slashes. Raises `InvariantError`: keys are made by code."""
    if not key or key[0] == "/" or key[-1] == "/" or "//" in key:
        raise InvariantError(f"the key {key!r} has an empty segment")
    if " " in key or not key.isprintable() or len(key.encode()) > KEY_BYTES:
        raise InvariantError(f"the key {key!r} has a space, an unprintable character or over {KEY_BYTES} bytes")


def check_prefix(prefix: str) -> None:
    """Whole segments, or empty for everything: an engine may index no other. Raises `InvariantError`."""
    if prefix:
        if prefix[-1] != "/":
            raise InvariantError(f"the prefix {prefix!r} does not end with a slash")
        check_key(prefix[:-1])


def check_value(key: str, value: bytes) -> None:
    """Raises `StoreError` for one that is too long."""
    if not isinstance(value, bytes):
        raise InvariantError(f"the value of {key!r} is no bytes")
    if len(value) > VALUE_BYTES:
        raise StoreError(f"the value of {key!r} has {len(value)} bytes, over {VALUE_BYTES}")


def check_message(queue: str, body: bytes) -> None:
    """Names of queues are those of keys. Raises `StoreError` for a body that is too long."""
    check_key(queue)
    if len(body) > MESSAGE_BYTES:
        raise StoreError(f"a message for {queue!r} has {len(body)} bytes, over {MESSAGE_BYTES}")
