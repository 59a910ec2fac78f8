"""The agenda: one time for each key."""

from ondol.model.agenda import Agenda
from ondol.model.time import WallTime


def test_the_agenda_has_one_time_for_each() -> None:
    agenda: Agenda[str] = Agenda()
    assert agenda.next is None
    agenda.plan("a", WallTime(5))
    agenda.plan("b", WallTime(3))
    agenda.plan("a", WallTime(2))
    agenda.plan("c", WallTime(9))
    agenda.drop("c")
    agenda.drop("nothing")
    assert agenda.next == 2
    assert agenda.due(WallTime(1)) == []
    assert agenda.due(WallTime(3)) == ["a", "b"]
    assert agenda.next is None and agenda.due(WallTime(10)) == []


def test_what_is_planned_twice_for_the_same_time_is_due_once() -> None:
    agenda: Agenda[str] = Agenda()
    for _ in range(2):
        agenda.plan("a", WallTime(1))
    agenda.drop("a")
    agenda.plan("a", WallTime(1))
    assert agenda.due(WallTime(1)) == ["a"]
    assert agenda.due(WallTime(1)) == []
    agenda.plan("a", WallTime(1))
    assert agenda.due(WallTime(1)) == ["a"]
