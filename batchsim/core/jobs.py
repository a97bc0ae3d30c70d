"""What becomes of jobs: every change of state that no attempt makes.

A job that is submitted is evaluated after a moment: it becomes RUNNABLE, or PENDING while it waits for
others, or FAILED if one of those has failed. Those who wait are told when a job ends. CancelJob and
TerminateJob work on each state in its own way [spec 1.2, 1.8, 1.9].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from batchsim.core.commands import FAIL, Command
from batchsim.core.dependencies import Dependencies
from batchsim.core.queues import shares_of
from batchsim.core.retry import retries
from batchsim.core.states import FAILED, PENDING, RUNNABLE, RUNNING, STARTING, SUBMITTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim.core.columns import Columns
    from batchsim.core.dispatch import Dispatch
    from batchsim.core.plan import Plan

DEPENDENCY_FAILED: Final = "Dependent Job failed"  # [spec 1.6]
DEPENDS: Final = "Waits for jobs that it depends on."  # ours; AWS gives no reason
QUEUE_DISABLED: Final = "SubmitJob was refused: the job queue is DISABLED."
TOO_MANY_SHARES: Final = "SubmitJob was refused: the job queue has 500 active share identifiers."
CANCELLED: Final = "cancelled"
TERMINATED: Final = "terminated"


class Wants(NamedTuple):
    """What a change calls for: a pass, one that need not try heads who wait already, or a decision only."""

    full_pass: Callable[[int], None]
    pass_for_newcomers: Callable[[int], None]
    decision: Callable[[int], None]


class Jobs:
    """What becomes of jobs.

    status_reason   the texts that differ from "Essential container in task exited"
    requested       CANCELLED or TERMINATED, for jobs on which such a request had an effect
    failures        what `decide` has yet to say: jobs that are FAILED though no attempt ended
    watched         whether anybody wants to know when jobs are submitted and end
    """

    __slots__ = (
        "_asks",
        "_class_of",
        "_classes",
        "_columns",
        "_condemned",
        "_counts_start_failures",
        "_dependencies",
        "_dispatch",
        "_graph",
        "_queues",
        "_released_us",
        "_shares",
        "_state",
        "_uncounted",
        "_wants_newcomers_tried",
        "_wants_pass",
        "failures",
        "requested",
        "status_reason",
        "watched",
    )

    def __init__(
        self,
        plan: Plan,
        columns: Columns,
        dispatch: Dispatch,
        wants: Wants,
    ) -> None:
        self._classes, self._class_of = plan.classes, plan.class_of
        self._counts_start_failures = plan.policy.start_failures_count
        # When jobs that are SUBMITTED yet had nobody to wait for any more.
        self._released_us: dict[int, int] = {}
        self._uncounted: dict[int, int] = {}  # attempts that failed to start and do not count
        self._queues = plan.queues
        self._columns = columns
        self._state = columns.state
        self._dispatch = dispatch
        self._wants_pass, self._wants_newcomers_tried, self._asks = wants
        self._shares = shares_of(dispatch.orders)
        self._dependencies = Dependencies(plan.graph)
        self._graph = bool(self._dependencies.left)
        self._condemned: dict[int, str] = {}  # PENDING jobs that will fail instead of becoming RUNNABLE
        self.status_reason: dict[int, str] = {}
        self.requested: dict[int, str] = {}
        self.failures: list[Command] = []
        self.watched = self._graph or any(self._shares) or bool(plan.updates)

    def pending_reasons(self) -> dict[int, str]:
        """Why each PENDING job waits."""
        state = self._state
        return {job: DEPENDS for job in range(len(state)) if state[job] == PENDING}

    # --- submission ---------------------------------------------------------------------------

    def submitted(self, now: int, job: int) -> bool:
        """Tell the job's share; False if SubmitJob is refused, so that the job is FAILED [spec 1.2, 2.4]."""
        queue = self._columns.queue[job]
        share = self._shares[queue]
        enabled = self._queues[queue].enabled
        if enabled and (share is None or share.accepts(now, job)):
            if share is not None and share.submitted(now, job) and share.size:
                self._wants_pass(now)  # less is reserved, and a wildcard's weight is divided anew
            return True
        self._fail(now, job, TOO_MANY_SHARES if enabled else QUEUE_DISABLED)
        for failed in self._pass_on(now, job, succeeded=False):
            self.ended(now, failed, succeeded=False)
        return False

    def evaluate(self, now: int, job: int) -> None:
        """A SUBMITTED job is looked at for the first time; if it was cancelled meanwhile, nothing happens."""
        if self._state[job] != SUBMITTED:
            return
        if self._graph and self._dependencies.doomed(job):
            self._fail(now, job, DEPENDENCY_FAILED)
            self.ended(now, job, succeeded=False)
        elif self._graph and self._dependencies.waiting(job):
            self._state[job] = PENDING
        else:  # a pass evaluates who was due before it, and what it waited for may have ended since
            self._make_runnable(max(now, self._released_us.pop(job, 0)), job)

    # --- the end ------------------------------------------------------------------------------

    def ended(self, now: int, job: int, *, succeeded: bool) -> None:
        """A job is SUCCEEDED or FAILED: its share and those who wait for it are told, and theirs in turn."""
        ended = [(job, succeeded)]
        while ended:
            each, good = ended.pop()
            share = self._shares[self._columns.queue[each]]
            if share is not None:
                share.finished(now, each)
            ended += [(failed, False) for failed in self._pass_on(now, each, succeeded=good)]

    def _pass_on(self, now: int, job: int, *, succeeded: bool) -> list[int]:
        """Tell those who wait for a job that it has ended; gives those who are FAILED because of it."""
        failed: list[int] = []
        if not self._graph:
            return failed
        released, doomed = self._dependencies.job_ended(job, succeeded=succeeded)
        for each in released:
            if self._state[each] != PENDING:
                self._released_us[each] = now  # it has not been evaluated yet
                continue
            if each in self._condemned:
                self._fail(now, each, self._condemned.pop(each))
                failed.append(each)
            else:
                self._make_runnable(now, each)
        for each in doomed:
            if self._state[each] == PENDING:
                if self._condemned.pop(each, None) is not None:
                    del self.requested[each]
                self._fail(now, each, DEPENDENCY_FAILED)
                failed.append(each)
        return failed

    def may_retry(self, job: int, exit_code: int | None, status_reason: str, reason: str) -> bool:
        """Whether another attempt follows one that has failed [spec 1.3, 1.4]."""
        job_class = self._classes[self._class_of[job]]
        allowed = job_class.attempts + self._uncounted.get(job, 0)
        if self._state[job] == STARTING and not self._counts_start_failures:
            self._uncounted[job] = self._uncounted.get(job, 0) + 1
            allowed += 1
        return self._columns.attempt[job] < allowed and retries(
            job_class.rules, status_reason, reason, exit_code
        )

    # --- requests -----------------------------------------------------------------------------

    def request(self, now: int, job: int, reason: str, how: str) -> bool:
        """CancelJob or TerminateJob of a submitted job; True if an attempt must be stopped for it.

        SUBMITTED and RUNNABLE jobs are FAILED at once; PENDING ones when all they wait for has ended;
        STARTING and RUNNING ones are stopped, but not by CancelJob [spec 1.8].
        """
        state = self._state[job]
        if state in {SUBMITTED, RUNNABLE}:
            self.requested[job] = how
            if state == RUNNABLE:
                self._dispatch.withdraw(now, job)
                self._wants_pass(now)
            self._fail(now, job, reason)
            self.ended(now, job, succeeded=False)
        elif state == PENDING:
            if job not in self._condemned:
                self.requested[job] = how
                self._condemned[job] = reason
        elif state in {STARTING, RUNNING} and how == TERMINATED:
            self.requested[job] = how
            return True
        return False

    def cancel_head(self, now: int, queue: int, reason: str) -> None:
        """The queue's blocked head has waited for too long [spec 1.17]."""
        job = self._dispatch.waits.head[queue]
        self._dispatch.withdraw(now, job)
        self._wants_pass(now)
        self._fail(now, job, reason)
        self.ended(now, job, succeeded=False)

    # --- inside -------------------------------------------------------------------------------

    def _make_runnable(self, now: int, job: int) -> None:
        self._state[job] = RUNNABLE
        self._columns.runnable_us[job] = now
        self._dispatch.arrive(job)
        self._wants_newcomers_tried(now)

    def _fail(self, now: int, job: int, reason: str) -> None:
        self._state[job] = FAILED
        self.status_reason[job] = reason
        self.failures.append((FAIL, job, reason))
        self._asks(now)
