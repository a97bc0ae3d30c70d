"""Durations from a file of the user's: a column of a CSV, or one number a line."""

from __future__ import annotations

import csv
import difflib
import math
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

import numpy as np

from batchsim.errors import TraceError
from batchsim.scenario import MAX_JOBS
from batchsim.units import MAX_TIME_US, S_PER_HOUR, US_PER_S
from batchsim.workload.textblocks import TextBlocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_US_PER_UNIT: Final = {"s": US_PER_S, "ms": US_PER_S // 1000, "m": 60 * US_PER_S, "h": S_PER_HOUR * US_PER_S}
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)

_Row = tuple[int, list[str]]


def read_samples(path: Path, column: str | None = None, unit: str = "s") -> tuple[NDArray[np.int64], str]:
    """The values as ascending int64 microseconds, and the SHA-256 of the file's text.

    The file is plain or gzip, with a header or without, cells parted by commas, semicolons or tabs,
    whichever the first row uses; blank lines and lines that begin with `#` are skipped. `column` is a
    name in the header; absent, it is the first column of numbers. Raises TraceError for a cell that is
    not a number of 0 or more, and for a file without any.
    """
    blocks = TextBlocks(path)
    rows = _rows(_lines(blocks), blocks.file)
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


def _lines(blocks: TextBlocks) -> Iterator[tuple[int, str]]:
    for first_line, text in blocks:
        for offset, line in enumerate(text.split(b"\n")):
            if line.strip() and not line.lstrip().startswith(b"#"):
                yield first_line + offset, line.decode("utf-8", "replace").strip()


def _rows(lines: Iterable[tuple[int, str]], file: str) -> Iterator[_Row]:
    delimiter = None
    for number, line in lines:
        if delimiter is None:
            delimiter = next((mark for mark in ",;\t" if mark in line), ",")
        try:
            cells = next(csv.reader([line], delimiter=delimiter))
        except csv.Error as error:
            raise TraceError(f"not a row of a CSV file: {error}", file=file, line=number) from error
        yield number, [cell.strip() for cell in cells]


def _find_column(rows: Iterator[_Row], column: str | None, file: str) -> tuple[int, Iterator[_Row]]:
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
    for skipped, (_, cells) in enumerate(head):
        for index, cell in enumerate(cells):
            if _NUMBER.fullmatch(cell):
                return index, chain(head[skipped:], rows)
    raise TraceError(
        file=file,
        line=head[-1][0] if head else None,
        expected="a column of numbers",
        found=ascii(", ".join(head[-1][1])) if head else "nothing",
    )


def _value(cells: list[str], index: int, line: int, file: str) -> float:
    cell = cells[index] if index < len(cells) else ""
    value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not 0 <= value < math.inf:
        raise TraceError(
            f"column {index + 1}", file=file, line=line, expected="a number of 0 or more", found=ascii(cell)
        )
    return value


def _to_us(values: list[float], us_per_unit: int, file: str) -> NDArray[np.int64]:
    with np.errstate(over="ignore"):
        exact = np.array(values, np.float64) * us_per_unit
    if not (exact < MAX_TIME_US).all():
        raise TraceError(
            file=file, expected="durations below 285 years", found=f"{max(values):g} in the given unit"
        )
    return np.rint(exact).astype(np.int64)
