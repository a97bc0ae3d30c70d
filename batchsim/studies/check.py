"""Whether each job of a scenario can ever start, and if not, the smallest change that mends it.

No simulation: an instance type of an enabled compute environment of the job's queue must hold the job,
or each node of it, maxvCpus and the account's quotas must allow it [spec 1.17, 3.10], and there must once be
as much of a consumable resource as it asks for [spec 1.15]. A job that can never start also holds up its
queue [spec 2.3] and those that depend on it: how many they are is told, too.

Where users update environments or queues during the run, all this is asked for each part of it: a job can
start if it can in the part in which it is submitted, or in a later one, or if instances of an earlier one may
be there yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.core.allocation import gang_types
from batchsim.core.feasibility import lacks_resource
from batchsim.core.plan import Need
from batchsim.drivers.planning import Setup, prepare
from batchsim.scenario import TraceJobs
from batchsim.studies.beyond_aws import ManyDependencies, many_dependencies
from batchsim.studies.changes import (
    Amounts,
    Asked,
    Change,
    ask_for_less,
    enabled,
    leave_enabled,
)
from batchsim.studies.checkservices import ServiceFinding, check_services
from batchsim.studies.courses import Course, Courses, Turn
from batchsim.studies.ec2market import Ec2Market
from batchsim.studies.held_up import HeldUp, dependants, held_up
from batchsim.studies.offers import Offers
from batchsim.studies.phases import phases
from batchsim.studies.shortfalls import in_words, missing
from batchsim.studies.supplies import Supply, largest_totals, more_of, supplies
from batchsim.units import US_PER_S
from batchsim.workload import Workload, build_workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsim.core.plan import Plan
    from batchsim.scenario import Scenario


class Host(NamedTuple):
    """An environment in which jobs can start: how many of its instance types hold every one of them.

    Of multi-node jobs: hold each node, and may be launched for all of them. Types that EC2 never has do not
    count. `since_s` is above 0 where an update or a machine that joins brings it later than others.
    """

    environment: str
    types: int
    of: int
    since_s: float = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """Jobs that ask for the same; of a trace, all jobs with the same verdict for the same reason.

    kinds         how many different needs they have
    jobs          how many there are; of a mix, with the seed the check was made with
    example       name of the first of them; "" when there are none
    least, most   the smallest and the largest amount of each resource that any of them asks for; of
                  multi-node jobs that a node asks for
    hosts         where they can start when they first can, then where later; empty when they never do
    reason        AWS's status reason of a job that can never start; None for one that can
    shortfall     what is asked and what is offered, in words; "" for one that can start at the end of the run
    changes       each of them alone lets all these jobs start at the end of the run
    nodes         instances that each job starts on at once; more than 1 of multi-node jobs
    begins        whether they can start at the beginning of the run
    turns         updates that change that, in order of time
    refused       how many of those that could start come while an update has DISABLED the queue: they fail
    reopened      with which change none of them is refused; None if none is
    """

    group: str
    definition: str | None
    queue: str
    kinds: int
    jobs: int
    example: str
    least: Amounts
    most: Amounts
    hosts: tuple[Host, ...] = ()
    reason: str | None = None
    shortfall: str = ""
    changes: tuple[Change, ...] = ()
    nodes: int = 1
    begins: bool = True
    turns: tuple[Turn, ...] = ()
    refused: int = 0
    reopened: Change | None = None

    @property
    def shut_out(self) -> int:
        """How many come after an update that leaves them no environment; others may find an instance yet."""
        last = self.turns[-1] if self.turns and self.reason is None else None
        return last.jobs if last is not None and last.shuts_out else 0

    @property
    def in_time_only(self) -> int:
        """How many come before an update from which on they can start no longer: these must start in time."""
        last = self.turns[-1] if self.turns and self.reason is None else None
        return self.jobs - self.refused - last.jobs if last is not None and last.reason is not None else 0

    @property
    def all_refused(self) -> bool:
        return 0 < self.refused == self.jobs

    @property
    def title(self) -> str:
        return f"{self.group} ({self.definition})" if self.definition else self.group


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    findings     in the order of the workload
    held_up      by queue: jobs that could start but come after one that never can, in a queue that
                 does not skip
    stranded     by workload entry: jobs that could start, but for depending on one that never can
    supplies     the consumable resources that jobs ask for
    mend_all     `--set` overrides (path -> value) of environments with which no job remains that could
                 never start, as far as there are any; empty when every job can start as it is
    region, price_date   of the catalogue's prices
    beyond_aws   who waits for more jobs than AWS Batch allows; they can start here all the same
    services     what was found of service jobs
    """

    findings: tuple[Finding, ...]
    held_up: Mapping[str, HeldUp]
    mend_all: Mapping[str, str]
    region: str
    price_date: str
    beyond_aws: tuple[ManyDependencies, ...] = ()
    services: tuple[ServiceFinding, ...] = ()
    stranded: Mapping[str, int] = field(default_factory=dict)
    supplies: tuple[Supply, ...] = ()

    @property
    def can_all_start(self) -> bool:
        return not (
            self.never
            or self.services_never
            or any(each.left_over for each in self.supplies)
            or any(each.shut_out or each.refused for each in self.findings)
        )

    @property
    def jobs(self) -> int:
        return sum(each.jobs for each in self.findings) + sum(each.jobs for each in self.services)

    @property
    def never_started(self) -> int:
        """How many jobs can never start, at least; those that `held_up` tells of are not among them."""
        lost = sum(each.jobs for each in self.never) + sum(each.jobs for each in self.services_never)
        lost += sum(each.shut_out + each.refused for each in self.findings) + sum(self.stranded.values())
        return lost + max((each.left_over for each in self.supplies), default=0)

    @property
    def never(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.reason is not None)

    @property
    def no_longer(self) -> tuple[Finding, ...]:
        """Jobs that could start, and cannot at the end of the run."""
        return tuple(each for each in self.findings if each.reason is None and each.changes)

    @property
    def services_never(self) -> tuple[ServiceFinding, ...]:
        return tuple(finding for finding in self.services if finding.reason is not None)


class _Kind(NamedTuple):
    """What the jobs of a finding share; `need` is -1 for a trace, whose needs are taken together.

    missing   resources (0 vCPUs, 1 memory, 2 GPUs) of which no instance of the queue has enough
    lacking   the consumable resource of which there is never enough, or -1
    course    in which phases they can start
    """

    group: str
    definition: str | None
    queue: int
    reason: str | None
    missing: tuple[int, ...]
    need: int
    lacking: int
    course: Course


def check(scenario: Scenario, seed: int = 0) -> CheckReport:
    """Tell for every kind of job of `scenario` whether it can ever start.

    Raises InputError when the scenario's files or instance types cannot be used.
    """
    workload = build_workload(scenario, seed)
    report = CheckReport((), {}, {}, scenario.region, "")
    if workload.classes:
        report = _Check(scenario, workload, prepare(scenario, workload, seed)).report()
    return replace(report, services=check_services(scenario, seed))


class _Check:
    def __init__(self, scenario: Scenario, workload: Workload, setup: Setup) -> None:
        self._scenario = scenario
        self._workload = workload
        self._phases = phases(scenario, setup.plan, setup.world.machines)
        self._plan = plan = self._phases[-1].plan
        self._entries = {entry.name: index for index, entry in scenario.entries()}
        self._jobs = np.bincount(workload.job_class, minlength=len(workload.classes)).tolist()
        self._totals = largest_totals(plan, workload)
        self._market = Ec2Market(scenario, plan.vcpu_parts, setup.world.capacity, self._first_launch_us())
        self._courses = Courses(self._phases, workload, self._market)
        self._lacking = [
            self._lacks(each.need) if reason is None else -1
            for each, reason in zip(plan.classes, self._courses.no_room, strict=True)
        ]
        self._reasons = [
            lacks_resource(plan.consumables[lacking].name) if lacking >= 0 else reason
            for lacking, reason in zip(self._lacking, self._courses.no_room, strict=True)
        ]
        self._offers = Offers(scenario, self._phases[-1])

    def _first_launch_us(self) -> int:
        """That of the first job, unless instances are kept whatever waits; 0 if there is none."""
        plans = (environment for phase in self._phases for environment in phase.plan.environments)
        kept = any(each.min_vcpus or each.desired_vcpus for each in plans)
        return 0 if kept or not len(self._workload) else int(self._workload.submit_us[0])

    def report(self) -> CheckReport:
        kinds: dict[_Kind, list[int]] = {}
        for index in range(len(self._reasons)):
            kinds.setdefault(self._kind(index), []).append(index)
        draft, market = self._offers.start, dict[str, str]()
        for kind, members in kinds.items():
            if self._courses.no_room[members[0]] is None:
                continue
            asked = self._asked(kind, members)
            if self._is_refused(asked):
                market |= self._market.mended(self._phases[-1], asked).overrides
            else:
                _, draft = self._offers.offer_more(draft, asked)
        never = np.array([reason is not None for reason in self._reasons])[self._workload.job_class]
        never |= self._courses.refused
        return CheckReport(
            findings=tuple(self._finding(kind, members) for kind, members in kinds.items()),
            held_up=held_up(self._plan, self._workload, self._reasons),
            mend_all={**draft.overrides, **market},
            region=self._scenario.region,
            price_date=self._offers.price_date,
            beyond_aws=many_dependencies(self._workload),
            stranded=dependants(self._workload, never),
            supplies=supplies(
                self._scenario, self._plan, self._workload, [reason is None for reason in self._reasons]
            ),
        )

    def _is_refused(self, asked: Asked) -> bool:
        """Of jobs that cannot start at the end of the run: whether they could, if EC2 had capacity."""
        return asked.never_starts(self._plan) is None

    def _kind(self, index: int) -> _Kind:
        job_class, planned = self._workload.classes[index], self._plan.classes[index]
        no_room = self._courses.of[index][-1]
        is_trace = isinstance(self._scenario.workload[self._entries[job_class.group]], TraceJobs)
        plan, need = self._plan, planned.need
        asked = Asked(planned.queue, plan.needs[need], kind=plan.kind_of(need))
        return _Kind(
            job_class.group,
            job_class.job_definition,
            planned.queue,
            self._reasons[index],
            () if no_room is None else missing(self._plan, asked),
            -1 if is_trace else planned.need,
            self._lacking[index],
            self._courses.of[index],
        )

    def _lacks(self, need: int) -> int:
        """The first consumable resource of which there is never as much as is asked for, or -1."""
        asks = self._plan.asks[need] if self._plan.asks else ()
        return next((index for index, quantity in asks if quantity > self._totals[index]), -1)

    def _rows(self, members: list[int]) -> list[int]:
        return [self._plan.classes[each].need for each in members]

    def _needs(self, rows: list[int]) -> tuple[Need, Need]:
        """The least and the most of each resource in these needs, of multi-node jobs in their nodes'."""
        plan = self._plan
        gangs = [plan.gangs[row] if plan.gangs else None for row in rows]
        each = [
            plan.needs[node]
            for row, gang in zip(rows, gangs, strict=True)
            for node in (gang.nodes if gang else (row,))
        ]
        columns = list(zip(*each, strict=True))
        return Need(*map(min, columns)), Need(*map(max, columns))

    def _asked(self, kind: _Kind, members: list[int], phase: int = -1) -> Asked:
        rows, plan = self._rows(members), self._phases[phase].plan
        gang = plan.gangs[rows[0]] if plan.gangs else None
        return Asked(kind.queue, self._needs(rows)[1], gang, plan.kind_of(rows[0]))

    def _finding(self, kind: _Kind, members: list[int]) -> Finding:
        rows = self._rows(members)
        least, most = self._needs(rows)
        asked = self._asked(kind, members)
        parts = self._plan.vcpu_parts
        refused = self._courses.refused_of(members) if kind.reason is None else 0
        return Finding(
            group=kind.group,
            definition=kind.definition,
            queue=self._plan.queues[kind.queue].name,
            kinds=len(set(rows)),
            jobs=sum(self._jobs[index] for index in members),
            example=self._example(members),
            least=Amounts.of(least, parts),
            most=Amounts.of(most, parts),
            hosts=() if kind.reason is not None else tuple(self._hosts(kind, members, least)),
            reason=kind.reason,
            shortfall=self._shortfall(kind, least, asked),
            changes=tuple(self._changes(kind, asked))
            if kind.lacking >= 0 or kind.course[-1] is not None
            else (),
            nodes=asked.nodes,
            begins=kind.course[0] is None,
            turns=tuple(self._courses.turns(members, kind.course)),
            refused=refused,
            reopened=self._reopened(kind.queue) if refused else None,
        )

    def _reopened(self, queue: int) -> Change:
        return leave_enabled(self._scenario, self._plan.queues[queue].name, self._courses.closed(queue))

    def _hosts(self, kind: _Kind, members: list[int], least: Need) -> Iterator[Host]:
        """In the first phase in which they can start, then those that come to it later."""
        seen = set[str]()
        for number, reason in enumerate(kind.course):
            if reason is not None:
                continue
            phase = self._phases[number]
            asked = self._asked(kind, members, number)
            listed = {
                each.name: len(phase.plan.of_kind(each, asked.kind).types) for each in phase.plan.environments
            }
            since_s = phase.at_us / US_PER_S if seen else 0
            new = [
                each._replace(since_s=since_s)
                for each in _hosts(self._market.what_is_there(phase).plan, listed, asked, least)
                if each.environment not in seen
            ]
            seen.update(each.environment for each in new)
            yield from new

    def _example(self, members: list[int]) -> str:
        found = np.flatnonzero(np.isin(self._workload.job_class, members))
        return self._workload.job_name(int(found[0])) if len(found) else ""

    def _changes(self, kind: _Kind, asked: Asked) -> Iterator[Change]:
        if kind.lacking >= 0:
            yield more_of(self._scenario, self._plan.consumables[kind.lacking].name, self._quantity(kind))
            return
        if self._is_refused(asked):
            yield self._market.mended(self._phases[-1], asked)
            return
        less = None
        if kind.need >= 0 and kind.definition is not None:
            less = ask_for_less(self._scenario, self._plan, self._entries[kind.group], kind.definition, asked)
        more, _ = self._offers.offer_more(self._offers.start, asked)
        if less is not None:
            yield less
        if more.overrides or less is None:
            yield more

    def _quantity(self, kind: _Kind) -> int:
        """The most of the lacking resource that one of these jobs asks for."""
        return max(
            quantity
            for index, planned in enumerate(self._plan.classes)
            if self._lacking[index] == kind.lacking and self._kind(index) == kind
            for resource, quantity in self._plan.asks[planned.need]
            if resource == kind.lacking
        )

    def _shortfall(self, kind: _Kind, least: Need, asked: Asked) -> str:
        if kind.lacking < 0 and kind.course[-1] is not None and self._is_refused(asked):
            return self._market.in_words(self._phases[-1], asked)
        if kind.lacking < 0:
            return in_words(self._plan, kind.course[-1], kind.missing, least, asked)
        name, most = self._plan.consumables[kind.lacking].name, self._totals[kind.lacking]
        return f"asks for {self._quantity(kind)} of {name}; the most there ever is, is {most}"


def _hosts(plan: Plan, listed: Mapping[str, int], asked: Asked, least: Need) -> Iterator[Host]:
    """Of a plan with those types that EC2 has; `listed`: how many each environment lists."""
    for each in enabled(plan, asked.queue):
        environment = plan.of_kind(each, asked.kind)
        rows = [row for row in environment.types if not environment.managed or plan.may_run(row, asked.nodes)]
        kinds = [plan.types[row] for row in rows]
        if asked.gang is not None:
            fitting = len({*gang_types(plan.types, environment, asked.need, asked.gang)} & {*rows})
            if fitting:
                yield Host(environment.name, fitting, listed[environment.name])
            continue
        if environment.per_job:
            kinds = kinds[-1:]  # each job gets the size it asks for
        enough = not environment.managed or environment.max_vcpus >= least.vcpus
        if enough and any(kind.holds(least) for kind in kinds):
            of = len(kinds) if environment.per_job else listed[environment.name]
            yield Host(environment.name, sum(kind.holds(asked.need) for kind in kinds), of)
