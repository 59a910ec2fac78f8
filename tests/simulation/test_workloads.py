"""The synthetic load has the shares that have been published."""

import math
from collections import Counter
from itertools import pairwise
from random import Random
from statistics import mean, median, pstdev

import pytest

from ondol.model.time import SECOND
from ondol.simulator.workloads import (
    DAY_S,
    DURATION_MU,
    DURATION_SIGMA,
    LARGEST_MB,
    LONGEST_S,
    SMALLEST_MB,
    TRIGGERS,
    Load,
    at_chance,
    cold_starts,
    rate_a_day,
    wave,
)


@pytest.fixture(scope="module")
def load() -> Load:
    return Load(200_000, seed=1)


@pytest.fixture(scope="module")
def day() -> Load:
    """As much as needs a whole day, and thousands of functions."""
    return Load(30_000_000, seed=1)


def by_application(load: Load) -> list[int]:
    calls: Counter[int] = Counter()
    for function in load.functions:
        calls[function.application] += function.calls
    return sorted(calls.values(), reverse=True)


@pytest.mark.parametrize("calls", [1, 999, 200_000, 1_000_000, 30_000_000])
def test_there_are_exactly_as_many_calls_as_asked_for(calls: int) -> None:
    load = Load(calls, seed=3)
    assert sum(function.calls for function in load.functions) == calls
    assert load.span_s <= DAY_S * 1.01


def test_the_trace_has_them_all_in_order_of_time_and_again_the_same(load: Load) -> None:
    calls = list(load.trace().calls)
    assert len(calls) == load.calls
    assert all(one.at <= other.at for one, other in pairwise(calls))
    assert calls[-1].at <= load.span_s * SECOND
    assert list(load.trace().calls) == calls
    assert Counter(call.function for call in calls) == {n: f.calls for n, f in enumerate(load.functions) if f.calls}


def test_another_seed_is_another_load(load: Load) -> None:
    assert Load(load.calls, seed=2).functions != load.functions


@pytest.mark.parametrize("load_name", ["load", "day"])
def test_a_fifth_of_the_applications_make_nearly_all_calls(load_name: str, request: pytest.FixtureRequest) -> None:
    load: Load = request.getfixturevalue(load_name)
    busiest = by_application(load)[: round(0.19 * load.applications)]
    assert sum(busiest) / load.calls > 0.99


def test_most_applications_are_rarely_called(day: Load) -> None:
    calls = [n * DAY_S / day.span_s for n in by_application(day)]
    calls += [0.0] * (day.applications - len(calls))
    share = {limit: sum(n <= limit + 1 for n in calls) / len(calls) for limit in (24, 1_440, 86_400)}
    assert share[24] == pytest.approx(0.45, abs=0.02), "at most once an hour"
    assert share[1_440] == pytest.approx(0.81, abs=0.02), "at most once a minute"
    assert share[86_400] == pytest.approx(0.97, abs=0.01), "at most once a second"


def test_rates_span_eight_orders_of_magnitude() -> None:
    assert math.log10(rate_a_day(1 - 1e-9) / rate_a_day(0.0)) == pytest.approx(8, abs=0.01)


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_triggers_have_their_shares_of_functions_and_of_calls(trigger: str, day: Load) -> None:
    of_functions, of_calls = TRIGGERS[trigger]
    chosen = [function for function in day.functions if function.trigger == trigger]
    assert len(chosen) / len(day.functions) == pytest.approx(of_functions, abs=0.005)
    assert sum(function.calls for function in chosen) / day.calls == pytest.approx(of_calls, abs=0.02)


def test_timers_come_at_most_once_a_minute_and_at_even_distances(load: Load) -> None:
    timers = {n for n, function in enumerate(load.functions) if function.trigger == "timer"}
    times: dict[int, list[int]] = {n: [] for n in timers}
    for call in load.trace().calls:
        if call.function in timers:
            times[call.function].append(call.at)
    gaps = {n: [b - a for a, b in pairwise(at)] for n, at in times.items() if len(at) > 2}
    assert gaps
    for each in gaps.values():
        assert min(each) >= 60 * SECOND * 0.99
        assert max(each) - min(each) <= 2


def test_nights_have_half_of_the_days_peak() -> None:
    assert [wave(0), wave(DAY_S / 2), wave(DAY_S)] == [1.0, 0.5, 1.0]
    hours = Counter(int(at_s / 3600) for at_s in at_chance(60_000, DAY_S, Random(1)))
    assert (hours[11] + hours[12]) / (hours[0] + hours[23]) == pytest.approx(0.5, abs=0.03)


def test_durations_are_log_normal_over_all_functions(day: Load) -> None:
    mus = [function.duration_mu for function in day.functions]
    assert mean(mus) == pytest.approx(DURATION_MU, abs=0.1)
    load = Load(20_000, seed=5)
    centred: dict[int, list[float]] = {}
    for call in load.trace().calls:
        assert 0 < call.duration <= LONGEST_S * SECOND + 1
        centred.setdefault(call.function, []).append(math.log(call.duration / SECOND))
    within = [pstdev(logs) for n, logs in centred.items() if len(logs) > 300 and load.functions[n].duration_mu < 2]
    assert math.hypot(pstdev(mus), mean(within)) == pytest.approx(DURATION_SIGMA, rel=0.05)


def test_memory_is_burrs_within_what_lambda_offers(day: Load) -> None:
    sizes = [function.memory_mb for function in day.functions]
    assert min(sizes) == SMALLEST_MB
    assert max(sizes) <= LARGEST_MB
    assert median(sizes) == pytest.approx(139, abs=8)
    assert sum(size == SMALLEST_MB for size in sizes) / len(sizes) == pytest.approx(0.39, abs=0.05)


def test_what_is_in_flight_is_foretold(load: Load) -> None:
    busy_s = sum(call.duration for call in load.trace().calls) / SECOND
    assert busy_s / load.span_s == pytest.approx(load.in_flight, rel=0.05)


def test_cold_starts_take_their_time_by_number() -> None:
    durations_s = [cold_starts(1)(number).duration / SECOND for number in range(2_000)]
    assert durations_s[7] == cold_starts(1)(7).duration / SECOND
    assert durations_s[7] != cold_starts(2)(7).duration / SECOND
    assert median(durations_s) == pytest.approx(0.4, rel=0.1)
    assert max(durations_s) < 10
