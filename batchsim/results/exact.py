"""Sums of int64 columns that cannot overflow: totals of a run exceed 63 bits long before its rows do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# A column of integers of any width: numpy's stubs lose the type of arithmetic on `np.integer[Any]`.
Ints = npt.NDArray[Any]

_HALF = 32
_LOW = (1 << _HALF) - 1


def exact_sum(values: Ints) -> int:
    """The sum as a Python integer, for at most 2**31 values."""
    wide = values.astype(np.int64, copy=False)
    return (int((wide >> _HALF).sum()) << _HALF) + int((wide & _LOW).sum())


def sums_by(codes: Ints, values: Ints, groups: int) -> list[int]:
    """The sum of `values` for each code 0 .. groups - 1, as Python integers."""
    wide = values.astype(np.int64, copy=False)
    high = totals_by(codes, wide >> _HALF, groups)
    low = totals_by(codes, wide & _LOW, groups)
    return [(int(upper) << _HALF) + int(lower) for upper, lower in zip(high, low, strict=True)]


def totals_by(codes: Ints, values: Ints, groups: int) -> npt.NDArray[np.int64]:
    """Like `sums_by`, as one int64 column, where the caller knows that 63 bits suffice."""
    totals = np.zeros(groups, dtype=np.int64)
    np.add.at(totals, codes, values)
    return totals
