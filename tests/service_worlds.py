"""Plans of service jobs, a scheduler whose laws are checked after every call, and a driver on a bare heap."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from batchsim.core.services import invariants
from batchsim.core.services.commands import FAIL, SCHEDULE, describe
from batchsim.core.services.plan import (
    QuotaSharePlan,
    ServiceClassPlan,
    ServiceEnvironmentPlan,
    ServicePlan,
    ServiceQueuePlan,
)
from batchsim.core.services.scheduler import ServiceScheduler
from batchsim.core.services.states import FAILED, RUNNING, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = 1_000_000


def quota(name: str, *limits: int, strategy: str = "RESERVE", borrow: int = -1, in_share: bool = False):
    return QuotaSharePlan(name, limits, strategy, borrow, in_share)


class ServiceBuilder:
    """Collects jobs and turns them into a plan; jobs must be added in order of submission."""

    def __init__(
        self,
        environments: Sequence[ServiceEnvironmentPlan] = (ServiceEnvironmentPlan("training", (50,)),),
        queues: Sequence[ServiceQueuePlan] = (ServiceQueuePlan("q", 1, 0),),
        **plan: Any,
    ) -> None:
        self.environments, self.queues, self.more = environments, queues, plan
        self.classes: dict[ServiceClassPlan, int] = {}
        self.class_of = array("i")

    @classmethod
    def of_shares(cls, *shares: QuotaSharePlan, limits: tuple[int, ...], **more: Any) -> ServiceBuilder:
        queue = ServiceQueuePlan("q", 1, 0, quota_shares=shares, **more)
        return cls([ServiceEnvironmentPlan("training", limits)], [queue])

    def job(self, instances: int = 1, share: int = -1, *, queue: int = 0, unit: int = 0, **more: Any) -> int:
        kind = ServiceClassPlan(queue, unit, instances, quota_share=share, **more)
        self.class_of.append(self.classes.setdefault(kind, len(self.classes)))
        return len(self.class_of) - 1

    def plan(self) -> ServicePlan:
        return ServicePlan(self.environments, self.queues, list(self.classes), self.class_of, **self.more)

    def checked(self) -> Checked:
        return Checked(self.plan())


class Checked:
    """A scheduler whose laws are checked after every call; its attributes pass through."""

    def __init__(self, plan: ServicePlan) -> None:
        self.core = ServiceScheduler(plan)
        self.submitted = 0
        invariants.check(self.core)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def tell(self, event: str, *arguments: Any, **more: Any) -> Any:
        answer = getattr(self.core, event)(*arguments, **more)
        invariants.check(self.core)
        return answer

    def submit(self, now: int, count: int = 1) -> None:
        for _ in range(count):
            self.tell("job_submitted", now, self.submitted)
            self.submitted += 1

    def run(self, now: int, *jobs: int) -> None:
        """The jobs, which are SCHEDULED, go on to RUNNING."""
        for job in jobs:
            self.tell("training_starting", now, job)
            self.tell("training_started", now, job)

    def end(self, now: int, *jobs: int) -> None:
        for job in jobs:
            self.tell("attempt_exited", now, job, "", succeeded=True)

    def exit(self, now: int, job: int, reason: str = "Received status from SageMaker: Stopped") -> int:
        return self.tell("attempt_exited", now, job, reason)

    def decide(self, now: int) -> list[str]:
        """The commands, described; asserts that a second decision answers nothing."""
        commands = self.core.decide(now)
        invariants.check(self.core)
        assert self.core.decide(now) == []
        return [describe(command) for command in commands]

    def scheduled(self, now: int) -> list[int]:
        """The jobs of a decision that does nothing but schedule."""
        commands = self.core.decide(now)
        invariants.check(self.core)
        assert all(command[0] == SCHEDULE for command in commands), list(map(describe, commands))
        return [command[1] for command in commands]


@dataclass
class ServiceWorld:
    """What really happens: for each job when it is submitted, how long it trains, how many of its first
    trainings fail, and how often it is refused first; delays; requests as (instant, event, job).
    """

    submit: Sequence[int]
    runtime: Sequence[int]
    failures: Sequence[int]
    refusals: Sequence[int]
    pending: int = 0
    download: int = 0
    stop: int = 0
    requests: Sequence[tuple[int, str, int]] = ()
    reasons: dict[int, str] = field(default_factory=dict)


_ENDED, _STOPPED, _REFUSED, _STARTING, _STARTED, _SUBMITTED, _REQUEST = range(7)


class HeapServices:
    """Drives schedulers that must all give the same commands; keeps what happened."""

    def __init__(self, world: ServiceWorld, *cores: Any) -> None:
        self.world, self.cores = world, cores
        self.core = cores[0]
        self.events: list[tuple[int, int, int, int]] = []
        self.log: list[tuple[int, str]] = []
        jobs = len(world.submit)
        self.failures, self.refusals = list(world.failures), list(world.refusals)
        self.serial = [0] * jobs  # of the attempt; what was expected of an earlier one does not happen
        self.ends = [0] * jobs
        self.scheduled, self.started, self.ended = ([-1] * jobs for _ in range(3))
        for job, at in enumerate(world.submit):
            heappush(self.events, (at, _SUBMITTED, job, 0))
        for index, (at, _, _) in enumerate(world.requests):
            heappush(self.events, (at, _REQUEST, index, 0))

    def tell(self, event: str, *arguments: Any, **more: Any) -> None:
        answers = [getattr(core, event)(*arguments, **more) for core in self.cores]
        assert all(answer == answers[0] for answer in answers), (event, arguments, answers)

    def run(self, most_instants: int = 100_000) -> None:
        for _ in range(most_instants):
            wakeups = [core.next_wakeup() for core in self.cores]
            instants = [each for each in wakeups if each is not None]
            if self.events:
                instants.append(self.events[0][0])
            if not instants:
                return
            now = min(instants)
            happened = []
            while self.events and self.events[0][0] == now:
                happened.append(heappop(self.events))
            for _, kind, index, serial in happened:
                self.deliver(now, kind, index, serial)
            answers = [core.decide(now) for core in self.cores]
            assert all(answer == answers[0] for answer in answers), (now, answers)
            for command in answers[0]:
                self.log.append((now, describe(command)))
                self.obey(now, command)
        raise AssertionError("the run does not end")

    def at(self, instant: int, kind: int, job: int) -> None:
        heappush(self.events, (instant, kind, job, self.serial[job]))

    def deliver(self, now: int, kind: int, job: int, serial: int) -> None:
        if kind == _SUBMITTED:
            self.tell("job_submitted", now, job)
        elif kind == _REQUEST:
            _, event, target = self.world.requests[job]
            if self.world.submit[target] <= now:
                self.tell(event, now, target, "as asked")
        elif serial == self.serial[job]:
            self.of_attempt(now, kind, job)
            if self.core.state[job] in (SUCCEEDED, FAILED):
                self.ended[job] = now

    def of_attempt(self, now: int, kind: int, job: int) -> None:
        world = self.world
        if kind == _REFUSED:
            self.tell("capacity_refused", now, job)
        elif kind == _STARTING:
            self.tell("training_starting", now, job)
            self.at(now + world.download, _STARTED, job)
        elif kind == _STARTED:
            self.tell("training_started", now, job)
            self.started[job] = now if self.started[job] < 0 else self.started[job]
            self.ends[job] = now + world.runtime[job]
            self.at(self.ends[job], _ENDED, job)
        else:
            fails = kind == _STOPPED or self.failures[job] > 0
            if fails and kind == _ENDED and not self.core.is_stopping(job):
                self.failures[job] -= 1
            self.tell("attempt_exited", now, job, world.reasons.get(job, "failed"), succeeded=not fails)

    def obey(self, now: int, command: tuple[Any, ...]) -> None:
        kind, job = command[:2]
        if kind == FAIL:
            self.ended[job] = now
        elif kind == SCHEDULE:
            self.serial[job] += 1
            self.scheduled[job] = now if self.scheduled[job] < 0 else self.scheduled[job]
            refused = self.refusals[job] > 0
            self.refusals[job] -= 1
            self.at(now + self.world.pending, _REFUSED if refused else _STARTING, job)
        else:
            self.stop(now, job)

    def stop(self, now: int, job: int) -> None:
        """A training takes its time to stop, unless it ends by itself before."""
        runs = self.core.state[job] == RUNNING
        stopped = now + (self.world.stop if runs else 0)
        if not runs or self.ends[job] > stopped:
            self.serial[job] += 1
            self.at(stopped, _STOPPED, job)


__all__ = ["SECOND", "Checked", "HeapServices", "ServiceBuilder", "ServiceWorld", "quota"]
