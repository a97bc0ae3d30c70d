"""What each second of the bill was spent on, and who bears it: integers in, micro-USD out.

An instance's cost is shared out over the time for which it ran, and that over its capacity:

    boot            not registered yet: no job can be placed
    pull            held by attempts whose container is not up: dispatch, image pull, container start
    busy            held by attempts in RUNNING
    lost            instead of both, of attempts that ended because their host was lost
    tail            free, after the last attempt on this instance
    fragmentation   free before that, while jobs were RUNNABLE in a queue of its environment and this was
                    ENABLED: too little is left of some resource, or the queue's order does not let them
                    pass, or jobs on ECS Managed Instances have all of maxvCpus. Of a Fargate task: what
                    its size has more than its job asked for
    idle            free before that, with nobody waiting who might have used it

Capacity is vCPUs; of an instance with GPUs nine tenths are its GPUs and a tenth its vCPUs, since it is the
GPUs that are paid for (GPU_WEIGHT, our choice). Seconds rounded up, and the minimum of a minute, are spread
over all parts alike.

busy, pull and lost are direct: they belong to a job. The other four are overhead, which an idle-cost rule
shares out among jobs:

    proportional   each environment's, in proportion to what its jobs cost directly
    even           each environment's, the same to each job that had an attempt there
    instance       each instance's among its own attempts, in proportion to what they cost directly, as AWS's
                   split cost allocation data do; of instances without any, as proportional
    separate       to nobody

The first two are the methods of AWS Cost Categories' split charge rules. What nobody can bear, because no job
cost anything there, stays with the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, get_args

import numpy as np

from batchsim.results.context import IdleCost
from batchsim.results.exact import Split, by_group, totals_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.results.exact import Ints

DIRECT: Final = ("busy", "pull", "lost")
OVERHEAD: Final = ("boot", "idle", "fragmentation", "tail")
PARTS: Final = (*DIRECT, *OVERHEAD)
GPU_WEIGHT: Final = 9
"""Nine tenths of an instance with GPUs are paid for these."""

IDLE_COSTS: Final[tuple[IdleCost, ...]] = get_args(IdleCost)

_MOST_WEIGHT = 1 << 58
_FINEST = 1 << 20


class Fleet(NamedTuple):
    """One row an instance: micro-USD, microseconds (-1: never), the row of its environment.

    vcpu_quarters, gpus   capacity
    is_task               a Fargate task
    """

    cost: Ints
    running: Ints
    ready: Ints
    until: Ints
    environment: Ints
    vcpu_quarters: Ints
    gpus: Ints
    is_task: Ints


class Holds(NamedTuple):
    """One row an attempt, or a node of one, by job: what it holds of its instance from `placed` to `until`.

    began   RUNNING, or `until`
    lost    whether the attempt ended because its host was lost
    """

    job: Ints
    instance: Ints
    placed: Ints
    began: Ints
    until: Ints
    vcpu_quarters: Ints
    gpus: Ints
    lost: Ints


class Waits(NamedTuple):
    """Since when, until when and in which queue (its row) a job was RUNNABLE; as often as it was."""

    queue: Ints
    since: Ints
    until: Ints


class Use(NamedTuple):
    """From when until when the order of a queue (its row) names an environment."""

    queue: int
    since: int
    until: int


class Users(NamedTuple):
    """Who may use an environment, but not from when until when it is DISABLED."""

    uses: tuple[Use, ...]
    closed: tuple[tuple[int, int], ...] = ()


class Bill(NamedTuple):
    """Micro-USD by part, in the order of PARTS: a row a part, a column an instance, a hold, an environment.

    of_instances    what each instance cost
    of_holds        what each hold bears
    unallocated     by environment, what nobody bears
    """

    of_instances: Ints
    of_holds: Ints
    unallocated: Ints


def bill(
    fleet: Fleet,
    holds: Holds,
    waits: Waits,
    users: Sequence[Users],
    idle_cost: IdleCost,
) -> Bill:
    """The bill by what was spent on, shared out by a rule; `users` are those of each environment.

    Sums of each instance are its cost, and `of_holds` with `unallocated` the same total as `of_instances`.
    """
    coarse = _coarseness(fleet)
    fleet = fleet._replace(
        running=_coarser(fleet.running, coarse),
        ready=_coarser(fleet.ready, coarse),
        until=fleet.until >> coarse,
    )
    holds = holds._replace(
        placed=holds.placed >> coarse, began=holds.began >> coarse, until=holds.until >> coarse
    )
    waits = waits._replace(since=waits.since >> coarse, until=waits.until >> coarse)
    users = [
        Users(
            tuple(Use(queue, since >> coarse, until >> coarse) for queue, since, until in each.uses),
            tuple((since >> coarse, until >> coarse) for since, until in each.closed),
        )
        for each in users
    ]
    clocks = _clocks(waits, users)
    of_instances, direct = _by_instance(fleet, holds, clocks)
    of_holds = np.zeros((len(PARTS), len(holds.job)), dtype=np.int64)
    of_holds[: len(DIRECT)] = direct
    unallocated = np.zeros((len(PARTS), len(users)), dtype=np.int64)
    for part in range(len(DIRECT), len(PARTS)):
        unallocated[part] = totals_by(fleet.environment, of_instances[part], len(users))
    if idle_cost != "separate" and len(holds.job):
        _allocate(fleet, holds, Bill(of_instances, of_holds, unallocated), idle_cost)
    return Bill(of_instances, of_holds, unallocated)


def _coarseness(fleet: Fleet) -> int:
    """By how many bits instants are cut, so that capacity times time has room: 0 in all but absurd runs."""
    most = int(_capacity(fleet).max(initial=1)) * int(fleet.until.max(initial=1))
    return max(0, most.bit_length() - _MOST_WEIGHT.bit_length() + 1)


def _coarser(instants: Ints, bits: int) -> Ints:
    return np.where(instants < 0, -1, instants >> bits)


def _capacity(fleet: Fleet) -> Ints:
    """Units of capacity: quarters of vCPUs, or what both kinds are multiples of."""
    both = np.minimum((GPU_WEIGHT + 1) * fleet.vcpu_quarters * fleet.gpus, _FINEST)
    return np.where(fleet.gpus > 0, both, fleet.vcpu_quarters)


def _weights(fleet: Fleet, holds: Holds, capacity: Ints) -> Ints:
    """Units that each hold has of its instance; together never more than its capacity."""
    at = holds.instance
    quarters, gpus = fleet.vcpu_quarters[at], fleet.gpus[at]
    if not gpus.any():
        return holds.vcpu_quarters
    held = GPU_WEIGHT * holds.gpus * quarters + holds.vcpu_quarters * gpus
    whole = np.maximum((GPU_WEIGHT + 1) * quarters * gpus, 1)
    return np.where(gpus > 0, held * capacity[at] // whole, holds.vcpu_quarters)


# --- instances ----------------------------------------------------------------------------------


class _Clock(NamedTuple):
    """A clock that runs only while jobs wait: disjoint intervals, and what it shows as each begins."""

    since: Ints
    until: Ints
    shown: Ints

    def at(self, instants: Ints) -> Ints:
        if not len(self.since):
            return np.zeros(len(instants), dtype=np.int64)
        row: Ints = np.maximum(np.searchsorted(self.since, instants, side="right") - 1, 0)
        into = np.minimum(instants, self.until[row]) - self.since[row]
        shown: Ints = self.shown[row] + np.maximum(into, 0)
        return shown


def _clocks(waits: Waits, users: Sequence[Users]) -> list[_Clock]:
    """For each environment the clock of its queues."""
    known = {each: _clock(waits, *each) for each in set(users)}
    return [known[each] for each in users]


def _clock(waits: Waits, uses: Sequence[Use], closed: Sequence[tuple[int, int]]) -> _Clock:
    since, until = _waited(waits, uses)
    order = np.argsort(since, kind="stable")
    since, until = since[order], np.maximum.accumulate(until[order])
    begins = np.append(True, since[1:] > until[:-1])[: len(since)]
    ends = np.append(begins[1:], True)[: len(since)]
    since, until = since[begins], until[ends]
    for stop, go_on in closed:
        since, until = (
            np.concatenate((since, np.maximum(since, go_on))),
            np.concatenate((np.minimum(until, stop), until)),
        )
        kept = since < until
        since, until = np.sort(since[kept]), np.sort(until[kept])
    lasted = until - since
    return _Clock(since, until, np.cumsum(lasted) - lasted)


def _waited(waits: Waits, uses: Sequence[Use]) -> tuple[Ints, Ints]:
    """Since when and until when jobs waited in a queue whose order named the environment then."""
    queues: dict[tuple[int, int], list[int]] = {}
    for queue, begin, end in uses:
        queues.setdefault((begin, end), []).append(queue)
    parts = [(np.empty(0, dtype=np.int64),) * 2]
    for (begin, end), rows in queues.items():
        mine = np.isin(waits.queue, rows)
        since, until = np.maximum(waits.since[mine], begin), np.minimum(waits.until[mine], end)
        some = until > since
        parts.append((since[some], until[some]))
    since, until = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return since, until


def _by_instance(fleet: Fleet, holds: Holds, clocks: Sequence[_Clock]) -> tuple[Ints, Ints]:
    """Each instance's cost by part, and what of it each hold cost, by direct part."""
    count = len(fleet.cost)
    weight = _weights(fleet, holds, _capacity(fleet))
    order = by_group(holds.instance, count)
    of = holds.instance[order]
    first = np.searchsorted(of, np.arange(count))
    # An instance has a row for each part of its overhead, then two for each hold.
    starts = len(OVERHEAD) * np.arange(count) + 2 * first
    pulls = len(OVERHEAD) * (of + 1) + 2 * np.arange(len(of))
    amounts = np.zeros(len(OVERHEAD) * count + 2 * len(of), dtype=np.int64)
    for row, free in enumerate(_overhead(fleet, holds, weight, clocks)):
        amounts[starts + row] = free
    amounts[pulls] = (weight * (holds.began - holds.placed))[order]
    amounts[pulls + 1] = (weight * (holds.until - holds.began))[order]
    _pay_for_moments(fleet, starts, amounts)
    shares = Split(starts, amounts).of(fleet.cost)
    pull, busy = np.empty(len(of), dtype=np.int64), np.empty(len(of), dtype=np.int64)
    pull[order], busy[order] = shares[pulls], shares[pulls + 1]
    parts = np.zeros((len(PARTS), count), dtype=np.int64)
    lost = holds.lost
    direct = np.stack((np.where(lost, 0, busy), np.where(lost, 0, pull), np.where(lost, busy + pull, 0)))
    for row, part in enumerate(direct):
        parts[row] = totals_by(holds.instance, part, count)
    for row in range(len(OVERHEAD)):
        parts[len(DIRECT) + row] = shares[starts + row]
    return parts, direct


def _overhead(fleet: Fleet, holds: Holds, weight: Ints, clocks: Sequence[_Clock]) -> tuple[Ints, ...]:
    """Capacity-time of each instance: boot, idle, fragmentation, tail."""
    count, capacity = len(fleet.cost), _capacity(fleet)
    ran = fleet.running >= 0
    ready = np.where(fleet.ready < 0, fleet.until, fleet.ready)
    last = np.full(count, -1, dtype=np.int64)
    np.maximum.at(last, holds.instance, holds.until)
    tail = np.where(last < 0, fleet.until, np.maximum(last, ready))
    held = totals_by(holds.instance, weight * (holds.until - holds.placed), count)
    free = capacity * (tail - ready) - held
    waited = np.zeros(count, dtype=np.int64)
    at = fleet.environment[holds.instance]
    for environment, clock in enumerate(clocks):
        here, mine = fleet.environment == environment, np.flatnonzero(at == environment)
        waited[here] = capacity[here] * (clock.at(tail[here]) - clock.at(ready[here]))
        lasted = clock.at(holds.until[mine]) - clock.at(holds.placed[mine])
        waited -= totals_by(holds.instance[mine], weight[mine] * lasted, count)
    fragmented = np.where(fleet.is_task, free, waited)
    parts = (
        capacity * (ready - fleet.running),
        free - fragmented,
        fragmented,
        capacity * (fleet.until - tail),
    )
    return tuple(np.where(ran, part, 0) for part in parts)


def _pay_for_moments(fleet: Fleet, starts: Ints, amounts: Ints) -> None:
    """What ended at the instant at which it came to run is billed for a minute; that goes to boot."""
    moments = (fleet.cost > 0) & (fleet.until <= fleet.running)
    amounts[starts[moments]] = 1


# --- idle cost ----------------------------------------------------------------------------------


def _allocate(fleet: Fleet, holds: Holds, into: Bill, idle_cost: IdleCost) -> None:
    """Move overhead from `unallocated` to `of_holds`."""
    direct = into.of_holds[: len(DIRECT)].sum(axis=0)
    pools = into.of_instances
    if idle_cost == "instance":
        _share_out(pools, holds.instance, direct, into.of_holds)
        borne = totals_by(holds.instance, direct, len(fleet.cost)) > 0
        pools = np.where(borne, 0, pools)
    count = into.unallocated.shape[1]
    overhead = np.stack([totals_by(fleet.environment, part, count) for part in pools])
    environment = fleet.environment[holds.instance]
    weights = _first_of_each(environment, holds.job) if idle_cost == "even" else direct
    _share_out(overhead, environment, weights, into.of_holds)
    borne = totals_by(environment, weights, count) > 0
    into.unallocated[len(DIRECT) :] = np.where(borne, 0, overhead[len(DIRECT) :])


def _share_out(pools: Ints, group: Ints, weights: Ints, into: Ints) -> None:
    """Add each group's overhead to its rows, in proportion to their weights."""
    if pools.shape[1] == 1:
        order: Ints | slice = slice(None)
        starts = np.zeros(1, dtype=np.int64)
    else:
        order = by_group(group, pools.shape[1])
        starts = np.searchsorted(group[order], np.arange(pools.shape[1]))
    split = Split(starts, weights[order])
    for part in range(len(DIRECT), len(PARTS)):
        if pools[part].any():
            into[part, order] += split.of(pools[part])


def _first_of_each(environment: Ints, job: Ints) -> Ints:
    """1 for the first hold of each job in each environment, else 0."""
    order = np.lexsort((job, environment))
    here, whose = environment[order], job[order]
    first = np.append(True, (here[1:] != here[:-1]) | (whose[1:] != whose[:-1]))[: len(order)]
    flags = np.zeros(len(order), dtype=np.int64)
    flags[order] = first
    return flags
