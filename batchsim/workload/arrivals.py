"""When the jobs of a workload entry are submitted, in integer microseconds from the beginning of the run.

`count` and `until` bound the arrivals: at most `count` of them, all before the instant `until`.

Random arrivals invert the integral of the rate: if E1, E2, ... are the arrivals of a process of
rate 1, the instants at which the integrated rate reaches E1, E2, ... are exactly the arrivals of a
Poisson process with that rate. So a later `until` or a larger `count` only adds arrivals at the end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from batchsim.errors import ScenarioError
from batchsim.scenario import AtOnce, Every, Hourly, Poisson
from batchsim.units import MAX_TIME_US, S_PER_HOUR, US_PER_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchsim.scenario import GeneratedJobs, ServiceJobs

    _Arriving = GeneratedJobs | ServiceJobs

_S_PER_DAY: Final = 24 * S_PER_HOUR
_HOUR_STARTS_S: Final = np.arange(25) * S_PER_HOUR
_CHUNK: Final = 65_536
_SPARE: Final = 100  # saves most second rounds where few jobs are expected


def expected_arrivals(entry: _Arriving) -> float:
    """The number of arrivals on average, exact where nothing is random.

    Computed without drawing anything, so that too large a workload is refused before it costs memory.
    """
    count = math.inf if entry.count is None else entry.count
    until_us = math.inf if entry.until is None else entry.until
    match entry.arrivals.chosen:
        case AtOnce(at=at):
            return count if at < until_us else 0.0
        case Every(interval=interval, start=start):
            return count if entry.until is None else min(count, max(0, -((start - entry.until) // interval)))
        case Poisson() | Hourly() as process:
            return min(count, _integrated_rate(process, (until_us - process.start) / US_PER_S))
        case times:
            return float(sum(time < until_us for time in times))


def draw_arrivals(entry: _Arriving, rng: np.random.Generator) -> NDArray[np.int64]:
    """Submit times int64[n] in the order in which they are drawn or listed.

    Only the random kinds use `rng`. The caller has checked that `expected_arrivals` is not too large.
    Raises ScenarioError when a time is beyond 285 years.
    """
    match entry.arrivals.chosen:
        case AtOnce(at=at):
            return np.full(int(expected_arrivals(entry)), at, np.int64)
        case Every(interval=interval, start=start):
            n = int(expected_arrivals(entry))
            if start + n * interval >= MAX_TIME_US:
                raise _too_late()
            return start + np.arange(n, dtype=np.int64) * interval
        case Poisson() | Hourly() as process:
            return _draw_random(process, entry, rng)
        case times:
            instants = np.array(times, np.int64)
            return instants if entry.until is None else instants[instants < entry.until]


def _draw_random(process: Poisson | Hourly, entry: _Arriving, rng: np.random.Generator) -> NDArray[np.int64]:
    end_us = MAX_TIME_US if entry.until is None else entry.until
    expected = expected_arrivals(entry)
    parts: list[NDArray[np.int64]] = []
    drawn, reached, ended = 0, 0.0, False
    while not ended and (entry.count is None or drawn < entry.count):
        steps = rng.standard_exponential(min(_CHUNK, int(max(0.0, expected - drawn)) + _SPARE))
        steps[0] += reached
        events = np.cumsum(steps)
        reached = float(events[-1])
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is too late
            instants_us = process.start + _reach(process, events) * US_PER_S
        inside = instants_us < end_us
        parts.append(np.floor(instants_us[inside]).astype(np.int64))
        drawn += len(parts[-1])
        ended = not inside[-1]
    times = np.concatenate(parts)[: entry.count]
    if entry.until is None and len(times) != entry.count:
        raise _too_late()
    return times


def _integrated_rate(process: Poisson | Hourly, span_s: float) -> float:
    """Arrivals expected in the first `span_s` seconds of the process."""
    if span_s <= 0:
        return 0.0
    if isinstance(process, Poisson) or math.isinf(span_s):
        return process.rate * span_s if isinstance(process, Poisson) else math.inf
    days, rest_s = divmod(span_s, _S_PER_DAY)
    by_hour = _integral_by_hour(_rates_from_start(process))
    return float(days * by_hour[-1] + np.interp(rest_s, _HOUR_STARTS_S, by_hour))


def _reach(process: Poisson | Hourly, events: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds from the start at which the integrated rate reaches each of `events` (ascending)."""
    if isinstance(process, Poisson):
        return events / process.rate
    rates = _rates_from_start(process)
    by_hour = _integral_by_hour(rates)
    days, rest = np.divmod(events, by_hour[-1])
    # The last hour that begins at or below `rest`: hours of rate 0 are stepped over.
    hour = np.searchsorted(by_hour, rest, side="right") - 1
    return days * _S_PER_DAY + _HOUR_STARTS_S[hour] + (rest - by_hour[hour]) / rates[hour]


def _rates_from_start(process: Hourly) -> NDArray[np.float64]:
    return np.roll(np.array(process.rates), -process.startHour)


def _integral_by_hour(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected arrivals before each full hour: 25 values, the last one of a whole day."""
    with np.errstate(over="ignore"):
        return np.concatenate(([0.0], np.cumsum(rates * S_PER_HOUR)))


def _too_late() -> ScenarioError:
    return ScenarioError(
        "the last jobs would be submitted beyond 285 years", hint="raise the rate or add until"
    )
