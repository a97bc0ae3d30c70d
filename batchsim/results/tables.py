"""A record and its context as integer columns: what frames, time series, metrics and cost are made of.

All instants are integer microseconds, -1 for "never". Most columns are views of the recorder's arrays;
nothing is copied or widened that need not be, because a million jobs are to fit beside their frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchsim.errors import ContractError
from batchsim.results.cost import billed_seconds, cost_uusd
from batchsim.results.exact import Ints, totals_by

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping, Sequence

    from batchsim.results.context import RunContext
    from batchsim.results.recording import Recorder

CONTAINER_EXITED = "Essential container in task exited"  # [spec 1.6]


@dataclass(frozen=True, slots=True)
class Text:
    """A text column: `names[code]` of each row's code, missing where the code is -1."""

    codes: Ints
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Jobs:
    """One row a job that was submitted before the run ended."""

    job_class: Ints
    queue: Ints
    submit: Ints
    runnable: Ints
    start: Ints
    end: Ints
    state: Ints
    attempts: Ints
    instance: Ints
    exit_code: Ints
    status_reason: Text
    reason: Text


@dataclass(frozen=True, slots=True)
class Attempts:
    """One row a placed attempt, by job, then by number.

    until         its end, or the run's
    vcpus, gpus   reserved from `placed` to `until`; in RUNNING from `started` to `until`
    """

    job: Ints
    number: Ints
    instance: Ints
    placed: Ints
    starting: Ints
    started: Ints
    ended: Ints
    until: Ints
    vcpus: Ints
    gpus: Ints
    exit_code: Ints
    status_reason: Text
    reason: Text

    @property
    def running_us(self) -> Ints:
        """Time in RUNNING, so far if the run ended first."""
        return np.where(self.started < 0, 0, self.until - self.started)


@dataclass(frozen=True, slots=True)
class Instances:
    """One row an instance.

    until             its end, or the run's
    price, cost       micro-USD per hour, micro-USD
    ..._vcpu_us       vCPUs times microseconds: provisioned is the whole of it, booting, starting and
                      busy are parts
    ..._gpu_us        GPUs times microseconds
    """

    environment: Ints
    type: Ints
    requested: Ints
    running: Ints
    ready: Ints
    ended: Ints
    until: Ints
    vcpus: Ints
    gpus: Ints
    price: Ints
    billed_s: Ints
    cost: Ints
    provisioned_vcpu_us: Ints
    booting_vcpu_us: Ints
    starting_vcpu_us: Ints
    busy_vcpu_us: Ints
    provisioned_gpu_us: Ints
    busy_gpu_us: Ints
    end_reason: Text


@dataclass(frozen=True, slots=True)
class Tables:
    jobs: Jobs
    attempts: Attempts
    instances: Instances
    ended_at: int
    not_submitted: int


def build_tables(recorder: Recorder, context: RunContext) -> Tables:
    """Join a finished record with its context.

    Jobs whose submission lies beyond the run's end were never submitted: they have no row.
    Raises ContractError for a record that is not finished or does not fit the context.
    """
    if recorder.outcome is None:
        raise ContractError("a record must be finished before a result is built from it")
    if not recorder.jobs == len(context.submit_us) == len(context.job_class) == len(context.ordinal):
        raise ContractError(f"the record has {recorder.jobs} jobs, its context {len(context.submit_us)}")
    ended_at = recorder.ended_at_us
    submitted = int(np.searchsorted(context.submit_us, ended_at, side="right"))
    jobs = _jobs(recorder, context, submitted)
    attempts = _attempts(recorder, context, jobs, ended_at)
    instances = _instances(recorder, context, attempts, ended_at)
    return Tables(jobs, attempts, instances, ended_at, context.not_submitted + recorder.jobs - submitted)


def view(column: array[int]) -> Ints:
    """A recorder's column as a numpy array that shares its memory."""
    dtype = np.int64 if column.typecode == "q" else np.int8
    return np.frombuffer(column, dtype=dtype) if len(column) else np.empty(0, dtype=dtype)


def class_column(context: RunContext, job_class: Ints, attribute: str) -> Ints:
    """An integer attribute of the job classes, one int64 value a job."""
    return np.array([getattr(row, attribute) for row in context.classes], dtype=np.int64)[job_class]


def _jobs(recorder: Recorder, context: RunContext, submitted: int) -> Jobs:
    queue_row = {name: row for row, name in enumerate(context.queues)}
    queue_of_class = np.array([queue_row[row.queue] for row in context.classes], dtype=np.int32)
    job_class = context.job_class[:submitted]
    exit_code = view(recorder.exit_code)
    return Jobs(
        job_class=job_class,
        queue=queue_of_class[job_class],
        submit=context.submit_us[:submitted],
        runnable=view(recorder.runnable_us)[:submitted],
        start=_first_start(recorder)[:submitted],
        end=view(recorder.ended_us)[:submitted],
        state=np.frombuffer(recorder.state, dtype=np.uint8)[:submitted],
        attempts=view(recorder.attempts)[:submitted],
        instance=view(recorder.instance)[:submitted],
        exit_code=exit_code[:submitted],
        status_reason=_first_rows(_status_reasons(exit_code, recorder.status_reason), submitted),
        reason=_first_rows(_texts(len(exit_code), recorder.reason), submitted),
    )


def _first_start(recorder: Recorder) -> Ints:
    """The RUNNING instant of each job's first attempt that ran."""
    started = view(recorder.started_us)
    earlier = view(recorder.e_started_us)
    ran = earlier >= 0
    if not ran.any():
        return started
    never = np.iinfo(np.int64).max
    first = np.where(started < 0, never, started)
    np.minimum.at(first, view(recorder.e_job)[ran], earlier[ran])
    first[first == never] = -1
    return first


def _attempts(recorder: Recorder, context: RunContext, jobs: Jobs, ended_at: int) -> Attempts:
    submitted = len(jobs.submit)
    placed = view(recorder.placed_us)[:submitted]
    last = np.flatnonzero(placed >= 0)
    order = _by_job(recorder, jobs, last) if len(recorder.e_job) else None

    def merged(earlier: Ints, of_jobs: Ints) -> Ints:
        rows = of_jobs if len(last) == submitted else of_jobs[last]
        return rows if order is None else np.concatenate((earlier, rows))[order]

    def merged_text(earlier: Text, of_jobs: Text) -> Text:
        behind = np.where(of_jobs.codes < 0, -1, of_jobs.codes + len(earlier.names))
        return Text(merged(earlier.codes, behind), [*earlier.names, *of_jobs.names])

    job = merged(view(recorder.e_job), np.arange(submitted))
    ended = merged(view(recorder.e_ended_us), jobs.end)
    e_exit_code = view(recorder.e_exit_code)
    return Attempts(
        job=job,
        number=merged(view(recorder.e_attempt), jobs.attempts),
        instance=merged(view(recorder.e_instance), jobs.instance),
        placed=merged(view(recorder.e_placed_us), placed),
        starting=merged(view(recorder.e_starting_us), view(recorder.starting_us)[:submitted]),
        started=merged(view(recorder.e_started_us), view(recorder.started_us)[:submitted]),
        ended=ended,
        until=np.where(ended < 0, ended_at, ended),
        vcpus=class_column(context, jobs.job_class[job], "vcpus"),
        gpus=class_column(context, jobs.job_class[job], "gpus"),
        exit_code=merged(e_exit_code, jobs.exit_code),
        status_reason=merged_text(_status_reasons(e_exit_code, recorder.e_status_reason), jobs.status_reason),
        reason=merged_text(_texts(len(e_exit_code), recorder.e_reason), jobs.reason),
    )


def _by_job(recorder: Recorder, jobs: Jobs, last: Ints) -> Ints:
    """The order that puts the earlier attempts, then those of the jobs `last`, by job and number."""
    number = np.concatenate((view(recorder.e_attempt), jobs.attempts[last]))
    return np.lexsort((number, np.concatenate((view(recorder.e_job), last))))


def _instances(recorder: Recorder, context: RunContext, attempts: Attempts, ended_at: int) -> Instances:
    count = len(recorder.i_type)
    if len(attempts.instance) and not 0 <= attempts.instance.min() <= attempts.instance.max() < count:
        raise ContractError("an attempt was placed on an instance that was never added to the record")
    type_ = view(recorder.i_type)
    types = context.instance_types
    vcpus, gpus, price = (
        np.array([getattr(row, name) for row in types], dtype=np.int64)[type_]
        for name in ("vcpus", "gpus", "uusd_per_hour")
    )
    running, ready, ended = view(recorder.i_running_us), view(recorder.i_ready_us), view(recorder.i_ended_us)
    until = np.where(ended < 0, ended_at, ended)
    ran = running >= 0
    billed_s = billed_seconds(running, until)
    booted = np.where(ready < 0, until, ready)
    began = np.where(attempts.started < 0, attempts.until, attempts.started)
    return Instances(
        environment=view(recorder.i_environment),
        type=type_,
        requested=view(recorder.i_requested_us),
        running=running,
        ready=ready,
        ended=ended,
        until=until,
        vcpus=vcpus,
        gpus=gpus,
        price=price,
        billed_s=billed_s,
        cost=cost_uusd(billed_s, price),
        provisioned_vcpu_us=np.where(ran, vcpus * (until - running), 0),
        provisioned_gpu_us=np.where(ran, gpus * (until - running), 0),
        booting_vcpu_us=np.where(ran, vcpus * (booted - running), 0),
        starting_vcpu_us=totals_by(attempts.instance, attempts.vcpus * (began - attempts.placed), count),
        busy_vcpu_us=totals_by(attempts.instance, attempts.vcpus * (attempts.until - began), count),
        busy_gpu_us=totals_by(attempts.instance, attempts.gpus * attempts.running_us, count),
        end_reason=_texts(count, recorder.i_end_reason),
    )


def _status_reasons(exit_code: Ints, texts: Mapping[int, str]) -> Text:
    given = _texts(len(exit_code), texts)
    names = [*given.names, CONTAINER_EXITED]
    exited = (exit_code >= 0) & (given.codes < 0)
    return Text(np.where(exited, len(given.names), given.codes), names)


def _texts(rows: int, texts: Mapping[int, str]) -> Text:
    code_of = {name: code for code, name in enumerate(dict.fromkeys(texts.values()))}
    codes = np.full(rows, -1, dtype=np.int32)
    codes[list(texts)] = [code_of[name] for name in texts.values()]
    return Text(codes, list(code_of))


def _first_rows(text: Text, rows: int) -> Text:
    return Text(text.codes[:rows], text.names)
