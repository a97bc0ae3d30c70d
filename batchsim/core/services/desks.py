"""Which of the jobs that wait for one service environment are scheduled now.

Two kinds of desk: `SharedDesk` serves the queues of an environment with one limit for all instances;
`QuotaDesk` (quotadesk.py) serves the quota shares of one queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from batchsim.core.cycle import Cycle
from batchsim.core.fairshare import FairShareQueue
from batchsim.core.grid import NEVER
from batchsim.core.ordering import NOBODY
from batchsim.core.services.line import Line
from batchsim.core.services.reasons import BEHIND, NO_ROOM, RESERVED
from batchsim.core.shares import Stake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.services.plan import ServicePlan


class Board(Protocol):
    """Where a desk puts what it decides: the scheduler."""

    def schedule(self, job: int) -> None:
        """The job goes to SageMaker."""

    def preempt(self, job: int, reason: str) -> None:
        """The job must stop."""

    def give_up(self, job: int) -> bool:
        """Whether the head is FAILED now, because it has lacked capacity for too long."""


class Desk(Protocol):
    """What the scheduler needs of a desk. Instants never decrease."""

    lines: int
    """How many lines have a head of their own."""

    def submitted(self, now: int, job: int) -> bool:
        """The job is SUBMITTED; False if SubmitServiceJob is refused."""

    def finished(self, now: int, job: int) -> None:
        """The job is SUCCEEDED or FAILED."""

    def add(self, job: int, *, retried: bool = False) -> None:
        """The job is RUNNABLE."""

    def remove(self, job: int) -> None:
        """The job, which waited, is FAILED."""

    def leaving(self, job: int) -> None:
        """The job has been told to stop; it holds its instances yet."""

    def ended(self, now: int, job: int) -> None:
        """The job's attempt is over, in whatever way."""

    def run(self, now: int, board: Board) -> None:
        """A pass: schedule and preempt."""

    def heads(self) -> list[int]:
        """The head of each line, or NOBODY."""

    def next_look_us(self) -> int:
        """When another pass may do something though nothing happens; NEVER if not."""

    def waiting_reasons(self) -> dict[int, str]:
        """Why each of its RUNNABLE jobs waits, line by line, in order."""

    def used(self) -> list[int]:
        """Instances of each unit that jobs hold."""


class QueueOrder(Protocol):
    """The order of one queue: FIFO, or by fair shares."""

    def accepts(self, now: int, job: int) -> bool: ...
    def submitted(self, now: int, job: int) -> object: ...
    def finished(self, now: int, job: int) -> None: ...
    def started(self, now: int, job: int) -> None: ...
    def ended(self, now: int, job: int) -> None: ...
    def begin_pass(self, now: int) -> None: ...
    def add(self, job: int, *, retried: bool = False) -> None: ...
    def first(self, open_needs: int) -> int: ...
    def take(self, job: int) -> None: ...
    def remove(self, job: int) -> None: ...
    def admits(self, now: int, job: int, total: int) -> bool: ...
    def next_look_us(self) -> int: ...
    def jobs(self) -> list[int]: ...


class Fifo(Line):
    """First come, first served; nothing else that happens matters."""

    __slots__ = ()

    def accepts(self, now: int, job: int) -> bool:  # noqa: ARG002 - every job
        return True

    def submitted(self, now: int, job: int) -> None: ...
    def finished(self, now: int, job: int) -> None: ...
    def started(self, now: int, job: int) -> None: ...
    def ended(self, now: int, job: int) -> None: ...
    def begin_pass(self, now: int) -> None: ...

    def admits(self, now: int, job: int, total: int) -> bool:  # noqa: ARG002 - nothing is reserved
        return True

    def next_look_us(self) -> int:
        return NEVER


class SharedDesk:
    """The queues of an environment whose limit is on all instances, in order of their priorities.

    Fair-share queues count instances where those of compute environments count vCPUs [spec 2.4].
    """

    def __init__(
        self, plan: ServicePlan, environment: int, misfits: Sequence[str | None], runnable_us: Sequence[int]
    ) -> None:
        self._plan = plan
        self._queues = [q for q, queue in enumerate(plan.queues) if queue.environment == environment]
        self._misfits = misfits
        self._limit = plan.environments[environment].limits[0]
        self._used = 0
        self._now = 0
        stakes = [Stake(c, each.share, each.instances, each.priority) for c, each in enumerate(plan.classes)]
        self._orders: dict[int, QueueOrder] = {}
        for q in self._queues:
            policy = plan.queues[q].fair_share
            self._orders[q] = (
                Fifo(len(plan.class_of))
                if policy is None
                else FairShareQueue(policy, plan.shares, stakes, plan.class_of, runnable_us)
            )
        self._cycle = Cycle([plan.queues[q] for q in self._queues])
        self.lines = len(self._queues)

    def submitted(self, now: int, job: int) -> bool:
        order = self._order_of(job)
        if not order.accepts(now, job):
            return False
        order.submitted(now, job)
        return True

    def finished(self, now: int, job: int) -> None:
        self._order_of(job).finished(now, job)

    def add(self, job: int, *, retried: bool = False) -> None:
        self._order_of(job).add(job, retried=retried)

    def remove(self, job: int) -> None:
        self._order_of(job).remove(job)

    def leaving(self, job: int) -> None:
        """Nobody is promised what it holds."""

    def ended(self, now: int, job: int) -> None:
        self._used -= self._instances(job)
        self._order_of(job).ended(now, job)

    def run(self, now: int, board: Board) -> None:
        self._now = now
        scheduled = False
        for position in self._cycle.queues():
            scheduled |= self._serve(now, self._orders[self._queues[position]], board)
        if scheduled and self._cycle.rotates:
            self._cycle.rotate()

    def heads(self) -> list[int]:
        return [self._orders[q].first(0) for q in self._queues]

    def next_look_us(self) -> int:
        if self._used >= self._limit:
            return NEVER
        return min(self._orders[q].next_look_us() for q in self._queues)

    def waiting_reasons(self) -> dict[int, str]:
        reasons = {}
        for q in self._queues:
            for position, job in enumerate(self._orders[q].jobs()):
                misfit = self._misfits[self._plan.class_of[job]]
                reasons[job] = misfit or (BEHIND if position else self._why(self._orders[q], job))
        return reasons

    def used(self) -> list[int]:
        return [self._used]

    def _serve(self, now: int, order: QueueOrder, board: Board) -> bool:
        """Schedule heads until one finds no room; tells whether any was scheduled."""
        scheduled = False
        order.begin_pass(now)
        while (job := order.first(0)) != NOBODY:
            if board.give_up(job):
                continue
            if self._misfits[self._plan.class_of[job]] or self._used + self._instances(job) > self._limit:
                break
            if not order.admits(now, job, self._limit):
                break
            order.take(job)
            order.started(now, job)
            self._used += self._instances(job)
            board.schedule(job)
            scheduled = True
        return scheduled

    def _why(self, order: QueueOrder, job: int) -> str:
        return NO_ROOM if order.admits(self._now, job, self._limit) else RESERVED

    def _order_of(self, job: int) -> QueueOrder:
        return self._orders[self._plan.classes[self._plan.class_of[job]].queue]

    def _instances(self, job: int) -> int:
        return self._plan.classes[self._plan.class_of[job]].instances
