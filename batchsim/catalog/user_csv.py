"""Reading a user's catalogue: a CSV whose rows extend or override the shipped instance types.

The columns and their meaning are in `USER_COLUMNS` and, for people, in `data/README.md`. Every problem
is a CatalogError with the file, the line and what to do.
"""

from __future__ import annotations

import csv
import datetime as dt
import difflib
import io
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from batchsim.catalog.families import BUNDLES
from batchsim.catalog.instance_types import ARCHITECTURES, InstanceType, split_name
from batchsim.catalog.prices import Price
from batchsim.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_ROWS: Final = 10_000

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,12}", re.ASCII)
_DECIMAL: Final = re.compile(r"\d{1,9}(\.\d{1,12})?", re.ASCII)
_REQUIRED_OF_NEW: Final = ("vcpus", "memory_mib")


@dataclass(slots=True)
class UserCatalog:
    """What a user's file says, merged over the shipped types; only the types it names.

    usable_memory_mib and prices hold the types for which the file gives the figure.
    """

    types: dict[str, InstanceType] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    usable_memory_mib: dict[str, int] = field(default_factory=dict)


def read_user_catalog(path: Path, builtin: Mapping[str, InstanceType]) -> UserCatalog:
    """Read and check a user's catalogue. An empty cell keeps the shipped value, or the default of a new type.

    Raises CatalogError: unreadable, larger than 1 MiB, more than 10,000 rows, not UTF-8 CSV, an unknown
    or missing column, a value out of range, a type given twice, a new type without vcpus and memory_mib.
    """
    name = str(path)
    families = {shipped.family for shipped in builtin.values()}
    catalog, first_line = UserCatalog(), dict[str, int]()
    for line, cells in _records(_text(path), name):
        instance_type, given = _check_cells(cells, name, line)
        if instance_type in first_line:
            raise CatalogError(
                f"{instance_type} is already given in line {first_line[instance_type]}",
                file=name,
                line=line,
                path="instance_type",
                hint="keep one of the two rows",
            )
        if instance_type in BUNDLES or instance_type in families:
            raise CatalogError(
                f"{instance_type} is the name of a group of types",
                file=name,
                line=line,
                path="instance_type",
                hint="give the type another name",
            )
        first_line[instance_type] = line
        try:
            _add(catalog, builtin.get(instance_type), instance_type, given, path.name)
        except ValueError as error:
            raise CatalogError(str(error), file=name, line=line) from None
    return catalog


def _add(
    catalog: UserCatalog, shipped: InstanceType | None, name: str, given: dict[str, Any], source: str
) -> None:
    as_of = given.pop("as_of", "")
    usd = given.pop("usd_per_hour", None)
    usable = given.pop("usable_memory_mib", None)
    if "batch_allowed" in given:
        refused = given["batch_allowed"] == "no"
        given["batch_note"] = "refused by the user's catalogue" if refused else ""
    if shipped is None:
        missing = [column for column in _REQUIRED_OF_NEW if column not in given]
        if missing:
            raise ValueError(f"{name} is not a shipped type: its row must give {' and '.join(missing)}")
        family, size = split_name(name)
        merged = InstanceType(name=name, family=family, size=size, **given)
    else:
        merged = replace(shipped, **given)
    if usable is not None:
        if usable > merged.memory_mib:
            raise ValueError(
                f"{name}: usable_memory_mib {usable} is more than memory_mib {merged.memory_mib}; "
                "give what remains for jobs"
            )
        catalog.usable_memory_mib[name] = usable
    if usd is not None:
        catalog.prices[name] = Price(usd=usd, source=source, as_of=as_of, method="user")
    catalog.types[name] = merged


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CatalogError(
            f"the catalogue cannot be read: {error.strerror}", file=str(path), hint="check the path"
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise CatalogError(
            file=str(path),
            expected="a catalogue of at most 1 MiB",
            found="more",
            hint="keep the types you use",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogError(
            file=str(path), line=line, expected="UTF-8 text", found=f"byte {content[error.start]:#04x}"
        ) from None


def _records(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The data rows as (line where the row begins, column -> non-empty cell)."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    rows = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise CatalogError(f"not a CSV row: {error}", file=file, line=line) from None
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if columns is None:
            columns = _check_header(cells, file, line)
            continue
        rows += 1
        if rows > MAX_ROWS:
            raise CatalogError(file=file, line=line, expected=f"at most {MAX_ROWS:,} types", found="more")
        if len(cells) != len(columns):
            raise CatalogError(
                file=file,
                line=line,
                expected=f"{len(columns)} cells, one per column",
                found=str(len(cells)),
                hint="quote a cell that holds a comma",
            )
        yield line, {column: cell for column, cell in zip(columns, cells, strict=True) if cell}
    if columns is None:
        raise CatalogError(file=file, expected="a header row with instance_type", found="an empty file")


def _check_header(cells: list[str], file: str, line: int) -> list[str]:
    for position, cell in enumerate(cells):
        if cell not in USER_COLUMNS:
            close = difflib.get_close_matches(cell, USER_COLUMNS, n=1)
            raise CatalogError(
                "unknown column",
                file=file,
                line=line,
                found=repr(cell),
                hint=f"did you mean {close[0]}?" if close else f"the columns are {', '.join(USER_COLUMNS)}",
            )
        if cell in cells[:position]:
            raise CatalogError("the same column twice", file=file, line=line, path=cell)
    if "instance_type" not in cells:
        raise CatalogError(
            file=file,
            line=line,
            expected="a column instance_type",
            hint="the first row must name the columns",
        )
    return cells


def _check_cells(cells: dict[str, str], file: str, line: int) -> tuple[str, dict[str, Any]]:
    """The type's name and the parsed values of the other cells that are not empty."""
    given: dict[str, Any] = {}
    for column, cell in cells.items():
        try:
            given[column] = USER_COLUMNS[column](cell)
        except ValueError as error:
            raise CatalogError(
                file=file, line=line, path=column, expected=str(error), found=repr(cell)
            ) from None
    if "instance_type" not in given:
        raise CatalogError(
            file=file, line=line, path="instance_type", expected="a name", found="an empty cell"
        )
    return given.pop("instance_type"), given


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(cell: str) -> int:
        if not _WHOLE.fullmatch(cell) or not low <= int(cell) <= high:
            raise ValueError(f"a whole number from {low:,} to {high:,}")
        return int(cell)

    return parse


def _decimal(high: float, what: str) -> Callable[[str], float]:
    def parse(cell: str) -> float:
        if not _DECIMAL.fullmatch(cell) or float(cell) > high:
            raise ValueError(f"{what} from 0 to {high:,.0f}")
        return float(cell)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(cell: str) -> str:
        if cell not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return cell

    return parse


def _flag(cell: str) -> bool:
    if cell.lower() not in {"0", "1", "true", "false"}:
        raise ValueError("0, 1, true or false")
    return cell.lower() in {"1", "true"}


def _name(cell: str) -> str:
    if not _NAME.fullmatch(cell):
        raise ValueError("a name of up to 128 letters, digits, dots, dashes and underscores")
    return cell


def _words(cell: str) -> str:
    if len(cell) > 128 or not cell.isprintable():
        raise ValueError("a text of up to 128 printable characters")
    return cell


def _date(cell: str) -> str:
    try:
        return dt.date.fromisoformat(cell).isoformat()
    except ValueError:
        raise ValueError("a date such as 2026-07-20") from None


# Column -> parser; a parser raises ValueError with what it expected.
USER_COLUMNS: Final[Mapping[str, Callable[[str], object]]] = {
    "instance_type": _name,
    "vcpus": _whole(1, 10_000),
    "memory_mib": _whole(4, 100_000_000),
    "usable_memory_mib": _whole(4, 100_000_000),
    "usd_per_hour": _decimal(1_000_000, "US dollars"),
    "as_of": _date,
    "architecture": _one_of(*ARCHITECTURES),
    "processor": _words,
    "clock_ghz": _decimal(100, "GHz"),
    "gpus": _whole(0, 1_000),
    "gpu_model": _words,
    "gpu_memory_mib": _whole(0, 100_000_000),
    "network_gbps": _decimal(1_000_000, "Gbit/s"),
    "local_disk_gb": _whole(0, 100_000_000),
    "bare_metal": _flag,
    "batch_allowed": _one_of("yes", "no"),
}
