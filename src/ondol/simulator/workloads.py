"""A synthetic load that is like what has been published of real ones.

Sources: Shahrad and others, "Serverless in the Wild" (USENIX ATC 2020, Azure); Huawei's traces of 2025 for cold starts.
Rates of applications span eight orders of magnitude: 45% run at most once an hour, a further 36% at most once a minute,
and the other 19% make more than 99.5% of all calls. Nights have half of the rate of the peak of the day. An application
is one to ten functions, each with a trigger, a memory size, and durations of its own.

What has a share gets just that share, as far as whole applications and functions allow; the rest is drawn, from a seed.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from random import Random

import msgspec

from ondol.model.time import SECOND, Instant
from ondol.simulator.trace import Call, Function, Init, Trace

DAY_S = 86_400.0

RATES_A_DAY = ((0.0, 0.03), (0.45, 24.0), (0.81, 1_440.0), (0.97, 86_400.0), (1.0, 3_000_000.0))
"""Up to this part of all applications make at most so many calls a day; between the points it is exponential."""

MEAN_RATE_A_DAY = 27_500.0
"""About what an application makes on average by `RATES_A_DAY`."""

FEWEST_APPLICATIONS = 100
"""With fewer, the shares above are not whole applications."""

ONE_FUNCTION = 0.54
MOST_FUNCTIONS = 10
"""54% of applications are one function, and 95% at most ten."""

DURATION_MU = -0.38
DURATION_SIGMA = 2.36
"""Of the logarithm of seconds, over functions and calls together."""

FUNCTION_SIGMA = 1.9
CALL_SIGMA = math.sqrt(DURATION_SIGMA**2 - FUNCTION_SIGMA**2)
"""How that spread is divided: functions differ more from each other than calls of one function do."""

LONGEST_S = 900.0

BURR_C, BURR_K, BURR_LAMBDA_MB = 11.652, 0.221, 107.083
SMALLEST_MB, LARGEST_MB = 128, 10_240

TRIGGERS = {
    "http": (0.55, 0.36),
    "queue": (0.15, 0.34),
    "event": (0.02, 0.25),
    "timer": (0.16, 0.02),
    "other": (0.12, 0.03),
}
"""Shares of functions, and of calls."""

SHORTEST_TIMER_S = 60.0

COLD_START_MEDIAN_S = 0.4
COLD_START_SIGMA = 0.8
LONGEST_COLD_START_S = 9.9


class LoadFunction(msgspec.Struct, frozen=True):
    """A function as it was drawn."""

    application: int
    calls: int
    trigger: str
    memory_mb: int
    duration_mu: float
    """Of the logarithm of its calls' durations in seconds."""

    @property
    def mean_duration_s(self) -> float:
        """Of its calls, which are cut off at 15 minutes."""
        mu, sigma, longest = self.duration_mu, CALL_SIGMA, math.log(LONGEST_S)
        below = math.exp(mu + sigma**2 / 2) * _normal((longest - mu - sigma**2) / sigma)
        return below + LONGEST_S * (1 - _normal((longest - mu) / sigma))


class Load:
    """So many calls of applications with faithful rates, over the time that they take to make them: a day at most.

    It begins at the peak of a day. There are as many applications as make all the calls within a day, but no fewer than
    `FEWEST_APPLICATIONS`; these are done sooner.
    """

    def __init__(self, calls: int, seed: int, frontends: int = 1) -> None:
        self.calls = calls
        self.applications = max(FEWEST_APPLICATIONS, round(calls / MEAN_RATE_A_DAY))
        self._seed = seed
        self._frontends = frontends
        random = Random(f"{seed}/functions")
        rates = [rate_a_day((rank + 0.5) / self.applications) for rank in range(self.applications)]
        self.span_s = calls / sum(rates) * DAY_S
        shares = [
            (application, rate / sum(rates) * part)
            for application, rate in enumerate(rates)
            for part in _parts_of_an_application(rate, random)
        ]
        counts = _shared_out(calls, [share for _, share in shares], random.random())
        triggers = _triggers(counts, self.span_s)
        self.functions = [
            LoadFunction(
                application, n, trigger, _memory_mb(random.random()), random.gauss(DURATION_MU, FUNCTION_SIGMA)
            )
            for (application, _), n, trigger in zip(shares, counts, triggers, strict=True)
        ]

    @property
    def in_flight(self) -> float:
        """How many invocations run at one time, on average and without cold starts."""
        return sum(each.calls * each.mean_duration_s for each in self.functions) / self.span_s

    def trace(self) -> Trace:
        """The load as a simulation takes it: the same one each time. A function always calls the same frontend."""
        functions = [Function(f"function-{n:04}", each.memory_mb) for n, each in enumerate(self.functions)]
        return Trace(functions, self._calls(), cold_starts(self._seed))

    def _calls(self) -> Iterator[Call]:
        gauss = Random(f"{self._seed}/durations").gauss
        mus = [each.duration_mu for each in self.functions]
        for coded in self._arrivals():
            at, function = divmod(coded, len(mus))
            duration_s = min(LONGEST_S, math.exp(gauss(mus[function], CALL_SIGMA)))
            yield Call(Instant(at), function, _nanoseconds(duration_s), function % self._frontends)

    def _arrivals(self) -> list[int]:
        """When which function is called, as `instant * functions + function`: one number each, in order."""
        random = Random(f"{self._seed}/arrivals")
        coded = array("q")
        for number, function in enumerate(self.functions):
            draw = _periodic if function.trigger == "timer" else at_chance
            times = draw(function.calls, self.span_s, random)
            coded.extend(_nanoseconds(at_s) * len(self.functions) + number for at_s in times)
        return sorted(coded)


def rate_a_day(part: float) -> float:
    """How many calls a day an application makes than which this part of all applications make fewer."""
    above = next(index for index, (up_to, _) in enumerate(RATES_A_DAY) if part < up_to)
    (low, low_rate), (high, high_rate) = RATES_A_DAY[above - 1 : above + 1]
    return float(low_rate * (high_rate / low_rate) ** ((part - low) / (high - low)))


def wave(at_s: float) -> float:
    """The rate so long after the peak of a day, as a part of the peak's; half of it at night."""
    return 0.75 + 0.25 * math.cos(2 * math.pi * at_s / DAY_S)


def cold_starts(seed: int) -> Callable[[int], Init]:
    """How long each environment's start takes: the same for the same number."""

    def init(number: int) -> Init:
        drawn_s = COLD_START_MEDIAN_S * math.exp(Random(f"{seed}/start/{number}").gauss(0, COLD_START_SIGMA))
        return Init(_nanoseconds(min(LONGEST_COLD_START_S, drawn_s)))

    return init


def _parts_of_an_application(rate: float, random: Random) -> list[float]:
    """How its functions share its calls. The busiest applications are the largest."""
    if rate > DAY_S:
        functions = MOST_FUNCTIONS
    else:
        functions = 1 if random.random() < ONE_FUNCTION else random.randint(2, MOST_FUNCTIONS)
    weights = [1 / rank for rank in range(1, functions + 1)]
    return [weight / sum(weights) for weight in weights]


def _shared_out(calls: int, shares: Sequence[float], offset: float) -> list[int]:
    """Whole numbers that add up to `calls`; what is less than one call becomes one with that chance."""
    upper = [math.floor(calls * share + offset) for share in accumulate(shares)]
    upper[-1] = calls
    return [high - low for low, high in pairwise([0, *upper])]


def _triggers(counts: Sequence[int], span_s: float) -> list[str]:
    """From the busiest function on, the trigger that lacks the most calls for each function that it has left."""
    functions_left = {trigger: round(of_functions * len(counts)) for trigger, (of_functions, _) in TRIGGERS.items()}
    calls_left = {trigger: of_calls * sum(counts) for trigger, (_, of_calls) in TRIGGERS.items()}
    chosen = [""] * len(counts)
    for function in sorted(range(len(counts)), key=counts.__getitem__, reverse=True):
        too_busy = counts[function] * SHORTEST_TIMER_S > span_s
        possible = [each for each, left in functions_left.items() if left and not (each == "timer" and too_busy)]
        trigger = max(possible or ["other"], key=lambda each: calls_left[each] / max(1, functions_left[each]))
        functions_left[trigger] -= 1
        calls_left[trigger] -= counts[function]
        chosen[function] = trigger
    return chosen


def at_chance(calls: int, span_s: float, random: Random) -> Iterator[float]:
    """As many clients of their own mind call it: at random, by the wave of the day."""
    while calls:
        at_s = random.random() * span_s
        if random.random() < wave(at_s):
            calls -= 1
            yield at_s


def _periodic(calls: int, span_s: float, random: Random) -> Iterator[float]:
    """As a timer calls it, day and night."""
    phase = random.random()
    return ((number + phase) * span_s / calls for number in range(calls))


def _memory_mb(drawn: float) -> int:
    """Of a function: Burr's distribution, turned over, within what Lambda offers."""
    memory_mb = BURR_LAMBDA_MB * ((1 - drawn) ** (-1 / BURR_K) - 1) ** (1 / BURR_C)
    return int(max(SMALLEST_MB, min(LARGEST_MB, memory_mb)))


def _normal(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def _nanoseconds(seconds: float) -> int:
    """Odd, so that nothing falls on a tick of a timer by itself."""
    return int(seconds * SECOND) | 1
