"""L11: a job is RUNNABLE as soon as it has been evaluated and all that it waits for has SUCCEEDED.

Who waits for whom is read from the dependencies frame, whose barriers (#0, #1, ...) stand for many jobs at
once: a barrier succeeds with the last of those it waits for; it fails with the first of them that fails or,
if it is patient, when all of them have ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from batchsim.results.audit.facts import FAILED, PENDING, SUCCEEDED
from batchsim.results.audit.fixed import fixed_delay
from batchsim.results.audit.violation import Violation, rows_where, unless

if TYPE_CHECKING:
    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts, Ints

_FAILED_BY = "Dependent Job failed"
_BARRIER = "#"
_FOR_EVER = np.iinfo(np.int64).max // 2


class _Met(NamedTuple):
    """Of jobs and then barriers: when all they wait for had SUCCEEDED, and when they fail for it; else for
    ever. Nobody to wait for is met at once.
    """

    succeeded: Ints
    failed: Ints


class _Edges(NamedTuple):
    """Row in the jobs frame, or behind them the barriers; `before` is -1 for what came after the run."""

    before: Ints
    after: Ints
    patient: npt.NDArray[np.bool_]


def dependencies(facts: Facts) -> list[Violation]:
    """L11: RUNNABLE at the right instant, FAILED with what failed, PENDING in between."""
    jobs = facts.jobs
    edges, found = _edges(facts)
    met = _met(facts, edges)
    n = len(jobs.submit)
    waits = np.zeros(n, dtype=np.bool_)
    waits[edges.after[edges.after < n]] = True
    succeeded, failed = met.succeeded[:n], met.failed[:n]
    delay = fixed_delay(facts, "submitEvaluation")
    evaluated = jobs.submit + (delay or 0)
    runnable = jobs.runnable >= 0
    due = np.maximum(evaluated, succeeded)
    early = runnable & (jobs.runnable < due)
    late = runnable & (jobs.runnable > due) & (delay is not None)
    text = "runnable_s is not when it was evaluated and all it waits for had SUCCEEDED"
    return [
        *found,
        *rows_where(early | late, "L11", "jobs", text),
        *_failures(facts, waits, failed, delay),
        *_waiting(facts, waits, due, np.maximum(evaluated, failed)),
        *_pending(facts, waits, evaluated if delay is not None else None),
    ]


def _failures(
    facts: Facts, waits: npt.NDArray[np.bool_], failed_at: Ints, delay: int | None
) -> list[Violation]:
    """A failed dependency fails the job, with that reason and at that instant, unless it was ended before."""
    jobs, frame = facts.jobs, facts.frames["jobs"]
    blamed = (frame["status_reason"] == _FAILED_BY).to_numpy(np.bool_)
    requested = (frame["is_cancelled"] | frame["is_terminated"]).to_numpy(np.bool_)
    doomed = waits & (failed_at < _FOR_EVER)
    failed = doomed & (jobs.state == FAILED)
    # One that was submitted after the failure may fail at once, or when it is evaluated.
    untimely = ~requested & (jobs.end < np.maximum(jobs.submit, failed_at))
    if delay is not None:
        interval = fixed_delay(facts, "schedulingInterval") or 1
        evaluated = -(-(jobs.submit + delay) // interval) * interval  # not between two passes
        untimely |= jobs.end > np.maximum(evaluated, failed_at)
    return [
        *rows_where(blamed & ~doomed, "L11", "jobs", f"{_FAILED_BY}, yet no job it waits for has failed"),
        *rows_where(blamed & requested, "L11", "jobs", f"{_FAILED_BY}, yet it was ended on request"),
        *rows_where(
            doomed & (jobs.state == SUCCEEDED), "L11", "jobs", "SUCCEEDED though a dependency failed"
        ),
        *rows_where(failed & ~requested & ~blamed, "L11", "jobs", f"its status reason must be {_FAILED_BY}"),
        *rows_where(failed & untimely, "L11", "jobs", "end_s is not when the job it waits for FAILED"),
    ]


def _waiting(facts: Facts, waits: npt.NDArray[np.bool_], ready: Ints, doomed: Ints) -> list[Violation]:
    """Nobody is PENDING without dependencies, or goes on waiting after they were met or failed."""
    jobs = facts.jobs
    # Between two passes nobody is evaluated, and how long it takes is not known of real runs.
    known = fixed_delay(facts, "submitEvaluation") is not None
    last = facts.ended_at - (fixed_delay(facts, "schedulingInterval") or 0)
    open_ = (jobs.runnable < 0) & ~jobs.terminal & known
    idle = (jobs.state == PENDING) & ~waits
    return [
        *rows_where(idle, "L11", "jobs", "PENDING, and there is nothing it waits for"),
        *rows_where(open_ & (ready < last), "L11", "jobs", "not RUNNABLE, and there is nothing to wait for"),
        *rows_where(open_ & waits & (doomed < last), "L11", "jobs", "not FAILED as a job it waits for is"),
    ]


def _pending(facts: Facts, waits: npt.NDArray[np.bool_], evaluated: Ints | None) -> list[Violation]:
    jobs = facts.jobs
    told = facts.frames["jobs"]["pending_s"].to_numpy() * 1_000_000
    lasting = jobs.state == PENDING
    wrong = np.isnan(told) != lasting
    wrong |= ~waits & ~lasting & (told != 0)
    if evaluated is not None:
        left = np.where(jobs.runnable >= 0, jobs.runnable, jobs.end)
        expected = np.where(waits, np.maximum(left - evaluated, 0), 0)
        wrong |= ~lasting & (np.rint(told) != expected)
    return rows_where(wrong, "L11", "jobs", "pending_s is not the time it waited for other jobs")


def _edges(facts: Facts) -> tuple[_Edges, list[Violation]]:
    frame = facts.frames.get("dependencies")
    nothing = np.zeros(0, dtype=np.int64)
    if frame is None:
        return _Edges(nothing, nothing, np.zeros(0, dtype=np.bool_)), []
    names = pd.Index(facts.frames["jobs"]["job"])
    texts = pd.concat([frame["job"], frame["depends_on"]]).dropna().unique()
    barriers = pd.Index([text for text in texts if text.startswith(_BARRIER)], dtype="str")
    places = pd.Series(np.arange(len(names) + len(barriers)), index=[*names, *barriers])
    places = places[~places.index.duplicated()]
    after = places.reindex(frame["job"]).fillna(-1).to_numpy(np.int64)
    before = places.reindex(frame["depends_on"].fillna("")).fillna(-1).to_numpy(np.int64)
    unknown = (after < 0) | ((before < 0) & frame["depends_on"].notna().to_numpy())
    told = frame["is_patient"].to_numpy()
    patient = np.zeros(len(names) + len(barriers), dtype=np.bool_)
    patient[after[told & (after >= 0)]] = True
    found = rows_where(unknown, "L11", "dependencies", "no such job")
    found += unless(
        not patient[: len(names)].any(), "L11", "is_patient of a job, not of a barrier", "dependencies"
    )
    found += rows_where(
        (after >= 0) & (told != patient[after]), "L11", "dependencies", "is_patient is told in two ways"
    )
    known = ~unknown
    return _Edges(before[known], after[known], patient), found


def _met(facts: Facts, edges: _Edges) -> _Met:
    """For jobs when what they wait for was met or failed; barriers are resolved level by level."""
    jobs = facts.jobs
    n, nodes = len(jobs.submit), max(len(jobs.submit), len(edges.patient))
    ok, bad = np.full(nodes, _FOR_EVER), np.full(nodes, _FOR_EVER)
    ok[:n][jobs.state == SUCCEEDED] = jobs.end[jobs.state == SUCCEEDED]
    bad[:n][jobs.state == FAILED] = jobs.end[jobs.state == FAILED]
    succeeded, failed = np.full(nodes, -1), np.full(nodes, _FOR_EVER)
    level = _levels(edges, n, nodes)
    for number in range(int(level.max(initial=0)) + 1):
        mine = level[edges.after] == number
        before, after = edges.before[mine], edges.after[mine]
        # What comes after the run neither succeeds nor fails in it.
        last = np.append(ok, _FOR_EVER)[before]
        first = np.append(bad, _FOR_EVER)[before]
        np.maximum.at(succeeded, after, last)
        np.minimum.at(failed, after, first)
        ended = np.full(nodes, -1)
        np.maximum.at(ended, after, np.minimum(last, first))
        patient = np.append(edges.patient, np.zeros(nodes - len(edges.patient), dtype=np.bool_))
        failed = np.where(patient & (ended >= 0) & (failed < _FOR_EVER), ended, failed)
        barrier = np.flatnonzero((level == number) & (np.arange(nodes) >= n))
        ok[barrier], bad[barrier] = succeeded[barrier], failed[barrier]
    return _Met(succeeded, failed)


def _levels(edges: _Edges, jobs: int, nodes: int) -> Ints:
    """0 for who waits for jobs only; one more than the barriers it waits for otherwise."""
    level = np.zeros(nodes, dtype=np.int64)
    through = edges.before >= jobs
    before, after = edges.before[through], edges.after[through]
    for _ in range(nodes - jobs + 1):
        raised = level.copy()
        np.maximum.at(raised, after, level[before] + 1)
        if (raised == level).all():
            break
        level = raised
    return level
