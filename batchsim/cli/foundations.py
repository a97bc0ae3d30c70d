"""What a result rests on, in words: the draw, the assumptions, and what became of the rows of files."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Metrics = dict[str, Any]


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
    for name, notes in manifest["workload"].items():
        if notes["source"] == "trace":
            yield f"trace {name}", _trace(notes)
    for notes in manifest.get("spot_prices", ()):
        yield "spotPrices", _rows(notes, notes["prices"])


def _trace(notes: Metrics) -> str:
    """What became of the rows of a log."""
    lost = {"outside from and to": notes["outside_window"], "beyond the limit": notes["beyond_limit"]}
    assumed = notes["memory_assumed_jobs"]
    memory = (
        f", {notes['memory_assumed_mib_per_vcpu']} MiB per vCPU assumed for {assumed:,}" if assumed else ""
    )
    return f"{_rows(notes, notes['jobs'], lost)}{memory}"


def _rows(notes: Metrics, taken: int, lost: Mapping[str, int] = MappingProxyType({})) -> str:
    """How many rows were taken, and why others were not."""
    why = {**notes["dropped"], **lost}
    told = "".join(f", {number:,} left out ({words})" for words, number in why.items() if number)
    return f"{taken:,} of {notes['rows_read']:,} rows{told}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")
