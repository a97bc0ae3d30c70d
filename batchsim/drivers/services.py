"""The simulated driver of service jobs: SimPy owns the clock and the event queue, the scheduler decides.

Service jobs share nothing with compute environments, so they run on a clock of their own, which shows the
same time. There is one SimPy event for each instant at which something happens; what
happens is delivered in a fixed order (ends, refusals, starts, submissions, requests, wake-ups; then by
index), and the scheduler is asked once. A consequence without delay makes a further round at that instant.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import simpy

from batchsim.core.services.commands import FAIL, PREEMPT, SCHEDULE
from batchsim.core.services.reasons import COMPLETED, NO_CAPACITY
from batchsim.core.services.scheduler import UNBORN, ServiceScheduler
from batchsim.core.services.states import FAILED, SUCCEEDED
from batchsim.errors import StallError
from batchsim.results.servicerecord import ServiceRecorder

if TYPE_CHECKING:
    from batchsim.core.services.commands import Command
    from batchsim.core.services.plan import ServicePlan
    from batchsim.drivers.serviceworld import ServiceWorld

_ENDED, _STOPPED, _REFUSED, _STARTING, _STARTED, _SUBMITTED, _REQUEST, _WAKE = range(8)
_NOTHING: Final = (-1, _WAKE)
_MOST_IDLE_ROUNDS: Final = 1_000  # law L17


class ServiceDriver:
    """Runs one plan in one world and records it. Use `simulate_services`."""

    def __init__(self, plan: ServicePlan, world: ServiceWorld) -> None:
        jobs = len(world.submit_us)
        self._core = ServiceScheduler(plan)
        self._world = world
        self._recorder = ServiceRecorder(jobs)
        self._env = simpy.Environment(initial_time=0)
        self._tick = self._env.event()
        self._due: dict[int, list[tuple[int, int]]] = {}
        self._expected = [_NOTHING] * jobs  # of each job: when what will happen to its attempt
        self._times = [0] * jobs  # that it was scheduled
        self._row = [-1] * jobs  # of each job: its latest attempt in the record
        self._preempted_for: dict[int, str] = {}
        self._ended_jobs = 0
        self._last_us = 0  # when something happened last
        self._watched_us = -1
        self._idle_rounds = 0

    def run(self, horizon_us: int | None) -> ServiceRecorder:
        self._tick.callbacks = [self._instant]
        self._tick.succeed()
        self._due[0] = []
        self._expect(0)
        for index, request in enumerate(self._world.requests):
            self._at(request.at_us, _REQUEST, index)
        self._env.run(until=horizon_us)
        self._close(horizon_us)
        return self._recorder

    # --- one instant --------------------------------------------------------------------------

    def _instant(self, event: simpy.Event) -> None:
        event.callbacks = [self._instant]  # the one event serves all instants
        now: int = self._env.now  # type: ignore[assignment]
        self._look_around(now)
        for kind, index in sorted(self._due.pop(now)):
            if kind == _SUBMITTED:
                self._submit(now, index)
            elif kind == _REQUEST:
                self._ask(now, index)
            elif kind != _WAKE and self._expected[index] == (now, kind):
                self._expected[index] = _NOTHING
                self._of_attempt(now, kind, index)
        for command in self._core.decide(now):
            self._obey(now, command)
        wakeup = self._core.next_wakeup()
        if wakeup is not None and wakeup not in self._due:
            self._at(wakeup, _WAKE, 0)

    def _look_around(self, now: int) -> None:
        """Law L17: an instant at which rounds go on although nothing happens is a bug."""
        if now != self._watched_us:
            self._watched_us, self._idle_rounds = now, 0
        self._idle_rounds += 1
        if self._idle_rounds > _MOST_IDLE_ROUNDS:
            raise StallError(f"more than {_MOST_IDLE_ROUNDS} decisions at {now} us without any progress")

    def _at(self, instant: int, kind: int, index: int) -> None:
        already = self._due.get(instant)
        if already is None:
            self._due[instant] = [(kind, index)]
            self._env.schedule(self._tick, delay=instant - int(self._env.now))
        else:
            already.append((kind, index))

    def _happens(self, instant: int, kind: int, job: int) -> None:
        """The next that happens to the job's attempt; what was expected before will not."""
        self._expected[job] = (instant, kind)
        self._at(instant, kind, job)

    # --- what happens -------------------------------------------------------------------------

    def _expect(self, job: int) -> None:
        """Be there when the job, if there is one of that number, is submitted."""
        if job < len(self._world.submit_us):
            self._at(self._world.submit_us[job], _SUBMITTED, job)

    def _submit(self, now: int, job: int) -> None:
        submit_us = self._world.submit_us
        while job < len(submit_us) and submit_us[job] == now:
            self._core.job_submitted(now, job)
            job += 1
        self._last_us, self._idle_rounds = now, 0
        self._expect(job)

    def _ask(self, now: int, index: int) -> None:
        request = self._world.requests[index]
        ask = self._core.job_cancelled if request.action == "cancel" else self._core.job_terminated
        for rows in request.rows:
            for job in rows:
                ask(now, job, request.reason)

    def _of_attempt(self, now: int, kind: int, job: int) -> None:
        core, world, recorder = self._core, self._world, self._recorder
        self._last_us = now
        if kind == _STARTING:
            core.training_starting(now, job)
            recorder.a_starting_us[self._row[job]] = now
            self._happens(now + world.download_us(job, self._times[job]), _STARTED, job)
        elif kind == _STARTED:
            core.training_started(now, job)
            recorder.a_started_us[self._row[job]] = now
            if recorder.started_us[job] < 0:
                recorder.started_us[job] = now
            self._happens(now + world.runtime_us[job], _ENDED, job)
        else:
            self._end(now, kind, job)

    def _end(self, now: int, kind: int, job: int) -> None:
        """The attempt is over: by itself, because it was told to stop, or because it was refused."""
        core, recorder = self._core, self._recorder
        if kind != _STOPPED:
            self._idle_rounds = 0
        preemptions, refusals = core.preemptions[job], core.capacity_retries[job]
        failure: str | None = ""
        if kind == _REFUSED:
            state = core.capacity_refused(now, job)
        else:
            failure = self._world.failure(job, core.attempt[job]) if kind == _ENDED else ""
            state = core.attempt_exited(now, job, failure or "", succeeded=failure is None)
        if core.capacity_retries[job] > refusals:
            ending = "REFUSED", NO_CAPACITY
        elif core.preemptions[job] > preemptions:
            ending = "PREEMPTED", self._preempted_for[job]
        elif state == SUCCEEDED:
            ending = "SUCCEEDED", COMPLETED
        else:
            ending = "FAILED", core.status_reason.get(job) or failure or ""
        recorder.end_attempt(self._row[job], now, *ending)
        if state in (SUCCEEDED, FAILED):
            self._finish(now, job)

    def _finish(self, now: int, job: int) -> None:
        self._recorder.ended_us[job] = now
        self._ended_jobs += 1
        self._last_us, self._idle_rounds = now, 0

    # --- what is asked for --------------------------------------------------------------------

    def _obey(self, now: int, command: Command) -> None:
        kind, job = command[0], command[1]
        if kind == SCHEDULE:
            self._schedule(now, job)
        elif kind == FAIL:
            self._finish(now, job)
        else:
            if kind == PREEMPT:
                self._preempted_for[job] = command[2]
            self._stop(now, job)

    def _schedule(self, now: int, job: int) -> None:
        world, recorder = self._world, self._recorder
        self._last_us = now
        self._times[job] += 1
        self._row[job] = recorder.add_attempt(job, self._core.attempt[job], now)
        if recorder.scheduled_us[job] < 0:
            recorder.scheduled_us[job] = now
        refused = world.is_refused(job, self._times[job])
        answered = now + world.pending_us(job, self._times[job])
        self._happens(answered, _REFUSED if refused else _STARTING, job)

    def _stop(self, now: int, job: int) -> None:
        """A training ends some time after it was told to, or by itself before that."""
        due, kind = self._expected[job]
        stopped = now + (self._world.stop_us if kind == _ENDED else 0)
        if kind != _ENDED or due > stopped:
            self._happens(stopped, _STOPPED, job)

    # --- the end ------------------------------------------------------------------------------

    def _close(self, horizon_us: int | None) -> None:
        """Finished when every job has ended; else at the horizon; else stalled, with a reason for each."""
        core, recorder = self._core, self._recorder
        recorder.outcome, recorder.ended_at_us = "finished", self._last_us
        goes_on = self._ended_jobs < recorder.jobs or self._world.goes_on
        if horizon_us is not None and (self._due or self._world.goes_on) and goes_on:
            recorder.outcome, recorder.ended_at_us = "horizon", horizon_us
        elif self._ended_jobs < recorder.jobs:
            recorder.outcome = "stalled"
        assert UNBORN not in core.state, "who is submitted after the horizon is not of this world"
        recorder.state = core.state
        recorder.attempts = array("q", list(core.attempt))
        recorder.capacity_retries, recorder.preemptions = core.capacity_retries, core.preemptions
        recorder.status_reason = {
            job: COMPLETED for job, state in enumerate(core.state) if state == SUCCEEDED
        }
        recorder.status_reason |= core.waiting_reasons() | core.status_reason


def simulate_services(
    plan: ServicePlan, world: ServiceWorld, *, horizon_us: int | None = None
) -> ServiceRecorder:
    """Run `plan` in `world` to its end, or to `horizon_us`, and give the record.

    Jobs that are to be submitted at or after the horizon must not be part of the world.
    """
    return ServiceDriver(plan, world).run(horizon_us)
