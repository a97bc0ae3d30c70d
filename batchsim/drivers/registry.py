"""Image pulls from one registry, whose bandwidth all instances of a run share by max-min fairness.

A pull has at most what its instance lets it have: its own rate and, with the others there, the network. Where
all of them together would take more than the registry gives, there is a level that none exceeds, and those
whose own limit is below it are not slowed. Rates are whole units (bytes a second), rounded down, so that work
is counted in integers: units a second times microseconds. As in `pulls`, a pull has ended at the first
whole microsecond at which all of it is there, and takes its rate until then; then all rates change, as they
do when pulls begin, and when an instance goes with what is pulled to it.

When a pull ends is not known before it is the next to end. So a waiter is told NEVER until all that it still
waits for ends next, and again if that is put off; the driver comes back at `due_us`, whatever it is then.

Pulls of equal limits advance alike, so one clock does for all of them: what an event costs grows with the
number of limits there are and with the pulls of its instance, not with those of the run.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from batchsim.core.grid import NEVER
from batchsim.drivers.pulls import OwnBandwidth, SharedBandwidth, Waiter, may_meet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batchsim.drivers.world import World


class _Pull:
    """One image on its way to one instance; `mark` is what the clock of its limit shows when it ends."""

    __slots__ = ("instance", "limit", "mark", "over", "waiting", "work")

    def __init__(self, instance: int, work: int) -> None:
        self.instance = instance
        self.work = work
        self.limit = 0
        self.mark = 0
        self.over = False
        self.waiting: list[_Wait] = []


class _Wait:
    """A waiter, and how many pulls it still waits for; `told` is when it is said to have all."""

    __slots__ = ("left", "over", "told", "waiter")

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter
        self.left = 0
        self.told = NEVER
        self.over = False


class _Clock:
    """What each pull of one limit has been served since the clock began, and the pulls by when they end."""

    __slots__ = ("ends", "pulls", "rate", "served")

    def __init__(self) -> None:
        self.served = 0
        self.rate = 0
        self.pulls = 0
        self.ends: list[tuple[int, int, _Pull]] = []  # a heap by mark; some are stale


class Registry(OwnBandwidth):
    """All pulls of a run."""

    puts_off = True

    def __init__(self, world: World, types: Sequence[int]) -> None:
        """`types` tells the row of the type of each instance."""
        super().__init__(world)
        self._types = types
        self._at = 0
        self._count = 0
        self._images: dict[tuple[int, int], _Pull] = {}
        self._coming: list[tuple[int, int, _Pull]] = []  # a heap of pulls that have yet to begin
        self._gone: list[int] = []
        self._left: set[int] = set()  # instances that are there no more
        self._of_instance: dict[int, dict[_Pull, None]] = {}
        self._clocks: dict[int, _Clock] = {}
        self._next_us = NEVER
        self._next: dict[_Pull, None] = {}  # those that end then
        self._told: dict[_Wait, None] = {}
        self._waits: dict[tuple[int, int], _Wait] = {}  # by job and row
        self._moved: list[tuple[Waiter, int]] = []

    @property
    def due_us(self) -> int:
        """When `turn` is to be called, at the latest."""
        coming = self._coming[0][0] if self._coming else NEVER
        return self._at if self._gone else min(coming, self._next_us)

    def images_there(
        self, waiter: Waiter, job_class: int, images: Sequence[int], *, stays: bool = True
    ) -> int:
        """As told now, NEVER while it is not known; whose answer changes is in `moved`."""
        wait, awaited = _Wait(waiter), []
        for image in images:
            place = waiter.instance, image
            if place in self._images:
                pull = self._images[place]
            else:
                pull = self._order(waiter, self._world.pull_time(job_class, *place))
                if stays:
                    self._images[place] = pull
            if not pull.over:
                awaited.append(pull)
                pull.waiting.append(wait)
        if not awaited:
            return waiter.starting
        wait.left = len(awaited)
        self._waits[waiter.job, waiter.row] = wait
        if all(pull in self._next for pull in awaited):
            self._told[wait] = None
            wait.told = max(self._next_us, waiter.starting)
        return wait.told

    def moved(self) -> Iterable[tuple[Waiter, int]]:
        """Whose answer has changed since this was last asked, and what it is now."""
        moved, self._moved = self._moved, []
        return moved

    def forget(self, instance: int, job: int, row: int = -1) -> None:  # noqa: ARG002
        wait = self._waits.pop((job, row), None)
        if wait is not None:
            wait.over = True
            self._told.pop(wait, None)

    def gone(self, now: int, instance: int) -> None:
        """An instance is there no more; its pulls take nothing from now on."""
        self._left.add(instance)
        if instance in self._of_instance:
            self._gone.append(instance)
            self._advance(now)

    def turn(self, now: int) -> None:
        """Pulls end, vanish and begin; then it is told what ends next."""
        self._advance(now)
        if self._next_us == now:
            for pull in self._next:
                self._end(pull)
            self._next, self._next_us = {}, NEVER
        for instance in self._gone:
            for pull in self._of_instance.pop(instance, ()):
                self._clocks[pull.limit].pulls -= 1
                pull.limit = 0
        self._gone.clear()
        while self._coming and self._coming[0][0] <= now:
            pull = heappop(self._coming)[2]
            if pull.instance not in self._left:
                self._of_instance.setdefault(pull.instance, {})[pull] = None
                self._share_out(pull.instance)
        self._level()
        self._look_ahead(now)

    # --- inside -------------------------------------------------------------------------------

    def _order(self, waiter: Waiter, alone_us: int) -> _Pull:
        """A pull that begins when its attempt is STARTING; it is over if it takes no time."""
        rate = self._world.bandwidth.rate(self._types[waiter.instance])
        pull = _Pull(waiter.instance, alone_us * rate)
        pull.over = not alone_us
        if pull.over:
            return pull
        self._count += 1
        heappush(self._coming, (waiter.starting, self._count, pull))
        return pull

    def _advance(self, now: int) -> None:
        for clock in self._clocks.values():
            clock.served += clock.rate * (now - self._at)
        self._at = now

    def _end(self, pull: _Pull) -> None:
        self._clocks[pull.limit].pulls -= 1
        pull.limit, pull.over = 0, True
        others = self._of_instance[pull.instance]
        del others[pull]
        if others:
            self._share_out(pull.instance)
        else:
            del self._of_instance[pull.instance]
        for wait in pull.waiting:
            wait.left -= 1
            if not wait.left:
                self._told.pop(wait, None)
                self._waits.pop((wait.waiter.job, wait.waiter.row), None)
        pull.waiting.clear()

    def _share_out(self, instance: int) -> None:
        """Give the pulls of an instance the limit that they have by their number."""
        pulls = self._of_instance[instance]
        limit = self._world.bandwidth.limit(self._types[instance], len(pulls))
        clock = self._clocks.setdefault(limit, _Clock())
        for pull in pulls:
            if pull.limit == limit:
                continue
            if pull.limit:
                before = self._clocks[pull.limit]
                pull.work = pull.mark - before.served
                before.pulls -= 1
            pull.limit = limit
            pull.mark = clock.served + pull.work
            clock.pulls += 1
            self._count += 1
            heappush(clock.ends, (pull.mark, self._count, pull))

    def _level(self) -> None:
        """Rates by max-min fairness."""
        for limit in [limit for limit, clock in self._clocks.items() if not clock.pulls]:
            del self._clocks[limit]
        left = self._world.bandwidth.registry
        count = sum(clock.pulls for clock in self._clocks.values())
        level = 0
        for limit in sorted(self._clocks):
            clock = self._clocks[limit]
            if not level and limit * count <= left:
                clock.rate = limit
                left -= limit * clock.pulls
                count -= clock.pulls
            else:
                clock.rate = level = level or max(1, left // count)

    def _look_ahead(self, now: int) -> None:
        """Find the pulls that end next, and tell those who then have all."""
        ends = {
            limit: now - (clock.served - clock.ends[0][0]) // clock.rate
            for limit, clock in self._clocks.items()
            if self._fresh(limit, clock)
        }
        self._next_us = min(ends.values(), default=NEVER)
        self._next = {}
        for limit, at in ends.items():
            if at == self._next_us:
                clock = self._clocks[limit]
                self._next.update(self._ending(limit, clock, clock.served + clock.rate * (at - now)))
        found: dict[_Wait, int] = {}
        for pull in self._next:
            for wait in pull.waiting:
                found[wait] = found.get(wait, 0) + 1
        told = {wait: None for wait, hits in found.items() if hits == wait.left and not wait.over}
        for wait in self._told:
            if wait not in told:
                self._tell(wait, NEVER)
        for wait in told:
            self._tell(wait, max(self._next_us, wait.waiter.starting))
        self._told = told

    def _fresh(self, limit: int, clock: _Clock) -> bool:
        """Whether a pull is left, which then is the first in the heap."""
        while clock.ends and (clock.ends[0][2].limit, clock.ends[0][2].mark) != (limit, clock.ends[0][0]):
            heappop(clock.ends)
        return bool(clock.ends)

    def _ending(self, limit: int, clock: _Clock, served: int) -> Iterator[tuple[_Pull, None]]:
        """The pulls that have ended when the clock shows that; they stay in the heap until they have."""
        ending = []
        while self._fresh(limit, clock) and clock.ends[0][0] <= served:
            ending.append(heappop(clock.ends))
        for entry in ending:
            heappush(clock.ends, entry)
            yield entry[2], None

    def _tell(self, wait: _Wait, there: int) -> None:
        if wait.told != there:
            wait.told = there
            self._moved.append((wait.waiter, there))


def pulls_of(world: World, types: Sequence[int]) -> OwnBandwidth:
    """The pulls of a run; `types` tells the row of the type of each instance, as it is launched."""
    if world.bandwidth.registry:
        return Registry(world, types)
    return SharedBandwidth(world, types) if may_meet(world) else OwnBandwidth(world)
