"""The simulated driver: SimPy owns the clock and the event queue, the scheduler decides.

There is one SimPy event for each instant at which something happens, not one for each job. `_due` holds
what happens at each such instant; when SimPy reaches it, everything is delivered in a fixed order (exits,
losses, readies, starts, submissions, wake-ups; then by index) and the scheduler is asked once. A
consequence without delay, such as a job that runs for no time, makes a further round at the same instant.

Submissions are sorted, so they need no events of their own. Each is told with its own instant, before
anything later and after anything earlier; but it calls for no decision before the next pass, so that SimPy
stops for it only there.

What happens is one integer: kind << 40 | index. So the order of delivery is the order of integers, and an
instant at which one thing happens, which is nearly every one, needs no list.
"""

from __future__ import annotations

import gc
from array import array
from typing import TYPE_CHECKING, Final

import simpy

from batchsim.core.commands import LAUNCH, START, STOP, TERMINATE, describe
from batchsim.core.grid import NEVER, next_multiple
from batchsim.core.scheduler import Scheduler
from batchsim.core.states import RUNNABLE, STARTING
from batchsim.errors import StallError

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim.core.commands import Command
    from batchsim.core.plan import Plan
    from batchsim.drivers.world import World
    from batchsim.results.recording import Outcome, Recorder

_KIND_BITS: Final = 40
_INDEX: Final = (1 << _KIND_BITS) - 1
_EXITS_END: Final = 1 << _KIND_BITS  # an exit is the job's number itself
_READY: Final = 2 << _KIND_BITS
_STARTED: Final = 4 << _KIND_BITS
_WAKE: Final = 5 << _KIND_BITS

_MOST_IDLE_ROUNDS: Final = 1_000  # law L17
_SIGTERM_EXIT: Final = 143  # 128 + 15: what a process that obeys SIGTERM leaves
_ROUNDS_PER_REPORT: Final = 1 << 13


class SimulatedDriver:
    """Runs one plan in one world and records it. Use `simulate`."""

    __slots__ = (
        "_begins_at_once",
        "_callbacks",
        "_core",
        "_due",
        "_ended_jobs",
        "_env",
        "_exit_at",
        "_fails",
        "_idle_rounds",
        "_images",
        "_last_us",
        "_next_job",
        "_pass_interval",
        "_recorder",
        "_report",
        "_rounds",
        "_stopped",
        "_submission_us",
        "_tick",
        "_wakeup",
        "_watched_us",
        "_world",
    )

    def __init__(
        self, plan: Plan, world: World, recorder: Recorder, report: Callable[[int, int], None] | None = None
    ) -> None:
        self._core = Scheduler(plan)
        self._world = world
        self._recorder = recorder
        self._report = report
        self._env = simpy.Environment(initial_time=0)
        self._due: dict[int, int | list[int]] = {}
        self._tick = self._env.event()
        self._wakeup = NEVER  # when the scheduler last asked to be asked
        self._callbacks: list[Callable[[simpy.Event], None]] = [self._instant]
        self._exit_at = [-1] * len(world.submit_us)
        self._stopped: dict[int, int] = {}  # job -> the exit code it leaves because it was stopped
        self._fails = any(world.failure_rate)
        self._images: dict[tuple[int, int], int] = {}  # (instance, image) -> when it is there
        self._begins_at_once = not (
            world.dispatch_us or world.container_start_us or any(image >= 0 for image in world.image)
        )
        self._next_job = 0
        self._submission_us = world.submit_us[0] if world.submit_us else NEVER  # of the next job
        self._pass_interval = plan.policy.scheduling_interval_us
        self._last_us = 0
        self._watched_us = -1
        self._idle_rounds = 0
        self._rounds = 0
        self._ended_jobs = 0

    def run(self, horizon_us: int | None) -> Scheduler:
        self._machines_join()
        self._tick.callbacks = self._callbacks
        self._tick.succeed()
        self._due[0] = _WAKE
        self._expect_submission()
        if horizon_us is None:
            self._env.run()
        else:
            self._env.run(until=horizon_us)
            self._submit(horizon_us)
        self._close(horizon_us)
        return self._core

    # --- one instant --------------------------------------------------------------------------

    def _instant(self, event: simpy.Event) -> None:
        event.callbacks = self._callbacks  # the one event serves all instants
        now: int = self._env.now  # type: ignore[assignment]
        if now == self._last_us or self._report is not None:
            self._look_around(now)
        self._last_us = now
        happened = self._due.pop(now)
        core = self._core
        if self._submission_us < now:
            self._submit(now)
        if isinstance(happened, list):
            happened.sort()
            for entry in happened:
                self._deliver(now, entry)
        elif happened < _EXITS_END:
            self._exit(now, happened)
        elif happened != _WAKE:
            self._deliver(now, happened)
        if self._submission_us == now:
            self._submit(now + 1)
        if core.due_us <= now:
            self._decide(now)
        wakeup = core.due_us
        if wakeup != self._wakeup or wakeup <= now:
            self._wakeup = wakeup
            self._expect(wakeup)

    def _look_around(self, now: int) -> None:
        """Law L17: an instant at which rounds go on although nothing is submitted or ends is a bug."""
        self._rounds += 1
        if self._report is not None and self._rounds % _ROUNDS_PER_REPORT == 0:
            self._report(now, self._ended_jobs)
        if now != self._watched_us:
            self._watched_us, self._idle_rounds = now, 0
        self._idle_rounds += 1
        if self._idle_rounds > _MOST_IDLE_ROUNDS:
            raise StallError(f"more than {_MOST_IDLE_ROUNDS} decisions at {now} us without any progress")

    def _decide(self, now: int) -> None:
        for command in self._core.decide(now):
            if command[0] == START:
                self._start(now, command[1], command[2])
            else:
                self._obey(now, command)

    def _expect(self, instant: int) -> None:
        """Be there at `instant`, whatever happens; NEVER is no instant."""
        if instant != NEVER and instant not in self._due:
            self._at(instant, _WAKE)

    def _at(self, instant: int, entry: int) -> None:
        """`entry` will happen at `instant`."""
        already = self._due.get(instant)
        if already is None:
            self._due[instant] = entry
            self._env.schedule(self._tick, delay=instant - self._last_us)
        elif isinstance(already, list):
            already.append(entry)
        else:
            self._due[instant] = [already, entry]

    def _deliver(self, now: int, entry: int) -> None:
        if entry < _EXITS_END:
            self._exit(now, entry)
        elif entry >= _WAKE:
            return
        elif entry >= _STARTED:
            self._started(now, entry & _INDEX)
        else:
            self._core.instance_ready(now, entry & _INDEX)

    # --- what happens -------------------------------------------------------------------------

    def _submit(self, until_us: int) -> None:
        """Tell the submissions before `until_us`, each with its instant."""
        submit_us, submitted = self._world.submit_us, self._core.job_submitted
        job, instant = self._next_job, self._submission_us
        while instant < until_us:
            submitted(instant, job)
            job += 1
            instant = submit_us[job] if job < len(submit_us) else NEVER
        self._next_job, self._submission_us = job, instant
        self._idle_rounds = 0
        self._expect_submission()

    def _expect_submission(self) -> None:
        """Be there at the pass that may start the next job to be submitted."""
        if self._submission_us != NEVER:
            self._expect(next_multiple(self._submission_us, self._pass_interval))

    def _started(self, now: int, job: int) -> None:
        core = self._core
        if core.state[job] != STARTING or self._recorder.started_us[job] != now:
            return  # the attempt ended before its container was up
        core.attempt_started(now, job)
        self._exit_at[job] = ends = now + self._world.runtime_us[job]
        self._at(ends, job)

    def _exit(self, now: int, job: int) -> None:
        if self._exit_at[job] != now:
            return  # it ended before, because it was stopped or its instance was lost
        self._exit_at[job] = -1
        core, recorder = self._core, self._recorder
        if job in self._stopped:
            code = self._stopped.pop(job)
        else:
            code = self._world.exit_code(job, core.attempt[job]) if self._fails else 0
        state = core.attempt_exited(now, job, code)
        recorder.ended_us[job] = now
        recorder.exit_code[job] = code
        self._idle_rounds = 0
        if state == RUNNABLE:
            recorder.attempts[job] = core.attempt[job]
            recorder.keep_attempt(job)
        else:
            self._ended_jobs += 1

    # --- what is asked for --------------------------------------------------------------------

    def _start(self, now: int, job: int, instance: int) -> None:
        core, recorder = self._core, self._recorder
        recorder.instance[job] = instance
        recorder.placed_us[job] = now
        if self._begins_at_once:
            starting = started = now
        else:
            starting = now + self._world.dispatch_us
            started = self._image_there(starting, job, instance) + self._world.container_start_us
        recorder.starting_us[job] = starting
        recorder.started_us[job] = started
        if started == now:  # told at once: it makes no room, so it calls for no decision
            core.attempt_started(now, job)
            self._exit_at[job] = ends = now + self._world.runtime_us[job]
            self._at(ends, job)
        else:
            self._at(started, _STARTED | job)

    def _image_there(self, starting: int, job: int, instance: int) -> int:
        """When the job's image is on the instance; a second job waits for the pull of the first."""
        job_class = self._world.class_of[job]
        image = self._world.image[job_class]
        if image < 0:
            return starting
        pulled = self._images.get((instance, image))
        if pulled is None:
            pulled = self._images[instance, image] = starting + self._world.pull_us[job_class]
        return max(starting, pulled)

    def _obey(self, now: int, command: Command) -> None:
        kind = command[0]
        if kind == LAUNCH:
            self._launch(now, *command[1:])
        elif kind == TERMINATE:
            self._recorder.i_ended_us[command[1]] = now
            self._recorder.i_end_reason[command[1]] = "scaled in: idle"
        else:
            assert kind == STOP, describe(command)
            self._stop(now, command[1])

    def _stop(self, now: int, job: int) -> None:
        """SIGTERM: the container, which is RUNNING, exits at once unless it was about to anyway."""
        if self._exit_at[job] > now:
            self._stopped[job] = _SIGTERM_EXIT
            self._exit_at[job] = now
            self._at(now, job)

    def _launch(self, now: int, index: int, environment: int, type_index: int) -> None:
        world, recorder = self._world, self._recorder
        row = recorder.add_instance(environment, type_index, now)
        assert row == index
        to_running, to_ready = world.boot.draw(world.seed, world.replication, index)
        recorder.i_running_us[index] = now + to_running
        recorder.i_ready_us[index] = now + to_running + to_ready
        self._at(now + to_running + to_ready, _READY | index)

    def _machines_join(self) -> None:
        for machine in self._world.machines:
            for number in range(machine.count):
                name = f"{machine.name}-{number + 1}" if machine.name and machine.count > 1 else machine.name
                index = self._recorder.add_instance(machine.environment, machine.type, 0, name)
                joined = self._core.instance_joined(0, machine.environment, machine.type)
                assert joined == index
                self._recorder.i_running_us[index] = self._recorder.i_ready_us[index] = 0

    # --- the end ------------------------------------------------------------------------------

    def _close(self, horizon_us: int | None) -> None:
        """Finished when every job has ended; else at the horizon; else stalled, with a reason for each."""
        core, recorder = self._core, self._recorder
        recorder.runnable_us = core.runnable_us
        recorder.state = core.state
        recorder.attempts = array("b", core.attempt)
        recorder.status_reason.update(core.status_reason)
        outcome: Outcome = "finished"
        ended_us = self._last_happening_us()
        if horizon_us is not None:
            ended_us = min(ended_us, horizon_us)
        if horizon_us is not None and (self._due or self._world.goes_on):
            if self._ended_jobs < len(recorder.state) or self._world.goes_on:
                outcome, ended_us = "horizon", horizon_us
        elif self._ended_jobs < len(recorder.state):
            outcome = "stalled"
            recorder.status_reason.update(core.waiting_reasons())
        recorder.finish(ended_us, outcome)
        if self._report is not None:
            self._report(ended_us, self._ended_jobs)

    def _last_happening_us(self) -> int:
        """The end of a run that was not cut off; later wake-ups, for time limits of the past, are nothing."""
        recorder = self._recorder
        columns = (recorder.runnable_us, recorder.ended_us, recorder.i_ready_us, recorder.i_ended_us)
        latest = max((max(column) for column in columns if column), default=0)
        return max(latest, self._world.submit_us[-1]) if self._world.submit_us else max(latest, 0)


def simulate(
    plan: Plan,
    world: World,
    recorder: Recorder,
    *,
    horizon_us: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Scheduler:
    """Run `plan` in `world` to its end, or to `horizon_us`, and fill `recorder`; gives the scheduler.

    `report(now_us, jobs_ended)` is called now and then. Jobs that are to be submitted at or after the
    horizon must not be part of the world. The cyclic garbage collector is off meanwhile: a run makes
    no cycles, and tracing millions of live integers again and again costs a tenth of it.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return SimulatedDriver(plan, world, recorder, report).run(horizon_us)
    finally:
        if was_enabled:
            gc.enable()
