"""Which instance type to launch: one small function for each allocation strategy [spec 3.4].

A strategy gives *tiers*: lists of types that can hold a need, the most preferred list first. The size is
picked inside a tier (`pick_size`), and the next tier serves only while no type of those before it can be
launched. Within a family all sizes cost the same per vCPU, and AWS does not publish which one it takes: that
is the assumption `sizeTiebreak`.

BEST_FIT                    the one cheapest type; if it cannot be launched, the environment waits
BEST_FIT_PROGRESSIVE        lowest price per vCPU first
BEST_FIT_PROGRESSIVE_ORDERED         the user's list, each entry by itself; a family by what fits best
SPOT_CAPACITY_OPTIMIZED     the pools with the most capacity first, at any price
SPOT_PRICE_CAPACITY_OPTIMIZED        likewise, of similar pools the lowest price per vCPU first
SPOT_CAPACITY_OPTIMIZED_PRIORITIZED  likewise, of similar pools in the user's order

[UG: allocation-strategies], [API-2026: ComputeResource.allocationStrategy]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsim.core.plan import EnvironmentPlan, Gang, MachineType, Need

    Types = Sequence[MachineType]
    Tiers = list[list[int]]

# Listed prices are rounded, so that the sizes of one family may differ by a little per vCPU.
# Prices this close count as equal.
PRICE_TOLERANCE: Final = 1.002


def tiers_of(types: Types, environment: EnvironmentPlan, need: Need) -> Tiers:
    """The types of an environment that can hold `need`, as its strategy prefers them."""
    return STRATEGIES[environment.strategy](types, environment, need.with_room(environment.aside))


def _best_fit(types: Types, environment: EnvironmentPlan, need: Need) -> Tiers:
    fitting = _fitting(types, environment, need)
    key = _in_list(environment)
    return [[min(fitting, key=lambda i: (types[i].uusd_per_hour, types[i].vcpus, key[i]))]] if fitting else []


def _best_fit_progressive(types: Types, environment: EnvironmentPlan, need: Need) -> Tiers:
    return price_tiers(types, environment.types, need)


def _ordered(types: Types, environment: EnvironmentPlan, need: Need) -> Tiers:
    entries = environment.entries or range(len(environment.types))
    of_entry: dict[int, list[int]] = {}
    for index, entry in zip(environment.types, entries, strict=True):
        of_entry.setdefault(entry, []).append(index)
    return [
        [index]
        for entry in sorted(of_entry)
        for tier in price_tiers(types, of_entry[entry], need)
        for index in reversed(tier)
    ]


def _capacity_optimized(types: Types, environment: EnvironmentPlan, need: Need) -> Tiers:
    key = _in_list(environment)
    return [
        sorted(band, key=lambda i: (-types[i].vcpus, key[i])) for band in _bands(types, environment, need)
    ]


def _price_capacity_optimized(types: Types, environment: EnvironmentPlan, need: Need) -> Tiers:
    return [tier for band in _bands(types, environment, need) for tier in price_tiers(types, band, need)]


def _capacity_optimized_prioritized(types: Types, environment: EnvironmentPlan, need: Need) -> Tiers:
    return [[index] for band in _bands(types, environment, need) for index in band]


STRATEGIES: Final[dict[str, Callable[[Types, EnvironmentPlan, Need], Tiers]]] = {
    "BEST_FIT": _best_fit,
    "BEST_FIT_PROGRESSIVE": _best_fit_progressive,
    "BEST_FIT_PROGRESSIVE_ORDERED": _ordered,
    "SPOT_CAPACITY_OPTIMIZED": _capacity_optimized,
    "SPOT_PRICE_CAPACITY_OPTIMIZED": _price_capacity_optimized,
    "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED": _capacity_optimized_prioritized,
}


def _fitting(types: Types, environment: EnvironmentPlan, need: Need) -> list[int]:
    return [
        index
        for index in environment.types
        if types[index].holds(need)
        and (environment.overshoots or types[index].vcpus <= environment.max_vcpus)
    ]


def _in_list(environment: EnvironmentPlan) -> dict[int, int]:
    """The position of each type in the environment's list."""
    return {index: position for position, index in enumerate(environment.types)}


def _bands(types: Types, environment: EnvironmentPlan, need: Need) -> Tiers:
    """The types that fit by the capacity of their pools, most of it first; inside in the user's order."""
    band_of = dict(zip(environment.types, environment.bands, strict=True)) if environment.bands else {}
    bands: dict[int, list[int]] = {}
    for index in _fitting(types, environment, need):
        bands.setdefault(band_of.get(index, 0), []).append(index)
    return [bands[band] for band in sorted(bands, reverse=True)]


def price_tiers(types: Types, candidates: Sequence[int], need: Need) -> Tiers:
    """The candidates that can hold `need`, in tiers of equal price per vCPU, cheapest tier first.

    Inside a tier: more vCPUs first, then the lower price, then the user's order.
    """
    eligible = [index for index in candidates if types[index].holds(need)]
    eligible.sort(key=lambda index: types[index].uusd_per_hour / types[index].vcpus)
    tiers: list[list[int]] = []
    ceiling = -1.0
    for index in eligible:
        per_vcpu = types[index].uusd_per_hour / types[index].vcpus
        if per_vcpu > ceiling:
            tiers.append([])
            ceiling = per_vcpu * PRICE_TOLERANCE
        tiers[-1].append(index)
    for tier in tiers:
        tier.sort(key=lambda i: (-types[i].vcpus, types[i].uusd_per_hour, candidates.index(i)))
    return tiers


def pick_size(types: Types, tier: Sequence[int], tiebreak: str, room_vcpus: int) -> int:
    """The type of a non-empty tier (larger sizes first) to launch.

    "largest_not_exceeding_demand": the largest with at most `room_vcpus`, which is the smaller of the
    pending demand and what maxvCpus leaves; else the smallest. "smallest_fitting": the smallest.
    """
    if tiebreak == "largest_not_exceeding_demand":
        for index in tier:
            if types[index].vcpus <= room_vcpus:
                return index
    smallest = types[tier[-1]].vcpus
    return next(index for index in tier if types[index].vcpus == smallest)


def gang_types(types: Types, environment: EnvironmentPlan, need: Need, gang: Gang) -> list[int]:
    """The types on which a multi-node job can run in an environment, in order of preference.

    The lowest price a vCPU first, then the smallest: a node has its instance for itself, so that a larger one
    is paid for nothing. All nodes together must not exceed maxvCpus, without overshoot. [UG: mnp-ce]
    """
    if not environment.gangs:
        return []
    tiers = price_tiers(types, environment.types, need.with_room(environment.aside))
    return [
        index
        for tier in tiers
        for index in sorted(tier, key=lambda each: (types[each].vcpus, tier.index(each)))
        if (not gang.types or index in gang.types)
        and types[index].vcpus * len(gang.nodes) <= environment.max_vcpus
    ]
