"""Durations from a file of the user's: a column of a CSV, or one number a line."""

from __future__ import annotations

import difflib
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

import numpy as np

from batchsim.errors import TraceError
from batchsim.scenario import MAX_JOBS
from batchsim.units import MAX_TIME_US, S_PER_HOUR, US_PER_S
from batchsim.workload.csvrows import NUMBER, lines_of, number, rows_of
from batchsim.workload.textblocks import TextBlocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from batchsim.workload.csvrows import Row

_US_PER_UNIT: Final = {"s": US_PER_S, "ms": US_PER_S // 1000, "m": 60 * US_PER_S, "h": S_PER_HOUR * US_PER_S}


def read_samples(path: Path, column: str | None = None, unit: str = "s") -> tuple[NDArray[np.int64], str]:
    """The values as ascending int64 microseconds, and the SHA-256 of the file's text.

    The file is plain or gzip, with a header or without, cells parted by commas, semicolons or tabs,
    whichever the first row uses; blank lines and lines that begin with `#` are skipped. `column` is a
    name in the header; absent, it is the only column of numbers. Raises TraceError for a cell that is
    not a number of 0 or more, for a file without any, and where it is not clear which column is meant.
    """
    blocks = TextBlocks(path)
    rows = rows_of(lines_of(blocks), blocks.file)
    index, rows = _find_column(rows, column, blocks.file)
    values: list[float] = []
    for line, cells in rows:
        if len(values) == MAX_JOBS:
            raise TraceError(
                file=blocks.file, line=line, expected=f"at most {MAX_JOBS:,} values", found="more"
            )
        values.append(_value(cells, index, line, blocks.file))
    if not values:
        raise TraceError(file=blocks.file, expected="at least one number", found="none")
    return np.sort(_to_us(values, _US_PER_UNIT[unit], blocks.file)), blocks.sha256()


def _find_column(rows: Iterator[Row], column: str | None, file: str) -> tuple[int, Iterator[Row]]:
    """The column's index and the rows that hold values."""
    head = list(islice(rows, 2))
    if column is not None:
        line, header = head[0] if head else (None, [])
        if column not in header:
            close = difflib.get_close_matches(column, header, 1)
            raise TraceError(
                file=file,
                line=line,
                expected=f"a header with a column {column!r}",
                found=ascii(", ".join(header)),
                hint=f"did you mean {close[0]}?" if close else None,
            )
        return header.index(column), chain(head[1:], rows)
    for skipped, (line, cells) in enumerate(head):
        numeric = [index for index, cell in enumerate(cells) if NUMBER.fullmatch(cell)]
        if len(numeric) > 1:
            raise TraceError(
                file=file,
                line=line,
                expected="one column of numbers, or that `column` names the one that is meant",
                found=f"{len(numeric)} columns of numbers",
                hint=f"the header has {', '.join(head[0][1])}" if skipped else "give the file a header",
            )
        if numeric:
            return numeric[0], chain(head[skipped:], rows)
    raise TraceError(
        file=file,
        line=head[-1][0] if head else None,
        expected="a column of numbers",
        found=ascii(", ".join(head[-1][1])) if head else "nothing",
    )


def _value(cells: list[str], index: int, line: int, file: str) -> float:
    return number(cells[index] if index < len(cells) else "", f"column {index + 1}", line, file)


def _to_us(values: list[float], us_per_unit: int, file: str) -> NDArray[np.int64]:
    with np.errstate(over="ignore"):
        exact = np.array(values, np.float64) * us_per_unit
    if not (exact < MAX_TIME_US).all():
        raise TraceError(
            file=file, expected="durations below 285 years", found=f"{max(values):g} in the given unit"
        )
    return np.rint(exact).astype(np.int64)
