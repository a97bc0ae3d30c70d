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
from typing import Final, TYPE_CHECKING


if TYPE_CHECKING:
    from batchsim.core.plan import MachineType
    from batchsim.core.needs import Needs

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
        self.key = -1
        self.listed_vcpus = 0
        self.listed_gpus = 0


class Fleet:
    """The READY instances of one environment; answers "where does this need fit best?"."""

    __slots__ = ("_buckets", "_closed", "_instances", "_levels", "_masks", "_needs", "_out", "free_vcpus")

    def __init__(self, needs: Needs, instances: list[Instance]) -> None:
        self._needs = needs
        self._instances = instances
        self._levels: list[int] = []  # the free-GPU counts that have a mask, ascending
        self._masks: dict[int, int] = {}
        self._buckets: dict[int, dict[int, list[int]]] = {}
        self._closed = needs.everything
        self._out: Instance | None = None
        self.free_vcpus = 0

    def add(self, instance: Instance) -> None:
        """A READY instance joins, empty."""
        self.free_vcpus += instance.free_vcpus
        self._put_out(instance)

    def remove(self, instance: Instance) -> None:
        """The instance leaves; what is free on it can no longer be used."""
        self.free_vcpus -= instance.free_vcpus
        self._unlist(instance)
        if self._out is instance:
            self._out = None

    def reserve(self, instance: Instance, need: int) -> None:
        needs = self._needs
        vcpus = needs.vcpus[need]
        instance.free_vcpus -= vcpus
        instance.free_memory -= needs.memory_mib[need]
        instance.free_gpus -= needs.gpus[need]
        self.free_vcpus -= vcpus
        assert min(instance.free_vcpus, instance.free_memory, instance.free_gpus) >= 0  # law L3
        if self._out is not instance:
            self._put_out(instance)

    def release(self, instance: Instance, need: int) -> None:
        needs = self._needs
        vcpus = needs.vcpus[need]
        instance.free_vcpus += vcpus
        instance.free_memory += needs.memory_mib[need]
        instance.free_gpus += needs.gpus[need]
        self.free_vcpus += vcpus
        assert instance.free_vcpus <= instance.vcpus  # law L3
        if self._out is not instance:
            self._put_out(instance)

    def find(self, need: int) -> Instance | None:
        """The best-fitting instance for `need`, or None."""
        needs = self._needs
        out = self._out
        if self._closed >> need & 1:
            if (
                out is not None
                and out.free_vcpus >= needs.vcpus[need]
                and out.free_memory >= needs.memory_mib[need]
                and out.free_gpus >= needs.gpus[need]
            ):
                return out
            return None
        if out is not None:
            self._list(out)
            self._out = None
        found = self._search(needs.vcpus[need], needs.memory_mib[need] << _INDEX_BITS, needs.gpus[need])
        if found is None:
            self._closed |= needs.at_least(need)
        return found

    def open_needs(self) -> int:
        """Mask of the needs that may fit somewhere now; every need that does fit is in it."""
        out = self._out
        mask = self._needs.everything & ~self._closed
        if out is not None:
            mask |= self._needs.within(out.free_vcpus, out.free_memory, out.free_gpus)
        return mask

    def slots(self, need: int, enough: int) -> int:
        """How many jobs of `need` the free capacity could take, counted no further than `enough`.

        Counted by lists, not by instances; never below the truth for `enough` = 1. It may exceed
        the truth where memory, not vCPUs, is what runs out.
        """
        if self._out is not None:
            self._list(self._out)
            self._out = None
        if self._closed >> need & 1:
            return 0
        vcpus, gpus = self._needs.vcpus[need], self._needs.gpus[need]
        key = self._needs.memory_mib[need] << _INDEX_BITS
        total = 0
        for level in self._levels:
            if level < gpus:
                continue
            mask = self._masks[level] >> vcpus << vcpus
            while mask and total < enough:
                low = mask & -mask
                mask ^= low
                free = low.bit_length() - 1
                bucket = self._buckets[level][free]
                each = free // vcpus if vcpus else enough
                if gpus:
                    each = min(each, level // gpus)
                total += each * (len(bucket) - bisect_left(bucket, key))
        return min(total, enough)

    def _search(self, vcpus: int, key: int, gpus: int) -> Instance | None:
        for level in self._levels:
            if level < gpus:
                continue
            mask = self._masks[level] >> vcpus
            buckets = self._buckets[level]
            while mask:
                low = mask & -mask
                bucket = buckets[vcpus + low.bit_length() - 1]
                position = bisect_left(bucket, key)
                if position < len(bucket):
                    return self._instances[bucket[position] & _INDEX_MASK]
                mask ^= low
        return None

    def _put_out(self, instance: Instance) -> None:
        if self._out is not None:
            self._list(self._out)
        self._out = instance

    def _list(self, instance: Instance) -> None:
        """Bring the listing of `instance` up to date."""
        vcpus, gpus = instance.free_vcpus, instance.free_gpus
        key = instance.free_memory << _INDEX_BITS | instance.index
        if instance.key == key and instance.listed_vcpus == vcpus and instance.listed_gpus == gpus:
            return
        self._unlist(instance)
        instance.key = key
        instance.listed_vcpus = vcpus
        instance.listed_gpus = gpus
        buckets = self._buckets.get(gpus)
        if buckets is None:
            insort(self._levels, gpus)
            self._masks[gpus] = 0
            buckets = self._buckets[gpus] = {}
        bucket = buckets.get(vcpus)
        if bucket:
            insort(bucket, key)
        else:
            buckets[vcpus] = [key]
            self._masks[gpus] |= 1 << vcpus
        if self._closed:
            self._closed &= ~self._needs.within(vcpus, instance.free_memory, gpus)

    def _unlist(self, instance: Instance) -> None:
        if instance.key < 0:
            return
        gpus, vcpus = instance.listed_gpus, instance.listed_vcpus
        bucket = self._buckets[gpus][vcpus]
        del bucket[bisect_left(bucket, instance.key)]
        if not bucket:
            self._masks[gpus] ^= 1 << vcpus
        instance.key = -1
