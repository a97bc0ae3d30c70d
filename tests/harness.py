"""Build small plans, and drive a scheduler with every law checked after every call."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from batchsim.core import invariants
from batchsim.core.commands import LAUNCH, START, STOP, TERMINATE, describe
from batchsim.core.dependencies import Graph
from batchsim.core.grid import NEVER
from batchsim.core.plan import ClassPlan, EnvironmentPlan, Gang, MachineType, Need, Plan, Policy, QueuePlan
from batchsim.core.scheduler import Scheduler
from batchsim.drivers.simulated import simulate
from batchsim.drivers.world import Boot, Machines, Outcome, World
from batchsim.results.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.commands import Command
    from batchsim.core.consumables import Asks, ConsumablePlan
    from batchsim.core.plan import EnvironmentUpdate, QueueUpdate, Quota

SECOND = 1_000_000


def machine(
    vcpus: int, memory_mib: int = 1 << 20, gpus: int = 0, usd: float = 0.0, name: str = "m"
) -> MachineType:
    return MachineType(name, vcpus, memory_mib, gpus, round(usd * 1_000_000))


def managed(types: Sequence[int], max_vcpus: int, min_vcpus: int = 0, **more: object) -> EnvironmentPlan:
    return EnvironmentPlan("ce", tuple(types), managed=True, max_vcpus=max_vcpus, min_vcpus=min_vcpus, **more)


class PlanBuilder:
    """Collects jobs and turns them into a plan and a world; jobs must be added in order of submission."""

    def __init__(
        self,
        types: Sequence[MachineType],
        environments: Sequence[EnvironmentPlan],
        queues: Sequence[QueuePlan] = (QueuePlan("q", 1, (0,)),),
        policy: Policy | None = None,
        *,
        consumables: Sequence[ConsumablePlan] = (),
        shares: Sequence[str] = (),
    ) -> None:
        self.types, self.environments, self.queues = types, environments, queues
        self.policy = policy or Policy()
        self.consumables, self.shares = consumables, shares
        self.asked: dict[tuple[Need, Asks, Gang | None, int], int] = {}
        self.classes: dict[ClassPlan, int] = {}
        self.class_of = array("i")
        self.submit_us: list[int] = []
        self.runtime_us: list[int] = []
        self.machines: list[Machines] = []
        self.waits_for: list[Sequence[int]] = []
        self.updates: list[EnvironmentUpdate | QueueUpdate] = []
        self.quotas: list[Quota] = []

    @property
    def needs(self) -> list[Need]:
        return [need for need, *_ in self.asked]

    def job(
        self,
        submit: int,
        runtime: int,
        need: Need,
        queue: int = 0,
        *,
        asks: Asks = (),
        kind: int = 0,
        after: Sequence[int] = (),
        **more: object,
    ) -> int:
        """`after` are the jobs that it depends on, `more` is what else a `ClassPlan` says."""
        return self._add(submit, runtime, ClassPlan(queue, self._row(need, asks, kind=kind), **more), after)

    def nodes_job(
        self,
        submit: int,
        runtime: int,
        nodes: Sequence[Need],
        queue: int = 0,
        *,
        main: int = 0,
        types: tuple[int, ...] = (),
        asks: Asks = (),
        after: Sequence[int] = (),
        **more: object,
    ) -> int:
        """A multi-node job; `runtime` is that of its main node."""
        gang = Gang(tuple(self._row(node) for node in nodes), main, types)
        largest = Need(*map(max, zip(*nodes, strict=True)))
        return self._add(submit, runtime, ClassPlan(queue, self._row(largest, asks, gang), **more), after)

    def machines_of(
        self, environment: int, type_index: int, count: int = 1, *, joins: int = 0, leaves: int = NEVER
    ) -> None:
        self.machines.append(Machines(environment, type_index, count, "", joins, leaves))

    def plan(self) -> Plan:
        gangs = [gang for _, _, gang, _ in self.asked]
        asks = [asked for _, asked, *_ in self.asked]
        kinds = [kind for *_, kind in self.asked]
        return Plan(
            types=self.types,
            environments=self.environments,
            queues=self.queues,
            needs=self.needs,
            classes=list(self.classes),
            class_of=self.class_of,
            policy=self.policy,
            asks=asks if any(asks) else (),
            kinds=kinds if any(kinds) else (),
            gangs=gangs if any(gangs) else (),
            consumables=self.consumables,
            shares=self.shares,
            graph=self._graph(),
            estimate_us=self.runtime_us if self.policy.backfill == "easy" else (),
            updates=self.updates,
            quotas=self.quotas,
        )

    def world(self, **more: object) -> World:
        classes = max(len(self.classes), 1)
        values: dict[str, object] = {
            "submit_us": self.submit_us,
            "runtime_us": self.runtime_us,
            "class_of": self.class_of,
            "outcomes": [Outcome()] * classes,
            "images": [()] * classes,
            "pull_us": [0] * classes,
            "boot": Boot(0, 0, 0),
            "machines": self.machines,
        }
        return World(**{**values, **more})

    def run(self, horizon_us: int | None = None, **world: object) -> Recorder:
        recorder = Recorder(len(self.submit_us))
        simulate(self.plan(), self.world(**world), recorder, horizon_us=horizon_us)
        return recorder

    def gang_of_class(self) -> list[Gang | None]:
        gangs = [gang for _, _, gang, _ in self.asked]
        return [gangs[each.need] for each in self.classes]

    def _row(self, need: Need, asks: Asks = (), gang: Gang | None = None, kind: int = 0) -> int:
        return self.asked.setdefault((need, asks, gang, kind), len(self.asked))

    def _add(self, submit: int, runtime: int, job_class: ClassPlan, after: Sequence[int]) -> int:
        self.class_of.append(self.classes.setdefault(job_class, len(self.classes)))
        self.submit_us.append(submit)
        self.runtime_us.append(runtime)
        self.waits_for.append(after)
        return len(self.submit_us) - 1

    def _graph(self) -> Graph:
        if not any(self.waits_for):
            return Graph()
        jobs = range(len(self.waits_for))
        successors = [[job for job in jobs if each in self.waits_for[job]] for each in jobs]
        return Graph(
            jobs=len(jobs),
            successor_start=[sum(map(len, successors[:each])) for each in range(len(jobs) + 1)],
            successors=[job for each in successors for job in each],
            waits_for=[len(after) for after in self.waits_for],
        )


def check_reasons(core: Scheduler) -> None:
    """As long as nothing has changed since the last pass, heads wait for what `Capacity` says they do."""
    dispatch, capacity, log = core.dispatch, core.capacity, core.waits
    if dispatch._changes_seen != capacity.changes:
        return
    for queue, head in enumerate(log.head):
        if head >= 0 and log.lacks_room(queue):
            need = core.plan.classes[core.plan.class_of[head]].need
            known = capacity._reasons.get((queue, need))
            assert known == log._now_for[queue], f"the head of queue {queue} waits for {known}"


class Checked:
    """A scheduler whose laws are checked after every call (L1-L7, L9, L10); attributes pass through."""

    def __init__(self, plan: Plan) -> None:
        self.core = Scheduler(plan)
        invariants.check(self.core)

    def __getattr__(self, name: str) -> object:
        return getattr(self.core, name)

    def tell(self, event: str, *arguments: object) -> object:
        answer = getattr(self.core, event)(*arguments)
        invariants.check(self.core)
        return answer

    def decide(self, now: int) -> list[str]:
        """As `commands`, described."""
        return [describe(command) for command in self.commands(now)]

    def commands(self, now: int) -> list[Command]:
        """What `decide` answers; asserts idempotence (L10) and that no head still fits (L9)."""
        commands = self.core.decide(now)
        invariants.check(self.core)
        assert self.core.decide(now) == [], "law L10: a second decision at the same instant did something"
        check_reasons(self.core)
        self._no_head_fits(now)
        return commands

    def _no_head_fits(self, now: int) -> None:
        core = self.core
        interval = core.plan.policy.scheduling_interval_us
        if interval and (now % interval or core._pass_due == now + interval):
            return  # between passes, or after scaling decisions that the next pass looks at
        for queue, order in enumerate(core.orders):
            for job in order.jobs()[:1]:
                if core.waits.head[queue] == job and core.dispatch._missing(now, queue, job) is not None:
                    continue
                row = core.plan.classes[core.plan.class_of[job]].need
                gang = core.plan.gangs[row] if core.plan.gangs else None
                for index in core.plan.queues[queue].environments:
                    scaler = core.capacity.scalers[index]
                    if core.plan.environments[index].enabled:
                        found = self._fitting(index, row, gang)
                        assert not found, f"law L9: head {job} of queue {queue} fits in environment {index}"
                    if scaler is not None and (
                        scaler.can_grow(now, row) if gang is None else scaler.can_gather(row)
                    ):
                        break

    def _fitting(self, environment: int, row: int, gang: object) -> bool:
        """Whether a job of that need fits in an environment as it is."""
        core = self.core
        plan = core.plan.environments[environment]
        need, scaler = core.plan.needs[row], core.capacity.scalers[environment]
        if plan.per_job:
            return gang is None and bool(core.fleets[environment].open_needs() >> row & 1)
        ready = [each for each in core.instances if each.environment == environment and each.state == 1]
        if gang is None:
            return (scaler is None or need.vcpus <= scaler.highest_max) and any(
                instance.free_vcpus >= need.vcpus
                and instance.free_memory >= need.memory_mib
                and instance.free_gpus >= need.gpus
                for instance in ready
            )
        if not plan.gangs:
            return False
        types = [each.type for each in ready if not each.jobs]
        return any(
            types.count(index) >= len(gang.nodes)
            and core.plan.types[index].holds(need)
            and core.plan.types[index].vcpus * len(gang.nodes) <= scaler.highest_max
            and (not gang.types or index in gang.types)
            and all(  # more of them than a quota allows are ready only in the state machine
                core.plan.types[index].vcpus * len(gang.nodes) <= quota.vcpus
                for quota in core.plan.quotas
                if index in quota.rows
            )
            for index in types
        )


__all__ = ["LAUNCH", "SECOND", "START", "STOP", "TERMINATE", "Checked", "PlanBuilder", "machine", "managed"]
