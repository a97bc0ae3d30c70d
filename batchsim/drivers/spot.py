"""Spot interruptions at random.

An instance of a Spot environment is interrupted at an exponential rate [spec 3.8]. Of these interruptions a
part is its own; the others come to its pool, all instances of its type, at one instant. Whoever is there
then is told, and lost when the notice is over; so the rate of each single instance is the same whatever the
part. All draws belong to an instance, or to a pool and the number of the event.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from zlib import crc32

from batchsim.catalog import INTERRUPTION_BANDS
from batchsim.core.grid import NEVER
from batchsim.units import S_PER_HOUR, US_PER_S
from batchsim.workload.streams import uniform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.catalog import SpotPool
    from batchsim.scenario import Assumptions

_DAY_US: Final = 24 * S_PER_HOUR * US_PER_S
_MONTH_US: Final = 730 * S_PER_HOUR * US_PER_S
_LONGEST_US: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Interruptions:
    """When Spot instances are taken back.

    rate_of     by row of the plan's types: interruptions per microsecond of an instance, above 0; types that
                are not interrupted are absent
    pool_of     for the same rows the number of the pool, which does not depend on the scenario
    shared      the part of the interruptions that come to whole pools
    notice_us   from being told to being lost
    tasks       those of the rows that are Fargate tasks
    """

    rate_of: Mapping[int, float]
    pool_of: Mapping[int, int]
    shared: float = 0.0
    notice_us: int = 0
    tasks: frozenset[int] = frozenset()
    _events: dict[int, list[int]] = field(default_factory=dict)

    def lost_at(self, seed: int, replication: int, instance: int, type_index: int, running_us: int) -> int:
        """The instant at which an instance that runs from `running_us` on is lost; NEVER if it is not."""
        rate = self.rate_of.get(type_index)
        if rate is None:
            return NEVER
        alone = rate * (1 - self.shared)
        told = NEVER
        if alone:
            told = running_us + _exponential(alone, uniform(seed, replication, "interruptions", instance))
        if self.shared:
            pool = self.pool_of[type_index]
            told = min(told, self._next_event(seed, replication, pool, rate * self.shared, running_us))
        return NEVER if told >= _LONGEST_US else told + self.notice_us

    def _next_event(self, seed: int, replication: int, pool: int, rate: float, after_us: int) -> int:
        """The first event of a pool after an instant: what replaces a lost instance is not hit again."""
        events = self._events.setdefault(pool, [])
        while not events or events[-1] <= after_us:
            gap = _exponential(rate, uniform(seed, replication, "spot_pools", pool, len(events)))
            events.append((events[-1] if events else 0) + gap)
        return events[bisect_right(events, after_us)]


def _exponential(rate: float, chance: float) -> int:
    return min(round(-math.log(chance) / rate), _LONGEST_US)


def interruption_rate(assumptions: Assumptions, pool: SpotPool | None) -> float:
    """Interruptions per microsecond of an instance in a pool, None where nothing is known of it."""
    given = assumptions.spotInterruptions
    if not isinstance(given, str):
        return given / US_PER_S
    band = assumptions.spotInterruptionBand if pool is None else pool.interruption_band
    within_us = _DAY_US if given == "day" else _MONTH_US
    return -math.log(1 - INTERRUPTION_BANDS[band]) / within_us


def pool_number(name: str) -> int:
    """The number of the pool of an instance type."""
    return crc32(name.encode())
