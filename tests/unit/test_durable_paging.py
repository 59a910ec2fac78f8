"""Pages of what durable executions have: every item once, whatever the size of each."""

from typing import Any

import pytest

from ondol.durable.paging import PAGE_BYTES, page, position_of


def pages(items: list[Any], size: int | None, *, backwards: bool = False) -> list[list[Any]]:
    found, marker = [], None
    numbered = [(position_of(number), item) for number, item in enumerate(items)]
    while True:
        told, following = page(
            reversed(numbered) if backwards else numbered, {"MaxItems": size, "Marker": marker}, descending=backwards
        )
        found.append(told)
        marker = following.get("NextMarker")
        if marker is None:
            return found


@pytest.mark.parametrize("backwards", [False, True])
def test_a_page_has_as_many_as_were_asked_for_and_as_have_room(backwards: bool) -> None:
    large = {"Result": {"Payload": ["x" * (PAGE_BYTES // 3)]}}
    assert [len(each) for each in pages([large] * 7, 100, backwards=backwards)] == [3, 3, 1]
    assert [len(each) for each in pages([large] * 7, 2, backwards=backwards)] == [2, 2, 2, 1]
    assert [len(each) for each in pages([large] * 6, None, backwards=backwards)] == [3, 3]


def test_what_is_larger_than_a_page_has_one_of_its_own() -> None:
    assert [len(each) for each in pages([1, "x" * (PAGE_BYTES + 1), "y" * (PAGE_BYTES + 1), 2], 100)] == [1, 1, 1, 1]
