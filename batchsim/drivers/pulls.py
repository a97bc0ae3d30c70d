"""Image pulls: when the images that an attempt waits for are on its instance.

Each pull has a bandwidth to itself, but all of an instance together have no more than its network, or than
one alone: processor sharing, in whole microseconds.
While n images are pulled to an instance, each then comes at an n-th of that. A pull has ended at the first
whole microsecond at which all of it is there, and takes its share until then. Pulls begin in order of time,
so that at the beginning of each it is known which others are under way, and when all of these end if no other
begins.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from batchsim.core.grid import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from batchsim.drivers.world import World


class Waiter(NamedTuple):
    """Who waits for images: an attempt of a job or, if `row` is one, a child node of it.

    starting   since when
    after_us   from the images being there to the next instant of its life
    ends       whether the attempt ends then
    lasts_us   of a child node: for how long it then runs
    """

    job: int
    instance: int
    starting: int
    after_us: int
    row: int = -1
    ends: bool = False
    lasts_us: int = 0


class Link:
    """The pulls of one instance; an image is a number, and is pulled once.

    width   how many pulls it can have at full rate; where there are more, they share it
    A pull that begins when every pull has been served for `served` microseconds, as if it were alone, ends
    when they have been served for so long and its own time.
    """

    __slots__ = ("_at", "_ends_at", "_served", "_width", "there")

    def __init__(self, width: Fraction | None = Fraction(1)) -> None:
        self._width = width
        self._at = 0
        self._served = Fraction(0)
        self._ends_at: dict[int, Fraction] = {}  # by image under way, of `served`
        self.there: dict[int, int] = {}
        """By image when it is there: final up to the last beginning, beyond it if no other pull begins."""

    def begin(self, now: int, pulls: Mapping[int, int]) -> None:
        """Images, and how long each takes alone, are pulled from `now` on; `now` never goes back."""
        self._at, self._served, self._ends_at = self._course(now)
        if not self._ends_at:
            self._served = Fraction(0)
        for image, alone_us in pulls.items():
            self._ends_at[image] = self._served + alone_us
        self._course(None)

    def last_of(self, images: Iterable[int], otherwise: int) -> int:
        """When all images are there, but not before `otherwise`."""
        return max([otherwise, *(self.there[image] for image in images)])

    def _course(self, until: int | None) -> tuple[int, Fraction, dict[int, Fraction]]:
        """What has been served by `until`, and what is under way then; tells `there` of all that ends."""
        at, served, left = self._at, self._served, dict(self._ends_at)
        while left:
            rate = Fraction(1) if self._width is None else min(Fraction(1), self._width / len(left))
            ends = at + ceil((min(left.values()) - served) / rate)
            if until is not None and ends > until:
                return until, served + (until - at) * rate, left
            served += (ends - at) * rate
            at = ends
            for image in [image for image, then in left.items() if then <= served]:
                self.there[image] = at
                del left[image]
        return at if until is None else until, served, left


class OwnBandwidth:
    """Each pull has the same bandwidth, whatever else is pulled."""

    puts_off = False

    def __init__(self, world: World) -> None:
        self._world = world
        self._there: dict[tuple[int, int], int] = {}  # (instance, image) -> when it is there

    @property
    def due_us(self) -> int:
        """When `turn` is to be called, at the latest."""
        return NEVER

    def images_there(
        self, waiter: Waiter, job_class: int, images: Sequence[int], *, stays: bool = True
    ) -> int:
        """When all images are on the waiter's instance; those that do not stay are pulled in vain."""
        pulled, instance = self._there, waiter.instance
        there = waiter.starting
        for image in images:
            at = pulled.get((instance, image))
            if at is None:
                at = waiter.starting + self._world.pull_time(job_class, instance, image)
                if stays:
                    pulled[instance, image] = at
            there = max(there, at)
        return there

    def moved(self) -> Iterable[tuple[Waiter, int]]:
        """Nobody is ever put off."""
        return ()

    def forget(self, instance: int, job: int, row: int = -1) -> None:
        """Who does not wait any more."""

    def gone(self, now: int, instance: int) -> None:
        """An instance is there no more; others do not notice."""

    def turn(self, now: int) -> None:
        """Nothing is to be done at any instant."""


class SharedBandwidth(OwnBandwidth):
    """All pulls of an instance share what its type has for them."""

    puts_off = True

    def __init__(self, world: World, types: Sequence[int]) -> None:
        """`types` tells the row of the type of each instance."""
        super().__init__(world)
        self._types = types
        self._links: dict[int, Link] = {}
        self._waiters: dict[int, dict[tuple[int, int], tuple[Waiter, tuple[int, ...], int]]] = {}
        self._moved: list[tuple[Waiter, int]] = []
        self._in_vain = 0

    def images_there(
        self, waiter: Waiter, job_class: int, images: Sequence[int], *, stays: bool = True
    ) -> int:
        """As told now; who waits on that instance for pulls that others slow down is in `moved`."""
        instance, starting = waiter.instance, waiter.starting
        link = self._links.get(instance)
        if link is None:
            link = self._links[instance] = Link(self._world.bandwidth.width(self._types[instance]))
        pulls, awaited = {}, []
        for image in images:
            number = image
            if image not in link.there:
                if not stays:
                    self._in_vain -= 1
                    number = self._in_vain
                pulls[number] = self._world.pull_time(job_class, instance, image)
            awaited.append(number)
        if pulls:
            link.begin(starting, pulls)
            self._look_again(link, instance, starting)
        there = link.last_of(awaited, starting)
        if there > starting:
            waiting = self._waiters.setdefault(instance, {})
            waiting[waiter.job, waiter.row] = (waiter, tuple(awaited), there)
        return there

    def moved(self) -> Iterable[tuple[Waiter, int]]:
        """Who was put off since this was last asked, and when its images are there."""
        moved, self._moved = self._moved, []
        return moved

    def forget(self, instance: int, job: int, row: int = -1) -> None:
        if instance in self._waiters:
            self._waiters[instance].pop((job, row), None)

    def _look_again(self, link: Link, instance: int, now: int) -> None:
        """A pull has begun: the others on its instance end later."""
        waiting = self._waiters.get(instance, {})
        for key, (waiter, awaited, told) in list(waiting.items()):
            if told <= now:
                del waiting[key]
                continue
            there = link.last_of(awaited, waiter.starting)
            if there != told:
                waiting[key] = (waiter, awaited, there)
                self._moved.append((waiter, there))


def may_meet(world: World) -> bool:
    """Whether a pull may come slower than if it was alone with a network as fast as need be."""
    bandwidth = world.bandwidth
    if bandwidth.shared:
        return True
    images = {image for each in world.images for image in each}
    images.update(image for nodes in world.node_images for node in nodes for image in node)
    if not images or not bandwidth.networks:
        return False
    if any(each.start_failure_rate for each in world.outcomes):
        return True  # of pulls in vain there may be any number
    return min(bandwidth.networks.values()) < len(images) * bandwidth.of_pull
