"""Since when the head of a line cannot run: `jobStateTimeLimitActions` of service queues [spec 1.17].

A misconfiguration counts from the instant at which the job became the head of its queue, or of its quota
share. Want of capacity counts otherwise: the time in SCHEDULED adds up over all refusals
[UG: sm_job_stuck_in_runnable_capacity].
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from batchsim.core.grid import NEVER
from batchsim.core.ordering import NOBODY
from batchsim.core.services.reasons import NO_CAPACITY, reason_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.services.plan import ServicePlan


class Expired(NamedTuple):
    """A head whose time is up, and the reason that the time limit names."""

    job: int
    code: str


class Heads:
    """Watches the heads of all lines, which are numbered throughout the plan."""

    __slots__ = ("_capacity_us", "_class_of", "_due", "_due_of", "_limits", "_watched")

    def __init__(self, plan: ServicePlan, misfits: Sequence[str | None], lines: int) -> None:
        """`misfits`: for each job class why its jobs can never run."""
        self._class_of = plan.class_of
        self._watched = [NOBODY] * lines
        self._due_of = [NEVER] * lines
        self._due: list[tuple[int, int]] = []
        by_queue = [{limit.reason: limit.max_us for limit in queue.time_limits} for queue in plan.queues]
        self._limits = [
            (code := reason_code(text or ""), by_queue[job_class.queue].get(code, NEVER))
            for job_class, text in zip(plan.classes, misfits, strict=True)
        ]
        capacity = reason_code(NO_CAPACITY)
        self._capacity_us = [by_queue[each.queue].get(capacity, NEVER) for each in plan.classes]

    def look(self, now: int, line: int, job: int) -> None:
        """`job`, or NOBODY, is the head of the line."""
        if self._watched[line] == job:
            return
        self._watched[line] = job
        self._due_of[line] = NEVER
        if job != NOBODY:
            _, limit_us = self._limits[self._class_of[job]]
            if limit_us != NEVER:
                self._due_of[line] = now + limit_us
                heappush(self._due, (now + limit_us, line))

    def due_us(self) -> int:
        """When the next head's time is up; NEVER if none's is."""
        due = self._due
        while due and self._due_of[due[0][1]] != due[0][0]:
            heappop(due)  # of a head that was passed, even if it is the head again
        return due[0][0] if due else NEVER

    def expired(self, now: int) -> list[Expired]:
        """The heads whose time is up; each is told once."""
        found = []
        while self.due_us() <= now:
            _, line = heappop(self._due)
            job = self._watched[line]
            self._watched[line], self._due_of[line] = NOBODY, NEVER
            found.append(Expired(job, self._limits[self._class_of[job]][0]))
        return found

    def lacks_capacity_for_too_long(self, job: int, scheduled_us: int) -> bool:
        """Whether refused attempts of so long in SCHEDULED are too many."""
        return scheduled_us >= self._capacity_us[self._class_of[job]]
