"""Can a job ever start, and if not, why: AWS's own words for a job stuck in RUNNABLE [spec 1.17].

The two misconfigurations are properties of the plan alone, so they can be told without a simulation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchsim.core.allocation import gang_types, tiers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import EnvironmentPlan, Gang, Need, Plan

MAX_RESOURCE: Final = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet"
    " the CPU requirement of the job."
)
RESOURCE_REQUIREMENT: Final = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher"
    " than that can be met by the CE(s) attached to the job queue."
)
OTHER_ARCHITECTURE: Final = (  # AWS's word for it, and a sentence of ours: it publishes none
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job needs another CPU architecture than the instance"
    " types of the CE(s) attached to the job queue have."
)
NO_CAPACITY_FOR: Final = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
DISABLED: Final = "Every compute environment of the job queue is DISABLED."
INVALID: Final = "ACTION_REQUIRED - CE(s) associated with the job queue are invalid."  # [spec 1.17]


def no_capacity(instance_type: str) -> str:
    """The status reason while launches of that type are refused [spec 1.17]."""
    return (
        f"{NO_CAPACITY_FOR} - Service cannot fulfill the capacity requested for instance type"
        f" [{instance_type}]"
    )


def lacks_resource(name: str) -> str:
    """Why a job waits for a consumable resource; a sentence of ours, since AWS does not publish its own."""
    return f"Less of the consumable resource {name} is available than the job asks for."


def never_starts(plan: Plan, queue: int, need: int) -> str | None:
    """The status reason of a job of `need` that can never start in `queue`; None if it can.

    JOB_RESOURCE_REQUIREMENT: no instance type of any enabled environment holds the job, or none is of its
    architecture.
    COMPUTE_ENVIRONMENT_MAX_RESOURCE: some type would, but each such environment's maxvCpus is below
    the job's vCPUs. [UG: job_stuck_in_runnable_misconfiguration]
    CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY: there is one that would launch such a type, but a quota of the
    account is below it; then EC2 refuses it for ever. [spec 3.10]

    For a multi-node job, an environment must allow such jobs, and its maxvCpus must cover the instances of
    all nodes, as must the quotas [UG: mnp-ce].
    """
    environments = [
        plan.of_kind(plan.environments[e], plan.kind_of(need)) for e in plan.queues[queue].environments
    ]
    enabled = [environment for environment in environments if environment.enabled]
    if not enabled:
        return INVALID if any(environment.invalid for environment in environments) else DISABLED
    asked = plan.needs[need]
    gang = plan.gangs[need] if plan.gangs else None
    holding = [environment for environment in enabled if _types(plan, environment, asked, gang)]
    if not holding:
        return OTHER_ARCHITECTURE if _is_of_another_kind(plan, queue, enabled) else RESOURCE_REQUIREMENT
    within = [environment for environment in holding if _within_max(plan, environment, asked, gang)]
    if not within:
        return MAX_RESOURCE
    if all(not _within_quotas(plan, environment, asked, gang) for environment in within):
        smallest = min(launchable(plan, within[0], asked, gang), key=lambda index: plan.types[index].vcpus)
        return no_capacity(plan.types[smallest].name)
    return None


def launchable(plan: Plan, environment: EnvironmentPlan, need: Need, gang: Gang | None) -> list[int]:
    """The types that a managed environment launches for a job, quotas aside, in order of preference."""
    if gang is not None:
        return gang_types(plan.types, environment, need, gang)
    if need.vcpus > environment.max_vcpus:
        return []
    return [index for tier in tiers_of(plan.types, environment, need) for index in tier]


def _is_of_another_kind(plan: Plan, queue: int, of_its_kind: Sequence[EnvironmentPlan]) -> bool:
    """Whether the environments have types, of which none is left `of_its_kind`."""
    theirs = [plan.environments[index] for index in plan.queues[queue].environments]
    return any(each.types for each in theirs if each.enabled) and not any(each.types for each in of_its_kind)


def _types(plan: Plan, environment: EnvironmentPlan, need: Need, gang: Gang | None) -> list[int]:
    """The types of an environment that hold a job, or each of its nodes."""
    if gang is not None and not environment.gangs:
        return []
    return [
        index
        for index in environment.types
        if plan.types[index].holds(need.with_room(environment.aside))
        and (gang is None or not gang.types or index in gang.types)
    ]


def _within_quotas(plan: Plan, environment: EnvironmentPlan, need: Need, gang: Gang | None) -> bool:
    nodes = 1 if gang is None else len(gang.nodes)
    return not environment.managed or any(
        plan.may_run(index, nodes) for index in launchable(plan, environment, need, gang)
    )


def _within_max(plan: Plan, environment: EnvironmentPlan, need: Need, gang: Gang | None) -> bool:
    if not environment.managed:
        return True
    return bool(launchable(plan, environment, need, gang))
