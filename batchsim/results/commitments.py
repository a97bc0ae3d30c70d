"""Reserved Instances and a Savings Plan: what they take off the bill, and what of them nobody used.

Hour by hour from the beginning of the run [spec 8.1]:

1. Reserved Instances cover the usage of their type, up to so many instance-hours, at their effective rate.
2. The Savings Plan covers what is left of all eligible On-Demand usage, at the plan's rates, up to its
   commitment. If that does not suffice, all usage of the hour is covered to the same part.
3. The rest costs the On-Demand price.

What is left of a commitment in an hour is paid all the same. The last hour counts as a whole. An instance's
discount is that of its type at the times at which it ran, of what it costs without: seconds rounded up, and
the minimum of a minute, are discounted alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.units import S_PER_HOUR, US_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from batchsim.results.exact import Ints

    Floats = npt.NDArray[np.float64]

_HOUR_US = S_PER_HOUR * US_PER_S
_ROUNDING = 1e-6  # of a micro-USD: what floating point takes off a whole number


class Kind(NamedTuple):
    """Instances that are discounted alike: price in micro-USD an hour, and parts of it that are saved.

    plan_discount   by the Savings Plan; 0 where it does not cover them
    reserved        how many instances are reserved, at which discount
    """

    price: int
    plan_discount: float = 0.0
    reserved: int = 0
    reserved_discount: float = 0.0


class CommitmentRows(NamedTuple):
    """What has been committed to.

    uusd_per_hour   of the Savings Plan; 0 without
    kinds           what may be covered
    kind_of         for each row of `RunContext.instance_types` the row in `kinds`; -1: none
    """

    uusd_per_hour: int
    kinds: Sequence[Kind]
    kind_of: Sequence[int]


class Usage(NamedTuple):
    """Instances that may be covered: the row of each one's kind, when it ran, its cost without."""

    kind: Ints
    running: Ints
    until: Ints
    cost: Ints


def discounts(usage: Usage, committed: CommitmentRows, ended_at: int) -> tuple[Ints, int]:
    """Micro-USD taken off each instance's cost, rounded down, and those paid for what nobody used."""
    edges = _HOUR_US * np.arange(1 + max(1, -(-ended_at // _HOUR_US)))
    kinds = committed.kinds
    hours = np.array([_used(usage, kind, edges) for kind in range(len(kinds))]).reshape(-1, len(edges) - 1)
    price, plan, count, saved = np.array(kinds, dtype=np.float64).reshape(-1, 4).T[:, :, None]
    covered = np.minimum(1.0, count / np.where(hours > 0, hours, np.inf))
    left = np.where(plan > 0, hours * (1 - covered) * price * (1 - plan), 0.0).sum(axis=0)
    part = np.minimum(1.0, committed.uusd_per_hour / np.where(left > 0, left, np.inf))
    rate = covered * saved + (1 - covered) * part * plan
    taken = np.zeros(len(usage.kind), dtype=np.int64)
    for kind, of_hour in enumerate(rate):
        mine = np.flatnonzero(usage.kind == kind)
        clock = np.append(0.0, np.cumsum(of_hour)) * _HOUR_US
        began, ended = (np.interp(times[mine], edges, clock) for times in (usage.running, usage.until))
        fraction = (ended - began) / np.maximum(usage.until - usage.running, 1)[mine]
        taken[mine] = np.floor(usage.cost[mine] * np.clip(fraction, 0.0, 1.0) + _ROUNDING).astype(np.int64)
    unused = (np.maximum(count - hours, 0) * price * (1 - saved)).sum()
    return taken, round(float(unused + np.maximum(committed.uusd_per_hour - left, 0).sum()))


def _used(usage: Usage, kind: int, edges: Ints) -> Floats:
    """Instance-hours of a kind in each hour."""
    mine = usage.kind == kind
    times = np.concatenate((usage.running[mine], usage.until[mine]))
    steps = np.repeat([1, -1], mine.sum())
    order = np.argsort(times, kind="stable")
    times, running = np.append(0, times[order]), np.append(0, np.cumsum(steps[order]))
    whole = np.append(0, np.cumsum(np.diff(times) * running[:-1]))
    at = np.searchsorted(times, edges, side="right") - 1
    return np.asarray(np.diff(whole[at] + running[at] * (edges - times[at])) / _HOUR_US)
