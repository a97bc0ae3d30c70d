"""The scheduler: told what happened, it answers what to do.

It never waits, reads a clock, draws a random number or logs, and it never learns how long anything
takes. Both drivers, the simulated and the real one, use this very class.

    driver: something happened   job_submitted, instance_joined, instance_ready, instance_lost,
                                 launch_failed, attempt_started, attempt_exited, job_cancelled,
                                 job_terminated, consumable_updated, plan_updated
    driver: what now?            decide(now) -> commands, once everything that happened at `now` is told
    driver: when to ask again    next_wakeup()

All times are integer microseconds since the run began and never decrease.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchsim.core.alarms import Alarms
from batchsim.core.assembly import assemble
from batchsim.core.columns import UNBORN
from batchsim.core.fleet import BOOTING, GONE, INSTANCE_STATE_NAMES, READY, Fleet, Instance
from batchsim.core.grid import NEVER, next_multiple
from batchsim.core.jobs import CANCELLED, TERMINATED, Jobs, Wants
from batchsim.core.states import FAILED, RUNNABLE, RUNNING, STARTING, STATE_NAMES, SUBMITTED, SUCCEEDED
from batchsim.core.updates import Updates, changeable
from batchsim.errors import ContractError

if TYPE_CHECKING:
    from batchsim.core.commands import Command
    from batchsim.core.plan import Plan
    from batchsim.core.scaling import Scaler

ESSENTIAL_CONTAINER_EXITED: Final = "Essential container in task exited"  # [spec 1.6]
TIMED_OUT: Final = "Job attempt duration exceeded timeout"  # [spec 1.6]


class Scheduler:
    """Decides; never acts.

    Call any number of event methods for one instant, then `decide` once. Raises ContractError when
    told something impossible (an exit of a job that does not run); that is a bug of the driver, the
    scheduler is unchanged, and the run must stop.

    A driver may read `state`, `attempt`, `instance_of` and `runnable_us` (see `Columns`), `status_reason`,
    `requested` (see `Jobs`), `gpus_of` (see `Claims`), `waits` (see `Waits`), `updates` (see `Updates`), and
    `due_us`, the instant before which `decide` answers []. `plan` is as users have updated it.
    """

    __slots__ = (
        "_alarms",
        "_attempts",
        "_claims",
        "_evaluates_at_once",
        "_failures",
        "_jobs",
        "_look_due",
        "_need_of",
        "_on_one_grid",
        "_pass_due",
        "_pass_interval",
        "_scales",
        "_spills",
        "_stopping",
        "_timeout_of",
        "_watched",
        "attempt",
        "capacity",
        "dispatch",
        "due_us",
        "fleets",
        "gpus_of",
        "instance_of",
        "instances",
        "now",
        "orders",
        "plan",
        "requested",
        "runnable_us",
        "state",
        "status_reason",
        "updates",
        "waits",
    )

    def __init__(self, plan: Plan) -> None:
        self.plan = plan = changeable(plan)
        self.now = 0
        self.due_us = NEVER
        self.instances: list[Instance] = []
        parts = assemble(plan, self.instances, self._new_instance)
        columns, claims = parts.columns, parts.claims
        self.state, self.attempt = columns.state, columns.attempt
        self.instance_of, self.runnable_us = columns.instance_of, columns.runnable_us
        self.fleets, self.capacity, self.dispatch = parts.fleets, parts.capacity, parts.dispatch
        self.orders, self.waits = parts.dispatch.orders, parts.dispatch.waits
        self.gpus_of: dict[int, int] = {} if claims is None else claims.gpus_of
        self._claims, self._attempts = claims, parts.attempts
        self._stopping = parts.attempts.stopping
        wants = Wants(self._want_pass, self._ask_for_pass, self._ask_at)
        self._jobs = Jobs(plan, columns, parts.dispatch, wants)
        self.status_reason, self.requested = self._jobs.status_reason, self._jobs.requested
        self._watched, self._failures = self._jobs.watched, self._jobs.failures
        self._need_of = columns.need
        timeouts = [each.timeout_us for each in plan.classes]
        self._timeout_of = [timeouts[index] for index in plan.class_of] if any(timeouts) else None
        self._scales = any(scaler is not None for scaler in self.capacity.scalers)
        self._spills = bool(plan.updates) or any(len(queue.environments) > 1 for queue in plan.queues)
        self._pass_interval = plan.policy.scheduling_interval_us
        self._on_one_grid = plan.policy.on_one_grid
        self._evaluates_at_once = not plan.policy.submit_evaluation_us
        self.updates = Updates(plan, parts, self.instances)
        alarms = Alarms(plan, parts.attempts, self._jobs, self.waits, self.updates)
        self._alarms = alarms if alarms.any else None
        self._pass_due = self._look_due = NEVER
        self.due_us = self._next_due(0)

    # --- what happened ------------------------------------------------------------------------

    def job_submitted(self, now: int, job: int) -> None:
        """SubmitJob was accepted: the job is SUBMITTED, and once it has been evaluated RUNNABLE or PENDING.

        If the call is refused, because the queue has too many active shares, the job is FAILED.
        """
        if now < self.now:
            raise self._went_back(now)
        if self.state[job] != UNBORN:
            raise ContractError(f"job {job} was submitted before; it is {self._state_name(job)}")
        self.now = now
        if self._evaluates_at_once and not self._watched:  # all that the rest would do, at half the cost
            self.state[job] = RUNNABLE
            self.runnable_us[job] = now
            self.dispatch.arrive(job)
            if self._pass_due >= now + self._pass_interval:
                self._ask_for_pass(now)
            return
        self.state[job] = SUBMITTED
        if self._watched and not self._jobs.submitted(now, job):
            return
        if self._evaluates_at_once:
            self._jobs.evaluate(now, job)
        else:
            assert self._alarms is not None
            self._ask_at(self._alarms.submitted(now, job))

    def attempt_started(self, now: int, job: int) -> None:
        """The container is up, of a multi-node job that of its main node: RUNNING [spec 1.7, 1.11]."""
        if now < self.now:
            raise self._went_back(now)
        if self.state[job] != STARTING:
            raise ContractError(f"an attempt of job {job} started; the job is {self._state_name(job)}")
        self.now = now
        self.state[job] = RUNNING
        timeout_us = self._timeout_of[job] if self._timeout_of else 0
        if timeout_us or self._claims is not None:
            self._attempts.running(now, job, timeout_us)
            if timeout_us:
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

        `exit_code` is None when there is none: the container never started. Of a multi-node job it is the
        main node's; the others are stopped with it.
        """
        if now < self.now:
            raise self._went_back(now)
        state = self.state[job]
        if state != RUNNING and (state != STARTING or exit_code == 0):
            raise ContractError(f"an attempt of job {job} exited; the job is {self._state_name(job)}")
        self.now = now
        if self._claims is None:  # all that `Attempts.end` would do, at half the cost
            instance = self.instances[self.instance_of[job]]
            instance.jobs.remove(job)
            self.fleets[instance.environment].release(instance, self._need_of[job])
            if self.dispatch.queued or not instance.jobs:
                self._freed(now, instance)
        else:
            for instance in self._attempts.end(now, job):
                self._freed(now, instance)
        if exit_code == 0 and job not in self._stopping:
            self.state[job] = state = SUCCEEDED
            if self._watched:
                self._jobs.ended(now, job, succeeded=True)
        else:
            state = self._failed(now, job, exit_code, status_reason, reason)
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
        self._ask_at(self.updates.node_ready(now, instance.environment))
        self._ask_at(self.capacity.became_idle(now, instance, ran=False))

    def launch_failed(self, now: int, index: int, closed: tuple[int, ...] = ()) -> None:
        """A launch failed; its type is left alone for a while, `closed` ones until an instance has gone."""
        instance = self._booting(now, index, "failed to launch")
        instance.state = GONE
        self._scaler(instance).launch_failed(now, instance, closed)
        self.capacity.changed()
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
        self.capacity.gone(now, instance)
        jobs, freed = self._attempts.lost(now, instance)
        for each in freed:
            self._freed(now, each)
        if jobs and self.dispatch.queued:
            self._want_pass(now)  # what they held beside room on it is there for others
        for job in jobs:
            self._failed(now, job, None, status_reason)
        return jobs

    def job_cancelled(self, now: int, job: int, reason: str) -> None:
        """CancelJob: STARTING and RUNNING jobs, and those that have ended, go on as they are [spec 1.8]."""
        self._request(now, job, reason, CANCELLED)

    def job_terminated(self, now: int, job: int, reason: str) -> None:
        """TerminateJob: as CancelJob, but STARTING and RUNNING jobs are stopped [spec 1.8]."""
        self._request(now, job, reason, TERMINATED)

    def consumable_updated(self, now: int, resource: int, operation: str, quantity: int) -> None:
        """UpdateConsumableResource: SET, ADD or REMOVE [spec 1.15]."""
        if now < self.now:
            raise self._went_back(now)
        if self._claims is None:
            raise ContractError("no job asks for consumable resources")
        self._claims.consumables.update(resource, operation, quantity)
        self.now = now
        if self.dispatch.queued:
            self._want_pass(now)

    def plan_updated(self, now: int, update: int) -> None:
        """UpdateComputeEnvironment or UpdateJobQueue, as `plan.updates[update]` says [spec 2.1, 3.2, 3.8]."""
        if now < self.now:
            raise self._went_back(now)
        self.updates.apply(now, update)
        self.now = now
        if self.dispatch.queued:
            self._want_pass(now)
        if self._scales:
            self._want_growth(now)
        self._ask_at(self.updates.due_us())

    # --- what to do ---------------------------------------------------------------------------

    def decide(self, now: int) -> list[Command]:
        """The commands of this instant, in order: jobs that have failed, time limits, placement, scaling.

        Idempotent: asked again with nothing new, it answers [].
        """
        if now < self.now:
            raise self._went_back(now)
        if now < self.due_us:
            return []
        self.now = now
        commands: list[Command] = []
        if self._alarms is not None:
            self._alarms.ring(now, TIMED_OUT, commands)
        if self._failures:
            commands[:0] = self._failures
            self._failures.clear()
        if self._pass_due <= now or self._look_due <= now:
            self._pass_due = NEVER
            self._run_pass(now, commands)
        self.due_us = self._next_due(now)
        # Scaling follows a pass: who has just arrived must be counted, and an instance that has just
        # become ready must not be given back before the jobs that wait for it were offered it.
        scales = self._scales and self.due_us <= now and self._pass_due == NEVER
        if scales and self.capacity.due_us(now) <= now:
            self._scale(now, commands)
            self.due_us = self._next_due(now)
        if self.due_us <= now and self._alarms is not None and self._alarms.of_heads:
            commands += self.decide(now)  # a head has lacked capacity again, and too long
        return commands

    def next_wakeup(self) -> int | None:
        """The instant at which `decide` must be asked even if nothing happens; None if there is none."""
        return None if self.due_us == NEVER else self.due_us

    def waiting_jobs(self) -> list[int]:
        """All RUNNABLE jobs: queue by queue in dispatch order, then those that no pass has seen yet."""
        return self.dispatch.waiting_jobs()

    def waiting_reasons(self) -> dict[int, str]:
        """Why each job waits, at the end of a run: AWS's status reason, or a sentence of ours."""
        return self.dispatch.waiting_reasons() | self._jobs.pending_reasons()

    # --- inside -------------------------------------------------------------------------------

    def _went_back(self, now: int) -> ContractError:
        return ContractError(f"time went back from {self.now} to {now} us (law L1)")

    def _ask_at(self, instant: int) -> None:
        self.due_us = min(self.due_us, instant)

    def _want_pass(self, now: int) -> None:
        """Something has happened by which a job may start that waits already."""
        self.dispatch.heads_may_start = True
        self._ask_for_pass(now)

    def _ask_for_pass(self, now: int) -> None:
        """A pass at the next opportunity."""
        if self._pass_due >= now + self._pass_interval:
            self._pass_due = next_multiple(now, self._pass_interval)
            self._ask_at(self._pass_due)

    def _want_growth(self, now: int) -> None:
        self._ask_at(self.capacity.want_growth(now))

    def _freed(self, now: int, instance: Instance) -> None:
        """An attempt on the instance has ended: somebody may use the room, or nobody needs it any more."""
        if not instance.jobs and self._scales:
            self._ask_at(self.capacity.became_idle(now, instance, ran=True))
        if not self.dispatch.queued:
            return
        if self.dispatch.may_use(instance):
            self._want_pass(now)
        elif self._pass_due != NEVER or not self._on_one_grid:
            self._ask_for_pass(now)
        elif self._scales:  # all that the pass would do
            self._want_growth(next_multiple(now, self._pass_interval))

    def _next_due(self, now: int) -> int:
        due = self._pass_due
        if self._scales and due == NEVER:
            due = self.capacity.due_us(now)
        due = min(due, self._look_due)
        return due if self._alarms is None else min(due, self._alarms.due_us())

    def _request(self, now: int, job: int, reason: str, how: str) -> None:
        if now < self.now:
            raise self._went_back(now)
        if self.state[job] == UNBORN:
            raise ContractError(f"job {job} was {how}; it is {self._state_name(job)}")
        self.now = now
        if self._jobs.request(now, job, reason, how):
            self._attempts.stop(job, reason, self._jobs.failures)
            self._ask_at(now)
        if self._scales:
            self._want_growth(now)

    def _failed(self, now: int, job: int, exit_code: int | None, status_reason: str, reason: str = "") -> int:
        """The state after a failed attempt."""
        stopped = self._stopping.pop(job, None)
        if stopped is None and self._jobs.may_retry(job, exit_code, status_reason, reason):
            self.state[job] = RUNNABLE
            self.dispatch.retried.append(job)
            self._want_pass(now)
            return RUNNABLE
        if stopped is not None or status_reason != ESSENTIAL_CONTAINER_EXITED:
            self.status_reason[job] = stopped or status_reason
        self.state[job] = FAILED
        if self._watched:
            self._jobs.ended(now, job, succeeded=False)
        return FAILED

    def _run_pass(self, now: int, commands: list[Command]) -> None:
        self.dispatch.run(now, commands)
        if self.dispatch.looks:
            self._look_due = next_multiple(self.dispatch.look_us, self._pass_interval)
        if self.dispatch.queued and self._scales:
            self._want_growth(now)

    def _scale(self, now: int, commands: list[Command]) -> None:
        """Scaling decisions; a head that waited for an environment which can grow no more may go on."""
        begun = len(commands)
        while True:
            scaled = self.capacity.decide(now, self.dispatch.queues(), self.orders)
            commands += scaled
            if not (scaled and self._spills and self.dispatch.queued):
                break
            if self._pass_interval:
                self._want_pass(now + 1)
                break
            self._run_pass(now, commands)
        if len(commands) > begun and self.dispatch.queued:
            self.dispatch.look_at_heads(now)

    def _new_instance(self, environment: int, type_index: int) -> Instance:
        instance = Instance(len(self.instances), environment, type_index, self.plan.types[type_index])
        self.instances.append(instance)
        return instance

    def _make_ready(self, now: int, instance: Instance) -> None:
        instance.state = READY
        fleet = self.fleets[instance.environment]
        assert isinstance(fleet, Fleet)  # others have no instances that come by themselves
        fleet.add(instance)
        self.capacity.changed()
        if self.dispatch.queued:
            self._want_pass(now)

    def _scaler(self, instance: Instance) -> Scaler:
        scaler = self.capacity.scalers[instance.environment]
        assert scaler is not None  # only managed environments launch
        return scaler

    def _booting(self, now: int, index: int, event: str) -> Instance:
        if now < self.now:
            raise self._went_back(now)
        instance = self.instances[index]
        if instance.state != BOOTING:
            raise ContractError(f"instance {index} {event}; it is {INSTANCE_STATE_NAMES[instance.state]}")
        self.now = now
        return instance

    def _state_name(self, job: int) -> str:
        state = self.state[job]
        return "not submitted" if state == UNBORN else STATE_NAMES[state]
