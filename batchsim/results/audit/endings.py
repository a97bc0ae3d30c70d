"""L16: no run and no job ends in silence, and the summary counts every job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchsim.results.audit.facts import FAILED, MOST_SHARES, STATES, holders, shares_in_use
from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from batchsim.results.audit.facts import Facts

_OUTCOMES = ("finished", "horizon", "stalled")


def endings(facts: Facts) -> list[Violation]:
    """L16: the outcome is what the states say; who waits in a stalled run and who FAILED has a reason."""
    jobs, summary, manifest = facts.jobs, facts.summary, facts.manifest
    outcome = summary["outcome"]
    open_ = ~jobs.terminal
    silent = facts.frames["jobs"]["status_reason"].isna().to_numpy()
    found = [
        *unless(outcome in _OUTCOMES, "L16", f"the outcome is not one of {', '.join(_OUTCOMES)}"),
        *unless(
            outcome == manifest["outcome"] and summary["ended_at_s"] == manifest["ended_at_s"],
            "L16",
            "the manifest tells another end than the summary",
            "manifest",
        ),
        *rows_where((jobs.state == FAILED) & silent, "L16", "jobs", "FAILED without a status reason"),
    ]
    if outcome == "finished":
        found += rows_where(open_, "L16", "jobs", "the run finished, the job did not")
        found += unless(summary["jobs_not_submitted"] == 0, "L16", "finished before all jobs were submitted")
    elif outcome == "stalled":
        found += rows_where(
            open_ & silent, "L16", "jobs", "the run stalled, and nothing says why this job waits"
        )
        found += unless(bool(open_.any()), "L16", "stalled although every job has ended")
    elif outcome == "horizon":
        horizon = manifest["horizon_s"]
        at_horizon = horizon is not None and round(horizon * US_PER_S) == facts.ended_at
        found += unless(at_horizon, "L16", "the run did not end at its horizon")
    return found + _tallies(facts)


def _tallies(facts: Facts) -> list[Violation]:
    jobs, job_of_attempt = facts.jobs, facts.attempts.job
    every_job = np.arange(len(jobs.state))
    parts = [("", facts.summary, every_job, len(job_of_attempt))]
    of_attempts = (len(rows) for _, _, rows in holders(facts, job_of_attempt))
    for (where, part, mine), attempts in zip(holders(facts, every_job), of_attempts, strict=True):
        parts.append((where, part, mine, attempts))
    found = _failures(facts)
    for where, part, mine, attempts in parts:
        counted = dict(zip(STATES, np.bincount(jobs.state[mine] + 1, minlength=8)[1:].tolist(), strict=True))
        started = int((jobs.start[mine] >= 0).sum())
        for key, value in (
            ("jobs", len(mine)),
            ("states", counted),
            ("jobs_started", started),
            ("attempts", attempts),
        ):
            found += unless(part[key] == value, "L16", f"{where}{key} is not the count of the rows")
    return found


def _failures(facts: Facts) -> list[Violation]:
    """The summary tells how many FAILED jobs have each status reason, and of each share that jobs have."""
    frame = facts.frames["jobs"]
    failed = frame["status_reason"][frame["state"] == "FAILED"].value_counts()
    counted: dict[str, dict[str, int]] = {}
    for name, number in failed.items():
        if number:
            names_host = str(name).startswith("Host EC2 (instance ") and str(name).endswith(") terminated.")
            text = "Host EC2 terminated." if names_host else str(name)
            counted.setdefault(text, {"jobs": 0})["jobs"] += int(number)
    instances = facts.frames["instances"]
    never = instances["end_reason"][
        instances["running_s"].isna() & instances["ended_s"].notna()
    ].value_counts()
    refused = {name: {"instances": number} for name, number in never.items() if number}
    used, told = shares_in_use(facts), set(facts.summary.get("shares", {}))
    return [
        *unless(
            facts.summary.get("failures", {}) == counted,
            "L16",
            "failures are not the FAILED jobs by status reason",
        ),
        *unless(
            facts.summary.get("launches_failed", {}) == refused,
            "L16",
            "launches_failed are not the instances that never ran by what they ended of",
        ),
        *unless(
            told == used if len(used) <= MOST_SHARES else told <= used and len(told) == MOST_SHARES,
            "L16",
            "shares are not those that jobs have",
        ),
    ]
