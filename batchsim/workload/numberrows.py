"""Rows of numbers in text, parsed a block at a time with vector operations, exactly.

Fields are separated by white space; lines that are blank or begin with `;` are skipped. Plain
integers (all but a few fields of real logs) are read digit by digit over the whole block at once;
only what is left, such as decimals, is looked at one by one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from batchsim.errors import TraceError
from batchsim.units import MAX_TIME_US, US_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MAX_DIGITS: Final = 18  # every such number fits int64
_DECIMAL: Final = re.compile(rb"([+-]?)(\d{1,18})(?:\.(\d*))?")
_SPACE: Final = np.isin(np.arange(256), list(b" \t\r\n\v\f"))
_NEWLINE, _SEMICOLON, _MINUS, _PLUS, _ZERO = b"\n;-+0"


class Field(NamedTuple):
    """One field of a row; `unit` says how it is read.

    "whole"    an integer (`4` or `4.0`)
    "seconds"  a decimal number of seconds, given as integer microseconds; beyond the sixth decimal cut
    "ignored"  any decimal number, checked and given as 0 or its integer part
    """

    name: str
    unit: str


class _Problem(NamedTuple):
    line: int
    message: str
    expected: str
    found: str


class _Block(NamedTuple):
    """Where the fields are: field c of row r lies between starts[first[r] + c] and ends[first[r] + c]."""

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    first: NDArray[np.int64]
    lines: NDArray[np.int64]


def parse_rows(
    text: bytes, first_line: int, fields: Sequence[Field], file: str
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Line numbers int64[rows] and one int64[rows] column a field.

    Raises TraceError for the first line that does not have exactly these fields, each a number of at
    most 18 digits.
    """
    block, problem = _locate(text, first_line, len(fields))
    columns = []
    for index, field in enumerate(fields):
        values, odd = _read_field(block, index, field)
        columns.append(values)
        if odd is not None and (problem is None or odd.line < problem.line):
            problem = odd
    if problem is not None:
        raise TraceError(
            problem.message, file=file, line=problem.line, expected=problem.expected, found=problem.found
        )
    return block.lines, columns


def _locate(raw: bytes, first_line: int, width: int) -> tuple[_Block, _Problem | None]:
    """The fields of all rows before the first row that is not `width` fields wide, and that row."""
    text = np.frombuffer(raw, np.uint8)
    edges = np.flatnonzero(np.diff(_SPACE[text], prepend=True, append=True))
    starts, ends = edges[::2], edges[1::2]
    line_starts = np.concatenate(([0], np.flatnonzero(text == _NEWLINE) + 1, [len(text)]))
    first = np.searchsorted(starts, line_starts)
    counts = np.diff(first)
    rows = np.flatnonzero(counts)
    rows = rows[text[starts[first[rows]]] != _SEMICOLON]
    wrong = rows[counts[rows] != width]
    problem = None
    if len(wrong):
        row = int(wrong[0])
        line = raw[line_starts[row] : line_starts[row + 1]]
        problem = _Problem(
            first_line + row, "", f"{width} fields in a row", f"{counts[row]}: {_printable(line)}"
        )
        rows = rows[rows < row]
    return _Block(text, starts, ends, first[rows], first_line + rows), problem


def _read_field(block: _Block, index: int, field: Field) -> tuple[NDArray[np.int64], _Problem | None]:
    starts, ends = block.starts[block.first + index], block.ends[block.first + index]
    values, plain = _integers(block.text, starts, ends)
    seconds = field.unit == "seconds"
    if seconds:
        plain &= np.abs(values) < MAX_TIME_US // US_PER_S
        values *= US_PER_S
    for row in np.flatnonzero(~plain).tolist():
        token = block.text[starts[row] : ends[row]].tobytes()
        value = _read_decimal(token, field.unit)
        if value is None:
            message = f"field {index + 1} ({field.name})"
            expected = {"whole": "a whole number", "seconds": "a number of seconds below 285 years"}
            wanted = expected.get(field.unit, "a number")
            return values, _Problem(int(block.lines[row]), message, wanted, _printable(token))
        values[row] = value
    return values, None


def _integers(
    text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Values of the tokens that are `[+-]digits`, at most 18 of them, and which tokens are."""
    sign = text[starts]
    negative = sign == _MINUS
    digits_at = starts + (negative | (sign == _PLUS))
    widths = ends - digits_at
    plain = (widths >= 1) & (widths <= _MAX_DIGITS)
    values = np.zeros(len(starts), np.int64)
    live = np.flatnonzero(plain)
    for place in range(_MAX_DIGITS):
        live = live[widths[live] > place]
        if not len(live):
            break
        digits = text[digits_at[live] + place] - np.uint8(_ZERO)  # wraps: what is no digit becomes > 9
        plain[live[digits > 9]] = False
        values[live] = values[live] * 10 + digits
    np.negative(values, out=values, where=negative)
    return values, plain


def _read_decimal(token: bytes, unit: str) -> int | None:
    match = _DECIMAL.fullmatch(token)
    if match is None:
        return None
    sign, digits, decimals = match.group(1), match.group(2), match.group(3) or b""
    if unit == "seconds":
        value = int(digits) * US_PER_S + int(decimals[:6].ljust(6, b"0"))
        if value >= MAX_TIME_US:
            return None
    elif unit == "whole" and decimals.strip(b"0"):
        return None
    else:
        value = int(digits)
    return -value if sign == b"-" else value


def _printable(raw: bytes) -> str:
    return ascii(raw[:100].decode("utf-8", "replace").strip())
