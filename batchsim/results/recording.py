"""What a driver writes while it runs: plain integer columns, a row a job, an earlier attempt, an instance.

    Recorder(jobs=n)
      job columns        length n        the job's first RUNNABLE instant, its last attempt, its final state
      e_... columns      append-only     attempts that were followed by another one
      i_... columns      append-only     instances, in the order they were requested

Every instant is integer microseconds since the run began; -1 means "never". The hot loop indexes the job
columns directly (`started_us = recorder.started_us; started_us[job] = now`); only rare things are methods.
"""

from __future__ import annotations

from array import array
from typing import Literal, get_args

import numpy as np

from batchsim.errors import ContractError

STATE_NAMES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED = range(7)

Outcome = Literal["finished", "horizon", "stalled"]


class Recorder:
    """The columns of one run, preallocated for `jobs` jobs.

    Job columns, all of length `jobs`:

    runnable_us   array('q')  first instant in RUNNABLE
    placed_us     array('q')  last attempt: the decision that reserved its resources on an instance
    starting_us   array('q')  last attempt: STARTING
    started_us    array('q')  last attempt: RUNNING
    ended_us      array('q')  end of the last attempt, or the instant the job became terminal without one
    instance      array('q')  last attempt: row of its instance
    exit_code     array('q')  last attempt: exit code of its container
    attempts      array('b')  attempts begun, that is, placed
    state         bytearray   SUCCEEDED or FAILED, written when it happens; `finish` fills in the others
    status_reason, reason     dict[int, str], only for jobs that have one. A job with an exit code and no
                              status reason reads "Essential container in task exited" [spec 1.6].

    A driver may write `starting_us`, `started_us`, `i_running_us` and `i_ready_us` as soon as they are
    known, ahead of time: what had not happened when the attempt, the instance or the run ended is erased.
    An attempt that ends at the very instant at which it was to run counts as run unless the driver
    clears `started_us`. `ended_us`, `exit_code` and `state` are written when they happen, not before.
    """

    __slots__ = (
        "attempts",
        "e_attempt",
        "e_ended_us",
        "e_exit_code",
        "e_instance",
        "e_job",
        "e_placed_us",
        "e_reason",
        "e_started_us",
        "e_starting_us",
        "e_status_reason",
        "ended_at_us",
        "ended_us",
        "exit_code",
        "i_end_reason",
        "i_ended_us",
        "i_environment",
        "i_name",
        "i_ready_us",
        "i_requested_us",
        "i_running_us",
        "i_type",
        "instance",
        "jobs",
        "outcome",
        "placed_us",
        "reason",
        "runnable_us",
        "started_us",
        "starting_us",
        "state",
        "status_reason",
    )

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.runnable_us = _never(jobs)
        self.placed_us = _never(jobs)
        self.starting_us = _never(jobs)
        self.started_us = _never(jobs)
        self.ended_us = _never(jobs)
        self.instance = _never(jobs)
        self.exit_code = _never(jobs)
        self.attempts = array("b", bytes(jobs))
        self.state = bytearray(jobs)
        self.status_reason: dict[int, str] = {}
        self.reason: dict[int, str] = {}

        self.e_job = array("q")
        self.e_attempt = array("b")
        self.e_instance = array("q")
        self.e_placed_us = array("q")
        self.e_starting_us = array("q")
        self.e_started_us = array("q")
        self.e_ended_us = array("q")
        self.e_exit_code = array("q")
        self.e_status_reason: dict[int, str] = {}
        self.e_reason: dict[int, str] = {}

        self.i_environment = array("q")
        self.i_type = array("q")
        self.i_requested_us = array("q")
        self.i_running_us = array("q")
        self.i_ready_us = array("q")
        self.i_ended_us = array("q")
        self.i_end_reason: dict[int, str] = {}
        self.i_name: dict[int, str] = {}

        self.ended_at_us = -1
        self.outcome: Outcome | None = None

    def keep_attempt(self, job: int) -> None:
        """Move the job's ended attempt to the earlier ones, because the job goes back to RUNNABLE.

        To be called once `ended_us` (and, where there is one, `exit_code`, `status_reason`, `reason`) of
        that attempt is written. The job's own columns are then as if no attempt had been made, save for
        `attempts` and `runnable_us`. A retry is RUNNABLE from the end of the attempt before it.
        """
        ended = self.ended_us[job]
        if ended < 0 or self.placed_us[job] < 0:
            raise ContractError(f"job {job} has no ended attempt that a retry could follow")
        row = len(self.e_job)
        self.e_job.append(job)
        self.e_attempt.append(self.attempts[job])
        self.e_instance.append(self.instance[job])
        self.e_placed_us.append(self.placed_us[job])
        self.e_starting_us.append(_if_before(self.starting_us[job], ended))
        self.e_started_us.append(_if_before(self.started_us[job], ended))
        self.e_ended_us.append(ended)
        self.e_exit_code.append(self.exit_code[job])
        if job in self.status_reason:
            self.e_status_reason[row] = self.status_reason.pop(job)
        if job in self.reason:
            self.e_reason[row] = self.reason.pop(job)
        self.placed_us[job] = self.starting_us[job] = self.started_us[job] = self.ended_us[job] = -1
        self.instance[job] = self.exit_code[job] = -1

    def add_instance(self, environment: int, instance_type: int, requested_us: int, name: str = "") -> int:
        """Add an instance and give its row; the driver then writes its `i_..._us` columns.

        environment, instance_type   rows of `RunContext.environments` and `RunContext.instance_types`
        name                         of a machine that the user has named; otherwise an id is made up
        """
        row = len(self.i_type)
        self.i_environment.append(environment)
        self.i_type.append(instance_type)
        self.i_requested_us.append(requested_us)
        self.i_running_us.append(-1)
        self.i_ready_us.append(-1)
        self.i_ended_us.append(-1)
        if name:
            self.i_name[row] = name
        return row

    def finish(self, ended_at_us: int, outcome: Outcome) -> None:
        """Close the record: erase what was written ahead of time but did not happen, settle the states.

        A job that is not SUCCEEDED, FAILED or PENDING becomes RUNNING, STARTING, RUNNABLE or SUBMITTED, by
        the last of these instants it has reached. A job between its placement and STARTING is RUNNABLE.
        """
        if outcome not in get_args(Outcome):
            raise ContractError(f"a run ends {', '.join(get_args(Outcome))}; not {outcome!r}")
        self.ended_at_us = ended_at_us
        self.outcome = outcome
        ended = _view(self.ended_us)
        if ended.size and int(ended.max()) > ended_at_us:
            raise ContractError(f"job {int(ended.argmax())} ended after the run did")
        last = np.where(ended < 0, ended_at_us, ended)
        for column in (self.runnable_us, self.starting_us, self.started_us):
            _erase_after(column, last)
        i_ended = _view(self.i_ended_us)
        i_last = np.where(i_ended < 0, ended_at_us, i_ended)
        for column in (self.i_running_us, self.i_ready_us):
            _erase_after(column, i_last)
        self._settle_states()

    def _settle_states(self) -> None:
        state = np.frombuffer(self.state, dtype=np.uint8)
        open_ = (state < SUCCEEDED) & (state != PENDING)
        state[open_] = SUBMITTED
        for reached, column in (
            (RUNNABLE, self.runnable_us),
            (STARTING, self.starting_us),
            (RUNNING, self.started_us),
        ):
            state[open_ & (_view(column) >= 0)] = reached


def _never(length: int) -> array[int]:
    return array("q", [-1]) * length


def _if_before(instant: int, end: int) -> int:
    return instant if instant <= end else -1


def _view(column: array[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.frombuffer(column, dtype=np.int64) if column else np.empty(0, dtype=np.int64)


def _erase_after(column: array[int], last: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    view = _view(column)
    view[view > last] = -1
