"""What jobs that can never start ask for and what their queue's instances offer, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.feasibility import (
    MAX_RESOURCE,
    NO_CAPACITY_FOR,
    OTHER_ARCHITECTURE,
    RESOURCE_REQUIREMENT,
    launchable,
)
from batchsim.studies.changes import Amounts, Asked, amount, describe_need, enabled

if TYPE_CHECKING:
    from batchsim.core.plan import Need, Plan


def _offers(plan: Plan, queue: int, kind: int) -> list[tuple[Need, str]]:
    """The largest job of a kind that each instance type of the queue can hold, and the type's name."""
    return [
        (environment.offers(plan.types[index]), plan.types[index].name)
        for environment in enabled(plan, queue)
        for index in plan.of_kind(environment, kind).types
    ]


def missing(plan: Plan, asked: Asked) -> tuple[int, ...]:
    """The resources (0 vCPUs, 1 memory, 2 GPUs) of which no instance of the queue has enough."""
    sizes = [size for size, _ in _offers(plan, asked.queue, asked.kind)]
    return tuple(
        axis for axis, least in enumerate(asked.need) if least and all(size[axis] < least for size in sizes)
    )


def in_words(plan: Plan, reason: str | None, lacking: tuple[int, ...], least: Need, asked: Asked) -> str:
    """What is asked and what is offered of the resources in `lacking`; "" where AWS's reason says it all.

    least   of jobs that ask for different amounts, the least of each
    """
    if reason == MAX_RESOURCE:
        return _over_max(plan, least, asked)
    if reason is not None and reason.startswith(NO_CAPACITY_FOR):
        return _over_quota(plan, asked)
    if reason == OTHER_ARCHITECTURE:
        return _other_architecture(plan, asked)
    return _too_large(plan, lacking, least, asked) if reason == RESOURCE_REQUIREMENT else ""


def _other_architecture(plan: Plan, asked: Asked) -> str:
    """Which one it needs, and which ones the environments have."""
    environments = enabled(plan, asked.queue)
    names = " and ".join(each.name for each in environments)
    has = dict.fromkeys(
        _in_aws_words(plan, plan.types[row].kind) for each in environments for row in each.types
    )
    allows = "allows" if len(environments) == 1 else "allow"
    return f"needs {_in_aws_words(plan, asked.kind)}; {names} {allows} only {' and '.join(has)} types"


def _several_kinds(plan: Plan, asked: Asked) -> str:
    """The architecture that is asked for, where an environment has another, too; else ""."""
    others = any(plan.of_kind(each, asked.kind) is not each for each in enabled(plan, asked.queue))
    return f"{_in_aws_words(plan, asked.kind)} " if others else ""


def _in_aws_words(plan: Plan, kind: int) -> str:
    """The architecture of a kind of machine, as `runtimePlatform.cpuArchitecture` has it."""
    return plan.architectures[kind].upper()


def _too_large(plan: Plan, lacking: tuple[int, ...], least: Need, asked: Asked) -> str:
    """That no instance type holds it."""
    offers = _offers(plan, asked.queue, asked.kind)
    if asked.gang is not None and not any(each.gangs for each in enabled(plan, asked.queue)):
        return "no compute environment of the queue takes multi-node jobs: only MANAGED ones of type EC2 do"
    if not offers:
        return "no compute environment of the queue has an instance"
    if not lacking:
        node = " for a node" if asked.gang is not None else ""
        return (
            f"{describe_need(Amounts.of(asked.need, plan.vcpu_parts))}{node}:"
            f" no {_several_kinds(plan, asked)}instance offers all of this"
        )
    told, one = [], f"one {_several_kinds(plan, asked)}instance"
    for axis in lacking:
        largest, name = max(offers, key=lambda each: each[0][axis])
        most = Amounts.of(largest, plan.vcpu_parts)[axis]
        offered = f"the most that {one} offers is {amount(axis, most)} ({name})"
        told.append(f"{_asks(plan, axis, least, asked)}; {offered}")
    return ", and ".join(told)


def _over_max(plan: Plan, least: Need, asked: Asked) -> str:
    """That maxvCpus of each environment is below what is asked for."""
    told = []
    for each in enabled(plan, asked.queue):
        fitting = [plan.types[index] for index in asked.fits(plan, each)]
        if not (each.managed and fitting):
            continue
        limit = f"maxvCpus of {each.name} is {each.max_vcpus // plan.vcpu_parts}"
        if asked.gang is not None:
            smallest = min(fitting, key=lambda kind: kind.vcpus)
            vcpus = smallest.vcpus * asked.nodes // plan.vcpu_parts
            limit = f"{asked.nodes} instances of {smallest.name} have {vcpus} vCPUs, {limit}"
        told.append(limit)
    start = f"starts on {asked.nodes} instances at once" if asked.gang else _asks(plan, 0, least, asked)
    return f"{start}; {', '.join(told)}"


def _over_quota(plan: Plan, asked: Asked) -> str:
    """That the account may not run what each environment would launch."""
    told = []
    for each in enabled(plan, asked.queue):
        rows = launchable(plan, each, asked.need, asked.gang) if each.managed else []
        if rows:
            row = min(rows, key=lambda index: (plan.types[index].vcpus, rows.index(index)))
            quota = next(quota for quota in plan.quotas if row in quota.rows)
            has = plan.types[row].vcpus * asked.nodes / plan.vcpu_parts
            left = max(quota.vcpus, 0) // plan.vcpu_parts
            smallest = "the smallest task" if each.per_job else "the smallest instance"
            what = f"{asked.nodes} instances" if asked.nodes > 1 else smallest
            told.append(
                f"{each.name} would launch {what} of {has:g} vCPUs ({plan.types[row].name}), and the quota"
                f" {quota.name} leaves {left}"
            )
    return "; ".join(told)


def _asks(plan: Plan, axis: int, least: Need, asked: Asked) -> str:
    whose = "a node asks for" if asked.gang is not None else "asks for"
    up_to = "up to " if least[axis] < asked.need[axis] else ""
    return f"{whose} {up_to}{amount(axis, Amounts.of(asked.need, plan.vcpu_parts)[axis])}"
