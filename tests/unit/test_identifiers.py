"""New identifiers: their form, and that no two are the same."""

import uuid

from ondol.linux.identifiers import new_id, new_request_id


def test_request_ids_are_random_uuids() -> None:
    made = [new_request_id() for _ in range(1000)]
    read = [uuid.UUID(each) for each in made]
    assert [str(each) for each in read] == made
    assert {(each.version, each.variant) for each in read} == {(4, uuid.RFC_4122)}
    assert len(set(made)) == 1000
    # Each bit that is not fixed is set in some and not in others.
    fixed = uuid.UUID("00000000-0000-f000-c000-000000000000").int
    for bit in (1 << place for place in range(128) if not fixed >> place & 1):
        assert 300 < sum(bool(each.int & bit) for each in read) < 700


def test_other_ids_are_hexadecimal() -> None:
    assert len(new_id()) == 32
    assert int(new_id(), 16) != int(new_id(), 16)
