"""What EC2 answers to launches: whether there is capacity, in which zone, for how long, and at which price.

A launch asks one zone after the other, in an order drawn for the instance; it is refused if none has capacity
for it, and at once if it would exceed an account quota. All draws belong to an instance; quotas and recorded
capacity also depend on the instances that are there.

All instances of a cluster placement group are in one zone: that of the first, as long as there are any.

Recorded capacity is a pool of numbered slots for each type and zone: slot `s` is there while more than `s`
instances are. An instance takes the lowest free one, and is told to go when its slot vanishes: as a rule
those that came last go first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from batchsim.core.grid import NEVER
from batchsim.results.cost import MINIMUM_BILLED_S
from batchsim.units import S_PER_HOUR, US_PER_S
from batchsim.workload.streams import uniform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsim.core.commands import Command
    from batchsim.core.plan import Quota
    from batchsim.drivers.world import World
    from batchsim.results.recording import Recorder
    from batchsim.workload.steps import Steps

# EC2's error codes.
NO_CAPACITY: Final = "InsufficientInstanceCapacity"
OVER_QUOTA: Final = "VcpuLimitExceeded"
OVER_SPOT_QUOTA: Final = "MaxSpotInstanceCountExceeded"
OVER_BID: Final = "SpotMaxPriceTooLow"

_HOUR_US: Final = S_PER_HOUR * US_PER_S
_HOURS: Final = 24

Pool = tuple[int, int]
"""A row of the plan's types, and a zone."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """For launches of these pools there is no capacity with a probability that depends on the instant.

    hourly   by the hour of the day, from `start_hour` on; empty: as `steps` say
    """

    pools: frozenset[Pool]
    hourly: Sequence[float] = ()
    start_hour: int = 0
    steps: Steps | None = None

    def chance(self, at_us: int) -> float:
        if self.steps is not None:
            return self.steps.at(at_us)
        return self.hourly[(at_us // _HOUR_US + self.start_hour) % _HOURS]

    def is_certain(self, hour: int) -> bool:
        """Whether there is no capacity in an hour of each day, counted from the beginning of the run."""
        return self.steps is None and self.hourly[(hour + self.start_hour) % _HOURS] >= 1

    def lasts(self, at_us: int) -> bool:
        """Whether there is no capacity at any instant from one on, by `steps`."""
        return self.steps is not None and self.steps.at(at_us) >= 1 and _rests(self.steps, at_us)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What there is to launch. All that is left out is without limit.

    shortage_of   by row of the plan's types a probability above 0, whatever the zone and the time
    shortages     the others
    zones         how many there are
    quotas        each row is in one at most
    slots         by pool how many instances there are; others have any number
    prices        by pool micro-USD an hour, of Spot instances whose prices move
    bids          by environment what it may pay for Spot instances of a row, from which instant on
    groups        by environment the cluster placement group of its instances, from which instant on; "": none
    group_shortage   with which probability a group has no room for a launch
    """

    shortage_of: Mapping[int, float] = field(default_factory=dict)
    shortages: Sequence[Shortage] = ()
    zones: int = 1
    quotas: Sequence[Quota] = ()
    slots: Mapping[Pool, Steps] = field(default_factory=dict)
    prices: Mapping[Pool, Steps] = field(default_factory=dict)
    bids: Mapping[int, Sequence[tuple[int, Mapping[int, int]]]] = field(default_factory=dict)
    groups: Mapping[int, Sequence[tuple[int, str]]] = field(default_factory=dict)
    group_shortage: float = 0.0

    def refuses(self, seed: int, replication: int, instance: int, type_index: int) -> bool:
        """By `shortage_of`."""
        chance = self.shortage_of.get(type_index)
        return chance is not None and uniform(seed, replication, "launches", instance) < chance

    def is_short(self, draw: tuple[int, int, int], pool: Pool, at_us: int) -> bool:
        """Whether a zone has no capacity for an instance, by `shortages`."""
        for number, each in enumerate(self.shortages):
            if pool not in each.pools:
                continue
            seed, replication, instance = draw
            if uniform(seed, replication, "shortages", instance, number * self.zones + pool[1]) < each.chance(
                at_us
            ):
                return True
        return False

    def is_short_for_good(self, pool: Pool, at_us: int) -> bool:
        """Whether a zone has no capacity for any instance, from an instant on."""
        mine = [each for each in self.shortages if pool in each.pools]
        return any(each.lasts(at_us) for each in mine) or all(
            any(each.is_certain(hour) for each in mine) for hour in range(_HOURS)
        )

    def has_no_slots(self, pool: Pool, at_us: int) -> bool:
        """Whether a pool has no instance at any instant from one on, by `slots`."""
        steps = self.slots.get(pool)
        return steps is not None and steps.at(at_us) < 1 and all(each < 1 for _, each in steps.after(at_us))

    def never_has(self, row: int, at_us: int) -> bool:
        """Whether launches of a type are refused for certain from an instant on, whatever runs."""
        return self.shortage_of.get(row, 0.0) >= 1 or all(
            self.is_short_for_good((row, zone), at_us) or self.has_no_slots((row, zone), at_us)
            for zone in range(self.zones)
        )

    def zones_in_order(self, draw: tuple[int, int, int]) -> list[int]:
        """The zones as an instance asks them."""
        seed, replication, instance = draw
        if self.zones == 1:
            return [0]
        drawn = {zone: uniform(seed, replication, "zones", instance, zone) for zone in range(self.zones)}
        return sorted(drawn, key=lambda zone: (drawn[zone], zone))

    def bid(self, environment: int, row: int, now: int) -> int:
        """What an environment pays for an instance of a row at most, at an instant; -1: any price."""
        found = -1
        for since, of_row in self.bids.get(environment, ()):
            if since <= now:
                found = of_row.get(row, -1)
        return found

    def group(self, environment: int, now: int) -> str:
        """The placement group in which an environment launches at an instant, or ""."""
        found = ""
        for since, name in self.groups.get(environment, ()):
            if since <= now:
                found = name
        return found

    def has_no_room(self, draw: tuple[int, int, int]) -> bool:
        """Whether a placement group cannot take an instance, by `group_shortage`."""
        seed, replication, instance = draw
        drawn = uniform(seed, replication, "placement_groups", instance) if self.group_shortage else 1.0
        return drawn < self.group_shortage


def _rests(steps: Steps, since_us: int) -> bool:
    """Whether nothing changes any more."""
    return next(steps.after(since_us), None) is None


class Launch(NamedTuple):
    """What comes of a launch: at `until_us` the instance is ready, or the launch has `failed`; then at
    `lost_us` it is taken back, if it is still there. It may be NEVER ready.
    """

    until_us: int
    failed: bool = False
    lost_us: int = NEVER


class Ec2:
    """EC2 in one run."""

    __slots__ = ("_free", "_groups", "_held", "_quota_of", "_recorder", "_top", "_used", "_vcpus", "_world")

    def __init__(self, world: World, recorder: Recorder, vcpus: Sequence[int]) -> None:
        """`vcpus` of each of the plan's types, as the plan counts them."""
        self._world = world
        self._recorder = recorder
        self._vcpus = vcpus
        quotas = world.capacity.quotas
        self._quota_of = {row: number for number, quota in enumerate(quotas) for row in quota.rows}
        self._used = [0] * len(quotas)
        # By instance its pool, its slot where these count, and its placement group.
        self._held: dict[int, tuple[Pool, int, str]] = {}
        self._groups: dict[str, tuple[int, int]] = {}  # the zone of a group, and how many instances it has
        self._top: dict[Pool, int] = {}  # no slot from this on has ever been taken
        self._free: dict[Pool, list[int]] = {}  # a heap of those below it

    def launch(self, now: int, command: Command) -> Launch:
        """Obey LAUNCH. Of a launch that fails the reason is written ahead of time."""
        _, index, environment, type_index = command
        world, recorder = self._world, self._recorder
        row = recorder.add_instance(environment, type_index, now)
        assert row == index
        if world.tasks is not None and environment in world.tasks.bucket_of:
            return Launch(NEVER)  # its job's START comes right behind
        draw = world.seed, world.replication, index
        requested = now + world.boot.draw_reaction(*draw)
        why, told = self._ask(requested, now, index, environment)
        if why:
            recorder.i_end_reason[index] = why
            return Launch(requested, failed=True)
        to_running, to_ready = world.boot.draw(*draw)
        recorder.i_running_us[index] = running = now + to_running
        ready = NEVER
        if environment not in world.never_registers:
            recorder.i_ready_us[index] = ready = running + to_ready
        lost = NEVER
        if world.interruptions is not None:
            lost = world.interruptions.lost_at(*draw, type_index, running)
        if told != NEVER:
            lost = min(lost, told + world.spot_notice_us)
        if environment in world.drains_after_us:
            lost = min(lost, running + world.drains_after_us[environment])
        return Launch(ready, lost_us=lost)

    def gone(self, instance: int) -> None:
        """An instance is there no more."""
        held = self._held.pop(instance, None)
        if held is None:
            return
        pool, slot, group = held
        if group:
            zone, count = self._groups[group]
            self._groups[group] = zone, count - 1
        quota = self._quota_of.get(pool[0])
        if quota is not None:
            self._used[quota] -= self._vcpus[pool[0]]
        if pool in self._world.capacity.slots:
            heappush(self._free[pool], slot)

    def closed(self, now: int, environment: int, rows: Sequence[int]) -> tuple[int, ...]:
        """Those of `rows` that are refused from now on for certain, until an instance has gone."""
        return tuple(row for row in rows if self._is_closed(now, environment, row))

    def _is_closed(self, now: int, environment: int, row: int) -> bool:
        quota = self._quota_of.get(row)
        if quota is not None and self._exceeds(quota, row):
            return True
        capacity = self._world.capacity
        if capacity.shortage_of.get(row, 0.0) >= 1:
            return True
        bid = capacity.bid(environment, row, now)
        for zone in self._zones(capacity.group(environment, now), range(capacity.zones)):
            pool = row, zone
            prices, slots = capacity.prices.get(pool), capacity.slots.get(pool)
            too_dear = prices is not None and 0 <= bid <= prices.at(now) and _rests(prices, now)
            full = slots is not None and self._free_slot(pool, now) < 0 and _rests(slots, now)
            if not (too_dear or full or capacity.is_short_for_good(pool, now)):
                return False
        return True

    def _ask(self, requested: int, now: int, index: int, environment: int) -> tuple[str, int]:
        """Why a launch is refused, "" if it is not; and when the instance is told to go."""
        world, recorder = self._world, self._recorder
        capacity, row = world.capacity, recorder.i_type[index]
        draw = world.seed, world.replication, index
        quota = self._quota_of.get(row)
        if quota is not None and self._exceeds(quota, row):
            return (OVER_SPOT_QUOTA if capacity.quotas[quota].spot else OVER_QUOTA), NEVER
        group = capacity.group(environment, now)
        if (capacity.shortage_of and capacity.refuses(*draw, row)) or (group and capacity.has_no_room(draw)):
            return NO_CAPACITY, NEVER
        bid = capacity.bid(environment, row, now)
        why = NO_CAPACITY
        for zone in self._zones(group, capacity.zones_in_order(draw)):
            pool = row, zone
            prices = capacity.prices.get(pool)
            if prices is not None and 0 <= bid <= prices.at(requested):
                why = OVER_BID
            elif not capacity.is_short(draw, pool, requested):
                slot = self._free_slot(pool, requested)
                if slot >= 0:
                    self._take(index, pool, slot, group)
                    return "", self._told(pool, slot, requested, bid)
        return why, NEVER

    def _exceeds(self, quota: int, row: int) -> bool:
        return self._used[quota] + self._vcpus[row] > self._world.capacity.quotas[quota].vcpus

    def _free_slot(self, pool: Pool, at_us: int) -> int:
        """The lowest that is free, any number where there is no limit; -1 if there is none."""
        steps = self._world.capacity.slots.get(pool)
        if steps is None:
            return 0
        free = self._free.get(pool)
        lowest = free[0] if free else self._top.get(pool, 0)
        return lowest if lowest < steps.at(at_us) else -1

    def _zones(self, group: str, zones: Sequence[int]) -> Sequence[int]:
        """Those in which an instance of a group may be, of `zones`."""
        zone, count = self._groups.get(group, (0, 0))
        return [zone] if count else zones

    def _take(self, index: int, pool: Pool, slot: int, group: str) -> None:
        quota = self._quota_of.get(pool[0])
        if self._world.capacity.zones > 1:
            self._recorder.i_zone[index] = pool[1]
        limited = pool in self._world.capacity.slots
        if quota is not None:
            self._used[quota] += self._vcpus[pool[0]]
        if limited:
            free = self._free.setdefault(pool, [])
            if free:
                heappop(free)
            else:
                self._top[pool] = slot + 1
        if group:
            self._groups[group] = pool[1], self._groups.get(group, (0, 0))[1] + 1
        if limited or group or quota is not None:
            self._held[index] = pool, slot, group

    def _told(self, pool: Pool, slot: int, since: int, bid: int) -> int:
        """When the slot vanishes or the price reaches the bid."""
        capacity = self._world.capacity
        told = NEVER
        steps = capacity.slots.get(pool)
        if steps is not None:
            told = next((at for at, there in steps.after(since) if there <= slot), NEVER)
        prices = capacity.prices.get(pool)
        if prices is not None and bid >= 0:
            told = min(told, next((at for at, price in prices.after(since) if price >= bid), NEVER))
        return told


def write_prices(capacity: Capacity, recorder: Recorder, ended_us: int) -> None:
    """Of instances whose price moves, its mean over the billed seconds, at that of their beginning."""
    for index, row in enumerate(recorder.i_type):
        steps = capacity.prices.get((row, recorder.i_zone.get(index, 0)))
        running, until = recorder.i_running_us[index], recorder.i_ended_us[index]
        until = ended_us if until < 0 else until
        if steps is None or not 0 <= running <= until:
            continue
        billed = max(-((running - until) // US_PER_S), MINIMUM_BILLED_S)
        price, total, counted = steps.at(running), 0.0, 0
        for at_us, later in steps.after(running):
            begun = min(-((running - at_us) // US_PER_S), billed)  # seconds that began before this step
            total += price * (begun - counted)
            price, counted = later, begun
            if begun == billed:
                break
        total += price * (billed - counted)
        recorder.i_uusd_per_hour[index] = (2 * int(total) + billed) // (2 * billed)
