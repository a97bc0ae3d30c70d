"""When the jobs of one queue were RUNNABLE, derived from the frames of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from batchsim.results.exact import Ints

FOR_EVER = np.iinfo(np.int64).max


class QueueWaits(NamedTuple):
    """The waits of one queue as parallel columns: each from when a job became RUNNABLE (again).

    job        row in the jobs frame
    until      placed, ended without an attempt, or for ever
    is_retry   they stand in front of the others
    rank       the order among retries, and among the others
    """

    job: Ints
    since: Ints
    until: Ints
    is_retry: Ints
    rank: Ints

    @staticmethod
    def of(jobs: pd.DataFrame, attempts: pd.DataFrame, queue: str) -> QueueWaits:
        runnable, end = microseconds(jobs["runnable_s"]), microseconds(jobs["end_s"])
        mine = np.flatnonzero((jobs["queue"] == queue).to_numpy(np.bool_) & (runnable >= 0))
        main = attempts[attempts["is_main"].to_numpy()]
        job = pd.Index(jobs["job"]).get_indexer(main["job"])
        order = np.lexsort((main["attempt"].to_numpy(), job))
        job, placed = job[order], microseconds(main["placed_s"])[order]
        ended = microseconds(main["ended_s"])[order]
        last = np.append(job[1:] != job[:-1], True)[: len(job)]
        goes_on = np.isin(job, mine) & (ended >= 0) & (~last | (end[job] != ended))
        again = np.flatnonzero(goes_on)
        gave_up = np.where(end < 0, FOR_EVER, end)
        next_placed = np.append(placed[1:], -1)[: len(job)]
        until_again = np.where(last[again], gave_up[job[again]], next_placed[again])
        first_placed = gave_up.copy()
        first_placed[job[::-1]] = placed[::-1]
        number = len(mine)
        arrival = np.empty(number, dtype=np.int64)
        arrival[np.argsort(runnable[mine], kind="stable")] = np.arange(number)
        return QueueWaits(
            np.concatenate((mine, job[again])),
            np.concatenate((runnable[mine], ended[again])),
            np.concatenate((first_placed[mine], until_again)),
            np.repeat([False, True], (number, len(again))),
            np.concatenate((arrival, job[again])),
        )


def microseconds(column: pd.Series[Any]) -> Ints:
    values = column.to_numpy(dtype=np.float64) * US_PER_S
    return np.rint(np.where(np.isnan(values), -1, values)).astype(np.int64)
