"""Whether each service job can ever run, and if not, the smallest change that mends it [spec 1.16, 2.5].

No simulation: a job must fit into the capacity limits of its queue's service environment and, in a quota
share, into what the share can use at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from batchsim.core.services.plan import LEND_AND_BORROW, NO_UNIT
from batchsim.core.services.reasons import DISABLED, largest_job, never_runs
from batchsim.drivers.serviceplanning import ALL_INSTANCES, prepare_services
from batchsim.studies.changes import Change
from batchsim.workload import build_services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsim.core.services.plan import QuotaSharePlan, ServiceClassPlan, ServicePlan
    from batchsim.scenario import Scenario, ServiceEnvironment
    from batchsim.workload import ServiceClass, ServiceWorkload


@dataclass(frozen=True, slots=True)
class ServiceFinding:
    """The jobs of one workload entry.

    reason     AWS's status reason of jobs that can never run; None for jobs that can
    shortfall  what is asked and what there is at most, in words; "" for jobs that can run
    changes    each of them alone lets all these jobs run
    """

    group: str
    queue: str
    quota_share: str | None
    jobs: int
    instance_type: str
    instances: int
    reason: str | None = None
    shortfall: str = ""
    changes: tuple[Change, ...] = ()


def check_services(scenario: Scenario, seed: int = 0) -> tuple[ServiceFinding, ...]:
    """Tell for each workload entry of service jobs whether they can ever run, in the workload's order."""
    if not any(queue.is_service for queue in scenario.jobQueues):
        return ()
    workload = build_services(scenario, seed)
    plan, _ = prepare_services(scenario, workload, seed)
    return tuple(_findings(scenario, workload, plan))


def _findings(scenario: Scenario, workload: ServiceWorkload, plan: ServicePlan) -> Iterator[ServiceFinding]:
    jobs = np.bincount(workload.job_class, minlength=len(workload.classes))
    first = {each.group: index for index, each in reversed(list(enumerate(workload.classes)))}
    for group, index in sorted(first.items(), key=lambda item: item[1]):
        job_class = workload.classes[index]
        mine = [row for row, each in enumerate(workload.classes) if each.group == group]
        reason = never_runs(plan, index)
        yield ServiceFinding(
            group=group,
            queue=job_class.queue,
            quota_share=job_class.quota_share,
            jobs=int(jobs[mine].sum()),
            instance_type=job_class.instance_type,
            instances=job_class.instances,
            reason=reason,
            shortfall="" if reason is None else _shortfall(plan, index, job_class),
            changes=() if reason is None else tuple(_changes(scenario, plan, index, job_class)),
        )


def _most(plan: ServicePlan, index: int) -> int:
    """The most instances that a job like those of a class can ever have."""
    job_class = plan.classes[index]
    queue = plan.queues[job_class.queue]
    if job_class.unit == NO_UNIT:
        return 0
    limit = plan.environments[queue.environment].limits[job_class.unit]
    if not queue.quota_shares:
        return limit
    return min(limit, largest_job(queue.quota_shares, job_class.quota_share, job_class.unit))


def _shortfall(plan: ServicePlan, index: int, job_class: ServiceClass) -> str:
    environment = plan.environments[plan.queues[plan.classes[index].queue].environment]
    if not environment.enabled:
        return f"service environment {environment.name} has state DISABLED"
    asked = f"asks for {job_class.instances:,} x {job_class.instance_type}"
    if plan.classes[index].unit == NO_UNIT:
        return f"{asked}; service environment {environment.name} has no limit for that instance type"
    where = (
        f"quota share {job_class.quota_share}" if job_class.quota_share else f"job queue {job_class.queue}"
    )
    return f"{asked}; the most that a job in {where} can have is {_most(plan, index):,}"


def _changes(scenario: Scenario, plan: ServicePlan, index: int, job_class: ServiceClass) -> Iterator[Change]:
    queue = scenario.queue(job_class.queue)
    name = queue.serviceEnvironmentOrder[0].serviceEnvironment
    environment = next(each for each in scenario.serviceEnvironments if each.serviceEnvironmentName == name)
    if never_runs(plan, index) == DISABLED:
        yield Change(f"enable {name}", {f"serviceEnvironments.{name}.state": "ENABLED"})
        return
    most = _most(plan, index)
    if most:
        entry = next(each for _, each in scenario.entries() if each.name == job_class.group)
        path = f"{scenario.path_of(entry)}.resourceConfig.instanceCount"
        yield Change(f"ask for at most {most:,} instances", {path: str(most)})
    overrides = _more_of_environment(environment, job_class)
    overrides |= _more_of_share(scenario, plan, plan.classes[index], job_class)
    yield Change(f"raise limits so that a job can have {job_class.instances:,}", overrides)


def _more_of_environment(environment: ServiceEnvironment, job_class: ServiceClass) -> dict[str, str]:
    units = [each.capacityUnit for each in environment.capacityLimits]
    unit = ALL_INSTANCES if ALL_INSTANCES in units else job_class.instance_type
    path = f"serviceEnvironments.{environment.serviceEnvironmentName}.capacityLimits"
    if unit not in units:
        limits = [(each.capacityUnit, each.maxCapacity) for each in environment.capacityLimits]
        return {path: _limits_text([*limits, (unit, job_class.instances)])}
    position = units.index(unit)
    if environment.capacityLimits[position].maxCapacity >= job_class.instances:
        return {}
    return {f"{path}.{position}.maxCapacity": str(job_class.instances)}


def _more_of_share(
    scenario: Scenario, plan: ServicePlan, kind: ServiceClassPlan, job_class: ServiceClass
) -> dict[str, str]:
    """The least limit of the job's quota share with which it could run."""
    shares = plan.queues[kind.queue].quota_shares
    if not shares:
        return {}
    share = next(
        each
        for each in scenario.quotaShares
        if (each.queue, each.quotaShareName) == (job_class.queue, job_class.quota_share)
    )
    path = f"quotaShares.{scenario.quotaShares.index(share)}.capacityLimits"
    limits = [(each.capacityUnit, each.maxCapacity) for each in share.capacityLimits]
    units = [unit for unit, _ in limits]
    least = _least_limit(shares, kind, job_class.instances)
    if job_class.instance_type not in units:
        return {path: _limits_text([*limits, (job_class.instance_type, least)])}
    position = units.index(job_class.instance_type)
    return {f"{path}.{position}.maxCapacity": str(least)} if least > limits[position][1] else {}


def _least_limit(shares: tuple[QuotaSharePlan, ...], kind: ServiceClassPlan, asked: int) -> int:
    """What the share lacks comes from its own limit, as far as it may not borrow it."""
    if kind.unit == NO_UNIT or shares[kind.quota_share].strategy != LEND_AND_BORROW:
        return asked
    own = shares[kind.quota_share].limits[kind.unit]
    return next(
        limit
        for limit in range(own, asked + 1)
        if largest_job(_with_limit(shares, kind, limit), *_at(kind)) >= asked
    )


def _with_limit(
    shares: tuple[QuotaSharePlan, ...], kind: ServiceClassPlan, limit: int
) -> tuple[QuotaSharePlan, ...]:
    mine = shares[kind.quota_share]
    limits = (*mine.limits[: kind.unit], limit, *mine.limits[kind.unit + 1 :])
    return (
        *shares[: kind.quota_share],
        replace(mine, limits=limits),
        *shares[kind.quota_share + 1 :],
    )


def _at(kind: ServiceClassPlan) -> tuple[int, int]:
    return kind.quota_share, kind.unit


def _limits_text(limits: list[tuple[str, int]]) -> str:
    inside = ", ".join(f"{{capacityUnit: {unit}, maxCapacity: {limit}}}" for unit, limit in limits)
    return f"[{inside}]"
