"""SimPy's environment, for a driver to which things happen that need no event of their own.

SimPy owns the clock and the queue of what is to come. A `simpy.Event` with its callbacks for each
thing that happens to a job would cost more than everything that the scheduler does about it; so the driver
puts integers into the queue, at the place of an event's number, and takes them out itself. Whatever else is
in the queue - a SimPy process, a timeout - is SimPy's business: there the driver calls `step`, which nobody
else may, since it knows nothing of the integers.
"""

from __future__ import annotations

from typing import Final, cast

import simpy

AFTER_EVENTS: Final = 2  # SimPy's priorities are 0 (urgent) and 1

Entry = tuple[int, int, int, simpy.Event | None]
"""(instant, priority, number, event), as SimPy has it."""


class Clock(simpy.Environment):
    """An environment that begins at 0, with integer microseconds.

    queue   SimPy's own queue, a heap. What the driver puts into it is (instant, AFTER_EVENTS, number, None):
            at one instant it comes after all events of SimPy's, and in the order of the numbers.
    """

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self.queue = cast("list[Entry]", self._queue)
