"""Measured speeds of instance types and families, as a user gives them: `m7i=1.25`, or a CSV of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchsim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME, FACTOR = "instance_type", "speed_factor"
_MOST_BYTES: Final = 1 << 20


def speed_factors(given: Iterable[str]) -> dict[str, float]:
    """By type or family how many times as fast jobs run there; later ones win.

    given   `NAME=FACTOR`, or the name of a CSV file with columns instance_type and speed_factor

    Raises UsageError, for a file with its line.
    """
    factors: dict[str, float] = {}
    for text in given:
        name, equals, factor = text.partition("=")
        if equals:
            factors[name.strip()] = _number(factor, f"--speed-factor {text}", None)
        elif text.lower().endswith(".csv"):
            factors |= _read(Path(text))
        else:
            raise UsageError(
                file=f"--speed-factor {text}",
                expected="NAME=FACTOR or a CSV file",
                hint="for example m7i=1.25",
            )
    return factors


def _read(path: Path) -> dict[str, float]:
    file = str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", file=file) from None
    except UnicodeDecodeError:
        raise UsageError("is not UTF-8 text", file=file) from None
    if len(content) > _MOST_BYTES:
        raise UsageError("is larger than 1 MiB", file=file)
    reader = csv.DictReader(io.StringIO(text))
    if not {NAME, FACTOR} <= set(reader.fieldnames or ()):
        raise UsageError(
            file=file,
            line=1,
            expected=f"the columns {NAME} and {FACTOR}",
            found=", ".join(reader.fieldnames or ()) or "nothing",
        )
    factors: dict[str, float] = {}
    for row in reader:
        name = (row[NAME] or "").strip()
        if not name:
            raise UsageError(file=file, line=reader.line_num, path=NAME, expected="a type or family")
        if name in factors:
            raise UsageError(f"{name} stands twice", file=file, line=reader.line_num)
        factors[name] = _number(row[FACTOR] or "", file, reader.line_num)
    if not factors:
        raise UsageError(file=file, expected="at least one row", found="none")
    return factors


def _number(text: str, file: str, line: int | None) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            file=file,
            line=line,
            path=FACTOR if line else None,
            expected="a number such as 1.25",
            found=repr(text),
        ) from None
