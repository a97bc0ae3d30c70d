"""Capacity that boots: how many instances will have how much free, before anybody is placed on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from batchsim.core.plan import MachineType, Need


_MANY: Final = 1 << 40  # more than any number of jobs


class Room:
    """What one scaling decision has not claimed yet of the instances that boot."""

    __slots__ = ("_free",)

    def __init__(self) -> None:
        self._free: dict[tuple[int, int, int], int] = {}  # free amounts -> instances that have them

    def add(self, machine: MachineType, count: int) -> None:
        """So many more instances, of which nothing is claimed; fewer if `count` is negative."""
        free = _whole(machine)
        self._free[free] = self._free.get(free, 0) + count

    def unclaimed(self, machine: MachineType) -> int:
        """How many instances there are with all of a type free."""
        return self._free.get(_whole(machine), 0)

    def fill(self, need: Need, jobs: int) -> int:
        """Put jobs of a need into it; gives how many remain."""
        if not self._free:
            return jobs
        vcpus, memory_mib, gpus = need
        for free, count in list(self._free.items()):
            each = _how_many(free, need)
            if not each or not count:
                continue
            filled, rest = divmod(jobs, each)
            if filled >= count:
                filled, rest = count, 0
            del self._free[free]
            for taken, instances in ((0, count - filled - (rest > 0)), (rest, rest > 0), (each, filled)):
                if instances:
                    left = (free[0] - taken * vcpus, free[1] - taken * memory_mib, free[2] - taken * gpus)
                    self._free[left] = self._free.get(left, 0) + instances
            jobs -= filled * each + rest
            if not jobs:
                break
        return jobs


def jobs_on(machine: MachineType, need: Need) -> int:
    """How many jobs of a need an empty instance of a type holds."""
    return _how_many(_whole(machine), need)


def _whole(machine: MachineType) -> tuple[int, int, int]:
    return machine.usable_vcpus, machine.memory_mib, machine.gpus


def _how_many(free: tuple[int, int, int], need: Need) -> int:
    """How many jobs of a need fit into one instance with that much free."""
    vcpus, memory_mib, gpus = need
    most = free[0] // vcpus if vcpus else _MANY
    if memory_mib:
        most = min(most, free[1] // memory_mib)
    return min(most, free[2] // gpus) if gpus else most
