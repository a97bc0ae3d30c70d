"""Which instance types can hold a job, how many such jobs each holds, and what a job-hour costs on it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from batchsim.catalog.instance_types import ARCHITECTURES, Architecture, InstanceType
from batchsim.catalog.spot import spot_price_uusd
from batchsim.errors import UsageError

if TYPE_CHECKING:
    from batchsim.catalog.catalog import Catalog
    from batchsim.catalog.memory import MemoryModel
    from batchsim.catalog.spot import SpotPool


@dataclass(frozen=True, slots=True)
class InstanceQuery:
    """What one job needs, and how to rank the types that can hold it.

    entries   only these types, families and bundles, as in `instanceTypes`; empty: everything that a
              managed compute environment could list
    sort_by   one of SORT_KEYS
    spot      at Spot prices; only the types of which the region's Spot market is known
    """

    vcpus: int
    memory_mib: int
    gpus: int = 0
    architecture: Architecture | None = None
    entries: tuple[str, ...] = ()
    sort_by: str = "price"
    memory_model: MemoryModel = "registered"
    spot: bool = False


@dataclass(frozen=True, slots=True)
class RankedInstance:
    """A type that can hold the job.

    jobs                how many such jobs fit on one instance at once, at least 1
    limited_by          the resources that allow no further job: "vcpus", "memory", "gpus"
    uusd_per_hour       price of one instance: On-Demand, or its part that `pool` tells
    uusd_per_job_hour   that price divided by `jobs`, rounded half up to a micro-USD
    pool                what is known of the type's Spot market, where the query is for Spot
    """

    instance_type: InstanceType
    usable_memory_mib: int
    jobs: int
    limited_by: tuple[str, ...]
    uusd_per_hour: int
    pool: SpotPool | None = None

    @property
    def uusd_per_job_hour(self) -> int:
        return (2 * self.uusd_per_hour + self.jobs) // (2 * self.jobs)


_SortKey = Callable[[RankedInstance], Fraction | int]

# Ties are broken by price, then vCPUs, memory and name. Most jobs first, everything else smallest first.
SORT_KEYS: Final[Mapping[str, _SortKey]] = {
    "price": lambda row: row.uusd_per_hour,
    "price_per_job": lambda row: Fraction(row.uusd_per_hour, row.jobs),
    "price_per_vcpu": lambda row: Fraction(row.uusd_per_hour, row.instance_type.vcpus),
    "vcpus": lambda row: row.instance_type.vcpus,
    "memory": lambda row: row.usable_memory_mib,
    "jobs": lambda row: -row.jobs,
    "interruption": lambda row: row.pool.interruption_band if row.pool else 0,
}


def rank_instances(catalog: Catalog, query: InstanceQuery) -> list[RankedInstance]:
    """Every type that can hold at least one such job, best first; an empty list when there is none.

    Raises UsageError for a need or a sort key that makes no sense, CatalogError for an unknown entry.
    """
    _check(query)
    rows = [
        row
        for candidate in _candidates(catalog, query)
        if query.architecture in {None, candidate.architecture}
        and (row := _fit(catalog, candidate, query)) is not None
    ]
    key = SORT_KEYS[query.sort_by]
    return sorted(rows, key=lambda row: (key(row), *_tie(row)))


def why_none(catalog: Catalog, query: InstanceQuery) -> str:
    """In words, what of a query for which `rank_instances` finds nothing contradicts what."""
    found = _candidates(catalog, query)
    if not found:
        return f"{', '.join(query.entries)}: nothing is known of the Spot market"
    kinds = [one for one in found if query.architecture in {None, one.architecture}]
    if not kinds:
        return f"{', '.join(query.entries)}: {found[0].architecture} only, not {query.architecture}"
    offers = {one.name: catalog.usable_memory_mib(one.name, query.memory_model) for one in kinds}
    most = (
        ("vCPUs", query.vcpus, max(one.vcpus for one in kinds)),
        ("MiB", query.memory_mib, max(offers.values())),
        ("GPUs", query.gpus, max(one.gpus for one in kinds)),
    )
    beyond = [f"{asked:,} {what}, the most is {there:,}" for what, asked, there in most if asked > there]
    return "; ".join(beyond) or "each of its needs is met by some type, but not all of them by one"


def _candidates(catalog: Catalog, query: InstanceQuery) -> list[InstanceType]:
    found = catalog.expand(query.entries) if query.entries else catalog.launchable_types()
    return [one for one in found if catalog.spot(one.name) is not None] if query.spot else found


def _fit(catalog: Catalog, candidate: InstanceType, query: InstanceQuery) -> RankedInstance | None:
    usable = catalog.usable_memory_mib(candidate.name, query.memory_model)
    room = {"vcpus": candidate.vcpus // query.vcpus, "memory": usable // query.memory_mib}
    if query.gpus:
        room["gpus"] = candidate.gpus // query.gpus
    jobs = min(room.values())
    if jobs == 0:
        return None
    limited_by = tuple(resource for resource, fit in room.items() if fit == jobs)
    price = catalog.price_uusd(candidate.name)
    pool = catalog.spot(candidate.name) if query.spot else None
    if pool is not None:
        price = spot_price_uusd(price, pool.price_factor)
    return RankedInstance(candidate, usable, jobs, limited_by, price, pool)


def _tie(row: RankedInstance) -> tuple[int, int, int, str]:
    one = row.instance_type
    return (row.uusd_per_hour, one.vcpus, one.memory_mib, one.name)


def _check(query: InstanceQuery) -> None:
    for name, value, least in (
        ("vcpus", query.vcpus, 1),
        ("memory", query.memory_mib, 1),
        ("gpus", query.gpus, 0),
    ):
        if value < least:
            raise UsageError(path=name, expected=f"{least} or more", found=str(value))
    if query.architecture not in {None, *ARCHITECTURES}:
        raise UsageError(
            path="architecture", expected=f"one of {', '.join(ARCHITECTURES)}", found=str(query.architecture)
        )
    if query.sort_by not in SORT_KEYS:
        close = difflib.get_close_matches(query.sort_by[:64], SORT_KEYS, n=1)
        raise UsageError(
            path="sort-by",
            expected=f"one of {', '.join(SORT_KEYS)}",
            found=query.sort_by,
            hint=f"did you mean {close[0]}?" if close else None,
        )
    if query.sort_by == "interruption" and not query.spot:
        raise UsageError("only Spot instances are interrupted", path="sort-by", hint="add --spot")
