"""What a run's money depends on beside the prices of instances: volumes, clusters, commitments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchsim.core.plan import EnvironmentUpdate
from batchsim.errors import ScenarioError
from batchsim.results.commitments import CommitmentRows, Kind
from batchsim.units import MIB_PER_GIB, usd_to_uusd

if TYPE_CHECKING:
    from batchsim.drivers.planning import Setup
    from batchsim.scenario import Scenario
    from batchsim.scenario.environments import ComputeEnvironment

HOURS_A_MONTH: Final = 730
PRICED_REGION: Final = "us-east-1"
"""Where the default of assumptions.volumePrice holds; of other regions no price is known."""


def volume_uusd_per_hour(scenario: Scenario, environment: ComputeEnvironment) -> int:
    """What the volume of each instance of an environment costs; 0 of tasks and of a user's own machines.

    Raises ScenarioError where there are volumes but no price of the region is known or said.
    """
    if environment.computeResources is None or environment.computeResources.is_fargate:
        return 0
    assumed = scenario.assumptions
    size = environment.instanceVolume
    if size is None:
        size = _storage_mib(environment) or assumed.instanceVolume
    if size and scenario.region != PRICED_REGION and "volumePrice" not in assumed.model_fields_set:
        raise ScenarioError(
            f"no price of EBS volumes in {scenario.region} is known",
            path="assumptions.volumePrice",
            hint=f"say it, in USD a GB-month; in {PRICED_REGION} gp3 costs {assumed.volumePrice:g}",
        )
    return usd_to_uusd(size / MIB_PER_GIB * assumed.volumePrice / HOURS_A_MONTH)


def _storage_mib(environment: ComputeEnvironment) -> int:
    """What ECS Managed Instances are said to have; else 0."""
    provider = environment.computeResources and environment.computeResources.managedInstancesProvider
    storage = provider and provider.instanceLaunchTemplate.storageConfiguration.storageSizeGiB
    return (storage or 0) * MIB_PER_GIB


def fee_part(scenario: Scenario, environment: ComputeEnvironment) -> float:
    """What is paid for the management of each instance, as a part of its On-Demand price."""
    of_ecs = environment.platform == "ECS_MANAGED_INSTANCES"
    return scenario.assumptions.managedInstancesFee if of_ecs else 0.0


def cluster_uusd_per_hour(scenario: Scenario) -> int:
    """What the EKS clusters of all environments cost together; environments may share one."""
    clusters = {
        each.eksConfiguration.eksClusterArn if each.eksConfiguration else each.computeEnvironmentName
        for each in scenario.computeEnvironments
        if each.platform == "EKS"
    }
    return len(clusters) * usd_to_uusd(scenario.assumptions.eksClusterPrice)


def commitment_rows(scenario: Scenario, setup: Setup) -> CommitmentRows | None:
    """The commitments as results need them; None without any.

    Raises ScenarioError for Reserved Instances of a type that no On-Demand environment has.
    """
    given, plan = scenario.commitments, setup.plan
    if given is None:
        return None
    saving = given.savingsPlan
    part_of = _eligible(scenario, setup)
    reserved: dict[str, tuple[int, float]] = {}
    for index, each in enumerate(given.reservedInstances):
        count, _ = reserved.get(each.instanceType, (0, 0.0))
        reserved[each.instanceType] = count + each.instanceCount, each.discount
        if not any(plan.types[row].name == each.instanceType for row in part_of):
            raise ScenarioError(
                f"no On-Demand environment has {each.instanceType}: nobody could use what is reserved",
                path=f"commitments.reservedInstances.{index}.instanceType",
                hint="name it in the instanceTypes of an environment of type EC2, or leave it out here",
            )
    kinds: dict[tuple[str, int], int] = {}
    rows: list[Kind] = []
    kind_of = [-1] * len(plan.types)
    for row, part in part_of.items():
        kind = plan.types[row]
        if (kind.name, kind.uusd_per_hour) not in kinds:
            kinds[kind.name, kind.uusd_per_hour] = len(rows)
            rows.append(Kind(kind.uusd_per_hour, part, *reserved.get(kind.name, (0, 0.0))))
        kind_of[row] = kinds[kind.name, kind.uusd_per_hour]
    return CommitmentRows(usd_to_uusd(saving.commitment) if saving else 0, rows, kind_of)


def _eligible(scenario: Scenario, setup: Setup) -> dict[int, float]:
    """The rows of types that are had On-Demand, at first or after an update, and the plan's discount."""
    plan = setup.plan
    saving = scenario.commitments.savingsPlan if scenario.commitments else None
    discount = saving.discount if saving else 0.0
    on_fargate = saving.fargateDiscount or 0.0 if saving else 0.0
    part_of: dict[int, float] = {}
    for written, planned in zip(scenario.computeEnvironments, plan.environments, strict=True):
        if written.computeResources and written.computeResources.type == "FARGATE":
            part_of.update(dict.fromkeys(planned.types, on_fargate))
    updated = [each.after for each in plan.updates if isinstance(each, EnvironmentUpdate)]
    for planned in (*plan.environments, *updated):
        rows = planned.types if planned.managed else ()
        part_of.update({row: discount for row in rows if setup.billings[row] == "ec2"})
    return part_of
