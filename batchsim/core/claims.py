"""What an attempt holds beside room on an instance: GPUs by number, consumable resources, a share's vCPUs.

All of it is taken when the attempt is placed and given back when it ends. Expected ends are kept here too,
for policies that rest on estimates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.consumables import Consumables
    from batchsim.core.expected import ExpectedEnds
    from batchsim.core.fairshare import FairShareQueue
    from batchsim.core.fleet import Instance
    from batchsim.core.plan import Plan


class Claims:
    """The claims of all attempts that hold instances.

    gpus_of       for each job that ever held GPUs, a bit mask of the numbers its latest attempt has on its
                  instance; of a multi-node job, on that of its main node. GPUs are pinned [spec 3.7]
    consumables   the counters that jobs lock
    """

    __slots__ = ("_asks", "_ends", "_gpus", "_queue_of", "_shares", "consumables", "gpus_of")

    def __init__(
        self,
        plan: Plan,
        queue_of: Sequence[int],
        consumables: Consumables,
        shares: Sequence[FairShareQueue | None],
        ends: ExpectedEnds | None,
    ) -> None:
        """`shares` are the queues' fair-share orders by queue, `ends` None if nobody asks for them."""
        self._queue_of = queue_of
        self._asks = plan.asks
        self._gpus = [need.gpus for need in plan.needs]
        self._shares = shares if any(shares) else ()
        self._ends = ends
        self.consumables = consumables
        self.gpus_of: dict[int, int] = {}

    def begin(self, now: int, job: int, need: int, instance: Instance) -> None:
        """The attempt was placed; its resources on the instance are reserved already."""
        gpus = self._gpus[need]
        if gpus:
            self.gpus_of[job] = pinned = _lowest(instance.gpus_left, gpus)
            instance.gpus_left ^= pinned
        if self._asks:
            self.consumables.lock(self._asks[need])
        if self._shares and (share := self._shares[self._queue_of[job]]) is not None:
            share.started(now, job)
        if self._ends is not None:
            self._ends.placed(now, job, need, instance)

    def running(self, now: int, job: int, instance: Instance) -> None:
        """The container is up."""
        if self._ends is not None:
            self._ends.running(now, job, instance)

    def retired(self, instance: Instance) -> None:
        """No further attempt comes to the instance."""
        if self._ends is not None:
            self._ends.retired(instance)

    def end(self, now: int, job: int, need: int, instance: Instance) -> None:
        """The attempt is over; its resources on the instance are released already."""
        if self._gpus[need]:
            instance.gpus_left |= self.gpus_of[job]
        if self._asks:
            self.consumables.unlock(self._asks[need])
        if self._shares and (share := self._shares[self._queue_of[job]]) is not None:
            share.ended(now, job)
        if self._ends is not None:
            self._ends.ended(job, instance)


def _lowest(mask: int, count: int) -> int:
    """The `count` lowest bits of a mask that has as many."""
    taken = 0
    for _ in range(count):
        bit = mask & -mask
        assert bit
        mask ^= bit
        taken |= bit
    return taken
