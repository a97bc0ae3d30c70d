"""Fargate: which sizes a task can have, and what they cost by region."""

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

MEMORY_MIB: Final[Mapping[int, range | tuple[int, ...]]] = MappingProxyType(
    {
        1: range(2 * _GB, 8 * _GB + 1, _GB),
        2: range(4 * _GB, 16 * _GB + 1, _GB),
        4: range(8 * _GB, 30 * _GB + 1, _GB),
        8: range(16 * _GB, 60 * _GB + 1, 4 * _GB),
        16: range(32 * _GB, 120 * _GB + 1, 8 * _GB),
    }
)
"""The memory sizes that a task of so many whole vCPUs may have [API: ResourceRequirement.value]."""


@dataclass(frozen=True, slots=True)
class TaskPrice:
    """What a task costs, in USD: for each vCPU-hour, and for each GB-hour of memory (1024 MiB).

    method   "list"; "price_group": of another region of the group that AWS prices alike; "ratio": an older
             list's ratio between the regions, applied to the present price
    """

    vcpu_hour: float
    gb_hour: float
    as_of: str
    source: str
    method: str

    def uusd_per_hour(self, vcpus: int, memory_mib: int, factor: float = 1.0) -> int:
        """Micro-USD of a task an hour; `factor` is the part of it that is paid."""
        return usd_to_uusd(factor * (vcpus * self.vcpu_hour + memory_mib / _MIB_PER_GB * self.gb_hour))


@cache
def task_prices() -> Mapping[tuple[str, str], TaskPrice]:
    """The known prices by region and architecture: Linux, without ephemeral storage above 20 GB."""
    return MappingProxyType(
        {
            (row["region"], row["architecture"]): TaskPrice(
                float(row["usd_per_vcpu_hour"]),
                float(row["usd_per_gb_hour"]),
                row["as_of"],
                row["source"],
                row["method"],
            )
            for row in read_table("fargate/prices.csv")
        }
    )


def is_task_size(vcpus: int, memory_mib: int) -> bool:
    return memory_mib in MEMORY_MIB.get(vcpus, ())


def cheapest_size(vcpus: int, memory_mib: int, price: TaskPrice) -> tuple[int, int] | None:
    """The cheapest size, in vCPUs and MiB, with at least so much of both; None where there is none."""
    sizes = [
        (count, size)
        for count, allowed in MEMORY_MIB.items()
        for size in allowed
        if count >= vcpus and size >= memory_mib
    ]
    return min(sizes, key=lambda size: (price.uusd_per_hour(*size), size), default=None)
