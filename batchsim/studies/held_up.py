"""Whom jobs that can never start hold up: those behind them in a queue, and those that depend on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from batchsim.core.plan import Plan
    from batchsim.workload import Workload


class HeldUp(NamedTuple):
    """Jobs of one queue that could start but come after one that never can.

    is_fair       it is a fair-share queue: who comes after whom depends on the shares; all that are
                  submitted later are counted
    cancelled_s   jobStateTimeLimitActions cancel each head that never can after so many seconds; None: they
                  do not, or not all
    """

    jobs: int
    is_fair: bool
    cancelled_s: int | None


def held_up(plan: Plan, workload: Workload, reasons: Sequence[str | None]) -> dict[str, HeldUp]:
    """By queue, those that do not let jobs pass their head; `reasons` are of the classes."""
    never = np.array([reason is not None for reason in reasons])[workload.job_class]
    queue = np.array([each.queue for each in plan.classes])[workload.job_class]
    found: dict[str, HeldUp] = {}
    for index in np.flatnonzero(np.bincount(queue[never])).tolist():
        planned = plan.queues[index]
        is_fair = planned.fair_share is not None
        if plan.policy.backfill != "none" and not is_fair:
            continue
        mine = queue == index
        jobs = int((mine & ~never)[int(np.argmax(mine & never)) :].sum())
        here = {reason for reason, each in zip(reasons, plan.classes, strict=True) if each.queue == index}
        if jobs:
            found[planned.name] = HeldUp(jobs, is_fair, _cancelled_s(plan, index, here - {None}))
    return found


def _cancelled_s(plan: Plan, queue: int, reasons: set[str | None]) -> int | None:
    """The longest time limit of the queue on any of these reasons, if there is one on each."""
    limits = [
        next(
            (each.max_us for each in plan.queues[queue].time_limits if str(reason).startswith(each.reason)),
            None,
        )
        for reason in reasons
    ]
    known = [limit for limit in limits if limit is not None]
    return max(known) // US_PER_S if known and len(known) == len(limits) else None


def dependants(workload: Workload, never: NDArray[np.bool_]) -> dict[str, int]:
    """By workload entry, jobs that wait for jobs that can never start, however indirectly.

    never   for each job whether it can never start, itself
    """
    edges = workload.edges
    if edges is None or not never.any():
        return {}
    reached = np.zeros(len(edges.waits_for), dtype=np.bool_)
    front = np.flatnonzero(never)
    while len(front):
        starts, ends = edges.successor_start[front], edges.successor_start[front + 1]
        after = np.unique(
            np.concatenate(
                [edges.successors[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
            )
        )
        front = after[~reached[after]].astype(np.int64)
        reached[front] = True
    groups = [each.group for each in workload.classes]
    rows = np.flatnonzero(reached[: len(workload)] & ~never)
    found: dict[str, int] = {}
    for index, number in enumerate(np.bincount(workload.job_class[rows], minlength=len(groups)).tolist()):
        if number:
            found[groups[index]] = found.get(groups[index], 0) + number
    return found
