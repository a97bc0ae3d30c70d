"""The smallest change of what a job asks for that lets it start where it never could."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from batchsim.core.feasibility import never_starts
from batchsim.core.plan import Gang, Need
from batchsim.scenario.updates import UpdateEvent
from batchsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from batchsim.core.plan import EnvironmentPlan, Plan
    from batchsim.scenario import GeneratedJobs, Scenario

Location = tuple[str | int, ...]

_KINDS = ("VCPU", "MEMORY", "GPU")
_OLD_STYLE = ("vcpus", "memory")
_LEAST = Need(1, 4, 0)  # [spec 1.14]


class Amounts(NamedTuple):
    """What a job asks for as people write it: a `Need` of a plan is in parts of a vCPU."""

    vcpus: float
    memory_mib: int
    gpus: int

    @classmethod
    def of(cls, need: Need, vcpu_parts: int) -> Amounts:
        """Whole vCPUs are int."""
        whole, rest = divmod(need.vcpus, vcpu_parts)
        return cls(need.vcpus / vcpu_parts if rest else whole, need.memory_mib, need.gpus)


class Asked(NamedTuple):
    """What jobs ask of the environments of a queue, in the units of a plan.

    need   of one instance; of a multi-node job each of its instances must hold it
    gang   the nodes of a multi-node job
    kind   the kind of machine that the job gets, where there are several
    """

    queue: int
    need: Need
    gang: Gang | None = None
    kind: int = 0

    def never_starts(self, plan: Plan) -> str | None:
        """As `feasibility.never_starts`, of needs that the plan need not have."""
        kinds = [self.kind] if self.kind else ()
        alone = replace(plan, needs=[self.need], gangs=[self.gang] if self.gang else (), kinds=kinds)
        return never_starts(alone, self.queue, 0)

    def fits(self, plan: Plan, environment: EnvironmentPlan) -> list[int]:
        """The instance types of an environment that hold the job or one of its nodes, maxvCpus aside."""
        if self.gang is not None and not environment.gangs:
            return []
        named = self.gang.types if self.gang is not None else ()
        return [
            index
            for index in plan.of_kind(environment, self.kind).types
            if plan.types[index].holds(self.need.with_room(environment.aside))
            and (not named or index in named)
        ]

    @property
    def nodes(self) -> int:
        return 1 if self.gang is None else len(self.gang.nodes)


@dataclass(frozen=True, slots=True)
class Change:
    """What to do, in words, and the `--set` overrides (path -> value) that do it.

    Without overrides it is advice: no change of that kind can help, or it is not one of a single number.
    """

    text: str
    overrides: Mapping[str, str] = field(default_factory=dict)


def ask_for_less(scenario: Scenario, plan: Plan, entry: int, definition: str, asked: Asked) -> Change | None:
    """Lower what the jobs of a generated workload entry and one of its job definitions ask for.

    asked   what the queue can never serve

    The lowered request fits an instance that the queue's enabled environments offer; of all such
    requests, the one that differs in the fewest resources, and by the smallest part. None when there is
    no such instance, or only such without the GPUs that the job cannot do without. Of multi-node jobs it is
    the number of nodes that is lowered, if anything. Jobs of several containers are given no overrides.
    """
    if asked.gang is not None:
        return _fewer_nodes(plan, asked)
    need = asked.need
    limits = [limit for limit in _limits(plan, asked.queue) if limit.gpus or not need.gpus]
    requests = dict.fromkeys(Need(*map(min, need, limit)) for limit in limits)
    fitting = (
        each
        for each in sorted(requests, key=lambda each: reduction(need, each))
        if all(map(int.__ge__, each, _LEAST)) and asked._replace(need=each).never_starts(plan) is None
    )
    request = next(fitting, None)
    if request is None:
        return None
    lowered = [axis for axis in range(3) if request[axis] < need[axis]]
    amounts = Amounts.of(request, plan.vcpu_parts)
    places = [_place(scenario, entry, definition, axis) for axis in lowered]
    return Change(
        f"ask for at most {' and '.join(amount(axis, amounts[axis]) for axis in lowered)}",
        {
            override_path(scenario, place): str(amounts[axis])
            for axis, place in zip(lowered, places, strict=True)
            if place is not None
        },
    )


def leave_enabled(scenario: Scenario, queue: str, closed: Iterable[tuple[int, int]]) -> Change:
    """Do not disable a queue where jobs are refused then: `closed` is from when to when, in microseconds."""
    spans = list(closed)
    updates = {
        item: format_duration(event.at)
        for item, event in enumerate(scenario.workload)
        if isinstance(event, UpdateEvent)
        and (event.update.jobQueue, event.update.state) == (queue, "DISABLED")
        and any(begin <= event.at <= end for begin, end in spans)
    }
    which = f"update{'' if len(updates) == 1 else 's'} at {', '.join(updates.values())}"
    return Change(
        f"leave {queue} ENABLED in the {which}",
        {override_path(scenario, ("workload", item, "update", "state")): "ENABLED" for item in updates},
    )


def _fewer_nodes(plan: Plan, asked: Asked) -> Change | None:
    """As many nodes as maxvCpus of some environment and the quotas allow."""
    most = max(
        (
            _most_vcpus(plan, environment, index) // plan.types[index].vcpus
            for environment in enabled(plan, asked.queue)
            for index in asked.fits(plan, environment)
        ),
        default=0,
    )
    return Change(f"use at most {most} node{'' if most == 1 else 's'}") if most else None


def _most_vcpus(plan: Plan, environment: EnvironmentPlan, type_index: int) -> int:
    """How many instances of a type may have together."""
    quotas = (quota.vcpus for quota in plan.quotas if type_index in quota.rows)
    return min([environment.max_vcpus, *quotas])


def enabled(plan: Plan, queue: int) -> list[EnvironmentPlan]:
    """The enabled environments of a queue, first choice first."""
    environments = (plan.environments[index] for index in plan.queues[queue].environments)
    return [environment for environment in environments if environment.enabled]


def _limits(plan: Plan, queue: int) -> Iterator[Need]:
    """The largest request that each instance type of the queue could hold, maxvCpus and quotas included."""
    for environment in enabled(plan, queue):
        rows = (row for row in environment.types if not environment.managed or plan.may_run(row, 1))
        for kind in (plan.types[row] for row in rows):
            most = environment.offers(kind)
            if environment.managed:
                most = most._replace(vcpus=min(most.vcpus, environment.max_vcpus))
            yield most


def _place(scenario: Scenario, entry: int, definition: str, axis: int) -> Location | None:
    """Where the request for a resource is written: at submission, or in the job definition.

    None for a job of several containers, which ask for it together.
    """
    jobs: GeneratedJobs = scenario.workload[entry]  # type: ignore[assignment] # a trace has no requests
    if jobs.containerOverrides is not None:
        for index, each in enumerate(jobs.containerOverrides.resourceRequirements):
            if each.type == _KINDS[axis]:
                return ("workload", entry, "containerOverrides", "resourceRequirements", index, "value")
    chosen = scenario.definition(definition)
    if chosen.containerProperties is None:
        return None
    number = next(index for index, each in enumerate(scenario.jobDefinitions) if each is chosen)
    container: Location = ("jobDefinitions", number, "containerProperties")
    for index, each in enumerate(chosen.containerProperties.resourceRequirements):
        if each.type == _KINDS[axis]:
            return (*container, "resourceRequirements", index, "value")
    return (*container, _OLD_STYLE[axis])


def reduction(need: Need, request: Need) -> tuple[int, float]:
    """How much smaller a request is: in how many resources, and by which part of them in all."""
    parts = [1 - got / asked for got, asked in zip(request, need, strict=True) if got < asked]
    return len(parts), sum(parts)


def amount(axis: int, number: float) -> str:
    """An amount of a need's resource in words: "4 vCPUs", "7400 MiB", "1 GPU"."""
    if axis == 1:
        return f"{number} MiB"
    return f"{number} {('vCPU', '', 'GPU')[axis]}{'' if number == 1 else 's'}"


def describe_need(need: Amounts | Need) -> str:
    """A need in words: "4 vCPUs, 7400 MiB, 1 GPU"; GPUs only where there are some."""
    return ", ".join(amount(axis, number) for axis, number in enumerate(need) if number or axis < 2)


def override_path(scenario: Scenario, location: Location) -> str:
    """A place of the scenario in `--set` notation, with names of list items where they are short."""
    path = str(scenario.origin(*location)["path"])
    return ".".join(map(str, location)) if "…" in path else path
