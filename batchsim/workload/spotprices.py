"""Recorded Spot prices, from a CSV or as `aws ec2 describe-spot-price-history` prints them."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batchsim.errors import TraceError
from batchsim.units import usd_to_uusd
from batchsim.workload.csvrows import NUMBER, number
from batchsim.workload.steps import Steps, seconds, steps_of, table
from batchsim.workload.textblocks import TextBlocks

if TYPE_CHECKING:
    from pathlib import Path

_HISTORY: Final = "SpotPriceHistory"
_PRODUCT: Final = "Linux/UNIX"
_ELSEWHERE: Final = "other regions"
_US: Final = dt.timedelta(microseconds=1)


class RecordedPrices(NamedTuple):
    """The prices of a file.

    steps   (instance type, zone) -> micro-USD an hour; the zone is "" where the file names none
    notes   JSON-able, for the manifest: rows_read = prices + the sum of `dropped`, which counts by reason
    """

    steps: dict[tuple[str, str], Steps]
    notes: dict[str, Any]


class _Change(NamedTuple):
    at_us: int
    price: float


def read_prices(path: Path, region: str, begin: dt.datetime | None) -> RecordedPrices:
    """The prices of `region`; those before the last one at the beginning of the run are of no effect.

    CSV with instance_type, usd_per_hour, and at_s or date, and where it has them region and zone. Or JSON as
    of `aws ec2 describe-spot-price-history`, of which only what runs Linux is read; without `begin` its
    earliest price is that of the beginning. Raises TraceError for a file that is no such thing.
    """
    _, first = next(iter(TextBlocks(path)), (1, b""))
    is_json = first.lstrip().startswith((b"{", b"["))
    changes, dropped = _of_history(path, region, begin) if is_json else _of_csv(path, region, begin)
    if not changes:
        what = f" of {_PRODUCT}" if is_json else ""
        raise TraceError(file=str(path), expected=f"at least one price of {region}{what}", found="none")
    taken = sum(map(len, changes.values()))
    notes = {"rows_read": taken + sum(dropped.values()), "prices": taken, "dropped": dropped}
    return RecordedPrices(
        {key: steps_of(sorted(rows), path).shifted(0) for key, rows in changes.items()}, notes
    )


_Changes = tuple[dict[tuple[str, str], list[_Change]], dict[str, int]]


def _of_csv(path: Path, region: str, begin: dt.datetime | None) -> _Changes:
    found: dict[tuple[str, str], list[_Change]] = {}
    dropped = {_ELSEWHERE: 0}
    for line, row in table(path, ("instance_type", "usd_per_hour")):
        if row.get("region", region) != region:
            dropped[_ELSEWHERE] += 1
            continue
        price = usd_to_uusd(number(row["usd_per_hour"], "usd_per_hour", line, str(path)))
        key = row["instance_type"], row.get("zone", "")
        found.setdefault(key, []).append(_Change(_instant(row, line, path, begin), price))
    return found, dropped


def _instant(row: dict[str, str], line: int, path: Path, begin: dt.datetime | None) -> int:
    if "at_s" in row:
        return seconds(row["at_s"], "at_s", line, path)
    if begin is None:
        raise TraceError(
            "this trace has dates",
            file=str(path),
            line=1,
            hint="say with begin on which date the run begins",
        )
    try:
        date = dt.datetime.fromisoformat(row.get("date", "")[:10]).replace(tzinfo=dt.UTC)
    except ValueError:
        raise TraceError(
            file=str(path),
            line=line,
            expected="at_s, or a date such as 2024-06-10",
            found=row.get("date", ""),
        ) from None
    return (date - begin) // _US


def _of_history(path: Path, region: str, begin: dt.datetime | None) -> _Changes:
    found: dict[tuple[str, str], dict[dt.datetime, float]] = {}
    dropped = {f"not {_PRODUCT}": 0, _ELSEWHERE: 0, "told twice": 0}
    for index, entry in enumerate(_entries(path)):
        read = _Entry.of(entry, index, path)
        if read.product != _PRODUCT:
            dropped[f"not {_PRODUCT}"] += 1
        elif not _is_in(read.zone, region):
            dropped[_ELSEWHERE] += 1
        else:
            prices = found.setdefault((read.instance_type, read.zone), {})
            dropped["told twice"] += read.at in prices
            if prices.setdefault(read.at, read.uusd) != read.uusd:
                raise TraceError(
                    f"{read.instance_type} has two prices in {read.zone} at {read.at.isoformat()}",
                    file=str(path),
                    path=f"{_HISTORY}.{index}",
                )
    first = begin or min((at for prices in found.values() for at in prices), default=None)
    changes = {
        key: [_Change((at - first) // _US, price) for at, price in prices.items()]
        for key, prices in found.items()
        if first is not None
    }
    return changes, dropped


def _is_in(zone: str, region: str) -> bool:
    """us-east-1a and the Local Zone us-east-1-bos-1a are in us-east-1, us-east-11a would not be."""
    return zone.startswith(region) and not zone[len(region) : len(region) + 1].isdecimal()


class _Entry(NamedTuple):
    """A row of the history."""

    at: dt.datetime
    instance_type: str
    zone: str
    product: str
    uusd: int

    @classmethod
    def of(cls, entry: Any, index: int, path: Path) -> _Entry:
        """Raises TraceError naming the field that is missing or is none."""
        if not isinstance(entry, dict):
            raise TraceError(
                file=str(path), path=f"{_HISTORY}.{index}", expected="an object", found=ascii(entry)[:80]
            )

        def field(name: str) -> str:
            text = entry.get(name)
            if not isinstance(text, str) or not text:
                raise TraceError(
                    file=str(path),
                    path=f"{_HISTORY}.{index}.{name}",
                    expected="a text, as AWS gives it",
                    found="none" if text is None else ascii(text)[:80],
                )
            return text

        return cls(
            _timestamp(field("Timestamp"), index, path),
            field("InstanceType"),
            field("AvailabilityZone"),
            field("ProductDescription"),
            usd_to_uusd(_price(field("SpotPrice"), index, path)),
        )


def _entries(path: Path) -> list[Any]:
    """The rows: what stands under SpotPriceHistory, or the list alone, as `--query` prints it."""
    try:
        content = json.loads(b"".join(text for _, text in TextBlocks(path)))
    except (ValueError, RecursionError) as error:
        raise TraceError(f"is not JSON: {error}", file=str(path)) from error
    rows = content.get(_HISTORY) if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise TraceError(
            file=str(path),
            expected=f"a list under {_HISTORY}, as aws ec2 describe-spot-price-history prints it",
            found=f"the keys {ascii(', '.join(content))[:80]}" if isinstance(content, dict) else "none",
        )
    return rows


def _timestamp(text: str, index: int, path: Path) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise TraceError(
            file=str(path),
            path=f"{_HISTORY}.{index}.Timestamp",
            expected="a time such as 2024-06-10T06:34:14+00:00",
            found=ascii(text)[:80],
        ) from None
    return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at


def _price(text: str, index: int, path: Path) -> float:
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not 0 <= value < math.inf:
        raise TraceError(
            file=str(path),
            path=f"{_HISTORY}.{index}.SpotPrice",
            expected="a number of 0 or more",
            found=ascii(text)[:80],
        )
    return value
