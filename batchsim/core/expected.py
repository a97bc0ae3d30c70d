"""When the jobs on the instances are expected to end, and where there will be room for a need first.

*Expected end*: the instant of placement plus the job's estimate; once the job is RUNNING, that instant plus
the estimate. Only policies that rest on estimates use this; see `easy`.

The answer for a need is kept, and repaired for the instances that have changed since it was last asked for.
So the cost of an event does not grow with the fleet.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from batchsim.core.columns import JOB_BITS, JOB_MASK
from batchsim.core.fleet import READY
from batchsim.core.grid import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.fleet import Instance
    from batchsim.core.needs import Needs

Amounts = tuple[int, int, int]  # vCPUs, memory in MiB, GPUs
Room = tuple[int, int, int, int, int]  # when; free then: GPUs, vCPUs, memory; instance. Less is better.

_SHORTEST_LOG: Final = 64


class ExpectedEnds:
    """The expected ends of all attempts that hold instances, shared by all queues.

    Must be told of each attempt: `placed` when its resources have been reserved, `running` when its
    container is up, `ended` when its resources have been released or its instance was lost.
    """

    __slots__ = ("_busy", "_earliest", "_estimate_us", "_logs", "instances", "needs")

    def __init__(
        self, needs: Needs, estimate_us: Sequence[int], instances: Sequence[Instance], environments: int
    ) -> None:
        """`estimate_us[job]` >= 0; `instances` is the growing list of all; `environments` their number."""
        self.needs = needs
        self._estimate_us = estimate_us
        self.instances = instances
        self._busy: list[dict[int, _Busy]] = [{} for _ in range(environments)]
        self._earliest: list[dict[int, _Earliest]] = [{} for _ in range(environments)]
        self._logs: list[list[int]] = [[] for _ in range(environments)]  # instances, as they changed

    def placed(self, now: int, job: int, need: int, instance: Instance) -> None:
        busy = self._busy[instance.environment]
        here = busy.get(instance.index)
        if here is None:
            here = busy[instance.index] = _Busy(self.needs.amounts)
        here.add(now + self._estimate_us[job], job, need)
        self._changed(instance)

    def running(self, now: int, job: int, instance: Instance) -> None:
        """The container is up: the estimate counts from now."""
        here = self._busy[instance.environment][instance.index]
        end = now + self._estimate_us[job]
        if end != here.end_of(job):
            here.add(end, job, here.drop(job))
            self._changed(instance)

    def ended(self, job: int, instance: Instance) -> None:
        busy = self._busy[instance.environment]
        here = busy[instance.index]
        here.drop(job)
        if not here:
            del busy[instance.index]
        self._changed(instance)

    def retired(self, instance: Instance) -> None:
        """Its jobs go on, but nobody else comes there."""
        self._changed(instance)

    def earliest(self, environment: int, need: int) -> Room | None:
        """Where in an environment there is room for `need` first, ties by best fit; None if nowhere.

        Only instances that hold jobs are looked at: `need`, which has just found no place, fits on no
        other. The instant may have passed, if jobs have outlived their estimates.
        """
        busy, log, answers = self._busy[environment], self._logs[environment], self._earliest[environment]
        answer = answers.get(need)
        if answer is None:
            answer = answers[need] = _Earliest(len(log))
            changed = list(busy)
        else:
            changed = answer.unseen(log)
        for index in changed:
            here = busy.get(index)
            there = here is not None and self.instances[index].state == READY
            answer.put(index, here.room(self.instances[index], need) if here and there else None)
        return answer.first()

    def beside(self, room: Room, need: int, at_us: int) -> Amounts:
        """What is free beside `need` in a `room` for it, at an instant no earlier than the room's own."""
        when, gpus, vcpus, memory_mib, index = room
        if when < at_us:
            instance = self.instances[index]
            vcpus, memory_mib, gpus = self._busy[instance.environment][index].free_at(instance, at_us)
        asked = self.needs.amounts[need]
        return vcpus - asked[0], memory_mib - asked[1], gpus - asked[2]

    def _changed(self, instance: Instance) -> None:
        """Note it for the answers that are kept; they are dropped when catching up costs more than anew."""
        environment = instance.environment
        if self._earliest[environment]:
            log = self._logs[environment]
            log.append(instance.index)
            if len(log) > _SHORTEST_LOG + 2 * len(self._busy[environment]):
                log.clear()
                self._earliest[environment].clear()


class _Busy:
    """The jobs on one instance, by expected end; false when there is none."""

    __slots__ = ("_amounts", "_ends", "_held")

    def __init__(self, amounts: Sequence[Amounts]) -> None:
        self._amounts = amounts
        self._ends: list[int] = []  # expected end << 32 | job, ascending
        self._held: dict[int, tuple[int, int]] = {}  # job -> (its entry in `_ends`, its need)

    def __bool__(self) -> bool:
        return bool(self._ends)

    def add(self, end_us: int, job: int, need: int) -> None:
        entry = end_us << JOB_BITS | job
        insort(self._ends, entry)
        self._held[job] = (entry, need)

    def drop(self, job: int) -> int:
        """Forget the job; gives its need."""
        entry, need = self._held.pop(job)
        del self._ends[bisect_left(self._ends, entry)]
        return need

    def end_of(self, job: int) -> int:
        return self._held[job][0] >> JOB_BITS

    def room(self, instance: Instance, need: int) -> Room | None:
        """The first expected end by which `need` fits, and what is free then; None if it never does."""
        vcpus, memory_mib, gpus = self._amounts[need]
        if vcpus > instance.vcpus:
            return None
        free_vcpus, free_memory, free_gpus = instance.free_vcpus, instance.free_memory, instance.free_gpus
        last = (NEVER << JOB_BITS) - 1
        fits_at = -1
        for entry in self._ends:
            if entry > last:
                break
            freed = self._amounts[self._held[entry & JOB_MASK][1]]
            free_vcpus += freed[0]
            free_memory += freed[1]
            free_gpus += freed[2]
            if free_vcpus >= vcpus and free_memory >= memory_mib and free_gpus >= gpus:
                fits_at = entry >> JOB_BITS
                last = entry | JOB_MASK  # all that end at that instant count
        return None if fits_at < 0 else (fits_at, free_gpus, free_vcpus, free_memory, instance.index)

    def free_at(self, instance: Instance, at_us: int) -> Amounts:
        """What is free on the instance once all have ended that are expected to by then."""
        free_vcpus, free_memory, free_gpus = instance.free_vcpus, instance.free_memory, instance.free_gpus
        last = at_us << JOB_BITS | JOB_MASK
        for entry in self._ends:
            if entry > last:
                break
            freed = self._amounts[self._held[entry & JOB_MASK][1]]
            free_vcpus += freed[0]
            free_memory += freed[1]
            free_gpus += freed[2]
        return free_vcpus, free_memory, free_gpus


class _Earliest:
    """The rooms that one need will find in one environment: a heap whose outdated entries are skipped."""

    __slots__ = ("_heap", "_room_of", "_seen")

    def __init__(self, seen: int) -> None:
        """`seen` entries of the log are known already."""
        self._seen = seen
        self._heap: list[Room] = []
        self._room_of: dict[int, Room] = {}

    def unseen(self, log: Sequence[int]) -> list[int]:
        """The instances that changed since this was last asked for, each once."""
        changed = list(dict.fromkeys(log[self._seen :]))
        self._seen = len(log)
        return changed

    def put(self, index: int, room: Room | None) -> None:
        if room is None:
            self._room_of.pop(index, None)
        elif self._room_of.get(index) != room:
            self._room_of[index] = room
            heappush(self._heap, room)

    def first(self) -> Room | None:
        heap, room_of = self._heap, self._room_of
        if len(heap) > _SHORTEST_LOG + 2 * len(room_of):
            heap[:] = room_of.values()
            heapify(heap)
        while heap and room_of.get(heap[0][-1]) != heap[0]:
            heappop(heap)
        return heap[0] if heap else None
