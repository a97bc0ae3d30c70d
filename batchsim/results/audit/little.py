"""L14 Little's law as an identity on integers, and the figures of waiting that rest on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.audit.facts import Ints, holders, total
from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import MAX_TIME_US, US_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.results.audit.facts import Facts

_SLOWDOWN_BOUND_US = 10 * US_PER_S
_LOW_BITS = 24


def little(facts: Facts) -> list[Violation]:
    """L14: the integral of jobs in the system is the sum of turnaround; jobs still there count so far.

    So are the integrals of jobs that wait and that execute, row by row; and the summary's means,
    percentiles and makespan are those of these rows.
    """
    jobs = facts.jobs
    found: list[Violation] = []
    told: dict[str, Ints] = {}
    for name, begin, end in (
        ("waiting_s", jobs.submit, jobs.start),
        ("execution_s", jobs.start, jobs.end),
        ("turnaround_s", jobs.submit, jobs.end),
    ):
        told[name] = _durations(facts.frames["jobs"][name])
        both = (begin >= 0) & (end >= 0)
        wrong = np.where(both, told[name] != end - begin, told[name] != -1)
        found += rows_where(wrong, "L14", "jobs", f"{name} is not the time between its two instants")
    left = np.where(jobs.end < 0, facts.ended_at, jobs.end)
    here = jobs.submit >= 0
    so_far = total(facts.ended_at - jobs.submit[here & (jobs.end < 0)])
    found += unless(
        integral_of_count(jobs.submit[here], left[here])
        == total(told["turnaround_s"][here & (jobs.end >= 0)]) + so_far,
        "L14",
        "the integral of jobs in the system is not the sum of turnaround_s",
        "jobs",
    )
    every_job = np.arange(len(jobs.submit))
    pending = _durations(facts.frames["jobs"]["pending_s"])
    for where, part, mine in (("", facts.summary, every_job), *holders(facts, every_job)):
        found += _figures(where, part, facts, mine)
        found += _pending(where, part, facts, pending[mine[jobs.start[mine] >= 0]])
    return found


def integral_of_count(arrived: Ints, left: Ints) -> int:
    """The integral over time of how many are there, by a sweep over all arrivals and departures."""
    events = np.sort(np.concatenate((arrived * 2 + 1, left * 2)))
    there = np.cumsum(np.where(events & 1, 1, -1))[:-1]
    gaps = np.diff(events >> 1)
    # The products are formed in two halves: jobs x microseconds may exceed 63 bits.
    low = gaps & ((1 << _LOW_BITS) - 1)
    return (total(there * (gaps >> _LOW_BITS)) << _LOW_BITS) + total(there * low)


def _figures(where: str, part: Mapping[str, Any], facts: Facts, mine: Ints) -> list[Violation]:
    jobs = facts.jobs
    submit, start, end = jobs.submit[mine], jobs.start[mine], jobs.end[mine]
    ended, ran = end >= 0, (end >= 0) & (start >= 0)
    waiting = (start - submit)[start >= 0]
    execution, turnaround = (end - start)[ran], (end - submit)[ended]
    in_vain = (np.where(ended, end, facts.ended_at) - submit)[start < 0]
    p50, p95, p99 = np.percentile(waiting, (50, 95, 99)) if len(waiting) else (None, None, None)
    slowdown = np.maximum(1, (end - submit)[ran] / np.maximum(execution, _SLOWDOWN_BOUND_US))
    expected = {
        "waiting_mean_s": _mean(waiting),
        "waiting_p50_s": p50,
        "waiting_p95_s": p95,
        "waiting_p99_s": p99,
        "waiting_max_s": waiting.max() if len(waiting) else None,
        "not_started_max_s": in_vain.max() if len(in_vain) else None,
        "execution_mean_s": _mean(execution),
        "turnaround_mean_s": _mean(turnaround),
        "makespan_s": end.max() - submit.min() if ended.any() else None,
    }
    found = [
        *unless(
            part["waiting_jobs"] == len(waiting), "L14", f"{where}waiting_jobs are not those that started"
        ),
        *unless(
            part["jobs_not_started"] == len(in_vain), "L14", f"{where}jobs_not_started are not the others"
        ),
    ]
    for key, us in expected.items():
        value = None if us is None else float(us) / US_PER_S
        found += unless(_close(part[key], value), "L14", f"{where}{key} is not that of the jobs")
    mean = float(slowdown.mean()) if len(slowdown) else None
    return found + unless(
        _close(part["bounded_slowdown_mean"], mean),
        "L14",
        f"{where}bounded_slowdown_mean is not that of the jobs",
    )


def _pending(where: str, part: Mapping[str, Any], facts: Facts, pending: Ints) -> list[Violation]:
    """Where jobs depend on others, the mean time in PENDING of jobs that started is told."""
    told = "pending_mean_s" in part
    if not told:
        return unless("dependencies" not in facts.frames, "L14", f"{where}pending_mean_s is missing")
    mean = _mean(pending)
    expected = None if mean is None else mean / US_PER_S
    right = _close(part["pending_mean_s"], expected)
    return unless(right, "L14", f"{where}pending_mean_s is not that of the jobs")


def _mean(us: Ints) -> float | None:
    return total(us) / len(us) if len(us) else None


def _durations(seconds: Any) -> Ints:
    """Seconds as microseconds; -1 for missing and for what cannot be a duration."""
    us = seconds.to_numpy(dtype=np.float64) * US_PER_S
    possible = (us >= 0) & (us <= MAX_TIME_US)
    return np.rint(us if possible.all() else np.where(possible, us, -1)).astype(np.int64)


def _close(told: float | None, expected: float | None) -> bool:
    if told is None or expected is None:
        return told is expected
    return math.isclose(told, expected, rel_tol=1e-9, abs_tol=1e-6)
