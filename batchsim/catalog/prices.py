"""On-Demand prices by region: Linux, shared tenancy, list price without discounts, each with its origin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, cast

from batchsim.catalog.tables import DATA, read_table
from batchsim.units import usd_to_uusd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PriceMethod = Literal["list", "metal_corrected", "list_rescaled", "family_ratio", "estimate", "user"]

SHIPPED_METHODS: Final[tuple[PriceMethod, ...]] = (
    "list",
    "metal_corrected",
    "list_rescaled",
    "family_ratio",
    "estimate",
)


@dataclass(frozen=True, slots=True)
class Price:
    """An hourly price and where it comes from.

    usd     per instance-hour
    source  the price list, or the file name of the user's catalogue
    as_of   ISO date of that list; empty where a user's catalogue does not say
    method  "list": as listed; "user": from the user's catalogue; the others say how the figure was
            derived from a list (`data/README.md`)
    """

    usd: float
    source: str
    as_of: str
    method: PriceMethod

    @property
    def uusd(self) -> int:
        """Whole micro-USD per instance-hour."""
        return usd_to_uusd(self.usd)


@cache
def regions() -> tuple[str, ...]:
    """The regions with a shipped price list, in alphabetical order."""
    return tuple(sorted(path.stem for path in (DATA / "prices").glob("*.csv")))


@cache
def builtin_prices(region: str) -> Mapping[str, Price]:
    """The shipped prices of one of `regions()` by instance type; a type that is not sold there is absent."""
    return MappingProxyType(
        {
            row["instance_type"]: Price(
                usd=float(row["usd_per_hour"]),
                source=row["source"],
                as_of=row["as_of"],
                method=cast("PriceMethod", row["method"]),
            )
            for row in read_table(f"prices/{region}.csv")
        }
    )


def date_span(dates: Iterable[str]) -> str:
    """One ISO date, or "first to last" of several; "undated" where none of them says anything."""
    known = sorted({*dates} - {""})
    if not known:
        return "undated"
    return known[0] if len(known) == 1 else f"{known[0]} to {known[-1]}"


def regions_selling(name: str) -> list[str]:
    """The regions whose shipped price list has the type. Reads every list."""
    return [region for region in regions() if name in builtin_prices(region)]
