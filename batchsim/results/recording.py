"""What a driver writes while it runs: plain integer columns, a row a job, an earlier attempt, an instance.

    Recorder(jobs=n)
      job columns        length n        the job's first RUNNABLE instant, its last attempt, its final state
      e_... columns      append-only     attempts that were followed by another one
      n_... columns      append-only     child nodes of the attempts of multi-node jobs
      i_... columns      append-only     instances, in the order they were requested
      w_... columns      append-only     what the heads of queues waited for

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
    pulled_us     array('q')  last attempt: all its images are on its instance; -1 too where it has none, and
                              of real containers, whose engines do not tell
    started_us    array('q')  last attempt: RUNNING
    ended_us      array('q')  end of the last attempt, or the instant the job became terminal without one
    instance      array('q')  last attempt: row of its instance
    exit_code     array('q')  last attempt: exit code of its container
    attempts      array('b')  attempts begun, that is, placed
    state         bytearray   SUCCEEDED or FAILED, written when it happens; `finish` fills in the others
    status_reason, reason     dict[int, str], only for jobs that have one. A job with an exit code and no
                              status reason reads "Essential container in task exited" [spec 1.6].
    gpus          dict[int, int], only for jobs with GPUs: bit mask of those that the last attempt has on its
                              instance (a multi-node job: on that of its main node); `e_gpus` likewise
    i_zone        dict[int, int], row of `RunContext.zones`, where there is more than one
    i_uusd_per_hour   dict[int, int], of instances whose price has moved: its mean over the billed seconds
    requested     dict[int, str], "cancelled" or "terminated", for jobs that ended because of it

    An attempt of a multi-node job is that of its main node. Each other node, once it is launched, has a row
    in n_job, n_attempt, n_node, n_instance, n_placed_us, n_starting_us, n_pulled_us, n_started_us, n_ended_us
    and n_exit_code, with the meanings above; -1 for what never came, and for what had not when the run ended.

    From w_at_us on, the head of w_queue waits for w_reason (its numbers and w_detail: `core.waits`), until
    the queue's next entry.

    A driver may write `starting_us`, `pulled_us`, `started_us`, `i_running_us` and `i_ready_us` as soon as
    they are known, ahead of time: what had not happened when the attempt, the instance or the run ended is
    erased.
    An attempt that ends at the very instant at which it was to run counts as run unless the driver
    clears `started_us`. `i_end_reason`, too, may be written ahead of time. `ended_us`, `exit_code` and
    `state` are written when they happen, not before.
    """

    __slots__ = (
        "attempts",
        "e_attempt",
        "e_ended_us",
        "e_exit_code",
        "e_gpus",
        "e_instance",
        "e_job",
        "e_placed_us",
        "e_pulled_us",
        "e_reason",
        "e_started_us",
        "e_starting_us",
        "e_status_reason",
        "ended_at_us",
        "ended_us",
        "exit_code",
        "gpus",
        "i_end_reason",
        "i_ended_us",
        "i_environment",
        "i_name",
        "i_ready_us",
        "i_requested_us",
        "i_running_us",
        "i_type",
        "i_uusd_per_hour",
        "i_zone",
        "instance",
        "jobs",
        "n_attempt",
        "n_ended_us",
        "n_exit_code",
        "n_instance",
        "n_job",
        "n_node",
        "n_placed_us",
        "n_pulled_us",
        "n_started_us",
        "n_starting_us",
        "outcome",
        "placed_us",
        "pulled_us",
        "reason",
        "requested",
        "runnable_us",
        "started_us",
        "starting_us",
        "state",
        "status_reason",
        "w_at_us",
        "w_detail",
        "w_queue",
        "w_reason",
    )

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.runnable_us = _never(jobs)
        self.placed_us = _never(jobs)
        self.starting_us = _never(jobs)
        self.pulled_us = _never(jobs)
        self.started_us = _never(jobs)
        self.ended_us = _never(jobs)
        self.instance = _never(jobs)
        self.exit_code = _never(jobs)
        self.attempts = array("b", bytes(jobs))
        self.state = bytearray(jobs)
        self.status_reason: dict[int, str] = {}
        self.reason: dict[int, str] = {}
        self.gpus: dict[int, int] = {}
        self.requested: dict[int, str] = {}
        self.ended_at_us = -1
        self.outcome: Outcome | None = None
        self._begin_lists()

    def _begin_lists(self) -> None:
        """The columns that are append-only."""
        self.e_job = array("q")
        self.e_attempt = array("b")
        self.e_instance = array("q")
        self.e_placed_us = array("q")
        self.e_starting_us = array("q")
        self.e_pulled_us = array("q")
        self.e_started_us = array("q")
        self.e_ended_us = array("q")
        self.e_exit_code = array("q")
        self.e_status_reason: dict[int, str] = {}
        self.e_reason: dict[int, str] = {}
        self.e_gpus: dict[int, int] = {}

        self.n_job = array("q")
        self.n_attempt = array("b")
        self.n_node = array("q")
        self.n_instance = array("q")
        self.n_placed_us = array("q")
        self.n_starting_us = array("q")
        self.n_pulled_us = array("q")
        self.n_started_us = array("q")
        self.n_ended_us = array("q")
        self.n_exit_code = array("q")

        self.i_environment = array("q")
        self.i_type = array("q")
        self.i_requested_us = array("q")
        self.i_running_us = array("q")
        self.i_ready_us = array("q")
        self.i_ended_us = array("q")
        self.i_end_reason: dict[int, str] = {}
        self.i_name: dict[int, str] = {}
        self.i_zone: dict[int, int] = {}
        self.i_uusd_per_hour: dict[int, int] = {}

        self.w_queue = array("i")
        self.w_at_us = array("q")
        self.w_reason = array("b")
        self.w_detail = array("i")

    def keep_attempt(self, job: int) -> None:
        """Move the job's ended attempt to the earlier ones, because the job goes back to RUNNABLE.

        To be called once `ended_us` (and, where there is one, `exit_code`, `status_reason`, `reason`, `gpus`)
        of that attempt is written. The job's own columns are then as if no attempt had been made, save for
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
        self.e_pulled_us.append(_if_before(self.pulled_us[job], ended))
        self.e_started_us.append(_if_before(self.started_us[job], ended))
        self.e_ended_us.append(ended)
        self.e_exit_code.append(self.exit_code[job])
        if job in self.status_reason:
            self.e_status_reason[row] = self.status_reason.pop(job)
        if job in self.reason:
            self.e_reason[row] = self.reason.pop(job)
        if job in self.gpus:
            self.e_gpus[row] = self.gpus.pop(job)
        self.placed_us[job] = self.starting_us[job] = self.pulled_us[job] = -1
        self.started_us[job] = self.ended_us[job] = -1
        self.instance[job] = self.exit_code[job] = -1

    def fill_in_plain_attempts(self, instance_of: array[int]) -> None:
        """Write what is the same in all attempts, of which a driver has written `placed_us` and `ended_us`
        only: they were RUNNING at once, on `instance_of`, and have exit code 0 if they have ended.
        """
        ended = (_view(self.placed_us) >= 0) & (_view(self.ended_us) >= 0)
        self.instance[:] = instance_of
        self.starting_us[:] = self.placed_us
        self.started_us[:] = self.placed_us
        _view(self.exit_code)[ended] = 0

    def add_node(self, job: int, attempt: int, node: int, instance: int, placed_us: int) -> int:
        """Add a child node of an attempt and give its row; the driver then writes its other columns.

        It may write all of them ahead of time, but must correct its end if the main node ends before.
        """
        row = len(self.n_job)
        self.n_job.append(job)
        self.n_attempt.append(attempt)
        self.n_node.append(node)
        self.n_instance.append(instance)
        self.n_placed_us.append(placed_us)
        for column in (self.n_starting_us, self.n_pulled_us, self.n_started_us):
            column.append(-1)
        self.n_ended_us.append(-1)
        self.n_exit_code.append(-1)
        return row

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
        What would happen at the horizon itself does not.
        """
        if outcome not in get_args(Outcome):
            raise ContractError(f"a run ends {', '.join(get_args(Outcome))}; not {outcome!r}")
        self.ended_at_us = ended_at_us
        self.outcome = outcome
        ended = _view(self.ended_us)
        if ended.size and int(ended.max()) > ended_at_us:
            raise ContractError(f"job {int(ended.argmax())} ended after the run did")
        latest = ended_at_us - 1 if outcome == "horizon" else ended_at_us
        last = np.where(ended < 0, latest, ended)
        for column in (self.runnable_us, self.starting_us, self.pulled_us, self.started_us):
            _erase_after(column, last)
        for ends, begins in (
            (self.i_ended_us, (self.i_running_us, self.i_ready_us)),
            (self.n_ended_us, (self.n_starting_us, self.n_pulled_us, self.n_started_us)),
        ):
            end = _view(ends)
            for column in begins:
                _erase_after(column, np.where(end < 0, latest, end))
        for row in [row for row in self.i_end_reason if self.i_ended_us[row] < 0]:
            del self.i_end_reason[row]
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


def instance_id(row: int) -> str:
    """What an instance is called that its user has not named, in the form of EC2."""
    return f"i-{row:017x}"


def _never(length: int) -> array[int]:
    return array("q", [-1]) * length


def _if_before(instant: int, end: int) -> int:
    return instant if instant <= end else -1


def _view(column: array[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.frombuffer(column, dtype=np.int64) if column else np.empty(0, dtype=np.int64)


def _erase_after(column: array[int], last: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    view = _view(column)
    view[view > last] = -1
