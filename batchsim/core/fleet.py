"""The instances of one compute environment, indexed by what is free on them.

Placement is best fit: among the READY instances that can hold the job, the one with the smallest
(free GPUs, free vCPUs, free memory, index). Scarce GPUs are kept for those who need them, and full
instances fill up first, so that idle ones can be given back. AWS does not publish its packing order;
this is the assumption of [spec 3.8].

Two devices keep the cost of an event independent of the width of the fleet:

* Instances stand in sorted lists, one for each pair (free GPUs, free vCPUs), with a bit mask of the
  lists that are not empty; inside a list, `memory << 32 | index` is searched by bisection.
* `_closed` marks the needs that are known to fit on no *listed* instance. At most one instance is
  `_out`: its free capacity has changed and its listing has not. An exit puts its instance out; a
  waiting job of equal need takes it from there, and the lists are not touched at all.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.needs import Needs
    from batchsim.core.plan import MachineType

BOOTING: Final = 0
READY: Final = 1
GONE: Final = 2

_INDEX_BITS: Final = 32
_INDEX_MASK: Final = (1 << _INDEX_BITS) - 1


class Instance:
    """One machine. Free amounts never leave 0..capacity. `jobs` holds the jobs on it, in start order."""

    __slots__ = (
        "environment",
        "free_gpus",
        "free_memory",
        "free_vcpus",
        "idle_since",
        "index",
        "jobs",
        "key",
        "listed_gpus",
        "listed_vcpus",
        "state",
        "type",
        "vcpus",
    )

    def __init__(self, index: int, environment: int, type_index: int, machine: MachineType) -> None:
        self.index = index
        self.environment = environment
        self.type = type_index
        self.state = BOOTING
        self.vcpus = machine.vcpus
        self.free_vcpus = machine.vcpus
        self.free_memory = machine.memory_mib
        self.free_gpus = machine.gpus
        self.jobs: dict[int, None] = {}
        self.idle_since = -1
        self.key = -1  # as listed; -1 while not listed
        self.listed_vcpus = 0
        self.listed_gpus = 0


class _Level:
    """The listed instances with one count of free GPUs: `buckets[v]` has those with v free vCPUs."""

    __slots__ = ("buckets", "mask")

    def __init__(self, max_vcpus: int) -> None:
        self.mask = 0
        self.buckets: list[list[int]] = [[] for _ in range(max_vcpus + 1)]


class Fleet:
    """The READY instances of one environment; answers "where does this need fit best?"."""

    __slots__ = ("_amounts", "_closed", "_instances", "_levels", "_needs", "_out", "free_vcpus")

    def __init__(self, needs: Needs, instances: list[Instance], types: Sequence[MachineType]) -> None:
        """`types` are all that instances of this fleet can have; `instances` is shared by all fleets."""
        self._needs = needs
        self._amounts = needs.amounts
        self._instances = instances
        max_vcpus = max((machine.vcpus for machine in types), default=0)
        max_gpus = max((machine.gpus for machine in types), default=0)
        self._levels = [_Level(max_vcpus) for _ in range(max_gpus + 1)]
        self._closed = needs.everything
        self._out: Instance | None = None
        self.free_vcpus = 0

    def add(self, instance: Instance) -> None:
        """A READY instance joins, empty."""
        self.free_vcpus += instance.free_vcpus
        if self._out is not None:
            self._list(self._out)
        self._out = instance

    def remove(self, instance: Instance) -> None:
        """The instance leaves; what is free on it can no longer be used."""
        self.free_vcpus -= instance.free_vcpus
        self._unlist(instance)
        if self._out is instance:
            self._out = None

    def reserve(self, instance: Instance, need: int) -> None:
        vcpus, memory_mib, gpus = self._amounts[need]
        instance.free_vcpus -= vcpus
        instance.free_memory -= memory_mib
        instance.free_gpus -= gpus
        self.free_vcpus -= vcpus
        assert instance.free_vcpus >= 0  # law L3
        assert instance.free_memory >= 0
        assert instance.free_gpus >= 0
        out = self._out
        if out is not instance:
            if out is not None:
                self._list(out)
            self._out = instance

    def release(self, instance: Instance, need: int) -> None:
        vcpus, memory_mib, gpus = self._amounts[need]
        instance.free_vcpus += vcpus
        instance.free_memory += memory_mib
        instance.free_gpus += gpus
        self.free_vcpus += vcpus
        assert instance.free_vcpus <= instance.vcpus  # law L3
        out = self._out
        if out is not instance:
            if out is not None:
                self._list(out)
            self._out = instance

    def find(self, need: int) -> Instance | None:
        """The best-fitting instance for `need`, or None."""
        vcpus, memory_mib, gpus = self._amounts[need]
        out = self._out
        if self._closed >> need & 1:
            if (
                out is not None
                and out.free_vcpus >= vcpus
                and out.free_memory >= memory_mib
                and out.free_gpus >= gpus
            ):
                return out
            return None
        if out is not None:
            self._list(out)
            self._out = None
        key = memory_mib << _INDEX_BITS
        for level in self._levels[gpus:] if gpus else self._levels:
            mask = level.mask >> vcpus
            while mask:
                low = mask & -mask
                bucket = level.buckets[vcpus + low.bit_length() - 1]
                position = bisect_left(bucket, key)
                if position < len(bucket):
                    return self._instances[bucket[position] & _INDEX_MASK]
                mask ^= low
        self._closed |= self._needs.at_least(need)
        return None

    def open_needs(self) -> int:
        """Mask of the needs that may fit somewhere now; every need that does fit is in it."""
        out = self._out
        mask = self._needs.everything & ~self._closed
        if out is not None:
            mask |= self._needs.within(out.free_vcpus, out.free_memory, out.free_gpus)
        return mask

    def slots(self, need: int, enough: int) -> int:
        """How many jobs of `need` the free capacity could take, counted no further than `enough`.

        Counted by lists, not by instances; never 0 when there is room for one. It may exceed the truth
        where memory, not vCPUs, is what runs out.
        """
        if self._out is not None:
            self._list(self._out)
            self._out = None
        if self._closed >> need & 1:
            return 0
        vcpus, memory_mib, gpus = self._amounts[need]
        key = memory_mib << _INDEX_BITS
        total = 0
        for free_gpus in range(gpus, len(self._levels)):
            level = self._levels[free_gpus]
            mask = level.mask >> vcpus << vcpus
            while mask and total < enough:
                low = mask & -mask
                mask ^= low
                free_vcpus = low.bit_length() - 1
                bucket = level.buckets[free_vcpus]
                each = free_vcpus // vcpus if vcpus else enough
                if gpus:
                    each = min(each, free_gpus // gpus)
                total += each * (len(bucket) - bisect_left(bucket, key))
        return min(total, enough)

    def _list(self, instance: Instance) -> None:
        """Bring the listing of `instance` up to date."""
        vcpus, gpus = instance.free_vcpus, instance.free_gpus
        key = instance.free_memory << _INDEX_BITS | instance.index
        before = instance.key
        if before == key and instance.listed_vcpus == vcpus and instance.listed_gpus == gpus:
            return
        may_open = self._closed and not (
            vcpus <= instance.listed_vcpus and key <= before and gpus <= instance.listed_gpus
        )
        if before >= 0:
            self._unlist(instance)
        instance.key = key
        instance.listed_vcpus = vcpus
        instance.listed_gpus = gpus
        level = self._levels[gpus]
        bucket = level.buckets[vcpus]
        if bucket:
            insort(bucket, key)
        else:
            bucket.append(key)
            level.mask |= 1 << vcpus
        if may_open:
            self._closed &= ~self._needs.within(vcpus, instance.free_memory, gpus)

    def _unlist(self, instance: Instance) -> None:
        if instance.key < 0:
            return
        level = self._levels[instance.listed_gpus]
        bucket = level.buckets[instance.listed_vcpus]
        del bucket[bisect_left(bucket, instance.key)]
        if not bucket:
            level.mask ^= 1 << instance.listed_vcpus
        instance.key = -1
