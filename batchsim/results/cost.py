"""What instances cost: per second with a minimum, in integer micro-USD, and where that money went.

An instance is billed from `running` to its end, or to the run's end if it outlives the run: whole
seconds, rounded up, at least 60, times the hourly price / 3600, rounded half up to a micro-USD
[spec 8.1]. An instance that never ran costs nothing, nor does a Spot instance that EC2 takes back within an
hour [spec 3.8]. Machines of an unmanaged environment are billed
alike, at the price the user gave them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from batchsim.units import S_PER_HOUR, US_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from batchsim.results.exact import Ints

MINIMUM_BILLED_S = 60
FREE_US: Final = S_PER_HOUR * US_PER_S
"""A Spot instance that EC2 takes back before it has run for so long costs nothing."""

INTERRUPTED: Final = "interrupted: Spot"
"""The end reason of a Spot instance that EC2 has taken back."""


class CostParts(NamedTuple):
    """The cost of instances by what their vCPUs did, in micro-USD; the four add up to the cost.

    booting   from the start of billing until jobs could be placed
    starting  reserved by attempts whose container was not yet up: dispatch, image pull, start
    used      reserved by attempts in RUNNING
    unused    everything else: idle, too small a remainder for any job, seconds rounded up
    """

    booting: int
    starting: int
    used: int
    unused: int


def billed_seconds(
    running: Ints, until: Ints, interrupted: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int64]:
    """Whole seconds billed for instances that ran from `running` (-1: never) to `until`, both in us.

    `interrupted` says which of them EC2 has taken back [EC2-UG: billing-for-interrupted-spot-instances].
    """
    seconds = -((running - until) // US_PER_S)
    free = running < 0
    if interrupted is not None:
        free = free | (interrupted & (until - running < FREE_US))
    return np.where(free, 0, np.maximum(seconds, MINIMUM_BILLED_S)).astype(np.int64)


def cost_uusd(billed_s: Ints, uusd_per_hour: Ints) -> npt.NDArray[np.int64]:
    """The column form of `units.cost_uusd`."""
    return ((2 * billed_s * uusd_per_hour + S_PER_HOUR) // (2 * S_PER_HOUR)).astype(np.int64)


def cost_parts(cost: Ints, capacity_us: Ints, parts_us: tuple[Ints, Ints, Ints]) -> list[CostParts]:
    """Each instance's cost split in proportion to vCPU-time, rounded down; the rest is unused.

    cost         micro-USD of each instance
    capacity_us  its vCPUs times the time it ran, in us
    parts_us     of that: booting, starting, used
    """
    parts = []
    for total, capacity, *shares in zip(
        cost.tolist(), capacity_us.tolist(), *(part.tolist() for part in parts_us), strict=True
    ):
        booting, starting, used = (total * share // capacity if capacity else 0 for share in shares)
        parts.append(CostParts(booting, starting, used, total - booting - starting - used))
    return parts


def add_parts(parts: Sequence[CostParts]) -> CostParts:
    return CostParts(*(sum(column) for column in zip(CostParts(0, 0, 0, 0), *parts, strict=True)))


def shares(total: int, weights: list[int]) -> list[int]:
    """`total` in proportion to `weights`, whole numbers that add up to it; largest remainder first.

    With no weight at all there is nothing to share by: all zeros.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    given = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda row: (-(total * weights[row] % whole), row))
    for row in by_remainder[: total - sum(given)]:
        given[row] += 1
    return given
