"""The wall-clock driver: real containers, the same scheduler.

One loop, and it alone touches the scheduler and the record. What the driver itself will do at some instant
is in `_timers`; what containers do comes through the inbox. The loop waits for the first of both, tells
everything that has happened at that instant in the order of the seam, asks once, and obeys.

A timer counts at the instant for which it was set, however late the loop comes to it, so that passes and
boots fall on the instants that simulation gives them. A report counts when it became known, or now if the
scheduler is there already; the record holds when it really happened.

What AWS does is still simulated: instances boot, and orders take their time to arrive. What containers do
is not. Two rules make simulation and this loop agree to the byte when a fake engine takes no time: a start
without delay is told at once, and an end that comes with its start belongs to the next round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from batchsim.core.commands import FAIL, LAUNCH, START, START_NODES, STOP, TERMINATE, describe
from batchsim.core.grid import NEVER
from batchsim.core.states import STARTING
from batchsim.drivers import bookkeeping
from batchsim.drivers.attempts import Ending
from batchsim.drivers.gateway import NOBODY, Key
from batchsim.drivers.reports import Inbox, Report, What
from batchsim.errors import StallError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsim.core.commands import Command
    from batchsim.core.scheduler import Scheduler
    from batchsim.drivers.containers import Containers
    from batchsim.drivers.gateway import Clock, ContainerSpec
    from batchsim.drivers.world import World
    from batchsim.results.recording import Recorder

# What the driver does to containers before it tells what has happened at the same instant ...
_BEGIN, _KILL = range(2)
# ... and what it tells, in this order. Child nodes are not the scheduler's business and come first.
_NODE_STARTED, _NODE_ENDED, _ENDED, _LOST, _READY, _STARTED, _SUBMIT, _REQUEST, _WAKE = range(10, 19)

_MOST_IDLE_ROUNDS: Final = 1_000  # law L17


class _Entry(NamedTuple):
    """A timer, or something that has happened; sorted by instant, kind, number."""

    at_us: int
    kind: int
    number: int
    order: int
    key: Key = NOBODY
    report: Report | None = None
    instance: int = -1


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt that is not over, the instances of its nodes, and the rows of its child nodes' records."""

    job: int
    number: int
    instances: Sequence[int]
    main: int = 0
    rows: dict[int, int] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key(self.job, self.number, self.main)


@dataclass(frozen=True, slots=True)
class Reality:
    """What takes the place of a simulated world; `specify(key, instance)` says what a container is."""

    clock: Clock
    inbox: Inbox
    containers: Containers
    specify: Callable[[Key, int], ContainerSpec]


class WallClockDriver:
    """Runs one plan with containers and records it."""

    def __init__(self, core: Scheduler, world: World, recorder: Recorder, reality: Reality) -> None:
        """Of the world only what AWS does is taken, not what becomes of attempts."""
        self._core = core
        if world.interruptions is not None or world.capacity.shortage_of or world.tasks is not None:
            raise UsageError("real containers run on instances that are neither interrupted nor refused")
        self._world = world
        self._recorder = recorder
        self._clock = reality.clock
        self._inbox = reality.inbox
        self._containers = reality.containers
        self._specify = reality.specify
        self._timers: list[_Entry] = []
        self._reports: list[Report] = []
        self._attempts: dict[int, _Attempt] = {}
        self._cut_off: dict[Key, int] = {}  # child nodes whose exit code is awaited -> row of the record
        self._order = 0
        self._now = 0
        self._wakeup = NEVER
        self._submitted = 0
        self._open_jobs = len(world.submit_us)
        self._idle_rounds = 0
        self._interrupted_us = NEVER

    def run(self, horizon_us: int | None) -> None:
        """Until nothing can happen any more, the horizon, or an interrupt, which is a horizon as well."""
        bookkeeping.join_machines(self._core, self._recorder, self._world.machines)
        self._at(0, _WAKE)
        self._expect_submission()
        for index, request in enumerate(self._world.requests):
            self._at(request.at_us, _REQUEST, index)
        end = NEVER if horizon_us is None else horizon_us
        while (now := self._next_instant(end)) < min(end, self._interrupted_us):
            self._instant(now)
        if self._interrupted_us < end:
            horizon_us = self._interrupted_us
        self._recorder.finish(*bookkeeping.conclude(self._core, self._recorder, self._world, horizon_us))

    # --- time ---------------------------------------------------------------------------------

    def _next_instant(self, end: int) -> int:
        """When something happens next, `end` at the latest; NEVER if nothing can."""
        while True:
            awaits = bool(self._attempts or self._cut_off)
            if awaits:
                self._clock.wait(self._inbox, self._now)
            self._collect()
            if self._interrupted_us != NEVER:
                return self._interrupted_us
            due = min(self._timers[0].at_us if self._timers else NEVER, end)
            if self._reports:
                known = min(report.at_us for report in self._reports)
                return min(due, max(known, self._now))
            if due <= self._clock.now_us() or not (awaits or self._open_jobs):
                return due  # the rest is bookkeeping, for which nobody needs to wait
            if due == NEVER and not awaits:
                return NEVER
            self._clock.wait(self._inbox, due)

    def _collect(self) -> None:
        for report in self._inbox.drain():
            if report.what == What.INTERRUPTED:
                self._interrupted_us = max(self._now, report.at_us)
            else:
                self._reports.append(report)

    def _at(self, at_us: int, kind: int, number: int = 0, key: Key = NOBODY, instance: int = -1) -> None:
        self._order += 1
        heappush(self._timers, _Entry(at_us, kind, number, self._order, key, None, instance))

    def _expect_submission(self) -> None:
        if self._submitted < len(self._world.submit_us):
            self._at(self._world.submit_us[self._submitted], _SUBMIT)

    def _instant(self, now: int) -> None:
        if now != self._now:
            self._now, self._idle_rounds = now, 0
        self._idle_rounds += 1
        if self._idle_rounds > _MOST_IDLE_ROUNDS:
            raise StallError(f"more than {_MOST_IDLE_ROUNDS} decisions at {now} us without any progress")
        self._act(now)
        for entry in self._happened(now):
            self._tell(now, entry)
        core = self._core
        if core.due_us <= now:
            for command in core.decide(now):
                self._obey(now, command)
        wakeup = core.due_us
        if wakeup != NEVER and (wakeup != self._wakeup or wakeup <= now):
            self._at(max(wakeup, now), _WAKE)
        self._wakeup = wakeup

    def _act(self, now: int) -> None:
        """What is to be done to containers at this instant, and what comes of it at once."""
        acted = False
        while self._timers and self._timers[0].at_us <= now and self._timers[0].kind <= _KILL:
            entry = heappop(self._timers)
            acted = True
            if entry.kind == _BEGIN:
                self._begin_container(entry.key, entry.instance)
            elif self._is_current(entry.key):
                self._containers.signal(entry.key, "KILL")
        if acted:
            self._clock.wait(self._inbox, now)
            self._collect()

    def _happened(self, now: int) -> list[_Entry]:
        """Everything that is to be told at this instant, in order."""
        entries = []
        while self._timers and self._timers[0].at_us <= now:
            entries.append(heappop(self._timers))
        later = []
        for report in self._reports:
            if report.at_us > now or self._comes_with_its_start(report):
                later.append(report)
            else:
                entries.append(self._entry(now, report))
        self._reports = later
        return sorted(entries, key=lambda entry: (entry.kind, entry.number, entry.order))

    def _comes_with_its_start(self, report: Report) -> bool:
        """An end with an exit code, of an attempt whose start was not told yet."""
        if report.what != What.ENDED or report.ending is None or report.ending.exit_code is None:
            return False
        key = report.key
        return self._is_current(key) and self._core.state[key.job] == STARTING

    def _entry(self, now: int, report: Report) -> _Entry:
        key, started = report.key, report.what == What.STARTED
        self._order += 1
        attempt = self._attempts.get(key.job)
        if attempt is not None and key == attempt.key:
            return _Entry(now, _STARTED if started else _ENDED, key.job, self._order, key, report)
        return _Entry(now, _NODE_STARTED if started else _NODE_ENDED, 0, self._order, key, report)

    # --- what happens -------------------------------------------------------------------------

    def _tell(self, now: int, entry: _Entry) -> None:
        if entry.report is not None:
            self._report(now, entry.kind, entry.report)
        elif entry.kind == _READY:
            self._core.instance_ready(now, entry.number)
        elif entry.kind == _SUBMIT:
            self._submit(now)
        elif entry.kind == _REQUEST:
            bookkeeping.tell_request(self._core, self._world.requests[entry.number], now, self._submitted)

    def _report(self, now: int, kind: int, report: Report) -> None:
        key = report.key
        if kind == _NODE_ENDED:
            self._node_ended(report)
        elif not self._is_current(key):
            return  # the attempt ended before, because it was stopped or its instance was lost
        elif kind == _NODE_STARTED:
            row = self._attempts[key.job].rows[key.node]
            self._recorder.n_started_us[row] = max(report.happened_us, self._recorder.n_starting_us[row])
        elif kind == _STARTED:
            self._started(now, report)
        else:
            self._ended(now, report)

    def _submit(self, now: int) -> None:
        submit_us = self._world.submit_us
        while self._submitted < len(submit_us) and submit_us[self._submitted] <= now:
            self._core.job_submitted(submit_us[self._submitted], self._submitted)
            self._submitted += 1
        self._idle_rounds = 0
        self._expect_submission()

    def _started(self, now: int, report: Report) -> None:
        job = report.key.job
        attempt, recorder = self._attempts[job], self._recorder
        self._core.attempt_started(now, job)
        recorder.started_us[job] = max(report.happened_us, recorder.starting_us[job])
        for node, instance in enumerate(attempt.instances):
            if node != attempt.main:
                row = recorder.add_node(job, attempt.number, node, instance, now)
                recorder.n_starting_us[row] = now + self._world.dispatch_us
                attempt.rows[node] = row
                self._order_container(now, attempt.key._replace(node=node), instance)

    def _ended(self, now: int, report: Report) -> None:
        assert report.ending is not None
        job = report.key.job
        recorder = self._recorder
        recorder.ended_us[job] = max(report.happened_us, recorder.started_us[job], recorder.placed_us[job])
        attempt = self._attempts.pop(job)
        self._idle_rounds = 0
        for node, row in attempt.rows.items():
            self._end_with_main(attempt.key._replace(node=node), row, recorder.ended_us[job])
        if len(attempt.instances) > 1:
            self._containers.job_ended(report.key)
        self._open_jobs -= bookkeeping.end_attempt(self._core, recorder, now, job, report.ending)

    def _end_with_main(self, key: Key, row: int, ended_us: int) -> None:
        """The main node has ended, and its job with it: the others are stopped [spec 1.11]."""
        recorder = self._recorder
        if recorder.n_ended_us[row] >= 0:
            return
        recorder.n_ended_us[row] = max(ended_us, recorder.n_placed_us[row])
        if recorder.n_started_us[row] >= 0:
            self._cut_off[key] = row
        self._containers.cut_off(key)

    def _node_ended(self, report: Report) -> None:
        """A child node that ends changes nothing for the others [spec 1.11]."""
        assert report.ending is not None
        recorder, key = self._recorder, report.key
        row = self._cut_off.pop(key, -1)
        if row < 0:
            if not self._is_current(key):
                return
            row = self._attempts[key.job].rows[key.node]
            began = max(recorder.n_started_us[row], recorder.n_placed_us[row])
            recorder.n_ended_us[row] = max(report.happened_us, began)
        code = report.ending.exit_code
        recorder.n_exit_code[row] = -1 if code is None else code

    # --- what is asked for --------------------------------------------------------------------

    def _obey(self, now: int, command: Command) -> None:
        kind = command[0]
        if kind == START:
            _, job, instance = command
            self._place(now, _Attempt(job, self._core.attempt[job], (instance,)))
        elif kind == START_NODES:
            _, job, instances = command
            plan = self._core.plan
            gang = plan.gangs[plan.classes[plan.class_of[job]].need]
            assert gang is not None
            self._place(now, _Attempt(job, self._core.attempt[job], instances, gang.main))
        elif kind == STOP:
            self._stop(now, self._attempts[command[1]])
        elif kind == FAIL:
            self._recorder.ended_us[command[1]] = now
            self._open_jobs -= 1
            self._idle_rounds = 0
        elif kind == LAUNCH:
            launched = bookkeeping.launch(self._world, self._recorder, now, command)
            self._at(launched.until_us, _READY, command[1])
        else:
            assert kind == TERMINATE, describe(command)
            bookkeeping.give_back(self._recorder, now, command[1])

    def _place(self, now: int, attempt: _Attempt) -> None:
        core, recorder, job = self._core, self._recorder, attempt.job
        self._attempts[job] = attempt
        instance = attempt.instances[attempt.main]
        recorder.placed_us[job] = now
        recorder.instance[job] = instance
        recorder.starting_us[job] = now + self._world.dispatch_us
        if job in core.gpus_of:
            recorder.gpus[job] = core.gpus_of[job]
        self._order_container(now, attempt.key, instance)
        self._collect()
        for report in self._reports:
            if report.what == What.STARTED and report.key == attempt.key and report.at_us <= now:
                self._reports.remove(report)
                self._started(now, report)  # at once: it makes no room, so it calls for no decision
                break

    def _order_container(self, now: int, key: Key, instance: int) -> None:
        """The order to begin a container takes its time to arrive."""
        if self._world.dispatch_us:
            self._at(now + self._world.dispatch_us, _BEGIN, key=key, instance=instance)
        else:
            self._begin_container(key, instance)

    def _begin_container(self, key: Key, instance: int) -> None:
        spec = self._specify(key, instance)
        if not self._is_current(key):
            self._containers.fetch(spec)
        else:
            main = self._attempts[key.job].key
            self._containers.launch(spec, None if main == key else main)

    def _stop(self, now: int, attempt: _Attempt) -> None:
        """SIGTERM, and SIGKILL after the grace [spec 1.7]; one that is STARTING ends at once."""
        if self._core.state[attempt.job] == STARTING:
            self._containers.discard(attempt.key)
            self._reports.append(Report(now, What.ENDED, attempt.key, Ending(None), now))
        else:
            self._containers.signal(attempt.key, "TERM")
            self._at(now + self._world.stop_grace_us, _KILL, key=attempt.key)

    def _is_current(self, key: Key) -> bool:
        attempt = self._attempts.get(key.job)
        return attempt is not None and attempt.number == key.attempt
