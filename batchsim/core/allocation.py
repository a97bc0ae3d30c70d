"""Which instance type to launch: one small function for each allocation strategy [spec 3.4].

BEST_FIT_PROGRESSIVE takes "instance types that are large enough", lowest price per vCPU first
[UG: allocation-strategies]. Within a family all sizes cost the same per vCPU, and AWS does not
publish which one it takes: that is the assumption `sizeTiebreak`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import EnvironmentPlan, Gang, MachineType, Need

# Listed prices are rounded, so that the sizes of one family may differ by a little per vCPU.
# Prices this close count as equal.
_PRICE_TOLERANCE: Final = 1.002


def price_tiers(types: Sequence[MachineType], candidates: Sequence[int], need: Need) -> list[list[int]]:
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
            ceiling = per_vcpu * _PRICE_TOLERANCE
        tiers[-1].append(index)
    for tier in tiers:
        tier.sort(key=lambda i: (-types[i].vcpus, types[i].uusd_per_hour, candidates.index(i)))
    return tiers


def pick_size(types: Sequence[MachineType], tier: Sequence[int], tiebreak: str, room_vcpus: int) -> int:
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


def gang_types(
    types: Sequence[MachineType], environment: EnvironmentPlan, need: Need, gang: Gang
) -> list[int]:
    """The types on which a multi-node job can run in an environment, in order of preference.

    The lowest price a vCPU first, then the smallest: a node has its instance for itself, so that a larger one
    is paid for nothing. All nodes together must not exceed maxvCpus, without overshoot. [UG: mnp-ce]
    """
    if not environment.gangs:
        return []
    tiers = price_tiers(types, environment.types, need)
    return [
        index
        for tier in tiers
        for index in sorted(tier, key=lambda each: (types[each].vcpus, tier.index(each)))
        if (not gang.types or index in gang.types)
        and types[index].vcpus * len(gang.nodes) <= environment.max_vcpus
    ]
