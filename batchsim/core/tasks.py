"""Environments without instances of their own: each job gets a machine of its size, for itself [spec 4, 3.9].

What is counted against maxvCpus are the vCPUs of the jobs, not of instances, and it is never exceeded.
[UG: fargate], [spec 3.2]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.fleet import GONE, READY, Instance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsim.core.plan import EnvironmentPlan, MachineType, Need, Plan


class TaskFleet:
    """Stands in for the `Fleet` of an environment with `per_job`; used_vcpus are those of its jobs."""

    __slots__ = ("_amounts", "_environment", "_index", "_new_instance", "_size_of", "empties", "used_vcpus")

    def __init__(
        self,
        index: int,
        environment: EnvironmentPlan,
        plan: Plan,
        new_instance: Callable[[int, int], Instance],
    ) -> None:
        """`index` is the environment's; its types are the sizes that can be had."""
        self._index = index
        self._environment = environment
        self._amounts = plan.needs
        self._new_instance = new_instance
        kinds = plan.kinds or [0] * len(plan.needs)
        self._size_of = [
            _smallest(plan.types, environment.types, need, kind)
            for need, kind in zip(plan.needs, kinds, strict=True)
        ]
        self.empties: dict[int, list[int]] | None = None
        self.used_vcpus = 0

    def replan(self, environment: EnvironmentPlan) -> None:
        """The environment was updated; its sizes stay."""
        self._environment = environment

    def find(self, need: int) -> Instance | None:
        """A machine for a job of `need`, made for it, or None; the job must be started on it."""
        size = self._size_of[need]
        if size < 0 or self.used_vcpus + self._amounts[need].vcpus > self._environment.max_vcpus:
            return None
        instance = self._new_instance(self._index, size)
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

    def release(self, instance: Instance, need: int) -> None:
        """The job is over, and its machine with it."""
        self.used_vcpus -= self._amounts[need].vcpus
        instance.state = GONE

    def remove(self, instance: Instance) -> None:
        """The machine was lost, and what its job held with it."""
        self.used_vcpus -= instance.vcpus - instance.free_vcpus

    def open_needs(self) -> int:
        """Mask of the needs that may find room."""
        mask = 0
        for need, size in enumerate(self._size_of):
            vcpus = self._amounts[need].vcpus
            if size >= 0 and self.used_vcpus + vcpus <= self._environment.max_vcpus:
                mask |= 1 << need
        return mask


def _smallest(types: Sequence[MachineType], candidates: Sequence[int], need: Need, kind: int) -> int:
    """The smallest size of its kind that holds a need; -1 if there is none."""
    holding = [index for index in candidates if types[index].kind == kind and types[index].holds(need)]
    return min(
        holding,
        key=lambda index: (types[index].vcpus, types[index].memory_mib, types[index].uusd_per_hour, index),
        default=-1,
    )
