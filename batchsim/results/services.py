"""Service jobs in a result: their frames, and `services` in the summary.

`summary["services"]` is there if the scenario has service queues. Its keys are those of a queue of compute
environments as far as they make sense, and

    outcome, ended_at_s        of the service jobs, which share nothing with the others
    jobs_not_submitted         the run ended before their submission
    capacity_retries, preemptions     how often SageMaker had no capacity; how often jobs were preempted
    instance_hours_held        instances times the time from SCHEDULED to the attempt's end
    instance_hours_running     of that, in RUNNING
    instance_hours_preempted   of that, of attempts that were preempted: the work is done again
    queues                     the same of each service queue, and in it `quotaShares` of each of its shares
"""

from __future__ import annotations

from operator import mul
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from batchsim.errors import ContractError
from batchsim.results.arrays import SERVICE_STATES, assemble, category, seconds, strings
from batchsim.results.exact import exact_sum, totals_by
from batchsim.results.frames import spans
from batchsim.results.metrics import mean_s, waiting_percentiles
from batchsim.results.recorded import texts_of, view
from batchsim.results.servicerecord import ATTEMPT_OUTCOMES, SERVICE_STATE_NAMES
from batchsim.units import S_PER_HOUR, US_PER_S

if TYPE_CHECKING:
    from batchsim.results.exact import Ints
    from batchsim.results.servicerecord import ServiceContext, ServiceRecorder

Summary = dict[str, Any]
_Times = dict[str, Any]  # name -> microseconds of each job

_HOUR_US = S_PER_HOUR * US_PER_S


def service_frame(recorder: ServiceRecorder, context: ServiceContext) -> pd.DataFrame:
    """One row a service job, in order of submission."""
    classes, job_class = context.classes, context.job_class.astype(np.int64)
    submit, start, end = context.submit_us, view(recorder.started_us), view(recorder.ended_us)
    reasons = texts_of(recorder.jobs, recorder.status_reason)
    return assemble(
        "service_jobs",
        {
            "job": strings(_names(context)),
            **{
                name: category(job_class, [getattr(each, name) for each in classes])
                for name in ("queue", "quota_share", "share", "group", "instance_type")
            },
            **{name: _of_class(context, name) for name in ("priority", "instances")},
            "attempts_allowed": _of_class(context, "attempts"),
            "state": pd.Categorical.from_codes(
                np.frombuffer(recorder.state, dtype=np.int8), dtype=SERVICE_STATES
            ),
            "submit_s": seconds(submit),
            "scheduled_s": seconds(view(recorder.scheduled_us)),
            "start_s": seconds(start),
            "end_s": seconds(end),
            "waiting_s": spans(submit, start),
            "execution_s": spans(start, end),
            "turnaround_s": spans(submit, end),
            **{f"{name}_s": us / US_PER_S for name, us in _times(recorder).items()},
            "attempts": view(recorder.attempts),
            "capacity_retries": view(recorder.capacity_retries),
            "preemptions": view(recorder.preemptions),
            "status_reason": category(reasons.codes, reasons.names),
        },
    )


def service_attempts_frame(recorder: ServiceRecorder, context: ServiceContext) -> pd.DataFrame:
    """One row each time that a service job was SCHEDULED, by job, then by time."""
    order = np.argsort(view(recorder.a_job), kind="stable")
    job = view(recorder.a_job)[order]
    reasons = texts_of(len(job), recorder.a_status_reason)
    return assemble(
        "service_attempts",
        {
            "job": strings(_names(context).take(pa.array(job))),
            "attempt": view(recorder.a_attempt)[order],
            "instance_type": category(
                context.job_class.astype(np.int64)[job], [each.instance_type for each in context.classes]
            ),
            "instances": _of_class(context, "instances")[job],
            **{
                f"{name}_s": seconds(view(getattr(recorder, f"a_{name}_us"))[order])
                for name in ("scheduled", "starting", "started", "ended")
            },
            "outcome": category(view(recorder.a_outcome)[order], ATTEMPT_OUTCOMES),
            "status_reason": category(reasons.codes[order], reasons.names),
        },
    )


def _times(recorder: ServiceRecorder) -> dict[str, Ints]:
    """Of each job, over all its attempts: microseconds held, running, and running before a preemption."""
    job, started, ended = view(recorder.a_job), view(recorder.a_started_us), view(recorder.a_ended_us)
    until = np.where(ended < 0, recorder.ended_at_us, ended)
    running = np.where(started < 0, 0, until - started)
    preempted = view(recorder.a_outcome) == ATTEMPT_OUTCOMES.index("PREEMPTED")
    return {
        "held": totals_by(job, until - view(recorder.a_scheduled_us), recorder.jobs),
        "running": totals_by(job, running, recorder.jobs),
        "preempted": totals_by(job, np.where(preempted, running, 0), recorder.jobs),
    }


def summarize_services(recorder: ServiceRecorder, context: ServiceContext) -> Summary:
    """`summary["services"]`: all service jobs, then by queue and quota share."""
    if recorder.outcome is None or recorder.jobs != len(context.submit_us):
        raise ContractError("the record of the service jobs is not finished, or does not fit its context")
    every, times = np.arange(recorder.jobs), _times(recorder)
    return {
        "outcome": recorder.outcome,
        "ended_at_s": recorder.ended_at_us / US_PER_S,
        "jobs_not_submitted": context.not_submitted,
        **_metrics(recorder, context, times, every),
        "queues": {queue: _queue(recorder, context, times, queue) for queue in context.queues},
    }


def _queue(recorder: ServiceRecorder, context: ServiceContext, times: _Times, queue: str) -> Summary:
    mine = _rows_of(context, "queue", queue)
    metrics = _metrics(recorder, context, times, mine)
    shares = context.queues[queue]
    if shares:
        metrics["quotaShares"] = {
            share: _metrics(recorder, context, times, mine[np.isin(mine, of_share)])
            for share, of_share in ((share, _rows_of(context, "quota_share", share)) for share in shares)
        }
    return metrics


def _rows_of(context: ServiceContext, attribute: str, value: str) -> Ints:
    wanted = np.array([getattr(each, attribute) == value for each in context.classes], dtype=np.bool_)
    return np.flatnonzero(wanted[context.job_class]) if len(wanted) else np.empty(0, dtype=np.int64)


def _metrics(recorder: ServiceRecorder, context: ServiceContext, times: _Times, rows: Ints) -> Summary:
    submit = context.submit_us[rows]
    start, end = view(recorder.started_us)[rows], view(recorder.ended_us)[rows]
    ended = end >= 0
    waiting = (start - submit)[start >= 0]
    in_vain = (np.where(ended, end, recorder.ended_at_us) - submit)[start < 0]
    states = np.bincount(np.frombuffer(recorder.state, np.uint8)[rows], minlength=len(SERVICE_STATE_NAMES))
    instances = _of_class(context, "instances")[rows].tolist()
    return {
        "jobs": len(rows),
        "jobs_started": len(waiting),
        "states": dict(zip(SERVICE_STATE_NAMES, states.tolist(), strict=True)),
        "makespan_s": int(end.max() - submit.min()) / US_PER_S if ended.any() else None,
        "waiting_jobs": len(waiting),
        "waiting_mean_s": mean_s(waiting),
        **waiting_percentiles(waiting),
        "jobs_not_started": len(in_vain),
        "not_started_max_s": int(in_vain.max()) / US_PER_S if len(in_vain) else None,
        "execution_mean_s": mean_s((end - start)[ended & (start >= 0)]),
        "turnaround_mean_s": mean_s((end - submit)[ended]),
        **{
            name: exact_sum(view(getattr(recorder, name))[rows])
            for name in ("attempts", "capacity_retries", "preemptions")
        },
        **{
            f"instance_hours_{name}": sum(map(mul, instances, us[rows].tolist())) / _HOUR_US
            for name, us in times.items()
        },
    }


def _of_class(context: ServiceContext, attribute: str) -> Ints:
    column = np.array([getattr(each, attribute) for each in context.classes], dtype=np.int64)
    return column[context.job_class] if len(column) else column


def _names(context: ServiceContext) -> pa.Array:
    groups = pa.array([each.group for each in context.classes], pa.large_string())
    numbers = pa.array(context.ordinal).cast(pa.large_string())
    hyphen = pa.scalar("-", pa.large_string())
    return pc.binary_join_element_wise(groups.take(pa.array(context.job_class)), numbers, hyphen)
