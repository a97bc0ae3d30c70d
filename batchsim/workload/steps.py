"""What changes in steps during a run, from files of users: probabilities, counts of instances."""

from __future__ import annotations

import json
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from batchsim.errors import TraceError
from batchsim.units import US_PER_S
from batchsim.workload.csvrows import lines_of, number, rows_of
from batchsim.workload.textblocks import TextBlocks, require_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_US_PER_MS: Final = 1000


class Steps(NamedTuple):
    """`values[i]` holds from `at_us[i]` on, which ascends; before the first, that holds, too."""

    at_us: Sequence[int]
    values: Sequence[float]

    def at(self, instant_us: int) -> float:
        """The value at an instant."""
        return self.values[max(bisect_right(self.at_us, instant_us) - 1, 0)]

    def after(self, instant_us: int) -> Iterator[tuple[int, float]]:
        """The later steps."""
        for row in range(bisect_right(self.at_us, instant_us), len(self.at_us)):
            yield self.at_us[row], self.values[row]

    def shifted(self, start_us: int, scale: int = 1) -> Steps:
        """With the beginning at another instant, and all values so many times as large."""
        first = max(bisect_right(self.at_us, start_us) - 1, 0)
        return Steps(
            [max(at - start_us, 0) for at in self.at_us[first:]],
            [value * scale for value in self.values[first:]],
        )


def read_probabilities(path: Path) -> Steps:
    """CSV with at_s and probability. Raises TraceError for a file that is no such thing."""
    rows = []
    for line, row in table(path, ("at_s", "probability")):
        chance = number(row["probability"], "probability", line, str(path))
        if chance > 1:
            raise TraceError(
                file=str(path), line=line, expected="a probability up to 1", found=row["probability"]
            )
        rows.append((seconds(row["at_s"], "at_s", line, path), chance))
    return steps_of(rows, path)


def read_availability(path: Path) -> Steps:
    """How many instances there are, in one of three formats. Raises TraceError for anything else.

    JSON with metadata.gap_seconds and data, as of the Spot traces of SkyPilot; CSV with at_s and instances;
    CSV without a header of milliseconds, add or remove, and the name of a node, as of Bamboo.
    """
    require_file(path)
    with path.open("rb") as file:
        begins = file.read(64).lstrip()
    if begins.startswith(b"{"):
        return _of_json(path)
    blocks = TextBlocks(path)
    rows = rows_of(lines_of(blocks), blocks.file)
    first = next(rows, None)
    if first is not None and len(first[1]) == 3 and first[1][1] in {"add", "remove"}:
        return _of_changes(path)
    counts = [
        (
            seconds(row["at_s"], "at_s", line, path),
            float(int(number(row["instances"], "instances", line, str(path)))),
        )
        for line, row in table(path, ("at_s", "instances"))
    ]
    return steps_of(counts, path)


def _of_json(path: Path) -> Steps:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        gap_us = round(content["metadata"]["gap_seconds"] * US_PER_S)
        counts = [int(count) for count in content["data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise TraceError(
            file=str(path), expected="JSON with metadata.gap_seconds and data", found=type(error).__name__
        ) from error
    if gap_us <= 0 or min(counts, default=-1) < 0:
        raise TraceError(file=str(path), expected="a gap above 0 and counts of 0 or more")
    return _without_repetitions([(row * gap_us, float(count)) for row, count in enumerate(counts)])


def _of_changes(path: Path) -> Steps:
    blocks = TextBlocks(path)
    there: set[str] = set()
    rows: list[tuple[int, float]] = [(0, 0.0)]
    for line, cells in rows_of(lines_of(blocks), blocks.file):
        if len(cells) != 3 or cells[1] not in {"add", "remove"}:
            raise TraceError(file=str(path), line=line, expected="milliseconds, add or remove, a name")
        at_us = round(number(cells[0], "milliseconds", line, str(path)) * _US_PER_MS)
        (there.add if cells[1] == "add" else there.discard)(cells[2])
        if rows[-1][0] == at_us:
            rows.pop()
        rows.append((at_us, float(len(there))))
    return steps_of(rows, path)


def table(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with a header that has all the columns needed."""
    require_file(path)
    blocks = TextBlocks(path)
    rows = rows_of(lines_of(blocks), blocks.file)
    line, header = next(rows, (1, []))
    missing = [name for name in needed if name not in header]
    if missing:
        raise TraceError(
            file=str(path),
            line=line,
            expected=f"a header with a column {missing[0]!r}",
            found=ascii(", ".join(header)),
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise TraceError(
                file=str(path), line=line, expected=f"{len(header)} cells", found=str(len(cells))
            )
        yield line, dict(zip(header, cells, strict=True))


def seconds(text: str, name: str, line: int, path: Path) -> int:
    """A cell of seconds in microseconds. Raises TraceError."""
    return round(number(text, name, line, str(path)) * US_PER_S)


def steps_of(rows: Sequence[tuple[int, float]], path: Path) -> Steps:
    """As steps, those that change nothing left out. Raises TraceError unless they ascend."""
    if not rows:
        raise TraceError(file=str(path), expected="at least one row", found="none")
    for (before, _), (at, _) in pairwise(rows):
        if at <= before:
            raise TraceError(
                file=str(path), expected="instants that ascend", found=f"{at / US_PER_S:g} s again"
            )
    return _without_repetitions(rows)


def _without_repetitions(rows: Sequence[tuple[int, float]]) -> Steps:
    kept = [row for before, row in zip([(-1, -1.0), *rows], rows, strict=False) if row[1] != before[1]]
    return Steps([at for at, _ in kept], [value for _, value in kept])
