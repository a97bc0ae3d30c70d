"""What the quota shares of one queue use, lend and borrow [spec 2.5].

A share's use within its limit is its own; what is beyond is borrowed. What a share that lends does not use
of its limit is spare. Two laws hold for each unit:

    what a share has borrowed is not above its borrow limit, and all that is borrowed is not above all
    that is spare: so a share that reserves keeps its limit, and nobody uses what is nobody's
    all that is used is not above the limit of the service environment
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.services.reasons import borrow_limit

if TYPE_CHECKING:
    from batchsim.core.services.plan import QuotaSharePlan


class Quotas:
    """Counts by unit and share; `used[unit][share]` are instances.

    held[unit]   idle capacity that nobody else may borrow, because somebody waits for more of it
    """

    __slots__ = (
        "_borrow_limits",
        "_lends",
        "_limits",
        "_total_limits",
        "borrowed",
        "held",
        "spare",
        "total",
        "used",
    )

    def __init__(self, shares: tuple[QuotaSharePlan, ...], total_limits: tuple[int, ...]) -> None:
        units = range(len(total_limits))
        self._total_limits = total_limits
        self._limits = [[share.limits[unit] for share in shares] for unit in units]
        self._borrow_limits = [[borrow_limit(share, unit) for share in shares] for unit in units]
        self._lends = [share.lends for share in shares]
        self.used = [[0] * len(shares) for _ in units]
        self.total = [0 for _ in units]
        self.borrowed = [0 for _ in units]
        self.held = [0 for _ in units]
        self.spare = [sum(share.limits[unit] for share in shares if share.lends) for unit in units]

    def copy(self) -> Quotas:
        """The same limits; counts of its own."""
        other = Quotas.__new__(Quotas)
        other._total_limits, other._limits = self._total_limits, self._limits  # noqa: SLF001 - of this class
        other._borrow_limits, other._lends = self._borrow_limits, self._lends  # noqa: SLF001
        other.used = [list(row) for row in self.used]
        other.total, other.borrowed = list(self.total), list(self.borrowed)
        other.held, other.spare = list(self.held), list(self.spare)
        return other

    def fits(self, share: int, unit: int, instances: int) -> bool:
        """Whether a job of the share can have so many instances now."""
        if self.total[unit] + instances > self._total_limits[unit]:
            return False
        if not self.may_borrow(share, unit, instances):
            return False
        own, borrowed = self._split(share, unit, instances)
        room = self.spare[unit] - (own if self._lends[share] else 0) - (self.held[unit] if borrowed else 0)
        return self.borrowed[unit] + borrowed <= room

    def may_borrow(self, share: int, unit: int, instances: int) -> bool:
        """Whether the share's borrow limit allows a job of so many instances now, if they are idle."""
        limit = self._borrow_limits[unit][share]
        if limit is None:
            return True
        return self.borrowed_by(share, unit) + self._split(share, unit, instances)[1] <= limit

    def hold(self, unit: int) -> None:
        """Nobody else may borrow what is idle now; a job may still take the place of one that borrows."""
        self.held[unit] = max(0, self.spare[unit] - self.borrowed[unit])

    def within_own(self, share: int, unit: int, instances: int) -> bool:
        """Whether a job of so many instances stays within its share's own limit."""
        return self.used[unit][share] + instances <= self._limits[unit][share]

    def borrowed_by(self, share: int, unit: int) -> int:
        return max(0, self.used[unit][share] - self._limits[unit][share])

    def take(self, share: int, unit: int, instances: int) -> None:
        """A job of the share has so many instances from now on; negative: no longer."""
        own, borrowed = self._split(share, unit, instances)
        self.used[unit][share] += instances
        self.total[unit] += instances
        self.borrowed[unit] += borrowed
        if self._lends[share]:
            self.spare[unit] -= own

    def _split(self, share: int, unit: int, instances: int) -> tuple[int, int]:
        """How many of the instances are within the share's own limit, and how many are borrowed."""
        used, limit = self.used[unit][share], self._limits[unit][share]
        own = min(used + instances, limit) - min(used, limit)
        return own, instances - own
