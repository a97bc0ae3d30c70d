"""Interned needs and the bit masks that close or open many of them at once.

Bit `n` of a mask stands for need `n`. If need `n` finds no place, neither does any need that asks
for at least as much of everything (`at_least`), and room of a given size serves exactly the needs in
`within`. Both are answered from prefix masks, one for each distinct amount of each resource, so the
cost does not depend on the number of waiting jobs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import Need

_MANY_VCPUS: Final = 4096


class Needs:
    """The table of distinct needs of a run; `amounts[n]` is need n as (vCPUs, memory in MiB, GPUs)."""

    __slots__ = ("_by_vcpus", "_gpus", "_larger", "_memory", "_vcpus", "amounts", "everything")

    def __init__(self, needs: Sequence[Need]) -> None:
        self.amounts: list[tuple[int, int, int]] = [
            (need.vcpus, need.memory_mib, need.gpus) for need in needs
        ]
        self.everything = (1 << len(needs)) - 1
        self._vcpus, self._memory, self._gpus = self._axis(0), self._axis(1), self._axis(2)
        # What fits into 0, 1, ... vCPUs; a bisection would take ten times as long.
        self._by_vcpus = [self._vcpus.up_to(vcpus) for vcpus in range(min(self._vcpus.most, _MANY_VCPUS))]
        self._larger: list[int | None] = [None] * len(needs)

    def __len__(self) -> int:
        return len(self.amounts)

    def within(self, some: int, vcpus: int, memory_mib: int, gpus: int) -> int:
        """Those of the needs in the mask `some` that fit into that much room, which is never negative."""
        if vcpus < self._vcpus.most:
            some &= self._by_vcpus[vcpus] if vcpus < _MANY_VCPUS else self._vcpus.up_to(vcpus)
        if some and memory_mib < self._memory.most:
            some &= self._memory.up_to(memory_mib)
        if some and gpus < self._gpus.most:
            some &= self._gpus.up_to(gpus)
        return some

    def at_least(self, need: int) -> int:
        """The needs that ask for no less than `need` of anything, itself included."""
        mask = self._larger[need]
        if mask is None:
            mask = self.everything
            axes = (self._vcpus, self._memory, self._gpus)
            for axis, amount in zip(axes, self.amounts[need], strict=True):
                mask &= axis.no_less(amount)
            self._larger[need] = mask
        return mask

    def _axis(self, resource: int) -> _Axis:
        return _Axis([amounts[resource] for amounts in self.amounts])


class _Axis:
    """Prefix masks of one resource: `masks[k]` holds the needs below the k-th distinct amount."""

    __slots__ = ("amounts", "masks", "most")

    def __init__(self, column: Sequence[int]) -> None:
        by_amount: dict[int, int] = {}
        for need, amount in enumerate(column):
            by_amount[amount] = by_amount.get(amount, 0) | 1 << need
        self.amounts = sorted(by_amount)
        self.most = max(by_amount, default=0)
        self.masks = [0]
        for amount in self.amounts:
            self.masks.append(self.masks[-1] | by_amount[amount])

    def up_to(self, amount: int) -> int:
        return self.masks[bisect_right(self.amounts, amount)]

    def no_less(self, amount: int) -> int:
        return self.masks[-1] ^ self.masks[bisect_left(self.amounts, amount)]
