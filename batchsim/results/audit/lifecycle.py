"""L1 time, L2 states, L5 attempts: each job's history, told twice by the frames, must be one story."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchsim.results.audit.facts import FAILED, PENDING, RUNNABLE, RUNNING, STARTING, SUBMITTED, SUCCEEDED
from batchsim.results.audit.violation import Violation, rows_where

if TYPE_CHECKING:
    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts, Ints

_CONTAINER_EXITED = "Essential container in task exited"
_MAX_ATTEMPTS = 10


def time(facts: Facts) -> list[Violation]:
    """L1: every row's instants are in order and within the run."""
    jobs, attempts, instances = facts.jobs, facts.holds, facts.instances
    first = attempts.number == 1
    runnable = np.where(first & (attempts.job >= 0), jobs.runnable[attempts.job], -1)
    found = _in_order(
        facts,
        "jobs",
        {
            "submit_s": jobs.submit,
            "runnable_s": jobs.runnable,
            "start_s": jobs.start,
            "end_s": jobs.end,
        },
    )
    found += rows_where(np.diff(jobs.submit, prepend=0) < 0, "L1", "jobs", "submitted before the row above")
    found += _in_order(
        facts,
        "attempts",
        {
            "runnable_s of the job": runnable,
            "placed_s": attempts.placed,
            "starting_s": attempts.starting,
            "pulled_s": attempts.pulled,
            "started_s": attempts.started,
            "ended_s": attempts.ended,
        },
        attempts.row,
    )
    found += _in_order(
        facts,
        "instances",
        {
            "requested_s": instances.requested,
            "running_s": instances.running,
            "ready_s": instances.ready,
            "ended_s": instances.ended,
        },
    )
    for frame, name, column, rows in (
        ("jobs", "submit_s", jobs.submit, None),
        ("attempts", "placed_s", attempts.placed, attempts.row),
        ("instances", "requested_s", instances.requested, None),
    ):
        found += rows_where(column < 0, "L1", frame, f"{name} is missing", rows)
    return found


def _in_order(
    facts: Facts, frame: str, columns: dict[str, Ints], rows: Ints | None = None
) -> list[Violation]:
    found: list[Violation] = []
    latest = np.full(len(next(iter(columns.values()))), -1)
    for name, column in columns.items():
        found += rows_where(
            (column >= 0) & (column < latest), "L1", frame, f"{name} lies before an earlier step", rows
        )
        latest = np.maximum(latest, column)
    beyond = latest > facts.ended_at
    return found + rows_where(beyond, "L1", frame, "an instant lies after the end of the run", rows)


def states(facts: Facts) -> list[Violation]:
    """L2: the final state follows from the history, and the job's row agrees with its attempts."""
    jobs = facts.jobs
    found = rows_where(jobs.state < 0, "L2", "jobs", "no such state")
    found += rows_where(
        jobs.terminal != (jobs.end >= 0), "L2", "jobs", "end_s and SUCCEEDED or FAILED must come together"
    )
    return found + _skipped_states(facts) + _final_states(facts) + _open_states(facts) + _twice_told(facts)


def _skipped_states(facts: Facts) -> list[Violation]:
    jobs, attempts, holds = facts.jobs, facts.attempts, facts.holds
    row = attempts.row
    followed = np.zeros(len(row), dtype=np.bool_)
    followed[:-1] = (attempts.job[1:] == attempts.job[:-1]) & (attempts.job[1:] >= 0)
    return [
        *rows_where(
            (holds.started >= 0) & (holds.starting < 0),
            "L2",
            "attempts",
            "RUNNING without STARTING",
            holds.row,
        ),
        *rows_where(
            (holds.exit_code >= 0) & ((holds.ended < 0) | (holds.started < 0)),
            "L2",
            "attempts",
            "an exit code without having run to an end",
            holds.row,
        ),
        *rows_where(
            followed & (attempts.exit_code == 0), "L2", "attempts", "exit code 0, yet tried again", row
        ),
        *rows_where((jobs.attempts > 0) & (jobs.runnable < 0), "L2", "jobs", "placed, but never RUNNABLE"),
    ]


def _final_states(facts: Facts) -> list[Violation]:
    jobs, attempts = facts.jobs, facts.attempts
    has = jobs.last_attempt >= 0
    last_exit = _of_last(facts, attempts.exit_code)
    succeeded = jobs.state == SUCCEEDED
    frame = facts.frames["jobs"]
    cancelled, terminated = (frame[f"is_{what}"].to_numpy() for what in ("cancelled", "terminated"))
    waits = jobs.state == PENDING  # FAILED when its dependencies have ended [spec 1.8]
    plain_exit = facts.frames["jobs"]["status_reason"].to_numpy() == _CONTAINER_EXITED
    return [
        *rows_where(
            succeeded & (~has | (last_exit != 0)), "L2", "jobs", "SUCCEEDED without an attempt that exited 0"
        ),
        *rows_where(
            (jobs.state == FAILED) & (jobs.exit_code == 0) & plain_exit,
            "L2",
            "jobs",
            "FAILED although its container exited 0",
        ),
        *rows_where(
            (cancelled | terminated) & ((jobs.state != FAILED) & ~waits | (cancelled & terminated)),
            "L2",
            "jobs",
            "cancelled or terminated, and neither FAILED for one of the two nor waiting for others",
        ),
        *rows_where(
            cancelled & (jobs.instance >= 0), "L2", "jobs", "cancelled, yet it ended with its attempt"
        ),
        *rows_where(
            jobs.exit_code != np.where(jobs.instance < 0, -1, last_exit),
            "L2",
            "jobs",
            "exit_code is not that of the last attempt",
        ),
    ]


def _open_states(facts: Facts) -> list[Violation]:
    """A job that is not terminal is in the state of the last thing that happened to it."""
    jobs, attempts = facts.jobs, facts.attempts
    holds = (jobs.last_attempt >= 0) & (_of_last(facts, attempts.ended) < 0)
    expected = np.where(jobs.runnable >= 0, RUNNABLE, SUBMITTED)
    expected[holds & (_of_last(facts, attempts.starting) >= 0)] = STARTING
    expected[holds & (_of_last(facts, attempts.started) >= 0)] = RUNNING
    state = np.where((jobs.state == PENDING) & (expected == SUBMITTED), SUBMITTED, jobs.state)
    wrong = ~jobs.terminal & (jobs.state >= 0) & (state != expected)
    # Whether it holds resources at all is L4's question.
    in_container = (expected >= STARTING) & (state >= STARTING)
    neither = (expected < STARTING) & (state < STARTING)
    return rows_where(
        wrong & (in_container | neither), "L2", "jobs", "the state is not that of the last step"
    )


def _twice_told(facts: Facts) -> list[Violation]:
    jobs, attempts = facts.jobs, facts.attempts
    known = attempts.job >= 0
    never = np.iinfo(np.int64).max
    first_run = np.full(len(jobs.submit), never)
    ran = known & (attempts.started >= 0)
    np.minimum.at(first_run, attempts.job[ran], attempts.started[ran])
    start = np.where(first_run == never, -1, first_run)
    last_end = _of_last(facts, attempts.ended)
    by_attempt = jobs.terminal & (jobs.instance >= 0) & (last_end >= 0)
    wrong_end = (by_attempt & (jobs.end != last_end)) | (jobs.terminal & (jobs.end < last_end))
    return [
        *rows_where(jobs.start != start, "L2", "jobs", "start_s is not when its first attempt began RUNNING"),
        *rows_where(wrong_end, "L2", "jobs", "end_s is not when its last attempt ended"),
    ]


def attempts(facts: Facts) -> list[Violation]:
    """L5: attempts are numbered 1, 2, ... up to what is allowed, one at a time."""
    jobs, rows = facts.jobs, facts.attempts
    count = np.where(jobs.first_attempt < 0, 0, jobs.last_attempt - jobs.first_attempt + 1)
    known = rows.job >= 0
    position = np.arange(len(rows.job)) - np.where(known, jobs.first_attempt[rows.job], 0) + 1
    same_job = known[1:] & (rows.job[1:] == rows.job[:-1])
    before_ended = same_job & ((rows.ended[:-1] < 0) | (rows.placed[1:] < rows.ended[:-1]))
    counted = np.bincount(rows.job[known & _consumes(facts)], minlength=len(jobs.submit))
    return [
        *rows_where(count != jobs.attempts, "L5", "jobs", "attempts is not the number of its attempts"),
        *rows_where(counted > jobs.allowed, "L5", "jobs", "more attempts than its strategy allows"),
        *rows_where(
            (jobs.allowed < 1) | (jobs.allowed > _MAX_ATTEMPTS),
            "L5",
            "jobs",
            "attempts_allowed is not 1 to 10",
        ),
        *rows_where(
            known & (rows.number != position),
            "L5",
            "attempts",
            "attempts are not numbered 1, 2, ...",
            rows.row,
        ),
        *rows_where(
            before_ended, "L5", "attempts", "placed while the attempt before it was alive", rows.row[1:]
        ),
    ]


def _consumes(facts: Facts) -> npt.NDArray[np.bool_]:
    """Which attempts count: by an assumption not those that ended before RUNNING."""
    if facts.manifest["assumptions"].get("startFailureConsumesAttempt", True):
        return np.ones(len(facts.attempts.job), dtype=np.bool_)
    return np.asarray((facts.attempts.started >= 0) | (facts.attempts.ended < 0))


def _of_last(facts: Facts, column: Ints) -> Ints:
    """The value of each job's last attempt, -1 without one."""
    return np.append(column, -1)[facts.jobs.last_attempt]
