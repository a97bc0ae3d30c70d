"""What a recorder wrote, as numpy columns that share its memory where they can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping, Sequence

    from batchsim.results.context import RunContext
    from batchsim.results.exact import Ints

CONTAINER_EXITED = "Essential container in task exited"  # [spec 1.6]
QUARTERS = 4  # of a vCPU, which pods count in [spec 1.12]


@dataclass(frozen=True, slots=True)
class Text:
    """A text column: `names[code]` of each row's code, missing where the code is -1."""

    codes: Ints
    names: Sequence[str]


def view(column: array[int]) -> Ints:
    """A recorder's column as a numpy array that shares its memory."""
    dtype = np.int64 if column.typecode == "q" else np.int8
    return np.frombuffer(column, dtype=dtype) if len(column) else np.empty(0, dtype=dtype)


def class_column(context: RunContext, job_class: Ints, attribute: str) -> Ints:
    """An integer attribute of the job classes, one int64 value a job."""
    return np.array([getattr(row, attribute) for row in context.classes], dtype=np.int64)[job_class]


def status_reasons(exit_code: Ints, texts: Mapping[int, str]) -> Text:
    """The texts by row, and AWS's own where there is an exit code and no text."""
    given = texts_of(len(exit_code), texts)
    names = [*given.names, CONTAINER_EXITED]
    exited = (exit_code >= 0) & (given.codes < 0)
    return Text(np.where(exited, len(given.names), given.codes), names)


def texts_of(rows: int, texts: Mapping[int, str]) -> Text:
    """A column of so many rows with the given texts."""
    code_of = {name: code for code, name in enumerate(dict.fromkeys(texts.values()))}
    codes = np.full(rows, -1, dtype=np.int32)
    codes[list(texts)] = [code_of[name] for name in texts.values()]
    return Text(codes, list(code_of))


def first_rows(text: Text, rows: int) -> Text:
    return Text(text.codes[:rows], text.names)
