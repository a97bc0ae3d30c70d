"""From a scenario and its workload to what a driver needs: the scheduler's plan, and the world.

    prepare(scenario, workload)  ->  Setup(plan, world, ...)

Here, in `demand` and in `worlds` names become indices, and nowhere else. When a scenario has EKS, all vCPUs
of its plan are in quarters.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from batchsim.catalog.fargate import cheapest_size, is_task_size
from batchsim.core.consumables import ConsumablePlan
from batchsim.core.dependencies import Graph
from batchsim.core.plan import EnvironmentPlan, Plan, Policy, QueuePlan, TimeLimit
from batchsim.core.shares import UNIT_WEIGHT, FairSharePolicy
from batchsim.drivers.demand import Demand
from batchsim.drivers.machines import MachineTypes
from batchsim.drivers.world import Machines
from batchsim.drivers.worlds import build_world
from batchsim.errors import ScenarioError, at_path
from batchsim.scenario import TraceJobs
from batchsim.units import US_PER_S
from batchsim.workload.table import QUARTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsim.catalog import InstanceType
    from batchsim.drivers.world import World
    from batchsim.results.context import Billing
    from batchsim.scenario import Assumptions, ComputeEnvironment, JobQueue, Scenario
    from batchsim.scenario.environments import ComputeResources
    from batchsim.workload import Edges, Workload


_US_PER_MINUTE: Final = 60 * US_PER_S
MOST_FREE_START_FAILURES: Final = 0.8
"""Of ten million jobs at this rate one fails 100 times in a row in two runs of a thousand."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A run ready to be driven.

    price_date   "" when no price came from the catalogue
    billings     for each of the plan's types how it is billed
    """

    plan: Plan
    world: World
    price_date: str
    billings: Sequence[Billing]


def prepare(scenario: Scenario, workload: Workload, seed: int = 0, replication: int = 0) -> Setup:
    """What a driver needs to run `workload` in `scenario`.

    Jobs that would be submitted at or after the scenario's horizon must have been cut off before.
    Raises CatalogError for instance types and prices that are not known, ScenarioError for parts of a
    scenario that do not go together.
    """
    with scenario.placing_errors():
        return _prepared(scenario, workload, (seed, replication))


def _prepared(scenario: Scenario, workload: Workload, draw: tuple[int, int]) -> Setup:
    parts = QUARTERS if any(each.platform == "EKS" for each in scenario.computeEnvironments) else 1
    types = MachineTypes(scenario, parts)
    environments, machines = _environments(scenario, types)
    queues = _queues(scenario, {each.name: index for index, each in enumerate(environments)})
    _check_easy(scenario, workload, queues)
    _check_start_failures(scenario, workload)
    _check_task_sizes(scenario, workload, types)
    consumables = [
        ConsumablePlan(each.consumableResourceName, each.totalQuantity, each.resourceType == "REPLENISHABLE")
        for each in scenario.consumableResources
    ]
    demand = Demand(
        workload.classes,
        parts,
        {queue.name: index for index, queue in enumerate(queues)},
        {resource.name: index for index, resource in enumerate(consumables)},
        types.rows_of,
    )
    plan = Plan(
        types=types.rows,
        environments=environments,
        queues=queues,
        needs=demand.needs,
        classes=demand.classes,
        class_of=array("i", workload.job_class.astype(np.int32).tobytes()),
        policy=_policy(scenario.assumptions),
        vcpu_parts=parts,
        asks=demand.asks,
        gangs=demand.gangs,
        consumables=consumables,
        shares=demand.shares,
        graph=_graph(workload.edges),
        estimate_us=_estimates(scenario.assumptions, workload),
    )
    world = build_world(scenario, workload, types, machines, draw)
    return Setup(plan, world, types.price_date(), types.billings)


def _environments(scenario: Scenario, types: MachineTypes) -> tuple[list[EnvironmentPlan], list[Machines]]:
    plans: list[EnvironmentPlan] = []
    machines: list[Machines] = []
    for index, environment in enumerate(scenario.computeEnvironments):
        if environment.computeResources is not None:
            plans.append(_managed(environment, types, scenario.path_of(environment)))
            continue
        rows = []
        for position, machine in enumerate(environment.instances):
            with at_path(f"{scenario.path_of(environment)}.instances.{position}.instanceType"):
                rows.append(types.of_machine(machine))
        plans.append(
            EnvironmentPlan(
                environment.computeEnvironmentName,
                tuple(dict.fromkeys(rows)),
                enabled=environment.state == "ENABLED",
                unmanaged_vcpus=types.vcpu_parts * (environment.unmanagedvCpus or 0),
            )
        )
        machines += [
            Machines(index, row, machine.count, machine.name or "")
            for row, machine in zip(rows, environment.instances, strict=True)
        ]
    return plans, machines


def _managed(environment: ComputeEnvironment, types: MachineTypes, path: str) -> EnvironmentPlan:
    resources = environment.computeResources
    assert resources is not None
    name = environment.computeEnvironmentName
    if resources.is_fargate:
        with at_path(f"{path}.computeResources.type"):
            sizes = types.of_fargate(spot=resources.type == "FARGATE_SPOT")
        return EnvironmentPlan(
            name,
            tuple(sizes),
            managed=True,
            enabled=environment.state == "ENABLED",
            max_vcpus=types.vcpu_parts * resources.maxvCpus,
            per_job=True,
        )
    spot = resources.type == "SPOT"
    found = types.catalog.resolve_each(resources.instanceTypes, f"{path}.computeResources.instanceTypes")
    if spot:
        found = _on_the_market(found, resources, types, f"{path}.computeResources")
    of_catalog = types.of_spot if spot else types.from_catalog
    pools = [types.catalog.spot(each.name) for _, each in found] if spot else []
    unknown = types.unknown_band
    return EnvironmentPlan(
        name,
        tuple(of_catalog(each.name, platform=environment.platform) for _, each in found),
        managed=True,
        enabled=environment.state == "ENABLED",
        min_vcpus=types.vcpu_parts * resources.minvCpus,
        max_vcpus=types.vcpu_parts * resources.maxvCpus,
        desired_vcpus=types.vcpu_parts * (resources.desiredvCpus or 0),
        gangs=resources.type == "EC2",
        strategy=resources.allocationStrategy,
        entries=tuple(entry for entry, _ in found),
        bands=tuple(-(unknown if pool is None else pool.interruption_band) for pool in pools),
        overshoots=spot or resources.allocationStrategy != "BEST_FIT",
        scale_down_delay_us=resources.scalingPolicy.minScaleDownDelayMinutes * _US_PER_MINUTE,
    )


def _on_the_market(
    found: Sequence[tuple[int, InstanceType]], resources: ComputeResources, types: MachineTypes, path: str
) -> list[tuple[int, InstanceType]]:
    """The types that are sold as Spot instances, at prices below the bid [spec 3.4].

    Prices do not move, so that a type above the bid is never launched.
    """
    bid = (resources.bidPercentage or 100) / 100
    sold = [(entry, each) for entry, each in found if each.spot]
    cheap = [(entry, each) for entry, each in sold if types.spot_factor(each.name) < bid]
    if not cheap:
        raise ScenarioError(
            "none of these types is sold as a Spot instance"
            if not sold
            else f"no Spot price of these types is below {bid:.0%} of On-Demand",
            path=f"{path}.instanceTypes",
            hint="name other types, or use On-Demand (type: EC2)",
        )
    return cheap


def _queues(scenario: Scenario, environments: Mapping[str, int]) -> list[QueuePlan]:
    return [
        QueuePlan(
            queue.jobQueueName,
            queue.priority,
            tuple(environments[name] for name in queue.environments()),
            enabled=queue.state == "ENABLED",
            fair_share=fair_share_policy(scenario, queue),
            time_limits=tuple(
                TimeLimit(each.reason, each.maxTimeSeconds * US_PER_S)
                for each in queue.jobStateTimeLimitActions
            ),
        )
        for queue in scenario.jobQueues
        if not queue.is_service
    ]


def fair_share_policy(scenario: Scenario, queue: JobQueue) -> FairSharePolicy | None:
    """The fair-share rules of a queue, with the assumptions about them; None if it has none."""
    given = scenario.fair_share(queue)
    if given is None:
        return None
    return FairSharePolicy(
        share_decay_us=given.shareDecaySeconds * US_PER_S,
        reservation_percent=given.computeReservation,
        weights=tuple(
            (each.shareIdentifier, round(each.weightFactor * UNIT_WEIGHT)) for each in given.shareDistribution
        ),
        model=scenario.assumptions.fairShareModel,
        wildcard_split=scenario.assumptions.wildcardSplit,
    )


def _check_easy(scenario: Scenario, workload: Workload, queues: Sequence[QueuePlan]) -> None:
    """A reservation is of one place at one expected instant; some jobs wait for more than that."""
    if scenario.assumptions.backfill != "easy":
        return
    culprits = [f"job queue {queue.name} has a fair-share policy" for queue in queues if queue.fair_share]
    for each in workload.classes:
        if each.nodes is not None:
            culprits.append(f"workload entry {each.group} has multi-node jobs")
        if each.consumables:
            culprits.append(f"workload entry {each.group} uses consumable resources")
    if culprits:
        raise ScenarioError(
            f"EASY backfilling needs FIFO queues and jobs of one node without consumable resources,"
            f" but {culprits[0]}",
            path="assumptions.backfill",
            hint="use none or greedy",
        )


def _check_start_failures(scenario: Scenario, workload: Workload) -> None:
    """Attempts that do not count have no limit, so that a job must start at some time."""
    if scenario.assumptions.startFailureConsumesAttempt:
        return
    for each in workload.classes:
        if each.start_failure_rate > MOST_FREE_START_FAILURES:
            raise ScenarioError(
                f"attempts of workload entry {each.group} nearly always fail to start and would be tried "
                "again for ever, since they do not count",
                expected=f"startFailures.rate up to {MOST_FREE_START_FAILURES}",
                found=f"{each.start_failure_rate:g}",
                path=f"workload.{each.group}.startFailures.rate",
                hint="lower it, or let startFailureConsumesAttempt be true",
            )


def _check_task_sizes(scenario: Scenario, workload: Workload, types: MachineTypes) -> None:
    """A task has one of the sizes there are; jobs of a trace get the smallest that holds them [spec 4.1]."""
    traces = {entry.name for _, entry in scenario.submissions() if isinstance(entry, TraceJobs)}
    for each in workload.classes:
        if each.platform != "ECS_FARGATE" or each.group in traces:
            continue
        if not is_task_size(each.vcpus, each.memory_mib):
            size = cheapest_size(each.vcpus, each.memory_mib, types.task_price())
            raise ScenarioError(
                f"Fargate has no tasks of {each.vcpus} vCPU and {each.memory_mib} MiB",
                path=f"workload.{each.group}",
                hint="use EC2"
                if size is None
                else f"the cheapest size that holds them is {size[0]} vCPU and {size[1]} MiB",
            )


def _graph(edges: Edges | None) -> Graph:
    if edges is None:
        return Graph()
    return Graph(
        jobs=len(edges.waits_for) - len(edges.patient),
        successor_start=edges.successor_start.tolist(),
        successors=edges.successors.tolist(),
        waits_for=edges.waits_for.tolist(),
        patient=edges.patient.tolist(),
    )


def _estimates(assumptions: Assumptions, workload: Workload) -> list[int]:
    """The running time that EASY backfilling expects of each job.

    A job is not cut off at what its user has stated, so that less than it takes would be no bound.
    """
    if assumptions.backfill != "easy":
        return []
    if assumptions.estimate == "exact":
        return [int(us) for us in workload.runtime_us]
    return [int(us) for us in np.maximum(workload.runtime_us, workload.requested_us)]


def _policy(assumptions: Assumptions) -> Policy:
    return Policy(
        scheduling_interval_us=assumptions.schedulingInterval,
        scaling_interval_us=assumptions.scalingInterval,
        submit_evaluation_us=assumptions.submitEvaluation,
        idle_scale_in_us=assumptions.idleScaleIn,
        launch_cooloff_us=assumptions.launchCooloff,
        backfill=assumptions.backfill,
        size_tiebreak=assumptions.sizeTiebreak,
        start_failures_count=assumptions.startFailureConsumesAttempt,
    )
