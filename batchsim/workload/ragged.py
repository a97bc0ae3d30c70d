"""A column whose rows hold any number of integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ragged:
    """Row `i` holds `values[start[i] : start[i + 1]]`; `start` is int64[n + 1], `values` int64."""

    start: NDArray[np.int64]
    values: NDArray[np.int64]

    @classmethod
    def of(cls, counts: NDArray[np.int64], values: NDArray[np.int64]) -> Ragged:
        """Rows of the given lengths, one after the other."""
        start = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=start[1:])
        return cls(start, values)

    def __len__(self) -> int:
        return len(self.start) - 1

    def row(self, index: int) -> NDArray[np.int64]:
        """What one row holds."""
        return self.values[self.start[index] : self.start[index + 1]]

    def counts(self) -> NDArray[np.int64]:
        """The length of each row."""
        return np.diff(self.start)

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """These rows, in this order."""
        counts = self.counts()[rows]
        taken = Ragged.of(counts, np.zeros(0, np.int64))
        inside = np.arange(taken.start[-1]) - np.repeat(taken.start[:-1], counts)
        return Ragged(taken.start, self.values[np.repeat(self.start[rows], counts) + inside])

    def first(self, n: int) -> Ragged:
        """The first `n` rows."""
        return Ragged(self.start[: n + 1], self.values[: self.start[n]])
