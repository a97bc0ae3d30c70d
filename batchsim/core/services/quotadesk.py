"""Which of the jobs in the quota shares of one queue are scheduled or preempted now [spec 2.5]."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from batchsim.core.grid import NEVER
from batchsim.core.ordering import NOBODY
from batchsim.core.services.line import Line
from batchsim.core.services.quotas import Quotas
from batchsim.core.services.reasons import BEHIND, CROSS_SHARE, IN_SHARE, NOTHING_IDLE
from batchsim.core.services.victims import Claim, Holder, Holders, choose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.services.desks import Board
    from batchsim.core.services.plan import ServiceClassPlan, ServicePlan

# (nobody was preempted for it, it would borrow, job, share): heads in their order. Jobs are numbered as they
# are submitted, and become RUNNABLE for the first time in that order.
_Turn = tuple[bool, bool, int, int]


class QuotaDesk:
    """The quota shares of the one queue of an environment.

    `_used` counts what jobs hold, `_soon` what they will hold once those that were told to stop have.
    """

    def __init__(self, plan: ServicePlan, queue: int, misfits: Sequence[str | None]) -> None:
        self._plan = plan
        self._misfits = misfits
        self._shares = plan.queues[queue].quota_shares
        limits = plan.environments[plan.queues[queue].environment].limits
        self.lines = len(self._shares)
        self._lines = [Line(len(plan.class_of), self._priority) for _ in self._shares]
        self._used = Quotas(self._shares, limits)
        self._soon = self._used.copy()
        self._holders = Holders(len(limits), self.lines)
        self._holder_of: dict[int, Holder] = {}  # those in `_holders`
        self._owed = [NOBODY] * self.lines  # for whom of each share others were preempted

    def submitted(self, now: int, job: int) -> bool:  # noqa: ARG002 - shares need not be active
        return True

    def finished(self, now: int, job: int) -> None:
        """What was used does not count later."""

    def add(self, job: int, *, retried: bool = False) -> None:
        self._lines[self._class(job).quota_share].add(job, retried=retried)

    def remove(self, job: int) -> None:
        self._lines[self._class(job).quota_share].remove(job)

    def leaving(self, job: int) -> None:
        holder = self._holder_of.pop(job, None)
        if holder is not None:
            kind = self._class(job)
            self._holders.remove(kind.unit, kind.quota_share, holder)
            self._soon.take(kind.quota_share, kind.unit, -kind.instances)

    def ended(self, now: int, job: int) -> None:  # noqa: ARG002 - at any time
        self.leaving(job)
        kind = self._class(job)
        self._used.take(kind.quota_share, kind.unit, -kind.instances)

    def run(self, now: int, board: Board) -> None:
        """Serve the heads of all shares in turn: those for whom others were preempted, then those within
        their share's own limit, then those that borrow.

        A head that must wait for others to stop keeps its place in `promised`, so that nobody whose
        turn comes later takes the room they leave. A head that waits for idle capacity holds what there is:
        those behind it may not borrow it.
        """
        promised = self._soon.copy()
        turns = [turn for share in range(self.lines) if (turn := self._turn(share, promised, board))]
        heapify(turns)
        while turns:
            *_, job, share = heappop(turns)
            if self._serve(now, job, promised, board):
                turn = self._turn(share, promised, board)
                if turn is not None:
                    heappush(turns, turn)

    def heads(self) -> list[int]:
        return [line.first() for line in self._lines]

    def next_look_us(self) -> int:
        return NEVER

    def waiting_reasons(self) -> dict[int, str]:
        reasons = {}
        for line in self._lines:
            for position, job in enumerate(line.jobs()):
                misfit = self._misfits[self._plan.class_of[job]]
                reasons[job] = misfit or (BEHIND if position else NOTHING_IDLE)
        return reasons

    def used(self) -> list[int]:
        return list(self._used.total)

    def quotas(self) -> tuple[Quotas, Quotas]:
        """What jobs hold, and what those hold who were not told to stop; for those who check the laws."""
        return self._used, self._soon

    def _turn(self, share: int, promised: Quotas, board: Board) -> _Turn | None:
        """The turn of a share's head; None if there is none that can ever run."""
        line = self._lines[share]
        while (job := line.first()) != NOBODY:
            if board.give_up(job):
                continue
            kind = self._class(job)
            if self._misfits[self._plan.class_of[job]]:
                return None
            borrows = not promised.within_own(share, kind.unit, kind.instances)
            return job != self._owed[share], borrows, job, share
        return None

    def _serve(self, now: int, job: int, promised: Quotas, board: Board) -> bool:
        """Schedule the head if it fits, or preempt others for it; tells whether it was scheduled."""
        kind = self._class(job)
        share, unit, asked = kind.quota_share, kind.unit, kind.instances
        if promised.fits(share, unit, asked):
            promised.take(share, unit, asked)
            if not self._used.fits(share, unit, asked):
                return False  # it waits for others to stop
            self._lines[share].take(job)
            if self._owed[share] == job:
                self._owed[share] = NOBODY
            self._hold(now, job, kind)
            board.schedule(job)
            return True
        claim = Claim(share, unit, asked, kind.priority, self._shares[share].in_share)
        victims = choose(claim, promised, self._holders)
        for victim in victims:
            board.preempt(-victim.holder.job, IN_SHARE if victim.share == share else CROSS_SHARE)
        if victims:
            self._owed[share] = job
            promised.take(share, unit, asked)
        elif not promised.within_own(share, unit, asked) and promised.may_borrow(share, unit, asked):
            promised.hold(unit)
        return False

    def _hold(self, now: int, job: int, kind: ServiceClassPlan) -> None:
        holder = Holder(kind.priority, -now, -job, kind.instances)
        self._holder_of[job] = holder
        self._holders.add(kind.unit, kind.quota_share, holder)
        self._used.take(kind.quota_share, kind.unit, kind.instances)
        self._soon.take(kind.quota_share, kind.unit, kind.instances)

    def _class(self, job: int) -> ServiceClassPlan:
        return self._plan.classes[self._plan.class_of[job]]

    def _priority(self, job: int) -> int:
        return self._class(job).priority
