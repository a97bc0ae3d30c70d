"""Rows of CSV files that users write: plain or gzip, parted by commas, semicolons or tabs."""

from __future__ import annotations

import csv
import math
import re
from typing import TYPE_CHECKING, Final

from batchsim.errors import TraceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchsim.workload.textblocks import TextBlocks

NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)

Row = tuple[int, list[str]]
"""The line and its cells."""


def lines_of(blocks: TextBlocks) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, without blank ones and comments (`#`)."""
    for first_line, text in blocks:
        for offset, line in enumerate(text.split(b"\n")):
            if line.strip() and not line.lstrip().startswith(b"#"):
                yield first_line + offset, line.decode("utf-8", "replace").strip()


def rows_of(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Row]:
    """The rows; the first one says what parts the cells."""
    delimiter = None
    for number, line in lines:
        if delimiter is None:
            delimiter = next((mark for mark in ",;\t" if mark in line), ",")
        try:
            cells = next(csv.reader([line], delimiter=delimiter))
        except csv.Error as error:
            raise TraceError(f"not a row of a CSV file: {error}", file=file, line=number) from error
        yield number, [cell.strip() for cell in cells]


def number(cell: str, name: str, line: int, file: str) -> float:
    """The value of a cell. Raises TraceError unless it is a number of 0 or more."""
    value = float(cell) if NUMBER.fullmatch(cell) else math.nan
    if not 0 <= value < math.inf:
        raise TraceError(name, file=file, line=line, expected="a number of 0 or more", found=ascii(cell))
    return value
