"""Environments without instances of their own: each job gets a machine of its size, for itself [spec 4, 3.9].

What is counted against maxvCpus are the vCPUs of the jobs, not of instances, and it is never exceeded.
[UG: fargate], [spec 3.2]

A quota of the account counts the vCPUs of the machines, those of all environments together. What it does not
allow is not asked for: the job waits, as at maxvCpus [spec 4.3].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.fleet import GONE, READY, Instance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batchsim.core.plan import EnvironmentPlan, MachineType, Need, Plan


class TaskQuota:
    """So many vCPUs of machines may be there at once, of types that one quota of the account covers."""

    __slots__ = ("used_vcpus", "vcpus")

    def __init__(self, vcpus: int) -> None:
        self.vcpus = vcpus
        self.used_vcpus = 0


def task_quotas(plan: Plan) -> dict[int, TaskQuota]:
    """By row of the plan's types; others have no quota."""
    return {row: found for quota in plan.quotas for found in [TaskQuota(quota.vcpus)] for row in quota.rows}


class TaskFleet:
    """Stands in for the `Fleet` of an environment with `per_job`; used_vcpus are those of its jobs."""

    __slots__ = (
        "_amounts",
        "_environment",
        "_index",
        "_new_instance",
        "_quotas",
        "_size_of",
        "_types",
        "empties",
        "used_vcpus",
    )

    def __init__(
        self,
        index: int,
        environment: EnvironmentPlan,
        plan: Plan,
        new_instance: Callable[[int, int], Instance],
        quotas: Mapping[int, TaskQuota],
    ) -> None:
        """`index` is the environment's; its types are the sizes that can be had."""
        self._index = index
        self._environment = environment
        self._amounts = plan.needs
        self._types = plan.types
        self._new_instance = new_instance
        kinds = plan.kinds or [0] * len(plan.needs)
        self._size_of = [
            _smallest(plan.types, environment.types, need, kind)
            for need, kind in zip(plan.needs, kinds, strict=True)
        ]
        self._quotas = quotas
        self.empties: dict[int, list[int]] | None = None
        self.used_vcpus = 0

    def replan(self, environment: EnvironmentPlan) -> None:
        """The environment was updated; its sizes stay."""
        self._environment = environment

    def find(self, need: int) -> Instance | None:
        """A machine for a job of `need`, made for it, or None; the job must be started on it."""
        if not self._below_max(need) or self.lacks_quota(need):
            return None
        instance = self._new_instance(self._index, self._size_of[need])
        instance.state = READY
        return instance

    def reserve(self, instance: Instance, need: int) -> None:
        """The job takes its machine."""
        vcpus, memory_mib, gpus = self._amounts[need]
        instance.free_vcpus -= vcpus
        instance.free_memory -= memory_mib
        instance.free_gpus -= gpus
        self.used_vcpus += vcpus
        assert self.used_vcpus <= max(self._environment.max_vcpus, vcpus)
        self._count(instance, instance.vcpus)

    def release(self, instance: Instance, need: int) -> None:
        """The job is over, and its machine with it."""
        self.used_vcpus -= self._amounts[need].vcpus
        self._count(instance, -instance.vcpus)
        instance.state = GONE

    def remove(self, instance: Instance) -> None:
        """The machine was lost, and what its job held with it."""
        self.used_vcpus -= instance.vcpus - instance.free_vcpus
        self._count(instance, -instance.vcpus)

    def open_needs(self) -> int:
        """Mask of the needs that may find room."""
        mask = 0
        for need in range(len(self._size_of)):
            if self._below_max(need) and not self.lacks_quota(need):
                mask |= 1 << need
        return mask

    def lacks_quota(self, need: int) -> bool:
        """Whether a quota of the account does not allow the machine for a job of `need` now."""
        size = self._size_of[need]
        quota = self._quotas.get(size) if self._quotas else None
        return quota is not None and quota.used_vcpus + self._types[size].vcpus > quota.vcpus

    def _below_max(self, need: int) -> bool:
        vcpus = self._amounts[need].vcpus
        return self._size_of[need] >= 0 and self.used_vcpus + vcpus <= self._environment.max_vcpus

    def _count(self, instance: Instance, vcpus: int) -> None:
        quota = self._quotas.get(instance.type) if self._quotas else None
        if quota is not None:
            quota.used_vcpus += vcpus


def _smallest(types: Sequence[MachineType], candidates: Sequence[int], need: Need, kind: int) -> int:
    """The smallest size of its kind that holds a need; -1 if there is none."""
    holding = [index for index in candidates if types[index].kind == kind and types[index].holds(need)]
    return min(
        holding,
        key=lambda index: (types[index].vcpus, types[index].memory_mib, types[index].uusd_per_hour, index),
        default=-1,
    )
