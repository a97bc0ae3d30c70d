"""Why the heads of queues wait: noted as it changes, so that it costs nothing a job.

Everybody in a queue waits for its head, and the head for one reason at a time. So the history of the
reasons of each queue, with the instants at which jobs started, tells the whole story of every job that
waited; the results make it. A queue's `jobStateTimeLimitActions` look at the same thing: the head, its
reason, and since when [spec 1.17, 3.10].
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from batchsim.core.feasibility import (
    MAX_RESOURCE,
    NO_CAPACITY_FOR,
    OTHER_ARCHITECTURE,
    RESOURCE_REQUIREMENT,
)
from batchsim.core.grid import NEVER
from batchsim.core.ordering import NOBODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import QueuePlan

# What the head of a queue waits for, and what the detail of an entry is, if there is one.
NOTHING: Final = 0  # no head is blocked
TOO_LARGE: Final = 1  # no instance type of the environments holds its need; the need
OVER_MAX: Final = 2  # one does, but maxvCpus is below its need; the need
ALL_DISABLED: Final = 3  # every environment is DISABLED
AT_MAX: Final = 4  # room: what is there is in use, and no environment can grow
LAUNCHING: Final = 5  # instances that are launching
DECISION: Final = 6  # the next scaling decision
BUSY: Final = 7  # room on machines that nobody can add to
RESERVATION: Final = 8  # the fair-share reservation for shares that are not active
CONSUMABLE: Final = 9  # a consumable resource; its index
NO_CAPACITY: Final = 10  # capacity: every suitable instance type could not be launched lately
GATHERING: Final = 11  # enough empty instances of one type for all its nodes
TASK_QUOTA: Final = 12  # a quota of the account allows no machine for it now, where each job gets one
ALL_INVALID: Final = 13  # no environment is left, and some are INVALID
NOT_THERE: Final = 14  # a machine that nobody launches, and that is not there yet or any more
OTHER_KIND: Final = 15  # no instance type of the environments is of its architecture; the need

REASON_NAMES: Final = (
    "nothing is in its way",
    "no instance type is large enough",
    "maxvCpus is below what it asks for",
    "every compute environment is DISABLED",
    "the compute environments are at maxvCpus",
    "instances are launching",
    "the next scaling decision is awaited",
    "all machines are busy",
    "the fair-share reservation keeps what is left",
    "too little of a consumable resource is available",
    "instances could not be launched",
    "too few instances of one type are empty for all its nodes",
    "the account's quota of Fargate vCPUs does not allow it",
    "the compute environments are INVALID",
    "no machine that is there could hold it",
    "no instance type has its architecture",
)

CANCELLED_BY_LIMIT: Final = "Canceled by JobStateTimeLimit action due to reason: "  # [spec 1.6]

# The reasons that a time limit can name [spec 1.17].
_VOCABULARY: Final = {
    TOO_LARGE: RESOURCE_REQUIREMENT.partition(" ")[0],
    OTHER_KIND: OTHER_ARCHITECTURE.partition(" ")[0],
    OVER_MAX: MAX_RESOURCE.partition(" ")[0],
    NO_CAPACITY: NO_CAPACITY_FOR,
    TASK_QUOTA: NO_CAPACITY_FOR,
}

# A head that waits for one of these, and then for another, has waited for capacity all the time.
_MAY_FAIL_AGAIN: Final = {NO_CAPACITY, LAUNCHING, DECISION}

Reason = tuple[int, int]  # one of the above, and its detail or -1


class Waits:
    """The blocked heads of all queues, and the log of what they waited for.

    queue, at_us, reason, detail   the log, in order of time: from `at_us` on the head of `queue` waits for
                                   `reason`, until the next entry of that queue
    head, since_us                 for each queue its blocked head, or NOBODY, and since when it has waited
                                   for what it waits for now; attempts to launch that fail again do not
                                   begin a new wait
    """

    __slots__ = (
        "_limits",
        "_now_for",
        "_short_since_us",
        "at_us",
        "detail",
        "head",
        "queue",
        "reason",
        "since_us",
    )

    def __init__(self, queues: Sequence[QueuePlan]) -> None:
        self.queue = array("i")
        self.at_us = array("q")
        self.reason = array("b")
        self.detail = array("i")
        self.head = [NOBODY] * len(queues)
        self.since_us = [0] * len(queues)
        self._short_since_us = [NEVER] * len(queues)  # since when launches for the head fail again and again
        self._now_for: list[Reason] = [(NOTHING, -1)] * len(queues)
        self._limits = [{limit.reason: limit.max_us for limit in queue.time_limits} for queue in queues]

    def blocked(self, now: int, queue: int, head: int, reason: Reason) -> None:
        """A pass left the queue with this head, which waits for this."""
        if reason != self._now_for[queue]:
            self._note(now, queue, reason)
        elif self.head[queue] == head:
            return
        if self.head[queue] != head or reason[0] not in _MAY_FAIL_AGAIN:
            self._short_since_us[queue] = NEVER
        self.head[queue] = head
        self.since_us[queue] = now
        if reason[0] == NO_CAPACITY:
            self._short_since_us[queue] = min(self._short_since_us[queue], now)
            self.since_us[queue] = self._short_since_us[queue]

    def lacks_room(self, queue: int) -> bool:
        """Whether it is for want of room that the head waits."""
        return self._now_for[queue][0] not in {RESERVATION, CONSUMABLE}

    def free(self, now: int, queue: int) -> None:
        """A pass left nobody waiting in the queue."""
        self.head[queue] = NOBODY
        if self._now_for[queue][0] != NOTHING:
            self._note(now, queue, (NOTHING, -1))

    def left(self, now: int, queue: int, job: int, *, last: bool) -> None:
        """A job left the queue without being placed; `last`, if nobody waits there any more."""
        if last:
            self.free(now, queue)
        elif self.head[queue] == job:
            self.head[queue] = NOBODY  # the next pass finds another

    def limit_of(self, queue: int) -> tuple[int, str]:
        """When the queue's head is to be cancelled, and its status reason then; NEVER if it is not."""
        limits = self._limits[queue]
        if not limits or self.head[queue] == NOBODY:
            return NEVER, ""
        name = _VOCABULARY.get(self._now_for[queue][0], "")
        if name not in limits:
            return NEVER, ""
        return self.since_us[queue] + limits[name], CANCELLED_BY_LIMIT + name

    def _note(self, now: int, queue: int, reason: Reason) -> None:
        self._now_for[queue] = reason
        self.queue.append(queue)
        self.at_us.append(now)
        self.reason.append(reason[0])
        self.detail.append(reason[1])
