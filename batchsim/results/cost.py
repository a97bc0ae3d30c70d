"""What instances cost: per second with a minimum, in integer micro-USD. Where it went says `bill`.

An instance is billed from `running` to its end, or to the run's end if it outlives the run: whole
seconds, rounded up, at least 60, times the hourly price / 3600, rounded half up to a micro-USD
[spec 8.1]. An instance that never ran costs nothing, nor does a Spot instance that EC2 takes back within an
hour [spec 3.8]. Machines of an unmanaged environment are billed
alike, at the price the user gave them, but without the minimum, which is EC2's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batchsim.units import S_PER_HOUR, US_PER_S
from batchsim.units import cost_uusd as exact_cost_uusd

if TYPE_CHECKING:
    import numpy.typing as npt

    from batchsim.results.exact import Ints

MINIMUM_BILLED_S = 60
FREE_US: Final = S_PER_HOUR * US_PER_S
"""A Spot instance that EC2 takes back before it has run for so long costs nothing."""

INTERRUPTED: Final = "interrupted: Spot"
"""The end reason of a Spot instance that EC2 has taken back."""


def billed_seconds(
    running: Ints,
    until: Ints,
    interrupted: npt.NDArray[np.bool_] | None = None,
    owned: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.int64]:
    """Whole seconds billed for instances that ran from `running` (-1: never) to `until`, both in us.

    `interrupted` says which of them EC2 has taken back [EC2-UG: billing-for-interrupted-spot-instances],
    and `owned` which of them are a user's own machines.
    """
    seconds = -((running - until) // US_PER_S)
    free = running < 0
    if interrupted is not None:
        free = free | (interrupted & (until - running < FREE_US))
    least = MINIMUM_BILLED_S if owned is None else np.where(owned, 0, MINIMUM_BILLED_S)
    return np.where(free, 0, np.maximum(seconds, least)).astype(np.int64)


def cost_uusd(billed_s: Ints, uusd_per_hour: Ints) -> npt.NDArray[np.int64]:
    """The column form of `units.cost_uusd`."""
    return ((2 * billed_s * uusd_per_hour + S_PER_HOUR) // (2 * S_PER_HOUR)).astype(np.int64)


def cluster_uusd(lasted_us: int, uusd_per_hour: int) -> int:
    """What EKS clusters cost: whole seconds of the run, rounded up, whether they have nodes or not."""
    return exact_cost_uusd(-(-lasted_us // US_PER_S), uusd_per_hour)


VOLUMES: Final = "EBS volumes"
CLUSTERS: Final = "EKS clusters"
NOT_IN_THE_BILL: Final = (
    VOLUMES,
    "data transfer",
    "public IPv4 addresses",
    "CloudWatch",
    "ECR",
    "S3",
    CLUSTERS,
    "support",
    "tax",
)
"""What an account is charged for beside what `cost_usd` holds; volumes where none were said, and
clusters where there are none or their price is 0."""
