"""Whom a job may preempt, so that it has room [spec 2.5]. AWS keeps its choice to itself; ours is in
the package's docstring, under what is assumed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, NamedTuple

from batchsim.core.ordering import NOBODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.services.quotas import Quotas


class Holder(NamedTuple):
    """A job that holds instances of one unit; the first of its share in this order is preempted first."""

    priority: int
    since_us: int  # negated, so that who holds for the shortest time comes first
    job: int  # negated likewise
    instances: int


class Claim(NamedTuple):
    """A head that does not fit; `in_share`: whether it may preempt jobs of lower priority in its share."""

    share: int
    unit: int
    instances: int
    priority: int
    in_share: bool


class Holders:
    """Who holds instances and has not been told to stop, by unit and share."""

    __slots__ = ("_rows",)

    def __init__(self, units: int, shares: int) -> None:
        self._rows: list[list[list[Holder]]] = [[[] for _ in range(shares)] for _ in range(units)]

    def add(self, unit: int, share: int, holder: Holder) -> None:
        insort(self._rows[unit][share], holder)

    def remove(self, unit: int, share: int, holder: Holder) -> None:
        row = self._rows[unit][share]
        del row[bisect_left(row, holder)]

    def of(self, unit: int) -> Sequence[Sequence[Holder]]:
        """For each share its holders of the unit, in the order in which they are preempted."""
        return self._rows[unit]


class Victim(NamedTuple):
    share: int
    holder: Holder


def choose(claim: Claim, quotas: Quotas, holders: Holders) -> list[Victim]:
    """The jobs to be preempted so that the claim fits into `quotas`, where they are taken out.

    [] if it cannot be made to fit: then `quotas` is as it was. Room of other shares is taken back only while
    the claim is within its own share's limit; else jobs of lower priority in the share itself must go.
    """
    search = _Search(claim, quotas, holders)
    while not quotas.fits(claim.share, claim.unit, claim.instances):
        if not search.one_more():
            search.undo()
            return []
    return search.needed()


class _Search:
    """Victims chosen so far, taken out of the quotas."""

    def __init__(self, claim: Claim, quotas: Quotas, holders: Holders) -> None:
        self._claim = claim
        self._quotas = quotas
        self._rows = holders.of(claim.unit)
        self._next = [0] * len(self._rows)
        self._chosen: list[Victim] = []

    def one_more(self) -> bool:
        """Choose the next victim; False if there is none."""
        claim = self._claim
        share = self._borrower() if self._within_own() else NOBODY
        if share == NOBODY:
            mine, position = self._rows[claim.share], self._next[claim.share]
            if not claim.in_share or position == len(mine) or mine[position].priority >= claim.priority:
                return False
            share = claim.share
        victim = Victim(share, self._rows[share][self._next[share]])
        self._next[share] += 1
        self._chosen.append(victim)
        self._take(victim, -1)
        return True

    def needed(self) -> list[Victim]:
        """The victims without those that turn out not to be needed, the last chosen of these spared first."""
        claim, quotas = self._claim, self._quotas
        for victim in self._chosen[-2::-1]:  # without the last one it did not fit
            self._take(victim, 1)
            crossed = any(each.share != claim.share for each in self._chosen if each != victim)
            fits = quotas.fits(claim.share, claim.unit, claim.instances)
            if fits and (self._within_own() or not crossed):
                self._chosen.remove(victim)
            else:
                self._take(victim, -1)
        return self._chosen

    def undo(self) -> None:
        for victim in self._chosen:
            self._take(victim, 1)

    def _within_own(self) -> bool:
        return self._quotas.within_own(self._claim.share, self._claim.unit, self._claim.instances)

    def _borrower(self) -> int:
        """The share that borrows most and has a job left to preempt, or NOBODY."""
        most, found = 0, NOBODY
        for share, row in enumerate(self._rows):
            borrowed = self._quotas.borrowed_by(share, self._claim.unit)
            if borrowed > most and self._next[share] < len(row):
                most, found = borrowed, share
        return found

    def _take(self, victim: Victim, sign: int) -> None:
        self._quotas.take(victim.share, self._claim.unit, sign * victim.holder.instances)
