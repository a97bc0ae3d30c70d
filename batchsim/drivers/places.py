"""Compute environments and job queues as the scheduler sees them, at first and as users update them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from batchsim.catalog.eks import DAEMON_SETS_MIB, DAEMON_SETS_MILLI
from batchsim.core.grid import NEVER
from batchsim.core.plan import (
    NO_NEED,
    EnvironmentPlan,
    EnvironmentUpdate,
    Need,
    QueuePlan,
    QueueUpdate,
    TimeLimit,
)
from batchsim.core.registration import invalid
from batchsim.core.shares import UNIT_WEIGHT, FairSharePolicy
from batchsim.drivers.offered import offered_types, place_of_types
from batchsim.drivers.world import Machines
from batchsim.errors import ScenarioError, at_path
from batchsim.scenario import JobQueue, applied_updates
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsim.catalog import InstanceType
    from batchsim.drivers.machines import MachineTypes
    from batchsim.scenario import ComputeEnvironment, Scenario
    from batchsim.scenario.environments import ComputeResources
    from batchsim.scenario.managedinstances import ManagedInstancesProvider

_US_PER_MINUTE: Final = 60 * US_PER_S


def plan_environments(
    scenario: Scenario, types: MachineTypes
) -> tuple[list[EnvironmentPlan], list[Machines]]:
    """The environments, and the machines of those that are not managed."""
    plans: list[EnvironmentPlan] = []
    machines: list[Machines] = []
    for index, environment in enumerate(scenario.computeEnvironments):
        if environment.computeResources is not None:
            place = f"{scenario.path_of(environment)}.computeResources"
            plans.append(_with_validity(scenario, environment, _managed(environment, types, place)))
            continue
        rows = []
        for position, machine in enumerate(environment.instances):
            with at_path(f"{scenario.path_of(environment)}.instances.{position}.instanceType"):
                rows.append(types.of_machine(machine))
        plan = _unmanaged(environment, types, list(dict.fromkeys(rows)))
        plans.append(_with_validity(scenario, environment, plan))
        machines += [
            Machines(
                index,
                row,
                machine.count,
                machine.name or "",
                machine.joinsAfter,
                NEVER if machine.leavesAfter is None else machine.leavesAfter,
            )
            for row, machine in zip(rows, environment.instances, strict=True)
        ]
    return plans, machines


def _with_validity(
    scenario: Scenario, environment: ComputeEnvironment, plan: EnvironmentPlan
) -> EnvironmentPlan:
    """The environment as it is if it is INVALID, or with when it becomes so."""
    if environment.status == "INVALID":
        return invalid(plan)
    if plan.name in scenario.assumptions.neverRegisters:
        return replace(plan, invalid_after_us=max(scenario.assumptions.invalidAfter, 1))
    return plan


def _managed(environment: ComputeEnvironment, types: MachineTypes, path: str) -> EnvironmentPlan:
    """`path` is where its resources are said."""
    resources = environment.computeResources
    assert resources is not None
    name = environment.computeEnvironmentName
    if resources.is_fargate:
        with at_path(f"{path}.type"):
            sizes = types.of_fargate(spot=resources.type == "FARGATE_SPOT")
        return EnvironmentPlan(
            name,
            tuple(sizes),
            managed=True,
            enabled=environment.state == "ENABLED",
            max_vcpus=types.vcpu_parts * resources.maxvCpus,
            per_job=True,
        )
    if resources.managedInstancesProvider is not None:
        return _managed_instances(environment, resources.managedInstancesProvider, types, path)
    spot = resources.type == "SPOT"
    found = offered_types(resources, types.catalog, path)
    if spot:
        found = _on_the_market(found, resources, types, place_of_types(resources, path))
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
        aside=_for_daemon_sets(environment, types.vcpu_parts),
    )


def _managed_instances(
    environment: ComputeEnvironment, provider: ManagedInstancesProvider, types: MachineTypes, path: str
) -> EnvironmentPlan:
    """ECS says only that it chooses by cost, which `SharedScaler` does; it has no strategy to name."""
    resources = environment.computeResources
    assert resources is not None
    found = offered_types(resources, types.catalog, path)
    spot = provider.on_spot
    if spot:
        found = _on_the_market(found, resources, types, place_of_types(resources, path))
    rows = {types.of_ecs(each.name, spot=spot): types.fee_of_ecs(each.name) for _, each in found}
    after = provider.infrastructureOptimization.scaleInAfter
    return EnvironmentPlan(
        environment.computeEnvironmentName,
        tuple(rows),
        managed=True,
        enabled=environment.state == "ENABLED",
        max_vcpus=types.vcpu_parts * resources.maxvCpus,
        shared=True,
        fees=rows,
        idle_us=-1 if after is None else NEVER if after < 0 else after * US_PER_S,
    )


def _for_daemon_sets(environment: ComputeEnvironment, vcpu_parts: int) -> Need:
    """What AWS Batch estimates as long as it has not seen a node [spec 1.12].

    Where minvCpus or desiredvCpus brings a node by itself, it is seen before anything depends on it.
    """
    resources = environment.computeResources
    assert resources is not None
    if environment.platform != "EKS" or resources.minvCpus or resources.desiredvCpus:
        return NO_NEED
    return Need(DAEMON_SETS_MILLI * vcpu_parts // 1000, DAEMON_SETS_MIB, 0)


def _on_the_market(
    found: Sequence[tuple[int, InstanceType]], resources: ComputeResources, types: MachineTypes, place: str
) -> list[tuple[int, InstanceType]]:
    """The types that are sold as Spot instances, at prices below the bid [spec 3.4]; `place` names them.

    Recorded prices move, and are compared at each launch; others do not, so that a type above the bid is
    never launched.
    """
    bid = (resources.bidPercentage or 100) / 100
    sold = [(entry, each) for entry, each in found if each.spot]
    moving = {name for name, _ in types.spot_prices}
    cheap = [
        (entry, each) for entry, each in sold if each.name in moving or types.spot_factor(each.name) < bid
    ]
    if not cheap:
        on_demand = "capacityOptionType: ON_DEMAND" if resources.is_managed_instances else "type: EC2"
        raise ScenarioError(
            "none of these types is sold as a Spot instance"
            if not sold
            else f"no Spot price of these types is below {bid:.0%} of On-Demand",
            path=place,
            hint=f"name other types, or use On-Demand ({on_demand})",
        )
    return cheap


def plan_queues(scenario: Scenario, environments: Mapping[str, int]) -> list[QueuePlan]:
    """The queues of compute environments, given the rows of these."""
    return [_queue(scenario, queue, environments) for queue in scenario.jobQueues if not queue.is_service]


def _queue(scenario: Scenario, queue: JobQueue, environments: Mapping[str, int]) -> QueuePlan:
    return QueuePlan(
        queue.jobQueueName,
        queue.priority,
        tuple(environments[name] for name in queue.environments()),
        enabled=queue.state == "ENABLED",
        fair_share=fair_share_policy(scenario, queue),
        time_limits=tuple(
            TimeLimit(each.reason, each.maxTimeSeconds * US_PER_S) for each in queue.jobStateTimeLimitActions
        ),
    )


def plan_updates(
    scenario: Scenario,
    types: MachineTypes,
    environments: Sequence[EnvironmentPlan],
    queues: Sequence[QueuePlan],
) -> list[EnvironmentUpdate | QueueUpdate]:
    """What users say of environments and queues during the run, in order of time."""
    rows = {each.name: row for row, each in enumerate(environments)}
    queue_rows = {each.name: row for row, each in enumerate(queues)}
    updates: list[EnvironmentUpdate | QueueUpdate] = []
    for each in applied_updates(scenario):
        after = each.after
        if isinstance(after, JobQueue):
            updates.append(QueueUpdate(queue_rows[after.jobQueueName], _queue(scenario, after, rows)))
            continue
        row = rows[after.computeEnvironmentName]
        if after.computeResources is None:
            plan = _unmanaged(after, types, environments[row].types)
        else:
            plan = _managed(after, types, f"workload.{each.item}.update")
        policy = after.updatePolicy
        minutes = 0 if policy.terminateJobsOnUpdate else policy.jobExecutionTimeoutMinutes
        plan = _with_validity(scenario, after, plan)
        updates.append(EnvironmentUpdate(row, plan, each.replaces, minutes * _US_PER_MINUTE))
    return updates


def _unmanaged(environment: ComputeEnvironment, types: MachineTypes, rows: Sequence[int]) -> EnvironmentPlan:
    return EnvironmentPlan(
        environment.computeEnvironmentName,
        tuple(rows),
        enabled=environment.state == "ENABLED",
        unmanaged_vcpus=types.vcpu_parts * (environment.unmanagedvCpus or 0),
    )


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
