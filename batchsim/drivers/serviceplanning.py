"""From a scenario and its service jobs to what their driver needs: the scheduler's plan, and the world."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from batchsim.core.plan import ExitRule, TimeLimit
from batchsim.core.services.plan import (
    NO_UNIT,
    UNLIMITED,
    QuotaSharePlan,
    ServiceClassPlan,
    ServiceEnvironmentPlan,
    ServicePlan,
    ServiceQueuePlan,
)
from batchsim.drivers.places import fair_share_policy
from batchsim.drivers.serviceworld import ServiceWorld
from batchsim.units import US_PER_S
from batchsim.workload.distributions import load_distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.scenario import CapacityLimit, JobQueue, QuotaShare, Scenario
    from batchsim.workload import ServiceClass, ServiceWorkload

ALL_INSTANCES = "NUM_INSTANCES"


def prepare_services(
    scenario: Scenario, workload: ServiceWorkload, seed: int = 0, replication: int = 0
) -> tuple[ServicePlan, ServiceWorld]:
    """What a driver needs to run the service jobs of `scenario`.

    Jobs that would be submitted at or after the scenario's horizon must have been cut off before. Raises
    TraceError for a sample file that cannot be used.
    """
    with scenario.placing_errors():
        return _plan(scenario, workload), _world(scenario, workload, (seed, replication))


def _plan(scenario: Scenario, workload: ServiceWorkload) -> ServicePlan:
    environments = {each.serviceEnvironmentName: each for each in scenario.serviceEnvironments}
    rows = {name: row for row, name in enumerate(environments)}
    units = {name: _limits(each.capacityLimits) for name, each in environments.items()}
    queues = [queue for queue in scenario.jobQueues if queue.is_service]
    shares_of = {queue.jobQueueName: _shares(scenario, queue) for queue in queues}
    fair_shares = list(dict.fromkeys(each.share for each in workload.classes if each.share is not None))
    return ServicePlan(
        environments=[
            ServiceEnvironmentPlan(name, tuple(units[name].values()), each.state == "ENABLED")
            for name, each in environments.items()
        ],
        queues=[
            ServiceQueuePlan(
                queue.jobQueueName,
                queue.priority,
                rows[queue.serviceEnvironmentOrder[0].serviceEnvironment],
                fair_share=fair_share_policy(scenario, queue),
                quota_shares=tuple(
                    _share(each, tuple(units[queue.serviceEnvironmentOrder[0].serviceEnvironment]))
                    for each in shares_of[queue.jobQueueName]
                ),
                time_limits=tuple(
                    TimeLimit(each.reason, each.maxTimeSeconds * US_PER_S)
                    for each in queue.jobStateTimeLimitActions
                ),
            )
            for queue in queues
        ],
        classes=_classes(workload.classes, queues, shares_of, units, fair_shares),
        class_of=array("i", workload.job_class.astype(np.int32).tobytes()),
        shares=fair_shares,
        scheduling_interval_us=scenario.assumptions.schedulingInterval,
        submit_evaluation_us=scenario.assumptions.submitEvaluation,
    )


def _limits(limits: Sequence[CapacityLimit]) -> dict[str, int]:
    return {each.capacityUnit: each.maxCapacity for each in limits}


def _shares(scenario: Scenario, queue: JobQueue) -> list[QuotaShare]:
    if not scenario.has_quota_shares(queue):
        return []
    return [share for share in scenario.quotaShares if share.queue == queue.jobQueueName]


def _share(share: QuotaShare, units: Sequence[str]) -> QuotaSharePlan:
    limits = _limits(share.capacityLimits)
    sharing = share.resourceSharingConfiguration
    return QuotaSharePlan(
        share.quotaShareName,
        tuple(limits.get(unit, 0) for unit in units),
        sharing.strategy,
        sharing.borrowLimit,
        in_share=share.preemptionConfiguration.inSharePreemption == "ENABLED",
    )


def _classes(
    classes: Sequence[ServiceClass],
    queues: Sequence[JobQueue],
    shares_of: dict[str, list[QuotaShare]],
    units: dict[str, dict[str, int]],
    fair_shares: Sequence[str],
) -> list[ServiceClassPlan]:
    row_of = {queue.jobQueueName: row for row, queue in enumerate(queues)}
    plans = []
    for each in classes:
        queue = queues[row_of[each.queue]]
        known = list(units[queue.serviceEnvironmentOrder[0].serviceEnvironment])
        unit = ALL_INSTANCES if ALL_INSTANCES in known else each.instance_type
        names = [share.quotaShareName for share in shares_of[each.queue]]
        plans.append(
            ServiceClassPlan(
                queue=row_of[each.queue],
                unit=known.index(unit) if unit in known else NO_UNIT,
                instances=each.instances,
                attempts=each.attempts,
                rules=tuple(ExitRule(*rule) for rule in each.rules),
                timeout_us=each.timeout_us or 0,
                share=-1 if each.share is None else fair_shares.index(each.share),
                quota_share=-1 if each.quota_share is None else names.index(each.quota_share),
                priority=each.priority,
                preemptions=UNLIMITED if each.preemptions is None else each.preemptions,
            )
        )
    return plans


def _world(scenario: Scenario, workload: ServiceWorkload, draw: tuple[int, int]) -> ServiceWorld:
    assumptions = scenario.assumptions
    pending, download = (
        load_distribution(getattr(assumptions, name), scenario.base_dir, f"assumptions.{name}")
        for name in ("trainingPending", "trainingDownload")
    )
    return ServiceWorld(
        submit_us=workload.submit_us.tolist(),
        runtime_us=workload.runtime_us.tolist(),
        class_of=array("i", workload.job_class.astype(np.int32).tobytes()),
        classes=workload.classes,
        pending=pending,
        download=download,
        stop_us=assumptions.trainingStop,
        requests=workload.events,
        seed=draw[0],
        replication=draw[1],
    )
