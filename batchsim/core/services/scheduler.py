"""The scheduler of service jobs: told what happened, it answers what to do. See the package's docstring."""

from __future__ import annotations

from array import array
from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from batchsim.core.grid import NEVER, next_multiple
from batchsim.core.retry import retries
from batchsim.core.services.commands import FAIL, PREEMPT, SCHEDULE, STOP, Command
from batchsim.core.services.desks import Desk, SharedDesk
from batchsim.core.services.heads import Heads
from batchsim.core.services.plan import UNLIMITED
from batchsim.core.services.quotadesk import QuotaDesk
from batchsim.core.services.reasons import (
    NO_CAPACITY,
    TIMED_OUT,
    TOO_MANY_SHARES,
    never_runs,
    reason_code,
    terminated_by_limit,
)
from batchsim.core.services.states import (
    FAILED,
    HOLDING,
    RUNNABLE,
    RUNNING,
    SCHEDULED,
    STARTING,
    STATE_NAMES,
    SUBMITTED,
    SUCCEEDED,
)
from batchsim.errors import ContractError

if TYPE_CHECKING:
    from batchsim.core.services.plan import ServicePlan

UNBORN: Final = 255  # the state of a job that has not been submitted yet


class _Stop(NamedTuple):
    """Why an attempt was told to stop, and whether the job may be queued again."""

    reason: str
    preempted: bool


class ServiceScheduler:
    """Decides; never acts.

    Call any number of event methods for one instant, then `decide` once. Raises ContractError when told
    something impossible; that is a bug of the driver, the scheduler is unchanged, and the run must stop.

    Columns that a driver may read, indexed by job: `state` (see `states`); `attempt`, attempts begun, those
    not counted that were preempted or refused for want of capacity; `capacity_retries` and `preemptions`,
    how many those are; `runnable_us`, the first instant in RUNNABLE, -1 before. `status_reason` holds why a
    job is FAILED, `requested` whether a request ("cancelled" or "terminated") made it so. `due_us` is the
    instant before which `decide` answers [].
    """

    def __init__(self, plan: ServicePlan) -> None:
        jobs = len(plan.class_of)
        self.plan = plan
        self.now = 0
        self.due_us = NEVER
        self.state = bytearray([UNBORN]) * jobs
        self.attempt = bytearray(jobs)
        self.capacity_retries = array("q", [0]) * jobs
        self.preemptions = array("q", [0]) * jobs
        self.runnable_us = array("q", [-1]) * jobs
        self.status_reason: dict[int, str] = {}
        self.requested: dict[int, str] = {}
        self._classes = [plan.classes[index] for index in plan.class_of]
        self._misfits = [never_runs(plan, index) for index in range(len(plan.classes))]
        self._desks = [self._new_desk(index) for index in range(len(plan.environments))]
        self._desk_of = [self._desks[plan.queues[each.queue].environment] for each in self._classes]
        self._heads = Heads(plan, self._misfits, sum(desk.lines for desk in self._desks))
        self._first_line = [
            sum(desk.lines for desk in self._desks[:index]) for index in range(len(self._desks))
        ]
        self._scheduled_us = array("q", [-1]) * jobs
        self._started_us = array("q", [-1]) * jobs
        self._refused_us: dict[int, int] = {}  # time in SCHEDULED of refused attempts, in all
        self._stopping: dict[int, _Stop] = {}
        self._evaluating: deque[tuple[int, int]] = deque()
        self._timeouts: list[tuple[int, int]] = []
        self._changed = bytearray(len(self._desks))  # where a pass may do something
        self._looks = [NEVER] * len(self._desks)
        self._pass_due = NEVER
        self._commands: list[Command] = []  # of the next decision

    # --- what happened ------------------------------------------------------------------------

    def job_submitted(self, now: int, job: int) -> None:
        """SubmitServiceJob; the job is FAILED at once if that is refused, for too many shares [spec 2.4]."""
        self._check(now, job, (UNBORN,), "was submitted")
        self.state[job] = SUBMITTED
        if not self._desk_of[job].submitted(now, job):
            self.state[job] = FAILED
            self.status_reason[job] = TOO_MANY_SHARES
            self._commands.append((FAIL, job, TOO_MANY_SHARES))
            self._ask_at(now)
        elif self.plan.submit_evaluation_us:
            self._evaluating.append((now + self.plan.submit_evaluation_us, job))
            self._ask_at(next_multiple(self._evaluating[0][0], self.plan.scheduling_interval_us))
        else:
            self._make_runnable(now, job)

    def training_starting(self, now: int, job: int) -> None:
        """SageMaker has the instances and downloads data and images: STARTING."""
        self._check(now, job, (SCHEDULED,), "is STARTING")
        self.state[job] = STARTING

    def training_started(self, now: int, job: int) -> None:
        """The training runs: RUNNING; time limits count from here."""
        self._check(now, job, (STARTING,), "is RUNNING")
        self.state[job] = RUNNING
        self._started_us[job] = now
        timeout_us = self._classes[job].timeout_us
        if timeout_us:
            heappush(self._timeouts, (now + timeout_us, job))
            self._ask_at(now + timeout_us)

    def attempt_exited(self, now: int, job: int, status_reason: str, *, succeeded: bool = False) -> int:
        """The attempt is over; gives the job's new state.

        It succeeds in RUNNING only. One that was told to stop and succeeded before is a success. Otherwise
        a preempted job is RUNNABLE unless it was preempted too often, one that was stopped is FAILED, and of
        the others `evaluateOnExit` decides by `status_reason`, SageMaker's words.
        """
        self._check(now, job, (RUNNING,) if succeeded else HOLDING, "exited")
        if succeeded:
            self._stopping.pop(job, None)
            self._release(now, job)
            self._finish(now, job, SUCCEEDED)
        elif job in self._stopping:
            self._stopped(now, job)
        else:
            self._release(now, job)
            job_class = self._classes[job]
            again = self.attempt[job] < job_class.attempts
            if again and retries(job_class.rules, status_reason, "", None):
                self._queue_again(now, job)
            else:
                self._fail(now, job, status_reason)
        return self.state[job]

    def capacity_refused(self, now: int, job: int) -> int:
        """SageMaker has no capacity for a SCHEDULED job; gives its new state.

        It is RUNNABLE again and has used no attempt, unless it was told to stop [UG: service-job-retries].
        """
        self._check(now, job, (SCHEDULED,), "was refused")
        if job in self._stopping:
            self._stopped(now, job)
        else:
            self._refused_us[job] = self._refused_us.get(job, 0) + now - self._scheduled_us[job]
            self._release(now, job)
            self.capacity_retries[job] += 1
            self.attempt[job] -= 1
            self._queue_again(now, job)
        return self.state[job]

    def job_cancelled(self, now: int, job: int, reason: str) -> None:
        """CancelJob: without effect once the job is SCHEDULED [spec 1.8]."""
        self._check_submitted(now, job)
        if self.state[job] in (SUBMITTED, RUNNABLE):
            self.requested[job] = "cancelled"
            self._fail_waiting(now, job, reason)

    def job_terminated(self, now: int, job: int, reason: str) -> None:
        """TerminateServiceJob: in any state."""
        self._check_submitted(now, job)
        if self.state[job] in (SUBMITTED, RUNNABLE):
            self.requested[job] = "terminated"
            self._fail_waiting(now, job, reason)
        elif self.state[job] in HOLDING:
            before = self._stopping.get(job)
            if before is None or before.preempted:
                self.requested[job] = "terminated"
                self._stop(job, reason, told=before is not None)

    # --- what to do ---------------------------------------------------------------------------

    def decide(self, now: int) -> list[Command]:
        """The commands of this instant, in order: requests, time limits, then passes.

        Idempotent: asked again with nothing new, it answers [].
        """
        if now < self.due_us:
            if now < self.now:
                raise self._went_back(now)
            return []
        self.now = now
        if self._commands:  # an attempt may have ended after it was asked to
            self._commands = [each for each in self._commands if each[0] != STOP or each[1] in self._stopping]
        self._enforce_limits(now)
        self._evaluate(now)
        for index, look in enumerate(self._looks):
            if look <= now:
                self._looks[index] = NEVER
                self._want_pass(now, index)
        if self._pass_due <= now:
            self._pass_due = NEVER
            self._pass(now)
        commands, self._commands = self._commands, []
        self.due_us = self._next_due()
        return commands

    def next_wakeup(self) -> int | None:
        """The instant at which `decide` must be asked even if nothing happens; None if there is none."""
        return None if self.due_us == NEVER else self.due_us

    def waiting_reasons(self) -> dict[int, str]:
        """Why each RUNNABLE job waits, at the end of a run: AWS's status reason, or a sentence of ours."""
        reasons: dict[int, str] = {}
        for desk in self._desks:
            reasons |= desk.waiting_reasons()
        return {job: NO_CAPACITY if job in self._refused_us else text for job, text in reasons.items()}

    def desks(self) -> list[Desk]:
        """The desk of each service environment, for those who check the laws."""
        return self._desks

    def is_stopping(self, job: int) -> bool:
        """Whether the job's attempt was told to stop and has not ended."""
        return job in self._stopping

    # --- what a desk asks for: see `Board` -----------------------------------------------------

    def schedule(self, job: int) -> None:
        self.state[job] = SCHEDULED
        self.attempt[job] += 1
        self._scheduled_us[job] = self.now
        self._commands.append((SCHEDULE, job))

    def preempt(self, job: int, reason: str) -> None:
        self._stopping[job] = _Stop(reason, preempted=True)
        self._desk_of[job].leaving(job)
        self._commands.append((PREEMPT, job, reason))

    def give_up(self, job: int) -> bool:
        refused_us = self._refused_us.get(job)
        if refused_us is None or not self._heads.lacks_capacity_for_too_long(job, refused_us):
            return False
        self._desk_of[job].remove(job)
        reason = terminated_by_limit(reason_code(NO_CAPACITY))
        self._fail(self.now, job, reason)
        self._commands.append((FAIL, job, reason))
        return True

    # --- inside -------------------------------------------------------------------------------

    def _new_desk(self, environment: int) -> Desk:
        queues = [q for q, queue in enumerate(self.plan.queues) if queue.environment == environment]
        divided = [q for q in queues if self.plan.queues[q].quota_shares]
        if not divided:
            return SharedDesk(self.plan, environment, self._misfits, self.runnable_us)
        if len(queues) > 1:
            raise ContractError("a service environment with quota shares has one queue")
        return QuotaDesk(self.plan, divided[0], self._misfits)

    def _check(self, now: int, job: int, states: tuple[int, ...], event: str) -> None:
        if now < self.now:
            raise self._went_back(now)
        if self.state[job] not in states:
            raise ContractError(f"job {job} {event}; it is {self._state_name(job)}")
        self.now = now

    def _check_submitted(self, now: int, job: int) -> None:
        if now < self.now:
            raise self._went_back(now)
        if self.state[job] == UNBORN:
            raise ContractError(f"job {job} was not submitted yet")
        self.now = now

    def _went_back(self, now: int) -> ContractError:
        return ContractError(f"time went back from {self.now} to {now} us (law L1)")

    def _state_name(self, job: int) -> str:
        state = self.state[job]
        return "not submitted" if state == UNBORN else STATE_NAMES[state]

    def _ask_at(self, instant: int) -> None:
        self.due_us = min(self.due_us, instant)

    def _want_pass(self, now: int, environment: int) -> None:
        self._changed[environment] = 1
        self._pass_due = min(self._pass_due, next_multiple(now, self.plan.scheduling_interval_us))
        self._ask_at(self._pass_due)

    def _want_pass_for(self, now: int, job: int) -> None:
        self._want_pass(now, self.plan.queues[self._classes[job].queue].environment)

    def _enforce_limits(self, now: int) -> None:
        while self._timeouts and self._timeouts[0][0] <= now:
            due, job = heappop(self._timeouts)
            if self._is_running_since(job, due - self._classes[job].timeout_us):
                self._stop(job, TIMED_OUT)
        for expired in self._heads.expired(now):
            if self.state[expired.job] == RUNNABLE:
                self._fail_waiting(now, expired.job, terminated_by_limit(expired.code))

    def _evaluate(self, now: int) -> None:
        while self._evaluating and self._evaluating[0][0] <= now:
            _, job = self._evaluating.popleft()
            if self.state[job] == SUBMITTED:
                self._make_runnable(now, job)

    def _make_runnable(self, now: int, job: int) -> None:
        self.state[job] = RUNNABLE
        self.runnable_us[job] = now
        self._desk_of[job].add(job)
        self._want_pass_for(now, job)

    def _queue_again(self, now: int, job: int) -> None:
        self.state[job] = RUNNABLE
        self._desk_of[job].add(job, retried=True)
        self._want_pass_for(now, job)

    def _release(self, now: int, job: int) -> None:
        self._desk_of[job].ended(now, job)
        self._want_pass_for(now, job)

    def _finish(self, now: int, job: int, state: int) -> None:
        self.state[job] = state
        self._desk_of[job].finished(now, job)

    def _fail(self, now: int, job: int, reason: str) -> None:
        self.status_reason[job] = reason
        self._finish(now, job, FAILED)

    def _fail_waiting(self, now: int, job: int, reason: str) -> None:
        """A job that holds nothing is FAILED at this instant."""
        if self.state[job] == RUNNABLE:
            self._desk_of[job].remove(job)
            self._want_pass_for(now, job)
        self._fail(now, job, reason)
        self._commands.append((FAIL, job, reason))
        self._ask_at(now)

    def _stop(self, job: int, reason: str, *, told: bool = False) -> None:
        """The attempt must end and the job with it; `told`: it was told to stop before."""
        self._stopping[job] = _Stop(reason, preempted=False)
        if not told:
            self._desk_of[job].leaving(job)
            self._want_pass_for(self.now, job)
            self._commands.append((STOP, job, reason))
            self._ask_at(self.now)

    def _stopped(self, now: int, job: int) -> None:
        stop = self._stopping.pop(job)
        self._release(now, job)
        if not stop.preempted:
            self._fail(now, job, stop.reason)
            return
        self.preemptions[job] += 1
        self.attempt[job] -= 1
        allowed = self._classes[job].preemptions
        if allowed != UNLIMITED and self.preemptions[job] > allowed:
            self._fail(now, job, stop.reason)
        else:
            self._queue_again(now, job)

    def _is_running_since(self, job: int, instant: int) -> bool:
        running = self.state[job] == RUNNING and self._started_us[job] == instant
        return running and job not in self._stopping

    def _pass(self, now: int) -> None:
        for index, desk in enumerate(self._desks):
            if self._changed[index]:
                self._changed[index] = 0
                self._looks[index] = NEVER
                desk.run(now, self)
                for line, head in enumerate(desk.heads(), self._first_line[index]):
                    self._heads.look(now, line, head)
                self._looks[index] = desk.next_look_us()

    def _next_due(self) -> int:
        due = min(self._pass_due, self._heads.due_us(), min(self._looks, default=NEVER))
        timeouts = self._timeouts
        while timeouts:
            at, job = timeouts[0]
            if self._is_running_since(job, at - self._classes[job].timeout_us):
                due = min(due, at)
                break
            heappop(timeouts)  # of an attempt that is over or stopping
        if self._evaluating:
            due = min(due, next_multiple(self._evaluating[0][0], self.plan.scheduling_interval_us))
        return due
