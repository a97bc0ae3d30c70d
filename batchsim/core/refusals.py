"""Which instance types could not be launched lately in one environment, and when they may be tried again.

A refused type is left alone for `launch_cooloff_us`. The driver may say that EC2 will refuse types until an
instance has gone, for a quota of the account is used up: these are *closed*, and not asked for before that.
Without this rule a run in which nothing else is to come would ask for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.grid import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batchsim.core.fleet import Instance


class Refusals:
    """`until[type]` is the instant from which a type may be tried again; NEVER of closed ones."""

    __slots__ = ("_closed", "_cooloff_us", "_most", "until")

    def __init__(self, cooloff_us: int) -> None:
        self._cooloff_us = cooloff_us
        self.until: dict[int, int] = {}
        self._closed: dict[int, int] = {}  # by type, from when on it may be tried once an instance has gone
        self._most: dict[int, int] = {}  # by type, the instances that were there when it was closed

    def note(self, now: int, type_index: int, closed: Sequence[int], present: int) -> None:
        """A launch of a type has failed; all `closed` are refused until an instance has gone.

        present   instances of that type that are empty or boot
        """
        self.until[type_index] = now + self._cooloff_us
        for each in closed:
            self._closed.setdefault(each, now)
            self.until[each] = NEVER
        if type_index in closed:
            self._closed[type_index] = now + self._cooloff_us
            self._most[type_index] = min(present, self._most.get(type_index, present))
        else:
            self._closed.pop(type_index, None)

    def lift(self, gone: Instance | None = None) -> int:
        """An instance has gone, or users have updated something: closed types may be tried again, from the
        instant on that this gives; -1 if there are none.

        gone   an instance of this environment; None: whatever
        """
        for each in list(self._most):
            # Of instances for a multi-node job that were not enough, one that has waited in vain makes none.
            if gone is None or gone.has_run or gone.type != each:
                del self._most[each]
        if not self._closed:
            return -1
        self.until.update(self._closed)
        earliest = min(self._closed.values())
        self._closed.clear()
        return earliest

    def stops(self, now: int, type_index: int, nodes: int = 1) -> bool:
        """Whether a type may not be tried now, or not for as many instances as a multi-node job needs."""
        if self.until.get(type_index, -1) > now:
            return True
        return nodes > 1 and nodes > self._most.get(type_index, nodes)

    def stops_all(self, now: int, types: Iterable[int]) -> bool:
        """Whether there are types, and each of them may not be tried now."""
        instants = [self.until.get(each, -1) for each in types]
        return bool(instants) and min(instants) > now

    def next_us(self, now: int) -> int:
        """The earliest later instant at which a type may be tried again; -1 if there is none."""
        later = [instant for instant in self.until.values() if now < instant < NEVER]
        return min(later) if later else -1
