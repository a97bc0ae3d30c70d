"""What gives way where a table is wider than the terminal: first words, then columns, then the table.

Words are wrapped, down to the width of their longest word. If that is not enough, columns that the table
can spare are left out. If even that is not enough, each row is told as a list of its cells. A number is
never wrapped or cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsim.cli.output import Column, Table

GAP = 2
"""Spaces between two columns."""
_LONGEST_UNBROKEN = 24


def fitted(table: Table, room: int) -> tuple[Table, list[int]] | None:
    """The table without the columns it must spare, and the width of each column; None if it cannot fit."""
    kept = list(range(len(table.columns)))
    while (widths := _widths(narrower := _only(table, kept), room)) is None:
        most = max(kept, key=lambda index: table.columns[index].spare)
        if not table.columns[most].spare:
            return None
        kept.remove(most)
    if len(kept) == len(table.columns):
        return table, widths
    names = labels(table.columns)
    spared = ", ".join(name for index, name in enumerate(names) if index not in kept)
    told = [table.left_out, f"no room for {spared}; --format wide shows all"]
    return narrower._replace(left_out="\n".join(filter(None, told))), widths


def _only(table: Table, kept: Sequence[int]) -> Table:
    return table._replace(
        columns=[table.columns[index] for index in kept],
        rows=[[row[index] for index in kept] for row in table.rows],
    )


def records(table: Table) -> Iterator[list[tuple[str, str]]]:
    """Each row as pairs of a label and a cell."""
    names = labels(table.columns)
    return (list(zip(names, row, strict=True)) for row in table.rows)


def labels(columns: Sequence[Column]) -> list[str]:
    """The headers in one line; one that begins with an empty line shares the line to its left."""
    shared, names = "", []
    for column in columns:
        first, newline, rest = column.header.partition("\n")
        shared = first or shared if newline else ""
        names.append(f"{shared} {rest}" if newline else first)
    return names


def _widths(table: Table, room: int) -> list[int] | None:
    """The width of each column, all of them and the gaps within the room; None if they cannot be."""
    texts = [
        [column.header, *(row[index] for row in table.rows)] for index, column in enumerate(table.columns)
    ]
    widths = [max(_width(line) for text in each for line in text.split("\n")) for each in texts]
    least = [
        min(width, _longest_word(each)) if column.words else width
        for column, each, width in zip(table.columns, texts, widths, strict=True)
    ]
    room -= GAP * (len(widths) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        yielding = [index for index, width in enumerate(widths) if width > least[index]]
        widths[max(yielding, key=widths.__getitem__)] -= 1
    return widths


def _longest_word(cells: Sequence[str]) -> int:
    longest = max((_width(word) for cell in cells for word in cell.split()), default=0)
    return min(longest, _LONGEST_UNBROKEN)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
