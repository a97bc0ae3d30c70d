"""The scheduler: told what happened, it answers what to do.

It never waits, reads a clock, draws a random number or logs, and it never learns how long anything
takes. Both drivers, the simulated and the real one, use this very class.

    driver: something happened   job_submitted, instance_joined, instance_ready, instance_lost,
                                 launch_failed, attempt_started, attempt_exited
    driver: what now?            decide(now) -> commands, once everything that happened at `now` is told
    driver: when to ask again    next_wakeup()

All times are integer microseconds since the run began and never decrease.
"""

from __future__ import annotations

from array import array
from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from batchsim.core.capacity import Capacity
from batchsim.core.commands import START, STOP, Command
from batchsim.core.dispatch import Dispatch
from batchsim.core.fleet import BOOTING, GONE, READY, Fleet, Instance
from batchsim.core.grid import NEVER, next_multiple
from batchsim.core.needs import Needs
from batchsim.core.retry import retries
from batchsim.core.states import FAILED, RUNNABLE, RUNNING, STARTING, STATE_NAMES, SUBMITTED, SUCCEEDED
from batchsim.errors import ContractError

if TYPE_CHECKING:
    from batchsim.core.plan import Plan, Policy
    from batchsim.core.scaling import Scaler

ESSENTIAL_CONTAINER_EXITED: Final = "Essential container in task exited"  # [spec 1.6]
TIMED_OUT: Final = "Job attempt duration exceeded timeout"  # [spec 1.6]

UNBORN: Final = 255  # the state of a job that has not been submitted yet


class Scheduler:
    """Decides; never acts.

    Call any number of event methods for one instant, then `decide` once. Raises ContractError when
    told something impossible (an exit of a job that does not run); that is a bug of the driver, the
    scheduler is unchanged, and the run must stop.

    Columns that a driver may read, indexed by job: `state` (see `states`), `attempt` (attempts begun),
    `instance_of` (the instance of the latest attempt, -1 before the first), `runnable_us`
    (first instant in RUNNABLE, -1 before). `status_reason` holds the texts that differ from
    "Essential container in task exited". `due_us` is the instant before which `decide` answers [].
    """

    __slots__ = (
        "_classes",
        "_evaluating",
        "_evaluation_us",
        "_need_of",
        "_on_one_grid",
        "_pass_due",
        "_pass_interval",
        "_scales",
        "_spills",
        "_stopping",
        "_time_limits",
        "attempt",
        "capacity",
        "dispatch",
        "due_us",
        "fleets",
        "instance_of",
        "instances",
        "now",
        "orders",
        "plan",
        "runnable_us",
        "state",
        "status_reason",
    )

    def __init__(self, plan: Plan) -> None:
        jobs = len(plan.class_of)
        self.plan = plan
        self.now = 0
        self.state = bytearray([UNBORN]) * jobs
        self.attempt = bytearray(jobs)
        self.instance_of = array("q", [-1]) * jobs
        self.runnable_us = array("q", [-1]) * jobs
        self.status_reason: dict[int, str] = {}
        self.instances: list[Instance] = []
        self._classes = [plan.classes[index] for index in plan.class_of]
        needs = Needs(plan.needs)
        self.fleets = [
            Fleet(needs, self.instances, [plan.types[index] for index in environment.types])
            for environment in plan.environments
        ]
        self.capacity = Capacity(plan, self.fleets, self._new_instance)
        self.dispatch = Dispatch(plan, self.fleets, self.capacity.scalers, self._start)
        self.orders = self.dispatch.orders
        self._need_of = self.dispatch.need_of
        self._scales = any(environment.managed for environment in plan.environments)
        self._spills = any(len(queue.environments) > 1 for queue in plan.queues)
        self._pass_interval = plan.policy.scheduling_interval_us
        self._on_one_grid = _on_one_grid(plan.policy)
        self._evaluation_us = plan.policy.submit_evaluation_us
        self._evaluating: deque[tuple[int, int]] = deque()
        self._time_limits: list[tuple[int, int, int]] = []
        self._stopping: dict[int, str] = {}
        self._pass_due = NEVER
        self.due_us = self._next_due()

    # --- what happened ------------------------------------------------------------------------

    def job_submitted(self, now: int, job: int) -> None:
        """SubmitJob was accepted: the job is SUBMITTED, and RUNNABLE once it has been evaluated."""
        if now < self.now:
            raise self._went_back(now)
        if self.state[job] != UNBORN:
            raise ContractError(f"job {job} was submitted before; it is {self._state_name(job)}")
        self.now = now
        self.state[job] = SUBMITTED
        delay = self._evaluation_us
        if delay:
            self._evaluating.append((now + delay, job))
            if len(self._evaluating) == 1:
                self._ask_at(next_multiple(now + delay, self._pass_interval))
        else:
            self._make_runnable(now, job)

    def attempt_started(self, now: int, job: int) -> None:
        """The container is up: RUNNING, and the clock of the attempt's time limit runs [spec 1.7]."""
        if now < self.now:
            raise self._went_back(now)
        if self.state[job] != STARTING:
            raise ContractError(f"an attempt of job {job} started; the job is {self._state_name(job)}")
        self.now = now
        self.state[job] = RUNNING
        timeout_us = self._classes[job].timeout_us
        if timeout_us:
            heappush(self._time_limits, (now + timeout_us, job, self.attempt[job]))
            self._ask_at(now + timeout_us)

    def attempt_exited(
        self,
        now: int,
        job: int,
        exit_code: int | None,
        status_reason: str = ESSENTIAL_CONTAINER_EXITED,
        reason: str = "",
    ) -> int:
        """The attempt is over; gives the job's new state: SUCCEEDED, FAILED or RUNNABLE (a retry).

        `exit_code` is None when there is none: the host was lost, or the container never started.
        """
        if now < self.now:
            raise self._went_back(now)
        state = self.state[job]
        if state != RUNNING and (state != STARTING or exit_code == 0):
            raise ContractError(f"an attempt of job {job} exited; the job is {self._state_name(job)}")
        self.now = now
        instance = self.instances[self.instance_of[job]]
        self.fleets[instance.environment].release(instance, self._need_of[job])
        del instance.jobs[job]
        if not instance.jobs and self._scales:
            self._became_idle(now, instance)
        if self.dispatch.queued:
            self._made_room(now, instance)
        if exit_code == 0 and job not in self._stopping:
            state = SUCCEEDED
        else:
            state = self._after_failure(job, exit_code, status_reason, reason)
        self.state[job] = state
        return state

    def instance_joined(self, now: int, environment: int, type_index: int) -> int:
        """A machine of the user registered with an unmanaged environment; gives its instance index."""
        if now < self.now:
            raise self._went_back(now)
        if self.plan.environments[environment].managed:
            raise ContractError(f"a machine joined the managed environment {environment} unasked")
        self.now = now
        instance = self._new_instance(environment, type_index)
        self._make_ready(now, instance)
        return instance.index

    def instance_ready(self, now: int, index: int) -> None:
        """A launched instance has registered and can take jobs."""
        instance = self._booting(now, index, "became ready")
        self._make_ready(now, instance)
        self._scaler(instance).ready(instance)
        self._became_idle(now, instance)

    def launch_failed(self, now: int, index: int) -> None:
        """A launch was refused or the machine never registered; its type is left alone for a while."""
        instance = self._booting(now, index, "failed to launch")
        instance.state = GONE
        self._scaler(instance).launch_failed(now, instance)
        self._want_growth(now)
        self._want_pass(now)

    def instance_lost(self, now: int, index: int, status_reason: str) -> list[int]:
        """An instance is gone, with everything on it; gives the jobs whose attempts ended, ascending.

        Each attempt ends now with `status_reason` and without exit code; retry rules decide [spec 1.6].
        """
        if now < self.now:
            raise self._went_back(now)
        instance = self.instances[index]
        if instance.state == GONE:
            raise ContractError(f"instance {index} was lost; it is gone already")
        self.now = now
        if instance.state == READY:
            self.fleets[instance.environment].remove(instance)
        scaler = self.capacity.scalers[instance.environment]
        if scaler is not None:
            scaler.lost(instance)
            self._want_growth(now)
        instance.state = GONE
        jobs = sorted(instance.jobs)
        for job in jobs:
            self.state[job] = self._after_failure(job, None, status_reason, "")
        instance.jobs.clear()
        return jobs

    # --- what to do ---------------------------------------------------------------------------

    def decide(self, now: int) -> list[Command]:
        """The commands of this instant, in order: time limits, then placement, then scaling.

        Idempotent: asked again with nothing new, it answers [].
        """
        if now < self.due_us:
            if now < self.now:
                raise self._went_back(now)
            return []
        self.now = now
        commands: list[Command] = []
        if self._time_limits and self._time_limits[0][0] <= now:
            self._enforce_time_limits(now, commands)
        evaluating = self._evaluating
        while evaluating and evaluating[0][0] <= now:
            self._make_runnable(*evaluating.popleft())
        if self._pass_due <= now:
            self._pass_due = NEVER
            self._run_pass(now, commands)
        self.due_us = self._next_due()
        # Scaling follows a pass: who has just arrived must be counted, and an instance that has just
        # become ready must not be given back before the jobs that wait for it were offered it.
        if self._scales and self.due_us <= now and self._pass_due == NEVER and self.capacity.due_us() <= now:
            self._scale(now, commands)
            self.due_us = self._next_due()
        return commands

    def next_wakeup(self) -> int | None:
        """The instant at which `decide` must be asked even if nothing happens; None if there is none."""
        return None if self.due_us == NEVER else self.due_us

    def waiting_jobs(self) -> list[int]:
        """All RUNNABLE jobs: queue by queue in dispatch order, then those that no pass has seen yet."""
        return self.dispatch.waiting_jobs()

    def waiting_reasons(self) -> dict[int, str]:
        """Why each RUNNABLE job waits, at the end of a run: AWS's status reason, or a sentence of ours."""
        return self.dispatch.waiting_reasons()

    # --- inside -------------------------------------------------------------------------------

    def _went_back(self, now: int) -> ContractError:
        return ContractError(f"time went back from {self.now} to {now} us (law L1)")

    def _ask_at(self, instant: int) -> None:
        self.due_us = min(self.due_us, instant)

    def _want_pass(self, now: int) -> None:
        """A job waits, or room was made for one: a pass at the next opportunity."""
        interval = self._pass_interval
        if self._pass_due < now + interval:
            return
        due = -(-now // interval) * interval if interval else now
        if due < self._pass_due:
            self._pass_due = due
            self._ask_at(due)

    def _want_growth(self, now: int) -> None:
        self._ask_at(self.capacity.want_growth(now))

    def _made_room(self, now: int, instance: Instance) -> None:
        """An attempt ended while jobs wait: a pass is due if it can start somebody."""
        if self._pass_due != NEVER or not self._on_one_grid or self.dispatch.may_use(instance):
            self._want_pass(now)
        elif self._scales:  # all that the pass would do
            self._want_growth(next_multiple(now, self._pass_interval))

    def _next_due(self) -> int:
        due = self._pass_due
        if self._scales and due == NEVER:
            due = self.capacity.due_us()
        limits = self._time_limits
        while limits and self.attempt[limits[0][1]] != limits[0][2]:
            heappop(limits)  # of an attempt that was followed by another
        if limits:
            due = min(due, limits[0][0])
        if self._evaluating:
            due = min(due, next_multiple(self._evaluating[0][0], self._pass_interval))
        return due

    def _make_runnable(self, now: int, job: int) -> None:
        self.state[job] = RUNNABLE
        self.runnable_us[job] = now
        self.dispatch.arrived.append(job)
        self._want_pass(now)

    def _after_failure(self, job: int, exit_code: int | None, status_reason: str, reason: str) -> int:
        """The state after a failed attempt; a stopped job is never retried [spec 1.3, 1.7]."""
        job_class = self._classes[job]
        stopped = self._stopping.pop(job, None)
        if stopped is not None:
            self.status_reason[job] = stopped
            return FAILED
        if self.attempt[job] < job_class.attempts and retries(
            job_class.rules, status_reason, reason, exit_code
        ):
            self.dispatch.retried.append(job)
            self._want_pass(self.now)
            return RUNNABLE
        if status_reason != ESSENTIAL_CONTAINER_EXITED:
            self.status_reason[job] = status_reason
        return FAILED

    def _enforce_time_limits(self, now: int, commands: list[Command]) -> None:
        while self._time_limits and self._time_limits[0][0] <= now:
            _, job, attempt = heappop(self._time_limits)
            if self.state[job] == RUNNING and self.attempt[job] == attempt and job not in self._stopping:
                self._stopping[job] = TIMED_OUT
                commands.append((STOP, job, TIMED_OUT))

    def _run_pass(self, now: int, commands: list[Command]) -> None:
        self.dispatch.run(now, commands)
        if self.dispatch.queued and self._scales:
            self._want_growth(now)

    def _scale(self, now: int, commands: list[Command]) -> None:
        """Scaling decisions; a head that waited for an environment which can grow no more may go on."""
        while True:
            scaled = self.capacity.decide(now, self.dispatch.queues(), self.orders)
            commands += scaled
            if not (scaled and self._spills and self.dispatch.queued):
                break
            if self._pass_interval:
                self._want_pass(now + 1)
                break
            self._run_pass(now, commands)

    def _start(self, job: int, need: int, instance: Instance, commands: list[Command]) -> None:
        self.fleets[instance.environment].reserve(instance, need)
        instance.jobs[job] = None
        self.state[job] = STARTING
        self.attempt[job] += 1
        self.instance_of[job] = instance.index
        commands.append((START, job, instance.index))

    def _new_instance(self, environment: int, type_index: int) -> Instance:
        instance = Instance(len(self.instances), environment, type_index, self.plan.types[type_index])
        self.instances.append(instance)
        return instance

    def _make_ready(self, now: int, instance: Instance) -> None:
        instance.state = READY
        self.fleets[instance.environment].add(instance)
        if self.dispatch.queued:
            self._want_pass(now)

    def _became_idle(self, now: int, instance: Instance) -> None:
        scaler = self.capacity.scalers[instance.environment]
        if scaler is not None:
            scaler.became_idle(now, instance)
            self._ask_at(self.capacity.idle_due_us(now))

    def _scaler(self, instance: Instance) -> Scaler:
        scaler = self.capacity.scalers[instance.environment]
        assert scaler is not None  # only managed environments launch
        return scaler

    def _booting(self, now: int, index: int, event: str) -> Instance:
        if now < self.now:
            raise self._went_back(now)
        instance = self.instances[index]
        if instance.state != BOOTING:
            raise ContractError(
                f"instance {index} {event}; it is {('booting', 'ready', 'gone')[instance.state]}"
            )
        self.now = now
        return instance

    def _state_name(self, job: int) -> str:
        state = self.state[job]
        return "not submitted" if state == UNBORN else STATE_NAMES[state]


def _on_one_grid(policy: Policy) -> bool:
    """Whether every scaling decision falls on a pass, so that none comes between an event and its pass."""
    passes, scaling = policy.scheduling_interval_us, policy.scaling_interval_us
    return not passes or (scaling > 0 and scaling % passes == 0)
