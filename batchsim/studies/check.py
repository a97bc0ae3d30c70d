"""Whether each job of a scenario can ever start, and if not, the smallest change that mends it.

No simulation: an instance type of an enabled compute environment of the job's queue must hold the job,
and maxvCpus must allow its vCPUs [spec 1.17, 3.10]. A job that can never start also holds up a FIFO queue
[spec 2.3]: how many others wait behind it is told, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.core.feasibility import MAX_RESOURCE, RESOURCE_REQUIREMENT, never_starts
from batchsim.core.plan import Need
from batchsim.drivers.planning import prepare
from batchsim.scenario import TraceJobs
from batchsim.studies.beyond_aws import ManyDependencies, many_dependencies
from batchsim.studies.changes import Change, amount, ask_for_less, describe_need
from batchsim.studies.checkservices import ServiceFinding, check_services
from batchsim.studies.offers import Offers
from batchsim.workload import Workload, build_workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsim.core.plan import EnvironmentPlan, MachineType, Plan
    from batchsim.scenario import Scenario


class Host(NamedTuple):
    """An environment in which jobs can start: how many of its instance types hold every one of them."""

    environment: str
    types: int
    of: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Jobs that ask for the same; of a trace, all jobs with the same verdict for the same reason.

    kinds         how many different needs they have
    jobs          how many there are; of a mix, with the seed the check was made with
    example       name of the first of them; "" when there are none
    least, most   the smallest and the largest amount of each resource that any of them asks for
    hosts         where they can start; empty when they never do
    reason        AWS's status reason of a job that can never start; None for one that can
    shortfall     what is asked and what is offered, in words; "" for a job that can start
    changes       each of them alone lets all these jobs start
    """

    group: str
    definition: str | None
    queue: str
    kinds: int
    jobs: int
    example: str
    least: Need
    most: Need
    hosts: tuple[Host, ...] = ()
    reason: str | None = None
    shortfall: str = ""
    changes: tuple[Change, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.group} ({self.definition})" if self.definition else self.group


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    findings     in the order of the workload
    held_up      by queue: jobs that could start but come after one that never can, in a queue that
                 does not skip (`assumptions.backfill: none`)
    mend_all     `--set` overrides (path -> value) of environments with which no job remains that could
                 never start, as far as there are any; empty when every job can start as it is
    region, price_date   of the catalogue's prices
    beyond_aws   who waits for more jobs than AWS Batch allows; they can start here all the same
    services     what was found of service jobs
    """

    findings: tuple[Finding, ...]
    held_up: Mapping[str, int]
    mend_all: Mapping[str, str]
    region: str
    price_date: str
    beyond_aws: tuple[ManyDependencies, ...] = ()
    services: tuple[ServiceFinding, ...] = ()

    @property
    def never(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.reason is not None)

    @property
    def services_never(self) -> tuple[ServiceFinding, ...]:
        return tuple(finding for finding in self.services if finding.reason is not None)


class _Kind(NamedTuple):
    """What the jobs of a finding share; `need` is -1 for a trace, whose needs are taken together."""

    group: str
    definition: str | None
    queue: int
    reason: str | None
    missing: tuple[int, ...]
    need: int


def check(scenario: Scenario, seed: int = 0) -> CheckReport:
    """Tell for every kind of job of `scenario` whether it can ever start.

    Raises InputError when the scenario's files or instance types cannot be used.
    """
    workload = build_workload(scenario, seed)
    report = CheckReport((), {}, {}, scenario.region, "")
    if workload.classes:
        report = _Check(scenario, workload, prepare(scenario, workload, seed).plan).report()
    return replace(report, services=check_services(scenario, seed))


class _Check:
    def __init__(self, scenario: Scenario, workload: Workload, plan: Plan) -> None:
        self._scenario = scenario
        self._workload = workload
        self._plan = plan
        self._entries = {entry.name: index for index, entry in scenario.entries()}
        self._jobs = np.bincount(workload.job_class, minlength=len(workload.classes)).tolist()
        self._reasons = [never_starts(plan, each.queue, each.need) for each in plan.classes]
        self._offers = Offers(scenario, plan)

    def report(self) -> CheckReport:
        kinds: dict[_Kind, list[int]] = {}
        for index in range(len(self._reasons)):
            kinds.setdefault(self._kind(index), []).append(index)
        draft = self._offers.start
        for kind, members in kinds.items():
            if kind.reason is not None:
                _, draft = self._offers.offer_more(draft, kind.queue, self._needs(members)[1])
        return CheckReport(
            findings=tuple(self._finding(kind, members) for kind, members in kinds.items()),
            held_up=self._held_up(),
            mend_all=draft.overrides,
            region=self._scenario.region,
            price_date=self._offers.price_date,
            beyond_aws=many_dependencies(self._workload),
        )

    def _kind(self, index: int) -> _Kind:
        job_class, planned = self._workload.classes[index], self._plan.classes[index]
        reason = self._reasons[index]
        is_trace = isinstance(self._scenario.workload[self._entries[job_class.group]], TraceJobs)
        return _Kind(
            job_class.group,
            job_class.job_definition,
            planned.queue,
            reason,
            () if reason is None else _missing(self._plan, planned.queue, self._plan.needs[planned.need]),
            -1 if is_trace else planned.need,
        )

    def _needs(self, members: list[int]) -> tuple[Need, Need]:
        """The least and the most that any of these classes asks for, resource by resource."""
        columns = list(
            zip(*(self._plan.needs[self._plan.classes[each].need] for each in members), strict=True)
        )
        return Need(*map(min, columns)), Need(*map(max, columns))

    def _finding(self, kind: _Kind, members: list[int]) -> Finding:
        least, most = self._needs(members)
        return Finding(
            group=kind.group,
            definition=kind.definition,
            queue=self._plan.queues[kind.queue].name,
            kinds=len({self._plan.classes[index].need for index in members}),
            jobs=sum(self._jobs[index] for index in members),
            example=self._example(members),
            least=least,
            most=most,
            hosts=() if kind.reason is not None else tuple(_hosts(self._plan, kind.queue, least, most)),
            reason=kind.reason,
            shortfall=_shortfall(self._plan, kind, least, most),
            changes=() if kind.reason is None else tuple(self._changes(kind, most)),
        )

    def _example(self, members: list[int]) -> str:
        found = np.flatnonzero(np.isin(self._workload.job_class, members))
        if not len(found):
            return ""
        first = int(found[0])
        group = self._workload.classes[int(self._workload.job_class[first])].group
        return f"{group}-{int(self._workload.ordinal[first])}"

    def _changes(self, kind: _Kind, need: Need) -> Iterator[Change]:
        less = None
        if kind.need >= 0 and kind.definition is not None:
            entry = self._entries[kind.group]
            less = ask_for_less(self._scenario, self._plan, entry, kind.definition, (kind.queue, need))
        more, _ = self._offers.offer_more(self._offers.start, kind.queue, need)
        if less is not None:
            yield less
        if more.overrides or less is None:
            yield more

    def _held_up(self) -> dict[str, int]:
        if self._scenario.assumptions.backfill != "none":
            return {}
        job_class = self._workload.job_class
        never = np.array([reason is not None for reason in self._reasons])[job_class]
        queue = np.array([each.queue for each in self._plan.classes])[job_class]
        held_up: dict[str, int] = {}
        for index in np.flatnonzero(np.bincount(queue[never])).tolist():
            mine = queue == index
            first = int(np.argmax(mine & never))
            held_up[self._plan.queues[index].name] = int((mine & ~never)[first:].sum())
        return {name: jobs for name, jobs in held_up.items() if jobs}


def _enabled(plan: Plan, queue: int) -> list[EnvironmentPlan]:
    environments = (plan.environments[index] for index in plan.queues[queue].environments)
    return [environment for environment in environments if environment.enabled]


def _instance_types(plan: Plan, queue: int) -> list[MachineType]:
    return [plan.types[index] for environment in _enabled(plan, queue) for index in environment.types]


def _size(kind: MachineType) -> Need:
    return Need(kind.vcpus, kind.memory_mib, kind.gpus)


def _missing(plan: Plan, queue: int, need: Need) -> tuple[int, ...]:
    """The resources (0 vCPUs, 1 memory, 2 GPUs) of which no instance of the queue has enough."""
    sizes = [_size(kind) for kind in _instance_types(plan, queue)]
    return tuple(
        axis for axis, asked in enumerate(need) if asked and all(size[axis] < asked for size in sizes)
    )


def _hosts(plan: Plan, queue: int, least: Need, most: Need) -> Iterator[Host]:
    for environment in _enabled(plan, queue):
        kinds = [plan.types[index] for index in environment.types]
        enough = not environment.managed or environment.max_vcpus >= least.vcpus
        if enough and any(kind.holds(least) for kind in kinds):
            yield Host(environment.name, sum(kind.holds(most) for kind in kinds), len(kinds))


def _shortfall(plan: Plan, kind: _Kind, least: Need, most: Need) -> str:
    if kind.reason == MAX_RESOURCE:
        limits = ", ".join(
            f"maxvCpus of {each.name} is {each.max_vcpus}"
            for each in _enabled(plan, kind.queue)
            if each.managed and each.max_vcpus < most.vcpus
        )
        return f"{_asked(0, least, most)}; {limits}"
    if kind.reason != RESOURCE_REQUIREMENT:
        return ""
    kinds = _instance_types(plan, kind.queue)
    if not kinds:
        return "no compute environment of the queue has an instance"
    if not kind.missing:
        return f"{describe_need(most)}: no instance offers all of this"
    told = []
    for axis in kind.missing:
        largest = max(kinds, key=lambda each: _size(each)[axis])
        offered = (
            f"the most that one instance offers is {amount(axis, _size(largest)[axis])} ({largest.name})"
        )
        told.append(f"{_asked(axis, least, most)}; {offered}")
    return ", and ".join(told)


def _asked(axis: int, least: Need, most: Need) -> str:
    return f"asks for {'up to ' if least[axis] < most[axis] else ''}{amount(axis, most[axis])}"
