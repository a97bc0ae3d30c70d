"""EASY backfilling: later jobs may pass the head of their queue as long as they do not delay it.

The what-if `assumptions.backfill: easy`; AWS Batch has nothing like it. It rests on an estimate of each
job's running time, a column of its own, because the scheduler never learns how long a job really takes.
Expected ends follow from estimates as `expected` says; start-up delays are not part of an estimate. A job
that outlives its estimate counts as ending now, in each pass anew, until it ends.

A pass over one queue starts jobs from the head while they find a place. For the blocked head it makes a
*reservation*, anew in each pass:

* on the instance where, by expected ends, there is room for it first. That instant is the *shadow*. Ties go
  to the instance where the head would be placed then: the earlier environment of the queue, in it the best
  fit (see `fleet`). Environments behind one that can still grow for the head are not looked at, since the
  head would not go there; instances that boot are not, since nobody knows when they are ready. Of instances
  whose jobs have outlived their estimates, the one whose room has been due for longest comes first.
* What is free on that instance at the shadow beside the head (vCPUs, memory and GPUs) is the *extra*.

Then the others are placed, in order and as always, with one restriction: on the reserved instance a job may
start only if its own expected end is no later than the shadow, or if it needs no more than the extra, which
then shrinks by its need. On the other instances any job may start that fits. With one instance and nothing
but vCPUs this is the EASY of the published schedules.

If no instance that is there could hold the head even when empty, there is nothing to reserve. As a rule
nothing that starts can then delay the head, which waits for a launch or for ever, and all may pass. The
exception is a head that a launch could serve but for maxvCpus: then nobody passes, so that instances become
idle and are given back. [spec 3.2, 3.8]

With exact estimates and no start-up delays, no retries, one queue and a fixed set of instances, no head
starts later than the shadow of its first reservation. A reservation binds only the jobs of its own queue;
others do not see it, as the head of a queue never reserves anything against another queue [spec 2.2].
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from batchsim.core.columns import JOB_BITS, JOB_MASK
from batchsim.core.fleet import Fleet
from batchsim.core.grid import NEVER
from batchsim.core.line import Line
from batchsim.core.ordering import ANYBODY, NOBODY, Order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsim.core.expected import ExpectedEnds, Room
    from batchsim.core.fleet import Instance
    from batchsim.core.plan import Plan
    from batchsim.core.queues import Place

_ANY: Final = NEVER - 1  # no estimate is longer


class EasyQueue(Order):
    """The jobs that wait in one queue, and who of them starts where.

    The order is that of `ordering`: retried jobs first, by submission, then the others as they became
    RUNNABLE; `waiting` counts them by need, which is all that scaling looks at. But a pass is one iteration
    over `placements`, because here order and placement depend on each other.

    Jobs of equal need stand in a `Line`, which finds the first that ends by a given instant. So a pass
    costs a few steps for each distinct need that fits, however many jobs wait.
    """

    __slots__ = (
        "_arrivals",
        "_elsewhere",
        "_ends",
        "_entry_of",
        "_estimate_us",
        "_lines",
        "_need_of",
        "_order",
        "_places",
        "_plan",
        "_present",
    )

    def __init__(
        self,
        plan: Plan,
        columns: tuple[Sequence[int], Sequence[int]],
        ends: ExpectedEnds,
        places: Sequence[Place],
    ) -> None:
        """`columns` have one value a job: its need, and its estimate in microseconds (>= 0).

        `places` are in the order of the queue's environments; `ends` is shared with the other queues.
        """
        super().__init__()
        self._plan = plan
        self._need_of, self._estimate_us = columns
        self._ends = ends
        self._places = places
        self._order: list[int] = []  # a heap of `rank << 32 | job`; those who have left are skipped
        self._entry_of: dict[int, int] = {}  # of those who wait
        self._lines: dict[int, tuple[Line, Line]] = {}  # by need: the retried, the others
        self._present = 0  # mask of the needs that somebody who waits has
        self._elsewhere = 0  # mask of the needs that may find room on instances that are not reserved
        self._arrivals = len(self._need_of)  # ranks of retried jobs, which are job numbers, stay below

    def add(self, job: int, *, retried: bool = False) -> None:
        """The job became RUNNABLE."""
        if retried:
            rank = job
        else:
            rank = self._arrivals
            self._arrivals += 1
        entry = rank << JOB_BITS | job
        heappush(self._order, entry)
        self._entry_of[job] = entry
        need = self._need_of[job]
        lines = self._lines.get(need)
        if lines is None:
            lines = self._lines[need] = (Line(), Line())
        lines[not retried].add(entry, self._estimate_us[job])
        self.waiting[need] = self.waiting.get(need, 0) + 1
        self.size += 1
        self._present |= 1 << need

    def take(self, job: int) -> None:
        """A job, anywhere in the queue, leaves it: it is placed, or waits no more."""
        entry = self._entry_of.pop(job)
        self.size -= 1
        need = self._need_of[job]
        self._lines[need][entry >> JOB_BITS >= len(self._need_of)].remove(entry)
        left = self.waiting[need] - 1
        if left:
            self.waiting[need] = left
        else:
            del self.waiting[need]
            self._present ^= 1 << need

    def remove(self, job: int) -> None:
        """It waits no more."""
        self.take(job)

    def first(self, open_needs: int) -> int:  # noqa: ARG002 - for an `Order`
        return self.head()

    def skip(self, job: int) -> bool:  # noqa: ARG002 - a pass is one iteration over `placements`
        return False

    def end_pass(self) -> None:
        """Nothing was skipped."""

    def blocking_need(self) -> int:
        """Others may pass the head."""
        return ANYBODY if self._entry_of else NOBODY

    def head(self) -> int:
        """The first job, or NOBODY."""
        order, entry_of = self._order, self._entry_of
        while order:
            job = order[0] & JOB_MASK
            if entry_of.get(job) == order[0]:
                return job
            heappop(order)
        return NOBODY

    def head_need(self) -> int:
        """The need of the first job, of which there is one."""
        return self._need_of[self.head()]

    def jobs(self) -> list[int]:
        """All waiting jobs in dispatch order; for people, not for decisions."""
        return [entry & JOB_MASK for entry in sorted(self._entry_of.values())]

    def placements(self, now: int) -> Iterator[tuple[int, Instance]]:
        """One pass: the jobs to be started now, each with its instance, in order; they leave the queue.

        The caller reserves the resources and tells `ExpectedEnds` before it asks for the next.
        """
        while (head := self.head()) != NOBODY:
            need = self._need_of[head]
            instance = self._place(now, need, None)
            if instance is None:
                if len(self._entry_of) > 1:
                    yield from self._pass_the_head(now, need)
                return
            self.take(head)
            yield head, instance

    # --- passing the head ---------------------------------------------------------------------

    def _pass_the_head(self, now: int, head_need: int) -> Iterator[tuple[int, Instance]]:
        if not self._present & self._open_needs():
            return
        reservation = self._reserve(now, head_need)
        if reservation is None:
            if not self._must_drain(head_need):
                yield from self._overtake(now, None)
            return
        # Out of its fleet meanwhile, so that `find` answers for the other instances alone.
        fleet, instance = reservation.fleet, reservation.instance
        fleet.remove(instance)
        for job, chosen in self._overtake(now, reservation):
            if chosen is instance:
                fleet.add(instance)
                yield job, chosen
                fleet.remove(instance)
            else:
                yield job, chosen
        fleet.add(instance)

    def _reserve(self, now: int, need: int) -> _Reservation | None:
        """For the blocked head; None if no instance that is there could hold it."""
        earliest = None
        chosen = None
        for place in self._places:
            fleet = place.fleet
            if not isinstance(fleet, Fleet):
                continue  # where each job has a machine of its own, none is waited for
            room = self._ends.earliest(place.environment, need)
            if room is not None and (earliest is None or room[0] < earliest[0]):
                earliest, chosen = room, fleet
            if place.scaler is not None and place.scaler.can_grow(now, need):
                break
        if earliest is None or chosen is None:
            return None
        return _Reservation(now, need, earliest, chosen, self._ends)

    def _must_drain(self, head_need: int) -> bool:
        """Whether the head waits for a launch that maxvCpus forbids until something is given back."""
        need = self._plan.needs[head_need]
        full = False
        for _, _, scaler in self._places:
            if scaler is None or not scaler.suits(head_need):
                continue
            boots = any(
                count and self._plan.types[each].holds(need) for each, count in scaler.booting.items()
            )
            if boots or scaler.below_max():
                return False
            full = True
        return full

    def _overtake(self, now: int, reservation: _Reservation | None) -> Iterator[tuple[int, Instance]]:
        """The jobs behind the head that start now, in order.

        Room, extra and time to the shadow only shrink in a pass: who may not start when its turn comes may
        not later either. So each need has a first job that may start; the first of these is next, and only
        its own need must be looked at anew. "May" is believed until placement was tried.
        """
        self._elsewhere = self._open_needs()
        here = 0 if reservation is None else reservation.here
        candidates = [
            entry
            for need in _bits(self._present & (self._elsewhere | here))
            if (entry := self._candidate(need, reservation)) != NOBODY
        ]
        heapify(candidates)
        while candidates:
            job = heappop(candidates) & JOB_MASK
            need = self._need_of[job]
            if not (self._elsewhere | here) >> need & 1:
                continue
            instance = self._admit(now, job, reservation)
            if instance is not None:
                self.take(job)
                yield job, instance
            if reservation is not None:
                here = reservation.still_here()
            entry = self._candidate(need, reservation)
            if entry != NOBODY:
                heappush(candidates, entry)

    def _open_needs(self) -> int:
        """Mask of the needs that may find room in the fleets; every need that does is in it."""
        mask = 0
        for _, fleet, _ in self._places:
            mask |= fleet.open_needs()
        return mask

    def _candidate(self, need: int, reservation: _Reservation | None) -> int:
        """The entry of the first job of `need` that may start now; NOBODY if there is none."""
        longest = _ANY
        if not self._elsewhere >> need & 1:
            if reservation is None or not reservation.here >> need & 1:
                return NOBODY
            if not reservation.beside >> need & 1:
                longest = reservation.time_left_us
        retried, others = self._lines[need]
        entry = retried.first_within(longest)
        return others.first_within(longest) if entry == NOBODY else entry

    def _admit(self, now: int, job: int, reservation: _Reservation | None) -> Instance | None:
        """The instance on which `job` starts now, or None; what it takes of the extra is gone."""
        need = self._need_of[job]
        in_time = reservation is not None and self._estimate_us[job] <= reservation.time_left_us
        if reservation is not None and not in_time and not reservation.beside >> need & 1:
            reservation = None
        instance = self._place(now, need, reservation)
        if instance is None:
            self._elsewhere &= self._open_needs() & ~(1 << need)
            if reservation is not None:  # an environment before the reserved one will grow for it
                reservation.here &= ~(1 << need)
        elif reservation is not None and instance is reservation.instance and not in_time:
            reservation.use(need)
        return instance

    def _place(self, now: int, need: int, reservation: _Reservation | None) -> Instance | None:
        """As `Scheduler` places a job, with the reserved instance as one more if a reservation is given."""
        for _, fleet, scaler in self._places:
            instance = fleet.find(need)
            if reservation is not None and reservation.fleet is fleet:
                instance = reservation.better(instance, need)
            if instance is not None:
                return instance
            if scaler is not None and scaler.can_grow(now, need):
                return None
        return None


class _Reservation:
    """A blocked head's, for one pass: the instance, the time until its shadow, and the extra.

    Masks of needs: `here` may find room on the instance now; `beside` fits into the extra.
    """

    __slots__ = ("_extra", "_needs", "beside", "fleet", "here", "instance", "time_left_us")

    def __init__(self, now: int, need: int, room: Room, fleet: Fleet, ends: ExpectedEnds) -> None:
        shadow_us = max(room[0], now)
        self.instance = ends.instances[room[-1]]
        self.fleet = fleet
        self.time_left_us = shadow_us - now
        self._needs = ends.needs
        self._extra = ends.beside(room, need, shadow_us)
        self.beside = self._needs.within(self._needs.everything, *self._extra)
        self.here = self._needs.everything
        self.still_here()

    def still_here(self) -> int:
        """Bring `here` up to date; room only shrinks in a pass."""
        free = self.instance
        self.here = self._needs.within(self.here, free.free_vcpus, free.free_memory, free.free_gpus)
        return self.here

    def use(self, need: int) -> None:
        """A job that outlasts the shadow takes its need from the extra."""
        vcpus, memory_mib, gpus = self._needs.amounts[need]
        extra = self._extra
        self._extra = (extra[0] - vcpus, extra[1] - memory_mib, extra[2] - gpus)
        self.beside = self._needs.within(self._needs.everything, *self._extra)

    def better(self, other: Instance | None, need: int) -> Instance | None:
        """The better fit for `need` of the instance and `other`, if it fits there."""
        here = self.instance
        vcpus, memory_mib, gpus = self._needs.amounts[need]
        if here.free_vcpus < vcpus or here.free_memory < memory_mib or here.free_gpus < gpus:
            return other
        return here if other is None or _fit(here) < _fit(other) else other


def _fit(instance: Instance) -> tuple[int, int, int, int]:
    """What `Fleet.find` ranks instances by."""
    return instance.free_gpus, instance.free_vcpus, instance.free_memory, instance.index


def _bits(mask: int) -> Iterator[int]:
    """The numbers of the bits set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
