"""The instances of one compute environment, indexed by what is free on them.

Placement is best fit: among the READY instances that can hold the job, the one with the smallest
(free GPUs, free vCPUs, free memory, index). Scarce GPUs are kept for those who need them, and full
instances fill up first, so that idle ones can be given back. AWS does not publish its packing order;
this is the assumption of [spec 3.8].

Two devices keep the cost of an event independent of the width of the fleet:

* Instances stand in sorted lists, one for each pair (free GPUs, free vCPUs), numbered in that order, with
  a bit mask of the lists that are not empty; inside a list, `memory << 32 | index` is searched by bisection.
  Those with less free than any need asks for are not listed.
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
RETIRING: Final = 3  # an update replaces it: it takes no more jobs, and goes when the last has ended
INSTANCE_STATE_NAMES: Final = ("booting", "ready", "gone", "retiring")

_INDEX_BITS: Final = 32
_INDEX_MASK: Final = (1 << _INDEX_BITS) - 1


class Instance:
    """One machine. Free amounts never leave 0..capacity. `jobs` are those on it.

    vcpus       as they are counted against maxvCpus; jobs may be offered fewer
    gpus_left   bit mask of the GPUs that no job holds
    has_run     whether it has run a job; of instances that the scheduler launches
    """

    __slots__ = (
        "environment",
        "free_gpus",
        "free_memory",
        "free_vcpus",
        "gpus_left",
        "has_run",
        "idle_since",
        "index",
        "jobs",
        "key",
        "listed_in",
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
        self.free_vcpus = machine.usable_vcpus
        self.free_memory = machine.memory_mib
        self.free_gpus = machine.gpus
        self.gpus_left = (1 << machine.gpus) - 1
        self.jobs: set[int] = set()
        self.has_run = False
        self.idle_since = -1
        self.key = -1  # as listed; -1 while not listed
        self.listed_in = 0


class Fleet:
    """The READY instances of one environment; answers "where does this need fit best?".

    free_vcpus   of all of them together
    empties      by type the READY instances without jobs, ascending; None where nobody asks for it
    there        by type how many READY instances there are
    """

    __slots__ = (
        "_amounts",
        "_closed",
        "_grew",
        "_instances",
        "_least_memory",
        "_least_vcpus",
        "_lists",
        "_needs",
        "_occupied",
        "_out",
        "_suited",
        "_width",
        "empties",
        "free_vcpus",
        "there",
    )

    def __init__(
        self,
        needs: Needs,
        instances: list[Instance],
        types: Sequence[MachineType],
        *,
        tells_empties: bool = False,
    ) -> None:
        """`types` are all that instances of this fleet can have; `instances` is shared by all fleets."""
        self._needs = needs
        self._amounts = needs.amounts
        self._instances = instances
        self._width = max((machine.vcpus for machine in types), default=0) + 1
        gpu_counts = max((machine.gpus for machine in types), default=0) + 1
        self._lists: list[list[int]] = [[] for _ in range(gpu_counts * self._width)]
        self._occupied = 0  # mask of the lists that are not empty
        # For each need, the mask of the lists in which vCPUs and GPUs suffice; equal masks are one object.
        suited = {
            (vcpus, gpus): self._suited_lists(vcpus, gpus, gpu_counts)
            for vcpus, gpus in {(vcpus, gpus) for vcpus, _, gpus in needs.amounts}
        }
        self._suited = [suited[vcpus, gpus] for vcpus, _, gpus in needs.amounts]
        # With less than this nobody can do anything, so that full instances need not be listed.
        self._least_vcpus = min((vcpus for vcpus, _, _ in needs.amounts), default=0)
        self._least_memory = min((memory_mib for _, memory_mib, _ in needs.amounts), default=0)
        self._closed = needs.everything
        self._out: Instance | None = None
        self._grew = False  # whether the instance that is out may have more free than as listed
        self.free_vcpus = 0
        self.empties: dict[int, list[int]] | None = {} if tells_empties else None
        self.there: dict[int, int] = {}

    def add(self, instance: Instance) -> None:
        """A READY instance joins, empty."""
        self.free_vcpus += instance.free_vcpus
        self.there[instance.type] = self.there.get(instance.type, 0) + 1
        if self.empties is not None and not instance.jobs:
            insort(self.empties.setdefault(instance.type, []), instance.index)
        if self._out is not None:
            self._list(self._out)
        self._out = instance
        self._grew = True

    def remove(self, instance: Instance) -> None:
        """The instance leaves; what is free on it can no longer be used."""
        self.free_vcpus -= instance.free_vcpus
        self.there[instance.type] -= 1
        if self.empties is not None:
            self._no_longer_empty(instance)
        if instance.key >= 0:
            self._unlist(instance)
        if self._out is instance:
            self._out = None

    def reserve(self, instance: Instance, need: int) -> None:
        """Hold `need` for a job, which is not among the instance's `jobs` yet."""
        vcpus, memory_mib, gpus = self._amounts[need]
        instance.free_vcpus = free_vcpus = instance.free_vcpus - vcpus
        instance.free_memory = free_memory = instance.free_memory - memory_mib
        self.free_vcpus -= vcpus
        assert free_vcpus >= 0  # law L3
        assert free_memory >= 0
        if gpus:
            instance.free_gpus -= gpus
            assert instance.free_gpus >= 0
        if self.empties is not None and not instance.jobs:
            self._no_longer_empty(instance)
        out = self._out
        if out is not instance:
            if out is not None:
                self._list(out)
            self._out = instance
            self._grew = False

    def release(self, instance: Instance, need: int) -> None:
        """Give back what was held for a job, which is not among the instance's `jobs` any more."""
        vcpus, memory_mib, gpus = self._amounts[need]
        instance.free_vcpus = free_vcpus = instance.free_vcpus + vcpus
        instance.free_memory += memory_mib
        if gpus:
            instance.free_gpus += gpus
        assert free_vcpus <= instance.vcpus  # law L3
        if instance.state != READY:
            return
        self.free_vcpus += vcpus
        if self.empties is not None and not instance.jobs:
            insort(self.empties.setdefault(instance.type, []), instance.index)
        out = self._out
        if out is not instance:
            if out is not None:
                self._list(out)
            self._out = instance
        self._grew = True

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
        mask = self._occupied & self._suited[need]
        while mask:
            lowest = mask & -mask
            listed = self._lists[lowest.bit_length() - 1]
            if listed[-1] >= key:
                return self._instances[listed[bisect_left(listed, key)] & _INDEX_MASK]
            mask ^= lowest
        self._closed |= self._needs.at_least(need)
        return None

    def open_needs(self) -> int:
        """Mask of the needs that may fit somewhere now; every need that does fit is in it."""
        out = self._out
        needs = self._needs
        mask = needs.everything & ~self._closed
        if out is not None:
            mask |= needs.within(self._closed, out.free_vcpus, out.free_memory, out.free_gpus)
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
        mask = self._occupied & self._suited[need]
        while mask and total < enough:
            lowest = mask & -mask
            mask ^= lowest
            number = lowest.bit_length() - 1
            free_gpus, free_vcpus = divmod(number, self._width)
            each = free_vcpus // vcpus if vcpus else enough
            if gpus:
                each = min(each, free_gpus // gpus)
            listed = self._lists[number]
            total += each * (len(listed) - bisect_left(listed, key))
        return min(total, enough)

    def _no_longer_empty(self, instance: Instance) -> None:
        assert self.empties is not None
        listed = self.empties.get(instance.type, [])
        position = bisect_left(listed, instance.index)
        if position < len(listed) and listed[position] == instance.index:
            del listed[position]

    def _suited_lists(self, vcpus: int, gpus: int, gpu_counts: int) -> int:
        mask = 0
        if vcpus < self._width:
            enough_vcpus = (1 << self._width) - (1 << vcpus)
            for free_gpus in range(gpus, gpu_counts):
                mask |= enough_vcpus << free_gpus * self._width
        return mask

    def _list(self, instance: Instance) -> None:
        """Bring the listing of `instance`, which is out, up to date."""
        free_vcpus, free_memory = instance.free_vcpus, instance.free_memory
        if free_vcpus < self._least_vcpus or free_memory < self._least_memory:
            if instance.key >= 0:
                self._unlist(instance)
            return
        number = instance.free_gpus * self._width + free_vcpus
        key = free_memory << _INDEX_BITS | instance.index
        if instance.key >= 0:
            if instance.key == key and instance.listed_in == number:
                return
            self._unlist(instance)
        instance.key = key
        instance.listed_in = number
        listed = self._lists[number]
        if listed:
            insort(listed, key)
        else:
            listed.append(key)
            self._occupied |= 1 << number
        if self._grew and self._closed:
            self._closed ^= self._needs.within(self._closed, free_vcpus, free_memory, instance.free_gpus)

    def _unlist(self, instance: Instance) -> None:
        listed = self._lists[instance.listed_in]
        if len(listed) == 1:
            listed.clear()
            self._occupied ^= 1 << instance.listed_in
        else:
            del listed[bisect_left(listed, instance.key)]
        instance.key = -1
