"""The one inbox of the wall-clock driver: whoever knows something puts it there, one loop takes it out."""

from __future__ import annotations

import queue
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from batchsim.drivers.gateway import NOBODY, Key

if TYPE_CHECKING:
    from batchsim.drivers.attempts import Ending


class What(IntEnum):
    """What a report says."""

    STARTED = 0
    ENDED = 1
    HOST_LOST = 2
    INTERRUPTED = 3
    BROKEN = 4


class Report(NamedTuple):
    """One thing that happened.

    at_us         when it became known; the instant at which the scheduler may be told
    happened_us   when it happened, as far as that is known; never later
    key           of which container; NOBODY for what is about none
    ending        of ENDED only
    host          of HOST_LOST only: which engine
    error         of BROKEN only: what nobody expected, to be raised
    """

    at_us: int
    what: What
    key: Key = NOBODY
    ending: Ending | None = None
    happened_us: int = -1
    host: int = -1
    error: Exception | None = None


class Inbox:
    """Reports in order of arrival. Any thread may `post`; only the driver's loop takes them out."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._peeked: list[Report] = []

    def post(self, report: Report) -> None:
        self._queue.put(report)

    def drain(self) -> list[Report]:
        """All that is there, without waiting."""
        found, self._peeked = self._peeked, []
        while True:
            try:
                found.append(self._queue.get_nowait())
            except queue.Empty:
                return found

    def wait(self, seconds: float) -> None:
        """Until something is there, or for so long."""
        if self._peeked:
            return
        try:
            self._peeked.append(self._queue.get(timeout=max(seconds, 0.0)))
        except queue.Empty:
            return

    def __bool__(self) -> bool:
        return bool(self._peeked) or not self._queue.empty()
