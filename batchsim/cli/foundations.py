"""What a result rests on, in words: the draw, the assumptions, and what became of the rows of files."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from batchsim.cli.figures import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Metrics = dict[str, Any]

_MOST_NAMES: Final = 3
_LONG_S: Final = 60.0


def foundations(result: Metrics, manifest: Metrics) -> Iterator[tuple[str, str]]:
    """What a result rests on: the draw, and the assumptions that differ from their preset.

    result   has the seed and the replication, or how many there are
    """
    replications = result.get("replications", 1)
    yield (
        "seed",
        f"{result['seed']}" + (f", replications 0 to {replications - 1}" if replications > 1 else ""),
    )
    given = dict(manifest["scenario"].get("assumptions", {}))
    preset = given.pop("preset", "aws")
    changed = ", ".join(f"{name} {_plain(value)}" for name, value in given.items())
    yield "assumptions", f"preset {preset}" + (f"; {changed}" if changed else ", unchanged")
    yield from _submission(manifest)
    for name, notes in manifest["workload"].items():
        if notes["source"] == "trace":
            yield f"trace {name}", _trace(notes)
    recorded = manifest.get("spot_prices", {})
    for notes in recorded.get("traces", ()):
        yield "spotPrices", _prices(notes)
    if names := recorded.get("unrecorded_types"):
        yield "spotPrices", f"none of {_few(names)}, whose prices are the catalogue's"


def _submission(manifest: Metrics) -> Iterator[tuple[str, str]]:
    """Whether calls left long after they were wanted, since an account may make so many a second."""
    by_rate: dict[str, list[Metrics]] = {}
    for notes in manifest["workload"].values():
        if "held_by" in notes:
            by_rate.setdefault(notes["held_by"], []).append(notes)
    for name, late in by_rate.items():
        longest_s = max(notes["longest_delay_s"] for notes in late)
        if longest_s >= _LONG_S:
            calls = sum(notes["calls_delayed"] for notes in late)
            rate = manifest["assumptions"][name]
            held = (
                f"{calls:,} calls were held back, the longest for {duration(longest_s)}, as AWS takes {rate}"
            )
            yield "submission", f"{held} ({name}); waits count from the call"


def _trace(notes: Metrics) -> str:
    """What became of the rows of a log."""
    lost = {"outside from and to": notes["outside_window"], "beyond the limit": notes["beyond_limit"]}
    assumed = notes["memory_assumed_jobs"]
    memory = (
        f", {notes['memory_assumed_mib_per_vcpu']} MiB per vCPU assumed for {assumed:,}" if assumed else ""
    )
    return f"{_rows(notes, notes['jobs'], lost)}{memory}"


def _prices(notes: Metrics) -> str:
    """What became of the rows of a record of Spot prices, and of which time the run is."""
    told = _rows(notes, notes["prices"])
    if names := notes["other_types"]:
        told += f"; no Spot environment has {_few(names)}"
    if begins := notes["begins_at"]:
        why = "" if notes["begin_is_said"] else ", when the last pool gets its first price"
        told += f"; the run begins at {begins}{why}"
    if ended := notes["ended_at"]:
        told += f"; the last price, of {ended}, is older and holds throughout"
    if late := notes["late_pools"]:
        pools = f"{late:,} pools have" if late > 1 else "1 pool has"
        told += f"; {pools} no price at the beginning yet: the first is taken"
    return told


def _few(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more types" if more > 0 else "")


def _rows(notes: Metrics, taken: int, lost: Mapping[str, int] = MappingProxyType({})) -> str:
    """How many rows were taken, and why others were not."""
    why = {**notes["dropped"], **lost}
    told = "".join(f", {number:,} left out ({words})" for words, number in why.items() if number)
    return f"{taken:,} of {notes['rows_read']:,} rows{told}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")
