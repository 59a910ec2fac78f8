"""Control's pure parts: the life cycle's table, leases, paging, the catalog's totals."""

import itertools

import pytest

from ondol.control import paging
from ondol.control.catalog import Catalog, Stored
from ondol.control.leases import HolderLeases
from ondol.control.machine import AWAITING_ADOPTION, AWAITING_CODE, SETTLED, TRANSITIONS, Event, Stage, step
from ondol.control.records import FunctionRecord, Settings
from ondol.model.errors import InvalidParameterValue, InvariantError
from ondol.model.function import FunctionKey, LogSettings
from ondol.model.ids import AccountId, CodeDigest, Region
from ondol.model.time import Instant, WallTime


def test_every_stage_that_is_not_settled_leads_on() -> None:
    for stage in Stage:
        events = {event for found, event in TRANSITIONS if found is stage}
        if stage in AWAITING_CODE:
            assert events == {Event.PREPARED, Event.REFUSED}
        elif stage in AWAITING_ADOPTION:
            assert events == {Event.ADOPTED}
        else:
            assert events == {Event.UPDATED} and stage in SETTLED


def test_what_the_table_does_not_list_is_a_bug() -> None:
    for stage, event in itertools.product(Stage, Event):
        if (stage, event) not in TRANSITIONS:
            with pytest.raises(InvariantError):
                step(stage, event)


def test_a_holder_is_waited_for_until_its_lease_has_run_out() -> None:
    leases = HolderLeases(ttl=100)
    leases.joined("a")
    leases.joined("b")
    told = {"a": leases.sent("a", Instant(0)), "b": leases.sent("b", Instant(30))}
    assert leases.owing(told, Instant(40)) == 90
    leases.acknowledged("b", told["b"])
    assert leases.owing(told, Instant(40)) == 60
    assert not leases.lapsed("a", Instant(99))
    assert leases.lapsed("a", Instant(100)) and leases.owing(told, Instant(100)) == 0


def test_a_holder_whose_lease_ran_out_is_waited_for_again_only_once_it_owes_nothing() -> None:
    leases = HolderLeases(ttl=100)
    leases.joined("a")
    first = leases.sent("a", Instant(0))
    second = leases.sent("a", Instant(200))
    assert leases.owing({"a": second}, Instant(200)) == 0
    leases.acknowledged("a", second)
    assert leases.lapsed("a", Instant(200))
    leases.acknowledged("a", first)
    third = leases.sent("a", Instant(300))
    assert leases.owing({"a": third}, Instant(300)) == 100


def test_a_holder_that_begins_anew_owes_nothing() -> None:
    leases = HolderLeases(ttl=100)
    leases.joined("a")
    late = leases.sent("a", Instant(0))
    leases.joined("a")
    assert not leases.lapsed("a", Instant(1000))
    leases.acknowledged("a", late)


def test_a_page_ends_with_the_marker_of_the_next_and_the_last_with_none() -> None:
    items = [(str(n), n) for n in range(7)]
    first, following = paging.page(iter(items), {"MaxItems": 4})
    assert first == [0, 1, 2, 3]
    assert paging.start({"Marker": following["NextMarker"]}) == "4"
    assert paging.page(iter(items[4:]), {"MaxItems": 3}) == ([4, 5, 6], {})
    assert paging.page(iter([]), {}) == ([], {})
    assert paging.start({}) == ""
    for garbage in ("ä", "a", "%%%%", "/w=="):
        with pytest.raises(InvalidParameterValue):
            paging.start({"Marker": garbage})


def record(code: str, size: int, reserved: int | None = None) -> FunctionRecord:
    settings = Settings("python3.12", "h", "r", CodeDigest(code), size, LogSettings("g"))
    return FunctionRecord("i", settings, Stage.READY, "r", WallTime(0), reserved_concurrency=reserved)


def test_totals_follow_every_change() -> None:
    catalog = Catalog()
    account, region = AccountId("1"), Region("here")
    a, b = FunctionKey(account, region, "a"), FunctionKey(account, region, "b")
    catalog.put(b, Stored(record("b", 10, 5), 1, {}))
    catalog.put(a, Stored(record("a", 1), 2, {}))
    catalog.put(b, Stored(record("c", 20), 3, {}))
    usage = catalog.usage(account, region)
    assert (usage.names, usage.code_size, usage.claimed_concurrency) == (["a", "b"], 21, 0)
    assert catalog.packages() == {"a", "c"}
    assert [key for key, _ in catalog.listed(account, region, "b")] == [b]
    catalog.remove(a)
    catalog.remove(a)
    assert (usage.names, usage.code_size) == (["b"], 20)
    assert catalog.usage(AccountId("2"), region).names == []
