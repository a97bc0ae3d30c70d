"""Pandas columns of the declared kinds: what building frames and reading them from files share."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batchsim.results.columns import columns_of
from batchsim.results.recording import STATE_NAMES
from batchsim.results.servicerecord import SERVICE_STATE_NAMES
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pyarrow as pa  # type: ignore[import-untyped]

    from batchsim.results.exact import Ints

    Flags = npt.NDArray[np.bool_]

_FEW = 32

STATES = pd.CategoricalDtype(list(STATE_NAMES), ordered=True)
SERVICE_STATES = pd.CategoricalDtype(list(SERVICE_STATE_NAMES), ordered=True)


def assemble(frame: str, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The columns in the declared order; KeyError if one is missing."""
    return pd.DataFrame({column.name: columns[column.name] for column in columns_of(frame)}, copy=False)


def seconds(us: Ints) -> npt.NDArray[np.float64]:
    """Instants as float seconds, NaN for "never"."""
    values = us / US_PER_S
    if len(us) and us.min() < 0:
        values[us < 0] = np.nan
    return values


def category(
    rows: Ints, values: Sequence[str | None], used: Flags | None = None, via: Ints | None = None
) -> pd.Categorical:
    """`values[row]` of each row, missing for None and for row -1.

    The categories are the values in use, sorted: a frame does not depend on what might have been, and
    equals itself read back from a file.

    used   which of `values` are, where that is known: `rows_in_use(rows, len(values))`
    via    the row in `values` of each row of another table, if it is that one's rows that are given
    """
    if used is None:
        used = rows_in_use(rows if via is None else via[rows[rows >= 0]], len(values))
    present = {value for value, in_use in zip(values, used, strict=True) if in_use and value is not None}
    categories = sorted(present)
    code_of: dict[str | None, int] = {value: code for code, value in enumerate(categories)}
    width = np.min_scalar_type(-max(1, len(categories)))
    # The last one is what row -1 finds.
    codes = np.array([code_of.get(value, -1) for value in values] + [-1], dtype=width)
    if via is not None:
        codes = codes[np.append(via, -1)]
    dtype = _few_texts(tuple(categories)) if len(categories) <= _FEW else _texts(categories)
    return pd.Categorical.from_codes(codes[rows], dtype=dtype, validate=False)


def _texts(categories: Sequence[str]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(pd.Index(list(categories), dtype="str"))


@lru_cache(maxsize=256)
def _few_texts(categories: tuple[str, ...]) -> pd.CategoricalDtype:
    """Kept because a result has the same few in many columns, and pandas checks each for a tenth of a ms."""
    return _texts(categories)


def rows_in_use(rows: Ints, count: int) -> Flags:
    """Which of the table rows 0 .. count - 1 occur in `rows`; -1 stands for none of them."""
    used = np.zeros(count + 1, dtype=np.bool_)
    used[rows] = True
    return used[:-1]


def nullable(values: Ints, missing: npt.NDArray[np.bool_]) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.IntegerArray(np.where(missing, 1, values).astype(np.int64, copy=False), missing)


def strings(values: pa.Array) -> Any:
    """A text column in Arrow's memory, of pandas's `string` dtype."""
    return pd.StringDtype("pyarrow").__from_arrow__(values)  # type: ignore[attr-defined]
