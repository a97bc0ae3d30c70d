"""Reading the dated CSV tables that ship in `batchsim/catalog/data` (their schema: `data/README.md`)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA: Final = Path(__file__).parent / "data"


def read_table(relative: str) -> Iterator[dict[str, str]]:
    """The rows of one shipped table, each as column name -> text, in file order."""
    with (DATA / relative).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
