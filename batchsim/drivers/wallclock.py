"""The wall-clock driver: real containers, the same scheduler.

One loop, and it alone touches the scheduler and the record. What the driver itself will do at some instant
is on its agenda; what containers do comes through the inbox. The loop waits for the first of both, tells
everything that has happened at that instant in the order of the seam, asks once, and obeys.

A timer counts at the instant for which it was set, however late the loop comes to it, so that passes and
boots fall on the instants that simulation gives them. A report counts when it became known, or now if the
scheduler is there already; so does the record, in which otherwise effects would come before their causes.
When it really happened is told to the witness.

What AWS does is still simulated: instances boot, and orders take their time to arrive. What containers do
is not. Two rules make simulation and this loop agree to the byte when a fake engine takes no time: a start
without delay is told at once, and an end that comes with its start belongs to the next round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from batchsim.core.commands import EVICT, FAIL, LAUNCH, START, START_NODES, STOP, TERMINATE, describe
from batchsim.core.fleet import GONE
from batchsim.core.grid import NEVER
from batchsim.core.states import STARTING
from batchsim.drivers import bookkeeping
from batchsim.drivers.agenda import Agenda, Entry, Kind
from batchsim.drivers.attempts import Ending
from batchsim.drivers.ec2 import Ec2
from batchsim.drivers.fargate import TokenBuckets
from batchsim.drivers.gateway import Key
from batchsim.drivers.reports import Inbox, Report, What
from batchsim.errors import StallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from batchsim.core.commands import Command
    from batchsim.core.scheduler import Scheduler
    from batchsim.drivers.containers import Containers
    from batchsim.drivers.gateway import Clock, ContainerSpec
    from batchsim.drivers.world import World
    from batchsim.results.recording import Recorder

_MOST_IDLE_ROUNDS: Final = 1_000  # law L17


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt that is not over, the instances of its nodes, and the rows of its child nodes' records."""

    job: int
    number: int
    instances: Sequence[int]
    main: int = 0
    stopped: bool = False  # before its container was begun
    rows: dict[int, int] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key(self.job, self.number, self.main)


@dataclass(frozen=True, slots=True)
class Reality:
    """What takes the place of a simulated world.

    specify     (key, instance): what a container is made of
    witness     (now, report): told of every report before the scheduler is
    progress    (now, jobs ended): told of every instant
    host_of     instance: on which of the `hosts` engines it is
    """

    clock: Clock
    inbox: Inbox
    containers: Containers
    specify: Callable[[Key, int], ContainerSpec]
    witness: Callable[[int, Report], None] = lambda *_: None
    progress: Callable[[int, int], None] = lambda *_: None
    host_of: Callable[[int], int] = lambda _: 0
    hosts: int = 1


class WallClockDriver:
    """Runs one plan with containers and records it."""

    def __init__(self, core: Scheduler, world: World, recorder: Recorder, reality: Reality) -> None:
        """Of the world only what AWS does is taken, not what becomes of attempts."""
        self._core = core
        self._world = world
        self._recorder = recorder
        self._clock = reality.clock
        self._inbox = reality.inbox
        self._containers = reality.containers
        self._specify = reality.specify
        self._witness = reality.witness
        self._progress = reality.progress
        self._host_of = reality.host_of
        self._hosts_left = set(range(reality.hosts))
        self._ec2 = Ec2(world, recorder, [each.vcpus for each in core.plan.types])
        self._buckets = TokenBuckets(world.tasks) if world.tasks is not None else None
        self._agenda = Agenda()
        self._reports: list[Report] = []
        self._attempts: dict[int, _Attempt] = {}
        self._cut_off: dict[Key, int] = {}  # child nodes whose exit code is awaited -> row of the record
        self._evicting: set[int] = set()  # to be taken from their jobs in the next round
        self._now = 0
        self._wakeup = NEVER
        self._submitted = 0
        self._open_jobs = len(world.submit_us)
        self._idle_rounds = 0
        self._interrupted_us = NEVER

    def run(self, horizon_us: int | None) -> None:
        """Until nothing can happen any more, the horizon, or an interrupt, which is a horizon as well."""
        self._agenda.add(0, Kind.WAKE)
        for row, machines in enumerate(self._world.machines):
            if machines.joins_us:
                self._agenda.add(machines.joins_us, Kind.JOINED, row)
            else:
                self._join(0, row)
        self._expect_submission()
        for index, request in enumerate(self._world.requests):
            self._agenda.add(request.at_us, Kind.REQUEST, index)
        end = NEVER if horizon_us is None else horizon_us
        while (now := self._next_instant(end)) < min(end, self._interrupted_us):
            self._instant(now)
        if self._interrupted_us < end:
            horizon_us = self._interrupted_us
        self._recorder.finish(*bookkeeping.conclude(self._core, self._recorder, self._world, horizon_us))

    @property
    def interrupted(self) -> bool:
        """Whether the run was ended before it was over, by its user or because no engine was left."""
        return self._interrupted_us != NEVER

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
            due = min(self._agenda.due_us, end)
            if self._reports:
                known = min(report.at_us for report in self._reports)
                return min(due, max(known, self._now))
            goes_on = self._open_jobs and bookkeeping.goes_on(self._core, self._world, self._now)
            if due <= self._clock.now_us() or not (awaits or goes_on):
                return due  # the rest is bookkeeping, for which nobody needs to wait
            if due == NEVER and not awaits:
                return NEVER
            self._clock.wait(self._inbox, due)

    def _collect(self) -> None:
        for report in self._inbox.drain():
            if report.what == What.INTERRUPTED:
                self._interrupted_us = max(self._now, report.at_us)
            elif report.error is not None:
                raise report.error
            else:
                self._reports.append(report)

    def _expect_submission(self) -> None:
        if self._submitted < len(self._world.submit_us):
            self._agenda.add(self._world.submit_us[self._submitted], Kind.SUBMIT)

    def _instant(self, now: int) -> None:
        if now != self._now:
            self._now, self._idle_rounds = now, 0
        self._idle_rounds += 1
        if self._idle_rounds > _MOST_IDLE_ROUNDS:
            raise StallError(f"more than {_MOST_IDLE_ROUNDS} decisions at {now} us without any progress")
        self._progress(now, len(self._world.submit_us) - self._open_jobs)
        self._act(now)
        for entry in self._happened(now):
            self._tell(now, entry)
        core = self._core
        if core.due_us <= now:
            for command in core.decide(now):
                self._obey(now, command)
        wakeup = core.due_us
        if wakeup != NEVER and (wakeup != self._wakeup or wakeup <= now):
            self._agenda.add(max(wakeup, now), Kind.WAKE)
        self._wakeup = wakeup

    def _act(self, now: int) -> None:
        """What is to be done to containers at this instant, and what comes of it at once."""
        acts = self._agenda.acts(now)
        for entry in acts:
            if entry.kind == Kind.BEGIN:
                self._begin_container(entry.key, entry.instance)
            elif self._is_current(entry.key):
                self._containers.signal(entry.key, "KILL")
        if acts:
            self._clock.wait(self._inbox, now)
            self._collect()

    def _happened(self, now: int) -> list[Entry]:
        """Everything that is to be told at this instant, in order."""
        entries = self._agenda.happened(now)
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

    def _entry(self, now: int, report: Report) -> Entry:
        key, started = report.key, report.what == What.STARTED
        if report.what == What.HOST_LOST:
            return self._agenda.told(now, Kind.LOST, report.host, report)
        attempt = self._attempts.get(key.job)
        if attempt is not None and key == attempt.key:
            return self._agenda.told(now, Kind.STARTED if started else Kind.ENDED, key.job, report)
        return self._agenda.told(now, Kind.NODE_STARTED if started else Kind.NODE_ENDED, 0, report)

    # --- what happens -------------------------------------------------------------------------

    def _tell(self, now: int, entry: Entry) -> None:
        if entry.report is not None:
            self._report(now, entry.kind, entry.report)
        elif entry.kind == Kind.READY:
            bookkeeping.register(self._core, now, entry.number)
        elif entry.kind == Kind.LAUNCH_FAILED:
            bookkeeping.fail_launch(self._core, self._recorder, self._ec2, now, entry.number)
        elif entry.kind == Kind.LOST:
            self._lose(now, entry.number)
        elif entry.kind == Kind.JOINED:
            self._join(now, entry.number)
        elif entry.kind == Kind.ENDED:
            if self._is_current(entry.key):
                self._ended(now, entry.key, Ending(None))
        elif entry.kind == Kind.SUBMIT:
            self._submit(now)
        elif entry.kind == Kind.REQUEST:
            bookkeeping.tell_request(self._core, self._world.requests[entry.number], now, self._submitted)

    def _report(self, now: int, kind: Kind, report: Report) -> None:
        key = report.key
        self._witness(now, report)
        if kind == Kind.LOST:
            self._host_lost(now, report.host)
        elif kind == Kind.NODE_ENDED:
            self._node_ended(now, report)
        elif not self._is_current(key):
            return  # the attempt ended before, because it was stopped or its instance was lost
        elif kind == Kind.NODE_STARTED:
            row = self._attempts[key.job].rows[key.node]
            self._recorder.n_started_us[row] = now
        elif kind == Kind.STARTED:
            self._started(now, key)
        else:
            assert report.ending is not None
            self._ended(now, key, report.ending)

    def _submit(self, now: int) -> None:
        submit_us = self._world.submit_us
        while self._submitted < len(submit_us) and submit_us[self._submitted] <= now:
            self._core.job_submitted(submit_us[self._submitted], self._submitted)
            self._submitted += 1
        self._idle_rounds = 0
        self._expect_submission()

    def _started(self, now: int, key: Key) -> None:
        job = key.job
        attempt, recorder = self._attempts[job], self._recorder
        self._core.attempt_started(now, job)
        recorder.started_us[job] = now
        for node, instance in enumerate(attempt.instances):
            if node != attempt.main:
                row = recorder.add_node(job, attempt.number, node, instance, now)
                recorder.n_starting_us[row] = now + self._world.dispatch_us
                attempt.rows[node] = row
                self._order_container(
                    now, attempt.key._replace(node=node), instance, recorder.n_starting_us[row]
                )

    def _ended(self, now: int, key: Key, ending: Ending) -> None:
        job = key.job
        recorder = self._recorder
        recorder.ended_us[job] = now
        attempt = self._attempts.pop(job)
        self._idle_rounds = 0
        for node, row in attempt.rows.items():
            self._end_with_main(now, attempt.key._replace(node=node), row)
        if len(attempt.instances) > 1:
            self._containers.job_ended(key)
        self._open_jobs -= bookkeeping.end_attempt(self._core, recorder, now, job, ending)

    def _end_with_main(self, now: int, key: Key, row: int) -> None:
        """The main node has ended, and its job with it: the others are stopped [spec 1.11]."""
        recorder = self._recorder
        if recorder.n_ended_us[row] >= 0:
            return
        recorder.n_ended_us[row] = now
        if recorder.n_started_us[row] >= 0:
            self._cut_off[key] = row
        self._containers.cut_off(key)

    def _node_ended(self, now: int, report: Report) -> None:
        """A child node that ends changes nothing for the others [spec 1.11]."""
        assert report.ending is not None
        recorder, key = self._recorder, report.key
        row = self._cut_off.pop(key, -1)
        if row < 0:
            if not self._is_current(key):
                return
            row = self._attempts[key.job].rows[key.node]
            recorder.n_ended_us[row] = now
        code = report.ending.exit_code
        recorder.n_exit_code[row] = -1 if code is None else code

    def _join(self, now: int, row: int) -> None:
        leaves = self._world.machines[row].leaves_us
        for instance in bookkeeping.join_machines(self._core, self._recorder, self._world, now, row):
            self._agenda.add(leaves, Kind.LOST, instance)

    def _lose(self, now: int, instance: int) -> None:
        """EC2 takes an instance back, an update does, or a machine of the user leaves."""
        if instance in self._evicting:
            self._evicting.remove(instance)
            lost = bookkeeping.evict(self._core, self._recorder, now, instance)
        else:
            lost = bookkeeping.lose(self._core, self._recorder, self._world, now, instance)
        if lost is not None:
            self._ec2.gone(instance)
            self._ended_with_host(now, lost)

    def _host_lost(self, now: int, host: int) -> None:
        """All instances of an engine are gone; without any engine the run cannot go on."""
        core, recorder = self._core, self._recorder
        for index, instance in enumerate(core.instances):
            if instance.state != GONE and self._host_of(index) == host:
                why = ("engine lost", bookkeeping.host_terminated(index))
                self._ended_with_host(now, bookkeeping.lose_host(core, recorder, now, index, why))
                self._ec2.gone(index)
        self._hosts_left.discard(host)
        if not self._hosts_left:
            self._interrupted_us = now

    def _ended_with_host(self, now: int, jobs: Iterable[tuple[int, bool]]) -> None:
        """The attempts of these jobs have ended with an instance; whether the jobs did is with them."""
        for job, ended in jobs:
            attempt = self._attempts.pop(job)
            for node, row in attempt.rows.items():
                self._end_with_main(now, attempt.key._replace(node=node), row)
            self._containers.discard(attempt.key)
            self._open_jobs -= ended
            self._idle_rounds = 0

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
            until, failed, lost = self._ec2.launch(now, command)
            self._agenda.add(until, Kind.LAUNCH_FAILED if failed else Kind.READY, command[1])
            self._agenda.add(lost, Kind.LOST, command[1])
        elif kind == EVICT:
            self._evicting.add(command[1])
            self._agenda.add(now, Kind.LOST, command[1])
        else:
            assert kind == TERMINATE, describe(command)
            bookkeeping.give_back(self._core, self._recorder, now, command[1])
            self._ec2.gone(command[1])

    def _place(self, now: int, attempt: _Attempt) -> None:
        core, recorder, job = self._core, self._recorder, attempt.job
        self._attempts[job] = attempt
        instance = attempt.instances[attempt.main]
        recorder.instance[job] = instance
        if job in core.gpus_of:
            recorder.gpus[job] = core.gpus_of[job]
        if self._buckets is not None and recorder.i_environment[instance] in self._buckets:
            placed = bookkeeping.provision(self._world, self._buckets, recorder, now, instance)
            starting = placed
            for lost_at in (bookkeeping.task_lost_at, bookkeeping.task_expires_at):
                self._agenda.add(lost_at(self._world, recorder, instance), Kind.LOST, instance)
        else:
            placed, starting = now, now + self._world.dispatch_us
        recorder.placed_us[job], recorder.starting_us[job] = placed, starting
        self._order_container(now, attempt.key, instance, starting)
        self._collect()
        for report in self._reports:
            if report.what == What.STARTED and report.key == attempt.key and report.at_us <= now:
                self._reports.remove(report)
                self._witness(now, report)
                self._started(now, attempt.key)  # at once: it makes no room, so it calls for no decision
                break

    def _order_container(self, now: int, key: Key, instance: int, starting: int) -> None:
        """The order to begin a container takes its time to arrive."""
        if starting > now:
            self._agenda.add(starting, Kind.BEGIN, key=key, instance=instance)
        else:
            self._begin_container(key, instance)

    def _begin_container(self, key: Key, instance: int) -> None:
        spec = self._specify(key, instance)
        if not self._is_current(key) or self._attempts[key.job].stopped:
            self._containers.fetch(spec)
        else:
            main = self._attempts[key.job].key
            self._containers.launch(spec, None if main == key else main)

    def _stop(self, now: int, attempt: _Attempt) -> None:
        """SIGTERM, and SIGKILL after the grace [spec 1.7]; one that is STARTING ends at once."""
        if self._core.state[attempt.job] == STARTING:
            attempt.stopped = True
            self._containers.discard(attempt.key)
            self._agenda.add(
                max(now, self._recorder.placed_us[attempt.job]), Kind.ENDED, attempt.job, attempt.key
            )
        else:
            self._containers.signal(attempt.key, "TERM")
            self._agenda.add(now + self._world.stop_grace_us, Kind.KILL, key=attempt.key)

    def _is_current(self, key: Key) -> bool:
        attempt = self._attempts.get(key.job)
        return attempt is not None and attempt.number == key.attempt
