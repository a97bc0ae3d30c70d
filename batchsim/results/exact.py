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


def proportion(total: Ints, part: Ints, whole: Ints) -> Ints:
    """`total * part // whole` of each row, exact; 0 where `whole` is 0.

    For 0 <= part <= whole < 2**58 and 0 <= total < 2**53. The quotient in floating point is off by a few at
    most; the remainder, which is computed modulo 2**64, says by how many.
    """
    total, part = (values.astype(np.int64, copy=False) for values in (total, part))
    divisor = np.maximum(whole, 1).astype(np.int64, copy=False)
    quotient = (total * (part / divisor)).astype(np.int64)
    remainder = total * part - quotient * divisor
    return np.where(whole > 0, quotient + remainder // divisor, 0)


def apportioned(totals: Ints, starts: Ints, weights: Ints) -> Ints:
    """Each group's total in proportion to the weights of its rows, in whole numbers that add up to it.

    starts   the first row of each group; its rows follow each other

    Cumulative rounding: a row gets what the running total, rounded down, has grown by. So it is less than 1
    away from its exact share. All of a group's rows get 0 where its weights are all 0.
    """
    if not len(weights):
        return np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.append(starts, len(weights)))
    filled = sizes > 0
    first, size = starts[filled], sizes[filled]
    # The sum over all groups may wrap around; its differences within a group do not.
    running = np.cumsum(weights, dtype=np.int64)
    running -= np.repeat(running[first] - weights[first], size)
    whole = running[first + size - 1]
    shares = proportion(np.repeat(totals[filled], size), running, np.repeat(whole, size))
    below = np.empty_like(shares)
    below[0] = 0
    below[1:] = shares[:-1]
    below[first] = 0
    shares -= below
    return shares
