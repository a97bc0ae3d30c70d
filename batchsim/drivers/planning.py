"""From a scenario and its workload to what a driver needs: the scheduler's plan, and the world.

    prepare(scenario, workload)  ->  Setup(plan, world, ...)

Here, in `places`, in `demand` and in `worlds` names become indices, and nowhere else. When a scenario has
EKS, or jobs that ask for less than a vCPU, all vCPUs of its plan are in quarters.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from batchsim.core.consumables import ConsumablePlan
from batchsim.core.dependencies import Graph
from batchsim.core.plan import Plan, Policy
from batchsim.drivers.compiled import refuse_stale
from batchsim.drivers.demand import Demand
from batchsim.drivers.machines import MachineTypes
from batchsim.drivers.market import build_quotas
from batchsim.drivers.places import plan_environments, plan_queues, plan_updates
from batchsim.drivers.tasksizes import check_tasks
from batchsim.drivers.world import UNIT_SPEED
from batchsim.drivers.worlds import build_world
from batchsim.errors import ScenarioError
from batchsim.workload.table import QUARTERS, task_kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsim.core.plan import EnvironmentPlan, QueuePlan
    from batchsim.drivers.world import World
    from batchsim.results.context import Billing
    from batchsim.scenario import Assumptions, Scenario
    from batchsim.workload import Edges, Workload


MOST_FREE_START_FAILURES: Final = 0.8
"""Of ten million jobs at this rate one fails 100 times in a row in two runs of a thousand."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A run ready to be driven.

    price_date   "" when no price came from the catalogue
    billings     for each of the plan's types how it is billed
    on_demand_uusd   for each what an hour of it costs On-Demand; 0 of tasks and users' own machines
    architectures    for each its CPU's; "" of machines that users describe
    price_notes  what became of the records of Spot prices
    """

    plan: Plan
    world: World
    price_date: str
    billings: Sequence[Billing]
    on_demand_uusd: Sequence[int]
    architectures: Sequence[str]
    price_notes: Mapping[str, Any] = field(default_factory=dict)


def prepare(scenario: Scenario, workload: Workload, seed: int = 0, replication: int = 0) -> Setup:
    """What a driver needs to run `workload` in `scenario`.

    Jobs that would be submitted at or after the scenario's horizon must have been cut off before.
    Raises CatalogError for instance types and prices that are not known, ScenarioError for parts of a
    scenario that do not go together, InputError if a part of the core was changed after it had been compiled.
    """
    refuse_stale()
    with scenario.placing_errors():
        return _prepared(scenario, workload, (seed, replication))


def _prepared(scenario: Scenario, workload: Workload, draw: tuple[int, int]) -> Setup:
    in_pods = any(each.platform == "EKS" for each in scenario.computeEnvironments)
    in_parts = any(each.vcpu_quarters % QUARTERS for each in workload.classes)
    parts = QUARTERS if in_pods or in_parts else 1
    types = MachineTypes(scenario, parts, task_kinds(workload.classes))
    environments, machines = plan_environments(scenario, types)
    queues = plan_queues(scenario, {each.name: index for index, each in enumerate(environments)})
    updates = plan_updates(scenario, types, environments, queues)
    _check_easy(scenario, workload, queues)
    _check_start_failures(scenario, workload)
    check_tasks(scenario, workload, types)
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
        kinds=demand.kinds,
        architectures=types.architectures,
        gangs=demand.gangs,
        consumables=consumables,
        shares=demand.shares,
        graph=_graph(workload.edges),
        updates=updates,
        quotas=build_quotas(scenario.assumptions.accountQuotas, types),
    )
    world = build_world(scenario, workload, types, machines, draw)
    plan = replace(plan, estimate_us=_estimates(scenario.assumptions, workload, world, environments))
    return Setup(
        plan,
        world,
        types.price_date(),
        types.billings,
        types.on_demand_uusd(),
        types.row_architectures(),
        types.price_notes,
    )


def type_names(scenario: Scenario) -> set[str]:
    """All instance types that the environments may have, at first or after updates. Raises as `prepare`."""
    with scenario.placing_errors():
        types = MachineTypes(scenario, QUARTERS)
        environments, _ = plan_environments(scenario, types)
        queues = plan_queues(scenario, {each.name: index for index, each in enumerate(environments)})
        plan_updates(scenario, types, environments, queues)
        return {each.name for each in types.rows}


def _check_easy(scenario: Scenario, workload: Workload, queues: Sequence[QueuePlan]) -> None:
    """A reservation is of one place at one expected instant; some jobs wait for more than that."""
    if scenario.assumptions.backfill != "easy":
        return
    culprits = [
        f"compute environment {each.computeEnvironmentName} is of ECS Managed Instances"
        for each in scenario.computeEnvironments
        if each.platform == "ECS_MANAGED_INSTANCES"
    ]
    culprits += [f"job queue {queue.name} has a fair-share policy" for queue in queues if queue.fair_share]
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


def _estimates(
    assumptions: Assumptions, workload: Workload, world: World, environments: Sequence[EnvironmentPlan]
) -> list[int]:
    """The running time that EASY backfilling expects of each job, on the slowest type that is listed.

    A job is not cut off at what its user has stated, so that less than it takes would be no bound.
    """
    if assumptions.backfill != "easy":
        return []
    rows = [row for each in environments for row in each.types]
    slowest = min(rows, key=lambda row: world.speeds.get(row, UNIT_SPEED), default=-1)
    exact = [world.lasts_us(us, slowest) for us in world.runtime_us]
    if assumptions.estimate == "exact":
        return exact
    return [max(us, stated) for us, stated in zip(exact, workload.requested_us.tolist(), strict=True)]


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
