"""Cron expressions as EventBridge and its Scheduler have them: six fields, and the minutes that they name.

Pure: a minute is one of a calendar, without a zone.
Source: EventBridge user guide, "Cron expressions reference"; EventBridge Scheduler user guide, "Schedule types".
Neither tells of a range that runs over its end (`FRI-MON`), which is refused.
"""

import calendar
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime

import msgspec

YEARS = range(1970, 2200)
_TRIED_YEARS = 41
"""What is in none of so many years that the expression allows is in none at all: a fifth Friday of February is the
rarest, and is there once in 28 years, or in 40 about a century that has no leap day."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), 1
    )
}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}

_UNSAID = "?"

Days = Callable[[int, int], Iterable[int]]
"""The days of a month that are meant, by year and month; some may not be there."""


class InvalidExpression(ValueError):
    """What is no schedule expression; the text says why."""


class Cron(msgspec.Struct, frozen=True):
    """The minutes that are meant. Numbers go up."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[Days, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]

    def minutes_from(self, start: datetime) -> Iterator[datetime]:
        """All that are not before `start`, one after another; none, after a while, if there are none."""
        for year in [year for year in self.years if year >= start.year][:_TRIED_YEARS]:
            for month in self.months:
                if (year, month) >= (start.year, start.month):
                    yield from self._of_month(year, month, start)

    def _of_month(self, year: int, month: int, start: datetime) -> Iterator[datetime]:
        length = calendar.monthrange(year, month)[1]
        meant = {day for days in self.days for day in days(year, month) if 1 <= day <= length}
        for day in sorted(meant):
            first = date(year, month, day)
            if first < start.date():
                continue
            begun = first == start.date()
            for hour in self.hours:
                if begun and hour < start.hour:
                    continue
                for minute in self.minutes:
                    moment = datetime(year, month, day, hour, minute)
                    if moment >= start:
                        yield moment


def parse_cron(text: str) -> Cron:
    """What stands between the brackets of `cron(...)`. Raises `InvalidExpression`."""
    fields = text.upper().split()
    if len(fields) != 6:
        raise InvalidExpression("a cron expression has six fields")
    minutes, hours, of_month, months, of_week, years = fields
    if (of_month == _UNSAID) == (of_week == _UNSAID):
        raise InvalidExpression("one of day-of-month and day-of-week must be ?, and only one")
    if of_month == _UNSAID:
        days = [_day_of_week(part) for part in of_week.split(",")]
    else:
        days = [_day_of_month(part) for part in of_month.split(",")]
    return Cron(
        _numbers(minutes, range(60)),
        _numbers(hours, range(24)),
        tuple(days),
        _numbers(months, range(1, 13), _MONTHS),
        _numbers(years, YEARS),
    )


def _numbers(field: str, allowed: range, names: Mapping[str, int] | None = None) -> tuple[int, ...]:
    return tuple(sorted({number for part in field.split(",") for number in _part(part, allowed, names or {})}))


def _part(part: str, allowed: range, names: Mapping[str, int]) -> range:
    """One element of a list: `*`, `n`, `n-m`, and with `/step` each so many of them."""
    numbers, slash, step = part.partition("/")
    first, dash, last = numbers.partition("-")
    if numbers == "*":
        low, high = allowed[0], allowed[-1]
    else:
        low = _number(first, allowed, names)
        high = _number(last, allowed, names) if dash else (allowed[-1] if slash else low)
    if high < low:
        raise InvalidExpression(f"{part} ends before it begins")
    if slash and (not step.isascii() or not step.isdigit() or int(step) == 0):
        raise InvalidExpression(f"{part} has no step")
    return range(low, high + 1, int(step) if slash else 1)


def _number(text: str, allowed: range, names: Mapping[str, int]) -> int:
    number = names.get(text)
    if number is None and re.fullmatch("[0-9]{1,4}", text):
        number = int(text)
    if number is None or number not in allowed:
        raise InvalidExpression(f"{text or 'nothing'} is not between {allowed[0]} and {allowed[-1]}")
    return number


def _day_of_month(part: str) -> Days:
    if part == "L":
        return lambda year, month: (_length(year, month),)
    if part == "LW":
        return lambda year, month: (_nearest_weekday(year, month, _length(year, month)),)
    if part.endswith("W"):
        day = _number(part[:-1], range(1, 32), {})
        return lambda year, month: (_nearest_weekday(year, month, day),) if day <= _length(year, month) else ()
    days = _part(part, range(1, 32), {})
    return lambda year, month: days


def _day_of_week(part: str) -> Days:
    allowed = range(1, 8)
    if part == "L":
        return lambda year, month: _on(year, month, 7)
    if part.endswith("L") and part not in _DAYS:
        day = _number(part[:-1], allowed, _DAYS)
        return lambda year, month: _on(year, month, day)[-1:]
    if "#" in part:
        name, _, nth = part.partition("#")
        day, number = _number(name, allowed, _DAYS), _number(nth, range(1, 6), {})
        return lambda year, month: _on(year, month, day)[number - 1 : number]
    days = _part(part, allowed, _DAYS)
    return lambda year, month: [each for day in days for each in _on(year, month, day)]


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _on(year: int, month: int, day_of_week: int) -> list[int]:
    """The days of a month that are this day of the week: 1 is Sunday."""
    begins, length = calendar.monthrange(year, month)
    first = (day_of_week - 2 - begins) % 7 + 1
    return list(range(first, length + 1, 7))


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The working day nearest to this one, in the same month."""
    match date(year, month, day).weekday():
        case 5:  # Saturday
            return day - 1 if day > 1 else day + 2
        case 6:  # Sunday
            return day + 1 if day < _length(year, month) else day - 2
        case _:
            return day
