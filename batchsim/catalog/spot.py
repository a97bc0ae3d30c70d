"""Spot by region: the usual price against On-Demand, and how often instances are taken back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from batchsim.catalog.prices import regions
from batchsim.catalog.tables import read_table
from batchsim.units import UUSD_PER_USD, usd_to_uusd

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERRUPTION_BANDS: Final = (0.025, 0.075, 0.125, 0.175, 0.30)
"""The Advisor's bands (below 5, 5-10, 10-15, 15-20 and above 20%), as the middle of each; of the open one,
what its data are usually taken for.
"""

INTERRUPTION_WORDS: Final = ("< 5 %", "5-10 %", "10-15 %", "15-20 %", "> 20 %")
"""The same bands, as the Advisor writes them."""


@dataclass(frozen=True, slots=True)
class SpotPool:
    """What the Spot Instance Advisor says of a type in a region.

    price_factor       the average Spot price of a month, of the On-Demand price: 0 < factor <= 1
    interruption_band  0 to 4, a row of INTERRUPTION_BANDS: the part of instances that were interrupted
    as_of, source      the date and origin of both
    """

    price_factor: float
    interruption_band: int
    as_of: str
    source: str


def spot_price_uusd(on_demand_uusd: int, factor: float) -> int:
    """The part `factor` of an On-Demand price, rounded half up to a micro-USD."""
    return usd_to_uusd(on_demand_uusd * factor / UUSD_PER_USD)


@cache
def builtin_spot(region: str) -> Mapping[str, SpotPool]:
    """The shipped figures of a region by instance type; empty for a region that has none."""
    if region not in regions():
        return MappingProxyType({})
    return MappingProxyType(
        {
            row["instance_type"]: SpotPool(
                float(row["price_factor"]), int(row["interruption_band"]), row["as_of"], row["source"]
            )
            for row in read_table(f"spot/{region}.csv")
        }
    )
