"""From a scenario to the columns of its workload."""

from __future__ import annotations

from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from batchsim.errors import ScenarioError, UsageError
from batchsim.scenario import MAX_JOBS, GeneratedJobs, ServiceJobs, TraceJobs
from batchsim.workload.arrivals import expected_arrivals
from batchsim.workload.edges import Rows, build_edges
from batchsim.workload.events import resolve_events
from batchsim.workload.generated import draw_part
from batchsim.workload.pacing import call_interval_us, note_delays, paced
from batchsim.workload.ragged import Ragged
from batchsim.workload.replayed import replay_part
from batchsim.workload.streams import generator
from batchsim.workload.table import Arrays, Workload

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchsim.scenario import Scenario
    from batchsim.workload.edges import Edges
    from batchsim.workload.part import Part
    from batchsim.workload.table import JobClass

_Parts = dict[str, "Part"]
_Rows = dict[str, "NDArray[np.int64]"]


def build_workload(scenario: Scenario, seed: int = 0, replication: int = 0) -> Workload:
    """All jobs of a scenario, in order of submission.

    The same scenario, seed and replication give the same columns; so does each entry whatever the
    other entries are, but for the rows of jobs in the whole and for calls that wait for each other
    because of assumptions.submitJobRate. Raises ScenarioError when more than 10^7 jobs are to be expected
    (nothing is drawn then), when an entry can never submit a job, when a time comes out beyond 285 years,
    or when an event names a job that does not exist; TraceError for a trace or sample file that cannot be
    used; UsageError for a negative seed.
    """
    for name, value in (("seed", seed), ("replication", replication)):
        if value < 0:
            raise UsageError(f"the {name}", expected="0 or more", found=str(value))
    with scenario.placing_errors():
        return _built(scenario, seed, replication)


def _built(scenario: Scenario, seed: int, replication: int) -> Workload:
    _check_expected_jobs(scenario)
    streams = partial(generator, seed, replication)
    parts = {
        entry.name: replay_part(scenario, entry, streams)
        if isinstance(entry, TraceJobs)
        else draw_part(scenario, entry, streams)
        for _, entry in scenario.submissions()
    }
    total = sum(map(len, parts.values()))
    if total > MAX_JOBS and any(isinstance(entry, TraceJobs) for _, entry in scenario.submissions()):
        raise _too_many("workload", total)
    return _merged(scenario, parts)


def _check_expected_jobs(scenario: Scenario) -> None:
    total = 0.0
    for _, entry in scenario.entries():
        if isinstance(entry, GeneratedJobs | ServiceJobs):
            expected = expected_arrivals(entry)
            if expected == 0:
                raise ScenarioError(
                    "no job is submitted before until",
                    path=f"{scenario.path_of(entry)}.until",
                    hint="until is counted from the beginning of the run",
                )
            size = entry.array_size if isinstance(entry, GeneratedJobs) else None
            total += expected * (size or 1)
            if not total <= MAX_JOBS:
                raise _too_many(scenario.path_of(entry), total)


def _too_many(path: str, jobs: float) -> ScenarioError:
    return ScenarioError(
        path=path,
        expected=f"at most {MAX_JOBS:,} jobs in all",
        found=f"{jobs:,.0f}",
        hint="lower rates, counts or until",
    )


def _merged(scenario: Scenario, parts: _Parts) -> Workload:
    submit_us = _column(parts, "submit_us")
    order = np.argsort(submit_us, kind="stable")
    classes, job_class = _interned(parts)
    workload = Workload(
        classes=classes,
        job_class=job_class[order],
        submit_us=submit_us[order],
        runtime_us=_column(parts, "runtime_us")[order],
        requested_us=_column(parts, "requested_us")[order],
        ordinal=_column(parts, "ordinal")[order],
        notes={name: part.notes for name, part in parts.items()},
        arrays=_arrays(parts, order),
        startup_us=_startup_us(parts, order),
        node_us=_node_us(parts, order),
    )
    interval_us = call_interval_us(scenario.assumptions)
    waits = any(part.waits for part in parts.values()) or any(e.dependsOn for _, e in scenario.submissions())
    if not (interval_us or waits or scenario.events()):
        return workload  # the rows below cost as much as a column
    rows = _rows_of_parts(parts, order)
    if interval_us:
        _pace(workload, rows, interval_us)
    workload.edges = _edges(scenario, parts, rows)
    workload.events = resolve_events(
        scenario, {name: (part, rows[name]) for name, part in parts.items()}, workload.submit_us
    )
    return workload


def _column(parts: _Parts, name: str) -> NDArray[np.int64]:
    """A column of all entries; a workload may have none that SubmitJob submits."""
    return np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for part in parts.values())])


def _interned(parts: _Parts) -> tuple[list[JobClass], NDArray[np.int32]]:
    interned: dict[JobClass, int] = {}
    class_of_job = [np.zeros(0, np.int32)]
    for part in parts.values():
        numbers = [interned.setdefault(job_class, len(interned)) for job_class in part.classes]
        class_of_job.append(np.array(numbers, np.int32)[part.job_class])
    return list(interned), np.concatenate(class_of_job)


def _arrays(parts: _Parts, order: NDArray[np.int64]) -> Arrays | None:
    if all(part.array_size is None for part in parts.values()):
        return None
    index = [
        np.full(len(part), -1, np.int32)
        if part.array_size is None
        else (np.arange(len(part)) % part.array_size).astype(np.int32)
        for part in parts.values()
    ]
    return Arrays.of(np.concatenate(index)[order])


def _startup_us(parts: _Parts, order: NDArray[np.int64]) -> NDArray[np.int64] | None:
    if all(part.startup_us is None for part in parts.values()):
        return None
    columns = [
        np.zeros(len(part), np.int64) if part.startup_us is None else part.startup_us
        for part in parts.values()
    ]
    return np.concatenate(columns)[order]


def _node_us(parts: _Parts, order: NDArray[np.int64]) -> Ragged | None:
    if all(part.node_us is None for part in parts.values()):
        return None
    counts = [
        np.zeros(len(part), np.int64) if part.node_us is None else part.node_us.counts()
        for part in parts.values()
    ]
    values = [part.node_us.values for part in parts.values() if part.node_us is not None]
    return Ragged.of(np.concatenate(counts), np.concatenate(values)).take(order)


def _rows_of_parts(parts: _Parts, order: NDArray[np.int64]) -> _Rows:
    """For each entry the rows of its jobs in the workload."""
    rows = np.empty(len(order), np.int64)
    rows[order] = np.arange(len(order))
    bounds = list(accumulate(map(len, parts.values()), initial=0))
    return {name: rows[low:high] for name, (low, high) in zip(parts, pairwise(bounds), strict=True)}


def _pace(workload: Workload, rows: _Rows, interval_us: int) -> None:
    """Let the SubmitJob calls of all entries leave at the account's rate."""
    wanted_us = workload.submit_us
    if workload.arrays is None:
        workload.submit_us = paced(wanted_us, interval_us)
        delay_us = workload.submit_us - wanted_us
    else:
        calls = workload.arrays.index <= 0
        workload.submit_us = paced(wanted_us[calls], interval_us)[np.cumsum(calls) - 1]
        delay_us = np.where(calls, workload.submit_us - wanted_us, 0)
    note_delays(workload.notes, delay_us, rows)


def _edges(scenario: Scenario, parts: _Parts, rows: _Rows) -> Edges | None:
    groups: dict[str, Rows] = {}
    for _, entry in scenario.submissions():
        part, mine = parts[entry.name], rows[entry.name]
        own = None if part.waits is None else (mine[part.waits[0]], mine[part.waits[1]])
        if part.array_size is not None:
            mine = mine.reshape(-1, part.array_size)
        groups[entry.name] = Rows(mine, entry.dependsOn, own)
    for name, group in groups.items():
        calls = sum(1 if each.group is None else len(groups[each.group].rows) for each in group.depends_on)
        if calls:
            parts[name].notes["dependencies_of_each_job"] = calls
    return build_edges(groups, sum(map(len, parts.values())))
