"""Sums, means and shares of columns that cannot overflow: totals exceed 63 bits long before rows do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# A column of integers of any width: numpy's stubs lose the type of arithmetic on `np.integer[Any]`.
Ints = npt.NDArray[Any]

_HALF = 32
_LOW = (1 << _HALF) - 1
_FRACTION = 52


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


def exact_mean(values: npt.NDArray[np.float64]) -> float:
    """The mean, rounded once: the same digits on every processor. For at least one value, from 1 to 2**62."""
    whole = values.astype(np.int64)
    # Nothing below 2**-52 is left of a value of at least 1.
    rest = ((values - whole) * (1 << _FRACTION)).astype(np.int64)
    return ((exact_sum(whole) << _FRACTION) + exact_sum(rest)) / (len(values) << _FRACTION)


def by_group(codes: Ints, groups: int) -> npt.NDArray[np.intp]:
    """The order that puts the rows of each code 0 .. groups - 1 together, as they follow each other.

    Small types are sorted by their digits, in a seventh of the time.
    """
    return np.argsort(codes.astype(np.min_scalar_type(groups)), kind="stable")


def proportion(total: Ints, part: Ints, whole: Ints) -> Ints:
    """`total * part // whole` of each row, exact; 0 where `whole` is 0.

    For 0 <= part <= whole < 2**58 and 0 <= total < 2**53. The quotient in floating point is off by a few at
    most; the remainder, which is computed modulo 2**64, says by how many.
    """
    total, part, whole = (values.astype(np.int64, copy=False) for values in (total, part, whole))
    divisor = np.maximum(whole, 1)
    quotient = (total * (part / divisor)).astype(np.int64)
    remainder = total * part
    remainder -= quotient * divisor
    remainder //= divisor
    quotient += remainder
    return quotient if whole.all() else np.where(whole > 0, quotient, 0)


class Split:
    """Rows in groups, each of which shares out what it has in proportion to the weights of its rows.

    starts   the first row of each group; its rows follow each other
    """

    __slots__ = ("_filled", "_first", "_rows", "_running", "_size", "_whole")

    def __init__(self, starts: Ints, weights: Ints) -> None:
        self._rows = len(weights)
        sizes = np.diff(np.append(starts, self._rows))
        self._filled = sizes > 0
        self._first, self._size = starts[self._filled], sizes[self._filled]
        # The sum over all groups may wrap around; its differences within a group do not.
        self._running = np.cumsum(weights, dtype=np.int64)
        self._running -= self._spread(self._running[self._first] - weights[self._first])
        self._whole = self._spread(self._running[self._first + self._size - 1])

    def of(self, totals: Ints) -> Ints:
        """Each group's total in whole numbers that add up to it.

        Cumulative rounding: a row gets what the running total, rounded down, has grown by. So it is less than
        1 away from its exact share. All of a group's rows get 0 where its weights are all 0.
        """
        if not self._rows:
            return np.zeros(0, dtype=np.int64)
        shares = proportion(self._spread(totals[self._filled]), self._running, self._whole)
        last = shares[self._first[1:] - 1]
        shares[1:] -= shares[:-1]  # numpy takes care that they overlap
        shares[self._first[1:]] += last
        return shares

    def _spread(self, values: Ints) -> Ints:
        """A value a group as one a row; of a single group it stays one, since dividing by it is faster."""
        return values if len(values) == 1 else np.repeat(values, self._size)
