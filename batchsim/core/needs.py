"""Interned needs and the bit masks that close or open many of them at once.

Bit `n` of a mask stands for need `n`. If need `n` finds no place, neither does any need that asks
for at least as much of everything (`at_least`), and room of a given size serves exactly the needs in
`within`. Both are answered from prefix masks, one for each distinct amount of each resource, so the
cost does not depend on the number of waiting jobs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import Need


class Needs:
    """The table of distinct needs of a run; `amounts[n]` is need n as (vCPUs, memory in MiB, GPUs)."""

    __slots__ = ("_axes", "_larger", "amounts", "everything")

    def __init__(self, needs: Sequence[Need]) -> None:
        self.amounts: list[tuple[int, int, int]] = [
            (need.vcpus, need.memory_mib, need.gpus) for need in needs
        ]
        self.everything = (1 << len(needs)) - 1
        self._axes = (self._axis(0), self._axis(1), self._axis(2))
        self._larger: list[int | None] = [None] * len(needs)

    def __len__(self) -> int:
        return len(self.amounts)

    def within(self, vcpus: int, memory_mib: int, gpus: int) -> int:
        """The needs that fit into that much room."""
        by_vcpus, by_memory, by_gpus = self._axes
        mask = by_memory.masks[bisect_right(by_memory.amounts, memory_mib)]
        if by_vcpus.most > vcpus:
            mask &= by_vcpus.masks[bisect_right(by_vcpus.amounts, vcpus)]
        if by_gpus.most > gpus:
            mask &= by_gpus.masks[bisect_right(by_gpus.amounts, gpus)]
        return mask

    def at_least(self, need: int) -> int:
        """The needs that ask for no less than `need` of anything, itself included."""
        mask = self._larger[need]
        if mask is None:
            mask = self.everything
            for axis, amount in zip(self._axes, self.amounts[need], strict=True):
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

    def no_less(self, amount: int) -> int:
        return self.masks[-1] ^ self.masks[bisect_left(self.amounts, amount)]
