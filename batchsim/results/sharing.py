"""Which share identifiers a run used, for what is told of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.results.context import JobClassLike
    from batchsim.results.exact import Ints

MAX_SHARES: Final = 500  # as many as one queue may have active [spec 2.4]


def shares_in_use(job_class: Ints, classes: Sequence[JobClassLike]) -> tuple[list[str], Ints]:
    """The names <queue>/<share> in use, and for each job class which of them is its; the rest is one more.

    Of more than `MAX_SHARES` those with the most jobs, in the order of their names.
    """
    jobs_of_class = np.bincount(job_class, minlength=len(classes)).tolist()
    jobs: dict[str, int] = {}
    names = [None if row.share is None else f"{row.queue}/{row.share}" for row in classes]
    for name, number in zip(names, jobs_of_class, strict=True):
        if name is not None and number:
            jobs[name] = jobs.get(name, 0) + number
    shares = sorted(sorted(jobs, key=lambda name: (-jobs[name], name))[:MAX_SHARES])
    row_of = {name: row for row, name in enumerate(shares)}
    return shares, np.array([row_of.get(name or "", len(shares)) for name in names], dtype=np.int64)
