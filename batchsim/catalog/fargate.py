"""Fargate: which sizes a task can have, and what they cost by region.

vCPUs are in quarters, since the smallest task has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from batchsim.catalog.tables import read_table
from batchsim.units import usd_to_uusd

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIB_PER_GB: Final = 1024  # what AWS calls a GB of a task
_GB: Final = _MIB_PER_GB
_QUARTERS: Final = 4

FREE_STORAGE_GIB: Final = 20
"""The ephemeral storage that every task has, at no charge [spec 4.2]."""

MEMORY_MIB: Final[Mapping[int, range | tuple[int, ...]]] = MappingProxyType(
    {
        1: (_GB // 2, _GB, 2 * _GB),
        2: range(_GB, 4 * _GB + 1, _GB),
        4: range(2 * _GB, 8 * _GB + 1, _GB),
        8: range(4 * _GB, 16 * _GB + 1, _GB),
        16: range(8 * _GB, 30 * _GB + 1, _GB),
        32: range(16 * _GB, 60 * _GB + 1, 4 * _GB),
        64: range(32 * _GB, 120 * _GB + 1, 8 * _GB),
    }
)
"""The memory sizes that a task of so many quarter vCPUs may have [API: ResourceRequirement.value]."""


@dataclass(frozen=True, slots=True)
class TaskPrice:
    """What a task costs, in USD: for each vCPU-hour, for each GB-hour of memory (1024 MiB), and for each
    GB-hour of ephemeral storage above `FREE_STORAGE_GIB`.

    as_of    date of the list behind the price of vCPUs and memory: a day, a month or a year
    method   how the price of vCPUs and memory is known: see `data/README.md`
    """

    vcpu_hour: float
    gb_hour: float
    storage_gb_hour: float
    as_of: str
    source: str
    method: str

    def uusd_per_hour(
        self, quarters: int, memory_mib: int, storage_gib: int = FREE_STORAGE_GIB, factor: float = 1.0
    ) -> int:
        """Micro-USD of a task an hour [spec 4.4]; `factor` is the part of its size's price that is paid."""
        size = quarters / _QUARTERS * self.vcpu_hour + memory_mib / _MIB_PER_GB * self.gb_hour
        storage = max(storage_gib - FREE_STORAGE_GIB, 0) * self.storage_gb_hour
        return usd_to_uusd(factor * size + storage)


@cache
def task_prices() -> Mapping[tuple[str, str], TaskPrice]:
    """The known prices of Linux tasks by region and architecture."""
    return MappingProxyType(
        {
            (row["region"], row["architecture"]): TaskPrice(
                float(row["usd_per_vcpu_hour"]),
                float(row["usd_per_gb_hour"]),
                float(row["usd_per_storage_gb_hour"]),
                row["as_of"],
                row["source"],
                row["method"],
            )
            for row in read_table("fargate/prices.csv")
        }
    )


def is_task_size(quarters: int, memory_mib: int) -> bool:
    return memory_mib in MEMORY_MIB.get(quarters, ())


def cheapest_size(quarters: int, memory_mib: int, price: TaskPrice) -> tuple[int, int] | None:
    """The cheapest size, in quarter vCPUs and MiB, with at least so much of both; None if there is none."""
    sizes = [
        (count, size)
        for count, allowed in MEMORY_MIB.items()
        for size in allowed
        if count >= quarters and size >= memory_mib
    ]
    return min(sizes, key=lambda size: (price.uusd_per_hour(*size), size), default=None)
