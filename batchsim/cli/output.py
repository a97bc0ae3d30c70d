"""Printing: data to stdout, notes and errors to stderr; no colour off a terminal or with NO_COLOR.

rich is imported where something is laid out, so that `--help`, JSON and CSV do without it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from batchsim.cli.narrow import GAP, fitted, records
from batchsim.errors import InputError, ResultError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

_MOST_ERRORS = 20
# Off a terminal nothing is wrapped or cut: who reads a pipe or a file can scroll and search.
_UNLIMITED = 10_000
# The space in 3h 07m and in 49.0 %, and what stands for it while lines are laid out: no white space to rich.
_INSIDE_QUANTITY = re.compile(r"(?<=\d[dhm]) (?=\d\d[hms]\b)|(?<=\d) (?=%)")
_GLUE = "\ue000"


class Format(StrEnum):
    """How a verb prints its data; `wide` is the table with every row and column."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    CSV = "csv"


class Column(NamedTuple):
    """A column of a printed table: numbers stand to the right and are never wrapped, words may be.

    spare   where the terminal is too narrow, columns of a higher value are left out first, those of 0 never
    """

    header: str
    words: bool = False
    spare: int = 0


class Table(NamedTuple):
    """Rows of texts under a title; `left_out` says in words what was cut."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    left_out: str = ""


# --- data ---------------------------------------------------------------------------------------


def print_json(value: Any) -> None:
    _write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_csv(rows: Iterable[dict[str, Any]]) -> None:
    """Rows as CSV under the keys of all of them, in order of appearance; None is an empty cell."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(_Tolerant(sys.stdout), names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns; a long value is wrapped under itself."""
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, GAP, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, _paragraph(value))
    _lay_out(grid)


def print_table(table: Table, *, wide: bool = False) -> None:
    """A table with its title above; `wide` lets it be wider than the terminal."""
    fit = fitted(table, console(sys.stdout, unlimited=wide).width)
    if table.title:
        _lay_out(_paragraph(table.title, "bold"))
    if fit is None:
        for number, record in enumerate(records(table)):
            if number:
                print_text()
            print_facts(record)
    else:
        table, widths = fit
        _lay_out(_grid(table, widths), unlimited=wide)
    if table.left_out:
        _lay_out(_paragraph(table.left_out, "dim"))


def _grid(table: Table, widths: Sequence[int]) -> Grid:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid

    grid = Grid(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
        collapse_padding=False,
        header_style="bold",
    )
    for (header, words, _), width in zip(table.columns, widths, strict=True):
        grid.add_column(
            header,
            width=width,
            justify="left" if words else "right",
            no_wrap=not words,
            overflow="fold",
            vertical="top",
        )
    for row in table.rows:
        grid.add_row(*map(_paragraph, row))
    return grid


def print_text(text: str = "", style: str = "", indent: int = 0) -> None:
    """A paragraph of which every line is indented."""
    from rich.padding import Padding

    if not text:
        _write("\n")
        return
    _lay_out(Padding(_paragraph(text, style), (0, 0, 0, indent), expand=False))


def print_line(text: str, indent: int = 0) -> None:
    """A line that nothing is put into, so that it can be pasted."""
    _lay_out(" " * indent + text, unlimited=True)


def _paragraph(text: str, style: str = "") -> Text:
    """Text that is not wrapped inside a quantity."""
    from rich.text import Text

    return Text(_INSIDE_QUANTITY.sub(_GLUE, text), style=style)


# --- notes and errors ---------------------------------------------------------------------------


def note(text: str, style: str = "dim") -> None:
    """A sentence to stderr."""
    from rich.text import Text

    console(sys.stderr).print(Text(printable(text), style=style))


def report(error: InputError) -> None:
    """The error and those found with it, one line each, to stderr."""
    problems = [error, *getattr(error, "others", ())]
    for problem in problems[:_MOST_ERRORS]:
        error_line(problem.one_line())
    if len(problems) > _MOST_ERRORS:
        note(f"... and {len(problems) - _MOST_ERRORS} more")


def error_line(text: str) -> None:
    """One line to stderr, never wrapped, so that editors find the place it names."""
    coloured = console(sys.stderr).color_system is not None
    prefix = "\x1b[1;31merror:\x1b[0m" if coloured else "error:"
    _Tolerant(sys.stderr).write(f"{prefix} {printable(text)}\n")


def printable(text: str) -> str:
    """The text with everything that could steer a terminal written out."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )


# --- streams ------------------------------------------------------------------------------------


def console(stream: TextIO, *, unlimited: bool = False) -> Console:
    """A rich console that prints texts as they are: no markup, no emoji, no highlighting."""
    from rich.console import Console

    terminal = stream.isatty()
    coloured = terminal and not os.environ.get("NO_COLOR")
    return Console(
        file=_Tolerant(stream),  # type: ignore[arg-type] # it has the methods that rich calls
        force_terminal=terminal,
        color_system="auto" if coloured else None,
        width=_UNLIMITED if unlimited or not terminal else None,
        markup=False,
        emoji=False,
        highlight=False,
    )


def prepare_streams() -> None:
    """Let no character and no closed stream stop the program."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace" if name == "stdout" else "backslashreplace")


def flush() -> None:
    """Write what is still buffered, so that the interpreter's own last flush cannot fail."""
    try:
        _Tolerant(sys.stdout).flush()
    except ResultError as error:
        report(error)
        sys.exit(2)


def _lay_out(renderable: Any, *, unlimited: bool = False) -> None:
    out = console(sys.stdout, unlimited=unlimited)
    with out.capture() as captured:
        out.print(renderable)
    lines = captured.get().replace(_GLUE, " ").split("\n")
    _write("\n".join(line.rstrip() for line in lines))


def _write(text: str) -> None:
    _Tolerant(sys.stdout).write(text)


class _Tolerant:
    """A text stream that falls silent when nobody reads it any more (`| head`)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _give_up(self, error: OSError) -> None:
        """Send the rest nowhere. Raises ResultError unless the reader has just gone away."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise ResultError(f"cannot write the output: {error.strerror or error}") from error
