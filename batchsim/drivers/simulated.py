"""The simulated driver: SimPy owns the clock and the event queue, the scheduler decides.

What happens is one integer in SimPy's queue (see `Clock`): kind << 40 | index. All that happens at an instant
is taken out at once and delivered in the order of these integers (exits, losses, readies, starts, requests,
pulls; then by index), and the scheduler is asked once. A consequence without delay, such as a job that runs
for no time, makes a further round at the same instant.

Submissions are sorted, so they need no place in the queue; nor does the instant at which the scheduler wants
to be asked. Each submission is told with its own instant, before anything later and after anything earlier;
but it calls for no decision before the next pass, so that the clock stops for it only there.

What becomes of an attempt is for `attempts` to say. Three shortcuts pass it by, for runs in which all
attempts begin at once, all end well, and both without any loss: these are the hot path.
"""

from __future__ import annotations

import gc
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from batchsim.core.commands import EVICT, FAIL, LAUNCH, START, START_NODES, STOP, TERMINATE, describe
from batchsim.core.fleet import GONE
from batchsim.core.grid import NEVER, next_multiple
from batchsim.core.scheduler import Scheduler
from batchsim.core.states import STARTING
from batchsim.drivers import bookkeeping
from batchsim.drivers.attempts import Attempts, all_begin_at_once, all_end_well, none_is_lost
from batchsim.drivers.clock import AFTER_EVENTS, Clock, Entry
from batchsim.drivers.ec2 import Ec2
from batchsim.errors import StallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from batchsim.core.commands import Command
    from batchsim.core.plan import Plan
    from batchsim.drivers.world import World
    from batchsim.results.recording import Recorder

_KIND_BITS: Final = 40
_INDEX: Final = (1 << _KIND_BITS) - 1
_EXITS_END: Final = 1 << _KIND_BITS  # an exit is the job's number itself
_LOST: Final = 1 << _KIND_BITS
_READY: Final = 2 << _KIND_BITS
_LAUNCH_FAILED: Final = 3 << _KIND_BITS
_JOINED: Final = 4 << _KIND_BITS
_STARTED: Final = 5 << _KIND_BITS
_REQUEST: Final = 6 << _KIND_BITS
_PULLS: Final = 7 << _KIND_BITS
_NOTHING: Final = 8 << _KIND_BITS
_NEVER: Final[Entry] = (NEVER, AFTER_EVENTS, _NOTHING, None)

_MOST_IDLE_ROUNDS: Final = 1_000  # law L17
_ROUNDS_PER_REPORT: Final = 1 << 13


class SimulatedDriver:
    """Runs one plan in one world and records it. Use `simulate`."""

    __slots__ = (
        "_attempts",
        "_begins_at_once",
        "_clock",
        "_core",
        "_ec2",
        "_ended_jobs",
        "_ended_us",
        "_ends_well",
        "_evicting",
        "_exit_at",
        "_idle_rounds",
        "_last_us",
        "_next_job",
        "_pass_interval",
        "_placed_us",
        "_plain",
        "_pulls_due",
        "_puts_off",
        "_queue",
        "_recorder",
        "_report",
        "_rounds",
        "_runtime_us",
        "_submission_pass_us",
        "_submission_us",
        "_submit_us",
        "_tasks_expire",
        "_watched_us",
        "_world",
    )

    def __init__(
        self, plan: Plan, world: World, recorder: Recorder, report: Callable[[int, int], None] | None = None
    ) -> None:
        self._core = Scheduler(plan)
        self._world = world
        self._recorder = recorder
        # Columns that the hot path writes and reads.
        self._placed_us, self._ended_us = recorder.placed_us, recorder.ended_us
        self._submit_us, self._runtime_us = world.submit_us, world.runtime_us
        self._report = report
        self._clock = Clock()
        self._queue: list[Entry] = self._clock.queue
        self._attempts = Attempts(plan, world, recorder)
        self._pulls_due = NEVER  # when pulls are to be looked at next
        self._puts_off = self._attempts.puts_off
        self._ec2 = Ec2(world, recorder, [each.vcpus for each in plan.types])
        self._tasks_expire = world.tasks is not None and world.tasks.lifetime_us > 0
        self._begins_at_once = all_begin_at_once(plan, world)
        self._ends_well = all_end_well(plan, world)
        self._plain = self._begins_at_once and self._ends_well and none_is_lost(plan, world)
        self._exit_at = [] if self._plain else [-1] * len(world.submit_us)
        self._evicting: set[int] = set()  # to be taken from their jobs in the next round
        self._next_job = 0
        self._submission_us = world.submit_us[0] if world.submit_us else NEVER  # of the next job
        self._submission_pass_us = NEVER  # the pass that may start it
        self._pass_interval = 0 if _may_fail_at_once(plan) else plan.policy.scheduling_interval_us
        self._last_us = 0
        self._watched_us = -1
        self._idle_rounds = 0
        self._rounds = 0
        self._ended_jobs = 0

    def run(self, horizon_us: int | None) -> Scheduler:
        for row, machines in enumerate(self._world.machines):
            if machines.joins_us:
                self._at(machines.joins_us, _JOINED | row)
            else:
                self._join(0, row)
        self._expect_submission()
        for index, request in enumerate(self._world.requests):
            self._at(request.at_us, _REQUEST | index)
        self._go_on(NEVER if horizon_us is None else horizon_us)
        if horizon_us is not None:
            self._submit(horizon_us)
        self._close(horizon_us)
        return self._core

    # --- one instant --------------------------------------------------------------------------

    def _go_on(self, until_us: int) -> None:
        """All that happens before `until_us`."""
        clock, queue, core = self._clock, self._queue, self._core
        while True:
            wakeup = min(core.due_us, self._submission_pass_us)
            now, _, entry, event = queue[0] if queue else _NEVER
            if min(now, wakeup) >= until_us:
                break
            if now > wakeup:
                now, entry = max(wakeup, self._last_us), _NOTHING
            elif event is None:
                heappop(queue)
            else:
                clock.step()
                continue
            clock._now = now  # noqa: SLF001 - a call would cost more than the rest of the loop
            self._instant(now, entry)

    def _instant(self, now: int, first: int) -> None:
        """A round; `first` is what comes first in it, what else there may be is in the queue."""
        core = self._core
        if now == self._last_us or self._report is not None:
            self._look_around(now)
        self._last_us = now
        if self._submission_us < now:
            self._submit(now)
        if self._next_us() != now:
            self._deliver(now, first)
        else:
            for entry in self._round(now, first):
                self._deliver(now, entry)
        if self._submission_us == now:
            self._submit(now + 1)
        if core.due_us <= now:
            self._decide(now)

    def _round(self, now: int, first: int) -> list[int]:
        """What happens in this round; what comes of it at this instant is for the next one."""
        entries = [first]
        while self._next_us() == now:
            entries.append(heappop(self._queue)[2])
        return entries

    def _next_us(self) -> int:
        """The instant of what is first in the queue."""
        return self._queue[0][0] if self._queue else NEVER

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
            kind: int = command[0]
            if kind == START:
                self._start(now, command[1], command[2])
            else:
                self._obey(now, command)

    def _at(self, instant: int, entry: int) -> None:
        """`entry` will happen at `instant`."""
        heappush(self._queue, (instant, AFTER_EVENTS, entry, None))

    def _deliver(self, now: int, entry: int) -> None:
        if entry < _EXITS_END:
            self._exit(now, entry)
        elif entry >= _NOTHING:
            return
        elif entry >= _PULLS:
            self._attempts.turn(now)
            self._put_off(now)
        elif entry >= _REQUEST:
            self._request(now, entry & _INDEX)
        elif entry >= _STARTED:
            self._started(now, entry & _INDEX)
        elif entry >= _JOINED:
            self._join(now, entry & _INDEX)
        elif entry >= _LAUNCH_FAILED:
            bookkeeping.fail_launch(self._core, self._recorder, self._ec2, now, entry & _INDEX)
        elif entry >= _READY:
            bookkeeping.register(self._core, now, entry & _INDEX)
        else:
            self._lose(now, entry & _INDEX)

    # --- what happens -------------------------------------------------------------------------

    def _submit(self, until_us: int) -> None:
        """Tell the submissions before `until_us`, each with its instant."""
        submit_us, core = self._submit_us, self._core
        job, instant = self._next_job, self._submission_us
        while instant < until_us:
            core.job_submitted(instant, job)
            job += 1
            instant = submit_us[job] if job < len(submit_us) else NEVER
        self._next_job, self._submission_us = job, instant
        self._idle_rounds = 0
        self._expect_submission()

    def _expect_submission(self) -> None:
        """Be there at the pass that may start the next job to be submitted."""
        submission_us = self._submission_us
        self._submission_pass_us = (
            NEVER if submission_us == NEVER else next_multiple(submission_us, self._pass_interval)
        )

    def _started(self, now: int, job: int) -> None:
        if self._core.state[job] == STARTING and self._recorder.started_us[job] == now:
            self._run(now, job)  # else the attempt ended before its container was up

    def _run(self, now: int, job: int) -> None:
        core = self._core
        core.attempt_started(now, job)
        self._exit_at[job] = ends = now + self._attempts.runtime_us(job, core.attempt[job])
        self._at(ends, job)
        self._expire(now, job, ends)
        self._attempts.begin_children(now, job, core.attempt[job])
        self._put_off(now)

    def _exit(self, now: int, job: int) -> None:
        if not self._plain:
            if self._exit_at[job] != now:
                return  # it ended before, because it was stopped or its instance was lost
            self._exit_at[job] = -1
        self._ended_us[job] = now
        self._idle_rounds = 0
        if self._ends_well:
            self._core.attempt_exited(now, job, 0)
            if not self._plain:
                self._recorder.exit_code[job] = 0
            self._ended_jobs += 1
        else:
            self._exit_somehow(now, job)

    def _exit_somehow(self, now: int, job: int) -> None:
        instance = self._recorder.instance[job]
        ending = self._attempts.end(now, job, self._core.attempt[job])
        self._ended_jobs += bookkeeping.end_attempt(self._core, self._recorder, now, job, ending)
        if self._puts_off and self._core.instances[instance].state == GONE:
            self._gone(now, instance)  # a task

    def _join(self, now: int, row: int) -> None:
        leaves = self._world.machines[row].leaves_us
        for instance in bookkeeping.join_machines(self._core, self._recorder, self._world, now, row):
            if leaves != NEVER:
                self._at(leaves, _LOST | instance)

    def _lose(self, now: int, instance: int) -> None:
        """EC2 takes an instance back, an update does, or a machine of the user leaves."""
        assert not self._plain
        if instance in self._evicting:
            self._evicting.remove(instance)
            lost = bookkeeping.evict(self._core, self._recorder, now, instance)
        else:
            lost = bookkeeping.lose(self._core, self._recorder, self._world, now, instance)
        if lost is not None:
            self._ended_with_host(now, lost)
            self._gone(now, instance)

    def _gone(self, now: int, instance: int) -> None:
        self._ec2.gone(instance)
        if self._puts_off:
            self._attempts.gone(now, instance)
            self._put_off(now)

    def _ended_with_host(self, now: int, jobs: Iterable[tuple[int, bool]]) -> None:
        for job, ended in jobs:
            self._exit_at[job] = -1
            self._attempts.forget(now, job)
            self._ended_jobs += ended
            self._idle_rounds = 0

    def _request(self, now: int, index: int) -> None:
        """What a user does comes after the submissions of that instant."""
        self._submit(now + 1)
        bookkeeping.tell_request(self._core, self._world.requests[index], now, self._next_job)

    # --- what is asked for --------------------------------------------------------------------

    def _start(self, now: int, job: int, instance: int) -> None:
        if not self._begins_at_once:
            self._begin(now, job, *self._attempts.place(now, job, self._core.attempt[job], instance))
            self._put_off(now)
            if self._world.tasks is not None:
                lost = bookkeeping.task_lost_at(self._world, self._recorder, instance)
                if lost != NEVER:
                    self._at(lost, _LOST | instance)
            return
        self._placed_us[job] = now
        ends = now + self._runtime_us[job]
        if not self._plain:
            recorder = self._recorder
            recorder.instance[job] = instance
            recorder.starting_us[job] = recorder.started_us[job] = now
            self._exit_at[job] = ends
        self._core.attempt_started(now, job)
        self._at(ends, job)

    def _begin(self, now: int, job: int, instant: int, ends: bool) -> None:  # noqa: FBT001 - as `place` gives it
        """A placed attempt is RUNNING at `instant`, or ends there."""
        if job in self._core.gpus_of:
            self._recorder.gpus[job] = self._core.gpus_of[job]
        if ends:
            self._exit_at[job] = instant
        # At one instant exits come before losses, and these before starts.
        self._expire(now, job, instant if ends or instant == NEVER else instant + 1)
        if instant == NEVER:
            return  # it will be told when it is known
        if ends:
            self._at(instant, job)
        elif instant == now:  # told at once: it makes no room, so it calls for no decision
            self._run(now, job)
        else:
            self._at(instant, _STARTED | job)

    def _expire(self, now: int, job: int, until: int) -> None:
        """A task that is to go on until then may be too old before; most are not, and need no event."""
        if self._tasks_expire:
            instance = self._recorder.instance[job]
            expires = bookkeeping.task_expires_at(self._world, self._recorder, instance)
            if expires < until:
                self._at(max(now, expires), _LOST | instance)

    def _put_off(self, now: int) -> None:
        """Attempts whose images come later than was told, since others are pulled as well."""
        if not self._puts_off:
            return
        for job, instant, ends in self._attempts.moved():
            self._begin(now, job, instant, ends)
        due = self._attempts.due_us
        if due != self._pulls_due:
            self._pulls_due = due
            if due != NEVER:
                self._at(due, _PULLS)

    def _obey(self, now: int, command: Command) -> None:
        kind = command[0]
        if kind == LAUNCH:
            until, failed, lost = self._ec2.launch(now, command)
            if until != NEVER:
                self._at(until, (_LAUNCH_FAILED if failed else _READY) | command[1])
            if lost != NEVER:
                self._at(lost, _LOST | command[1])
        elif kind == TERMINATE:
            bookkeeping.give_back(self._core, self._recorder, now, command[1])
            self._gone(now, command[1])
        elif kind == EVICT:
            self._evicting.add(command[1])
            self._at(now, _LOST | command[1])
        elif kind == STOP:
            self._stop(now, command[1])
        elif kind == FAIL:
            self._recorder.ended_us[command[1]] = now
            self._ended_jobs += 1
            self._idle_rounds = 0
        else:
            assert kind == START_NODES, describe(command)
            _, job, instances = command
            self._begin(now, job, *self._attempts.place_nodes(now, job, self._core.attempt[job], instances))
            self._put_off(now)

    def _stop(self, now: int, job: int) -> None:
        ends = self._attempts.stop(now, job, self._core.state[job], self._exit_at[job])
        if ends != self._exit_at[job]:
            self._exit_at[job] = ends
            self._at(ends, job)

    def _close(self, horizon_us: int | None) -> None:
        if self._plain:
            self._recorder.fill_in_plain_attempts(self._core.instance_of)
        ended_us, outcome = bookkeeping.conclude(self._core, self._recorder, self._world, horizon_us)
        self._attempts.close(ended_us)
        self._recorder.finish(ended_us, outcome)
        if self._report is not None:
            self._report(ended_us, self._ended_jobs)


def _may_fail_at_once(plan: Plan) -> bool:
    """Whether a submission may call for a decision: jobs that wait for others, refused calls."""
    return bool(plan.graph.jobs or plan.updates) or any(queue.fair_share for queue in plan.queues)


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
