"""Recorded Spot prices, from a CSV or as `aws ec2 describe-spot-price-history` prints them."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

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
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MAX_USD_PER_HOUR: Final = 1_000_000
_PRICE: Final = f"a number of 0 or more, {_MAX_USD_PER_HOUR:,} at most"


class Change(NamedTuple):
    """From when on a pool has which price, in micro-USD an hour; `at_us` as `RecordedPrices` says."""

    at_us: int
    price: float


class RecordedPrices(NamedTuple):
    """The prices of a file.

    changes    (instance type, zone) -> in order of time; the zone is "" where the file names none
    counts_in  from when: "at_s" of the run, or since 1970 in UTC by a column "date" or by AWS's "Timestamp"
    dropped    how many rows are not among them, by reason
    """

    path: Path
    changes: dict[tuple[str, str], list[Change]]
    counts_in: Literal["at_s", "date", "Timestamp"]
    dropped: dict[str, int]

    def steps(self, pool: tuple[str, str], begin_us: int) -> Steps:
        """The prices of a run that begins then. Raises TraceError for two prices at one instant."""
        rows = [(at - begin_us, price) for at, price in self.changes[pool]]
        return steps_of(rows, self.path).shifted(0)


def read_prices(path: Path, region: str) -> RecordedPrices:
    """The prices of `region`.

    CSV with instance_type, usd_per_hour, and at_s or date, and where it has them region and zone. Or JSON as
    of `aws ec2 describe-spot-price-history`, of which only what runs Linux is read. Raises TraceError for a
    file that is no such thing.
    """
    _, first = next(iter(TextBlocks(path)), (1, b""))
    is_json = first.lstrip().startswith((b"{", b"["))
    record = _of_history(path, region) if is_json else _of_csv(path, region)
    if not record.changes:
        what = f" of {_PRODUCT}" if is_json else ""
        raise TraceError(file=str(path), expected=f"at least one price of {region}{what}", found="none")
    for rows in record.changes.values():
        rows.sort()
    return record


def since_1970(at: dt.datetime) -> int:
    """An instant in microseconds."""
    return (at - _EPOCH) // _US


def instant_text(at_us: int) -> str:
    """An instant that `since_1970` gave, such as 2024-06-10T08:00:00Z."""
    return (_EPOCH + at_us * _US).isoformat().replace("+00:00", "Z")


def _of_csv(path: Path, region: str) -> RecordedPrices:
    found: dict[tuple[str, str], list[Change]] = {}
    dropped = {_ELSEWHERE: 0}
    counts_in: Literal["at_s", "date"] = "date"
    for line, row in table(path, ("instance_type", "usd_per_hour")):
        if row.get("region", region) != region:
            dropped[_ELSEWHERE] += 1
            continue
        usd = number(row["usd_per_hour"], "usd_per_hour", line, str(path))
        if usd > _MAX_USD_PER_HOUR:
            raise TraceError(
                "usd_per_hour", file=str(path), line=line, expected=_PRICE, found=row["usd_per_hour"]
            )
        if "at_s" in row:
            counts_in = "at_s"
            at_us = seconds(row["at_s"], "at_s", line, path)
        else:
            at_us = _dated(row.get("date", ""), line, path)
        key = row["instance_type"], row.get("zone", "")
        found.setdefault(key, []).append(Change(at_us, usd_to_uusd(usd)))
    return RecordedPrices(path, found, counts_in, dropped)


def _dated(text: str, line: int, path: Path) -> int:
    at = _instant(text)
    if at is None:
        raise TraceError(
            file=str(path), line=line, expected="at_s, or a date such as 2024-06-10", found=ascii(text)[:80]
        )
    return since_1970(at)


def _of_history(path: Path, region: str) -> RecordedPrices:
    found: dict[tuple[str, str], dict[dt.datetime, int]] = {}
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
    changes = {
        key: [Change(since_1970(at), price) for at, price in prices.items()] for key, prices in found.items()
    }
    return RecordedPrices(path, changes, "Timestamp", dropped)


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
    at = _instant(text)
    if at is None:
        raise TraceError(
            file=str(path),
            path=f"{_HISTORY}.{index}.Timestamp",
            expected="a time such as 2024-06-10T06:34:14+00:00",
            found=ascii(text)[:80],
        )
    return at


def _instant(text: str) -> dt.datetime | None:
    """In UTC, also of a text without an offset; None of what is no time, or out of the calendar."""
    try:
        at = dt.datetime.fromisoformat(text)
        return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def _price(text: str, index: int, path: Path) -> float:
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not 0 <= value <= _MAX_USD_PER_HOUR:
        raise TraceError(
            file=str(path),
            path=f"{_HISTORY}.{index}.SpotPrice",
            expected=_PRICE,
            found=ascii(text)[:80],
        )
    return value
