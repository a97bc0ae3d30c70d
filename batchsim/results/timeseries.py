"""The timeseries frame: queues, environments and shares on an even grid of at most about 1,000 instants.

Every series is counted, not sampled from a simulation: an event falls into the first grid instant at or
after it, and the running sum of those counts is the exact value after everything that happened by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from batchsim.results.arrays import assemble, category, nullable, seconds
from batchsim.results.columns import FLOAT, NULLABLE_INTEGER, columns_of
from batchsim.results.recorded import QUARTERS
from batchsim.results.recording import FAILED, SUCCEEDED
from batchsim.results.sharing import shares_in_use
from batchsim.units import S_PER_HOUR, US_PER_S, UUSD_PER_USD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd

    from batchsim.results.attempts import Attempts
    from batchsim.results.context import RunContext
    from batchsim.results.exact import Ints
    from batchsim.results.tables import Tables

MAX_STEPS = 1000
_DAY_US = 86_400 * US_PER_S
_STEPS_US: tuple[int, ...] = (
    *(step * 10**exponent for exponent in range(6) for step in (1, 2, 5)),
    *(s * US_PER_S for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)),
    *(hours * S_PER_HOUR * US_PER_S for hours in (2, 3, 6, 12, 24)),
)

Series = dict[str, "Ints"]


class _Block(NamedTuple):
    """The series of some things of one kind, each as one column, thing by thing."""

    kind: str
    names: Sequence[str]
    series: Series


def build_timeseries(tables: Tables, context: RunContext) -> pd.DataFrame:
    """Rows of each queue, then of each compute environment, then of each share; all on the same grid."""
    grid = Grid.until(tables.ended_at)
    of_attempts = _attempt_bins(tables.attempts, grid)
    alike = tables.holds is tables.attempts
    bins = _Bins(of_attempts, of_attempts if alike else _attempt_bins(tables.holds, grid))
    environments = [row.name for row in context.environments]
    queues = Groups(grid, tables.jobs.queue, len(context.queues))
    blocks = [
        _Block("queue", context.queues, _job_series(tables, context, bins, queues)),
        _Block("environment", environments, _environment_series(tables, grid, bins, len(environments))),
    ]
    shares, share_of_class = shares_in_use(tables.jobs.job_class, context.classes)
    if shares:
        count = len(shares)
        # Jobs without one of these shares are a further group, which is left out.
        of_jobs = Groups(grid, share_of_class[tables.jobs.job_class], count + 1)
        series = _job_series(tables, context, bins, of_jobs)
        kept = count * len(grid.instants)
        blocks.append(_Block("share", shares, {name: values[:kept] for name, values in series.items()}))
    return _frame(grid, blocks)


def _frame(grid: Grid, blocks: Sequence[_Block]) -> pd.DataFrame:
    size = len(grid.instants)
    rows = [len(block.names) * size for block in blocks]
    names = [name for block in blocks for name in block.names]
    columns: dict[str, Any] = {
        "t_s": np.tile(seconds(grid.instants), len(names)),
        "kind": category(np.repeat(np.arange(len(blocks)), rows), [block.kind for block in blocks]),
        "name": category(np.repeat(np.arange(len(names)), size), names),
    }
    for column in columns_of("timeseries"):
        if column.name in columns:
            continue
        missing = np.nan if column.dtype == FLOAT else -1
        values = np.concatenate(
            [
                block.series.get(column.name, np.full(n, missing))
                for block, n in zip(blocks, rows, strict=True)
            ]
        )
        columns[column.name] = nullable(values, values < 0) if column.dtype == NULLABLE_INTEGER else values
    return assemble("timeseries", columns)


class Grid(NamedTuple):
    """Instants from 0 to the run's end, `step_us` apart save for the last."""

    step_us: int
    instants: Ints

    @staticmethod
    def until(end_us: int) -> Grid:
        step = grid_step(end_us)
        return Grid(step, np.append(np.arange(0, end_us, step, dtype=np.int64), end_us))

    def bins(self, us: Ints) -> npt.NDArray[np.int32]:
        """The first grid instant at or after each instant; for "never", one beyond the last."""
        never = len(self.instants)
        last = np.minimum((us + (self.step_us - 1)) // self.step_us, never - 1)
        bins: npt.NDArray[np.int32] = last.astype(np.int32)
        bins[us < 0] = never
        return bins

    def running_sum(
        self, bins: Ints, groups: Ints, count: int, weights: Ints | None = None
    ) -> npt.NDArray[np.int64]:
        """Events (or their weights) so far, at each instant, of each of `count` groups; one flat column.

        Exact as long as the weights of all events add up to less than 2**53.
        """
        size = len(self.instants) + 1
        events = np.bincount(groups * np.int64(size) + bins, weights=weights, minlength=count * size)
        by_group = events.astype(np.int64).reshape(count, size)[:, :-1]
        return by_group.cumsum(axis=1).ravel()


class Groups(NamedTuple):
    """A grid, and the group (queue or environment) of each row of some table."""

    grid: Grid
    of: Ints
    number: int

    def level(self, begin: Ints, end: Ints, weights: Ints | None = None) -> npt.NDArray[np.int64]:
        """What has begun and not ended at each instant, given the bins of beginnings and ends."""
        begun = self.grid.running_sum(begin, self.of, self.number, weights)
        return begun - self.grid.running_sum(end, self.of, self.number, weights)


def grid_step(end_us: int) -> int:
    """The smallest convenient step that covers the run in at most `MAX_STEPS` steps, in us."""
    for step in _STEPS_US:
        if end_us <= step * MAX_STEPS:
            return step
    return -(-end_us // (MAX_STEPS * _DAY_US)) * _DAY_US


def _job_series(tables: Tables, context: RunContext, bins: _Bins, groups: Groups) -> Series:
    """The series of groups of jobs: of queues, or of shares."""
    jobs, attempts = tables.jobs, tables.attempts
    grid, group, count = groups
    end = grid.bins(jobs.end)
    failed = jobs.state == FAILED
    never = len(grid.instants)
    of_attempts = group[attempts.job]
    series = _attempt_series(bins.attempts, Groups(grid, of_attempts, count))
    series |= _vcpu_series(tables.holds.quarters, bins.holds, Groups(grid, group[tables.holds.job], count))

    def so_far(bins: Ints, groups: Ints) -> Ints:
        return grid.running_sum(bins, groups, count)

    # A job enters RUNNABLE first, then with each retry; it leaves with each attempt, or for good.
    settled = (jobs.end >= 0) & (jobs.instance >= 0)
    last = (attempts.number == jobs.attempts[attempts.job]) & settled[attempts.job]
    retried = np.flatnonzero((attempts.ended >= 0) & ~last)
    left_for_good = np.flatnonzero((jobs.end >= 0) & (jobs.runnable >= 0) & (jobs.instance < 0))
    series["runnable"] = (
        so_far(grid.bins(jobs.runnable), group)
        + so_far(bins.attempts.ended[retried], of_attempts[retried])
        - so_far(bins.attempts.left_runnable, of_attempts)
        - so_far(end[left_for_good], group[left_for_good])
    )
    waited = np.flatnonzero(jobs.pending)
    began = np.minimum(jobs.submit[waited] + context.evaluation_us, tables.ended_at)
    left = np.where(jobs.runnable[waited] >= 0, jobs.runnable[waited], jobs.end[waited])
    pending = Groups(grid, group[waited], count)
    series["pending"] = pending.level(grid.bins(began), grid.bins(left))
    series["submitted"] = so_far(grid.bins(jobs.submit), group)
    series["succeeded"] = so_far(np.where(jobs.state == SUCCEEDED, end, never), group)
    series["failed"] = so_far(np.where(failed, end, never), group)
    return series


def _environment_series(tables: Tables, grid: Grid, bins: _Bins, count: int) -> Series:
    rows = tables.instances
    environment = rows.environment
    never = len(grid.instants)
    running, ended = grid.bins(rows.running), grid.bins(rows.ended)
    off = np.where(rows.running < 0, never, ended)
    booted = grid.bins(np.where(rows.ready < 0, rows.ended, rows.ready))

    instances = Groups(grid, environment, count)
    of_attempts = Groups(grid, environment[tables.attempts.instance], count)
    series = _attempt_series(bins.attempts, of_attempts)
    series |= _vcpu_series(
        tables.holds.quarters, bins.holds, Groups(grid, environment[tables.holds.instance], count)
    )
    series["instances"] = instances.level(running, off)
    series["provisioned_vcpus"] = instances.level(running, off, rows.quarters) / QUARTERS
    series["booting_vcpus"] = instances.level(grid.bins(rows.requested), booted, rows.quarters) / QUARTERS
    series["cost_usd"] = _cost_so_far(tables, grid, count) / UUSD_PER_USD
    return series


class _AttemptBins(NamedTuple):
    placed: Ints
    starting: Ints
    left_starting: Ints
    started: Ints
    stopped: Ints
    ended: Ints
    left_runnable: Ints


class _Bins(NamedTuple):
    attempts: _AttemptBins
    holds: _AttemptBins


def _attempt_bins(attempts: Attempts, grid: Grid) -> _AttemptBins:
    never = len(grid.instants)
    placed, starting, started = map(grid.bins, (attempts.placed, attempts.starting, attempts.started))
    ended = grid.bins(attempts.ended)
    ran, told = started < never, starting < never
    return _AttemptBins(
        placed,
        starting,
        left_starting=np.where(ran, started, np.where(told, ended, never)),
        started=started,
        stopped=np.where(ran, ended, never),
        ended=ended,
        left_runnable=np.where(told, starting, ended),
    )


def _attempt_series(bins: _AttemptBins, groups: Groups) -> Series:
    return {
        "starting": groups.level(bins.starting, bins.left_starting),
        "running": groups.level(bins.started, bins.stopped),
    }


def _vcpu_series(quarters: Ints, bins: _AttemptBins, groups: Groups) -> Series:
    return {
        "reserved_vcpus": groups.level(bins.placed, bins.ended, quarters) / QUARTERS,
        "used_vcpus": groups.level(bins.started, bins.stopped, quarters) / QUARTERS,
    }


def _cost_so_far(tables: Tables, grid: Grid, count: int) -> npt.NDArray[np.int64]:
    """Micro-USD: the bill of each instance that has ended, and what the others have accrued.

    Python integers, because price times instant outgrows 63 bits. At the run's end, all have ended.
    """
    rows = tables.instances
    size = len(grid.instants)
    billed, rate, offset = (np.zeros((count, size), dtype=object) for _ in range(3))
    ran = np.flatnonzero(rows.running >= 0)
    environment = rows.environment[ran]
    begin, end = grid.bins(rows.running[ran]), grid.bins(rows.until[ran])
    price = rows.rate[ran].astype(object)
    head_start = price * rows.running[ran].astype(object)
    np.add.at(billed, (environment, end), rows.cost[ran].astype(object))
    for column, values in ((rate, price), (offset, head_start)):
        np.add.at(column, (environment, begin), values)
        np.subtract.at(column, (environment, end), values)
    billed, rate, offset = (column.cumsum(axis=1) for column in (billed, rate, offset))
    accrued = (rate * grid.instants.astype(object) - offset) // (S_PER_HOUR * US_PER_S)
    total: npt.NDArray[np.int64] = (billed + accrued).astype(np.int64)
    return total.ravel()
