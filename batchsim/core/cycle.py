"""The order in which queues are served: descending priority, in cycles [spec 2.2].

Queues of equal priority are served in creation order, and the first of them moves to the end after
each cycle that started a job. AWS does not say how it breaks that tie; rotation lets none of them
starve another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Prioritized(Protocol):
    """A job queue, of compute environments or of service environments."""

    @property
    def priority(self) -> int: ...


class Cycle:
    """The order of all queues.

    rotates   whether `rotate` makes a difference, because two queues have equal priority
    """

    __slots__ = ("_groups", "_queues", "rotates")

    def __init__(self, queues: Sequence[Prioritized]) -> None:
        by_priority: dict[int, list[int]] = {}
        for index, queue in enumerate(queues):
            by_priority.setdefault(queue.priority, []).append(index)
        self._groups = [by_priority[priority] for priority in sorted(by_priority, reverse=True)]
        self._queues = [queue for group in self._groups for queue in group]
        self.rotates = len(self._groups) < len(self._queues)

    def queues(self) -> list[int]:
        """Queue indices in the order of the present cycle."""
        return self._queues

    def rotate(self) -> None:
        """A cycle that started jobs is over."""
        for group in self._groups:
            group.append(group.pop(0))
        self._queues = [queue for group in self._groups for queue in group]
