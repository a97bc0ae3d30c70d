"""A record and its context as integer columns: what frames, time series, metrics and cost are made of.

All instants are integer microseconds, -1 for "never". Most columns are views of the recorder's arrays;
nothing is copied or widened that need not be, because a million jobs are to fit beside their frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchsim.errors import ContractError
from batchsim.results.attempts import build_attempts, with_children
from batchsim.results.commitments import Usage, discounts
from batchsim.results.cost import INTERRUPTED, billed_seconds, cluster_uusd, cost_uusd
from batchsim.results.exact import Ints, totals_by
from batchsim.results.recorded import QUARTERS, Text, first_rows, status_reasons, texts_of, view
from batchsim.results.recording import PENDING
from batchsim.units import S_PER_HOUR, US_PER_S

if TYPE_CHECKING:
    from batchsim.results.attempts import Attempts
    from batchsim.results.context import RunContext
    from batchsim.results.recording import Recorder


@dataclass(frozen=True, slots=True)
class Jobs:
    """One row a job that was submitted before the run ended.

    pending   microseconds in PENDING, -1 while it still is
    """

    job_class: Ints
    queue: Ints
    submit: Ints
    runnable: Ints
    pending: Ints
    start: Ints
    end: Ints
    state: Ints
    attempts: Ints
    instance: Ints
    exit_code: Ints
    status_reason: Text
    reason: Text


@dataclass(frozen=True, slots=True)
class Instances:
    """One row an instance.

    zone              -1 where there is only one
    until             its end, or the run's
    price             micro-USD per hour, without volume and discount
    volume, fee       micro-USD: of the volume, and of the instance's management by ECS
    discount          micro-USD: what commitments have taken off
    cost              micro-USD: billed_s x price + volume + fee - discount
    rate              micro-USD per hour at which the cost accrues
    ..._quarter_us    quarters of vCPUs times microseconds: provisioned is the whole of it, booting,
                      starting and busy are parts
    ..._gpu_us        GPUs times microseconds
    """

    environment: Ints
    type: Ints
    zone: Ints
    requested: Ints
    running: Ints
    ready: Ints
    ended: Ints
    until: Ints
    quarters: Ints
    gpus: Ints
    price: Ints
    billed_s: Ints
    volume: Ints
    fee: Ints
    discount: Ints
    cost: Ints
    rate: Ints
    provisioned_quarter_us: Ints
    booting_quarter_us: Ints
    starting_quarter_us: Ints
    busy_quarter_us: Ints
    provisioned_gpu_us: Ints
    busy_gpu_us: Ints
    end_reason: Text


@dataclass(frozen=True, slots=True)
class Tables:
    """Jobs, attempts and instances of one run.

    unused_commitment   micro-USD an hour that were paid for what nobody used, of all hours
    clusters   micro-USD that EKS clusters cost from the beginning of the run to its end
    attempts   one row an attempt: of a multi-node job its main node
    holds      one row an attempt and node: what is held of which instance
    waits_for_others   whether any job depends on another
    """

    jobs: Jobs
    attempts: Attempts
    holds: Attempts
    instances: Instances
    ended_at: int
    not_submitted: int
    waits_for_others: bool
    unused_commitment: int
    clusters: int


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
    attempts = build_attempts(recorder, context, jobs, ended_at)
    holds = with_children(recorder, context, attempts, ended_at)
    instances, unused = _instances(recorder, context, holds, ended_at)
    not_submitted = context.not_submitted + recorder.jobs - submitted
    waits_for_others = context.edges is not None
    clusters = cluster_uusd(ended_at, context.cluster_uusd_per_hour)
    return Tables(
        jobs, attempts, holds, instances, ended_at, not_submitted, waits_for_others, unused, clusters
    )


def _jobs(recorder: Recorder, context: RunContext, submitted: int) -> Jobs:
    queue_row = {name: row for row, name in enumerate(context.queues)}
    queue_of_class = np.array([queue_row[row.queue] for row in context.classes], dtype=np.int32)
    job_class = context.job_class[:submitted]
    exit_code = view(recorder.exit_code)
    runnable, end = view(recorder.runnable_us)[:submitted], view(recorder.ended_us)[:submitted]
    state = np.frombuffer(recorder.state, dtype=np.uint8)[:submitted]
    return Jobs(
        job_class=job_class,
        queue=queue_of_class[job_class],
        submit=context.submit_us[:submitted],
        runnable=runnable,
        pending=_pending(context, runnable, end, state),
        start=_first_start(recorder)[:submitted],
        end=end,
        state=state,
        attempts=view(recorder.attempts)[:submitted],
        instance=view(recorder.instance)[:submitted],
        exit_code=exit_code[:submitted],
        status_reason=first_rows(status_reasons(exit_code, recorder.status_reason), submitted),
        reason=first_rows(texts_of(len(exit_code), recorder.reason), submitted),
    )


def _pending(context: RunContext, runnable: Ints, end: Ints, state: Ints) -> Ints:
    """From the evaluation of a job with dependencies until it was RUNNABLE or, failing that, ended."""
    rows = len(runnable)
    if context.edges is None:
        return np.zeros(rows, dtype=np.int64)
    left = np.where(runnable >= 0, runnable, end)
    waited = np.maximum(left - context.submit_us[:rows] - context.evaluation_us, 0)
    pending: Ints = np.where(context.edges.waits_for[:rows] > 0, waited, 0)
    return np.where(state == PENDING, -1, pending)


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


def _instances(
    recorder: Recorder, context: RunContext, holds: Attempts, ended_at: int
) -> tuple[Instances, int]:
    """The instances, and what was paid for commitments that nobody used."""
    count = len(recorder.i_type)
    if len(holds.instance) and not 0 <= holds.instance.min() <= holds.instance.max() < count:
        raise ContractError("an attempt was placed on an instance that was never added to the record")
    type_ = view(recorder.i_type)
    types = context.instance_types
    gpus, price = (
        np.array([getattr(row, name) for row in types], dtype=np.int64)[type_]
        for name in ("gpus", "uusd_per_hour")
    )
    quarters = np.array([QUARTERS * row.vcpus for row in types], dtype=np.int64)[type_]
    for row, paid in recorder.i_uusd_per_hour.items():
        price[row] = paid
    zone = np.full(count, -1, dtype=np.int64)
    for row, number in recorder.i_zone.items():
        zone[row] = number
    running, ready, ended = view(recorder.i_running_us), view(recorder.i_ready_us), view(recorder.i_ended_us)
    until = np.where(ended < 0, ended_at, ended)
    ran = running >= 0
    interrupted = np.zeros(count, dtype=np.bool_)
    interrupted[[row for row, reason in recorder.i_end_reason.items() if reason == INTERRUPTED]] = True
    environment = view(recorder.i_environment)
    owned = np.array([not row.managed for row in context.environments] or [False])[environment]
    billed_s = billed_seconds(running, until, interrupted, owned)
    money, unused = _money(context, (environment, type_, price), (running, until, billed_s), ended_at)
    booted = np.where(ready < 0, until, ready)
    began = np.where(holds.started < 0, holds.until, holds.started)
    rows = Instances(
        environment=environment,
        type=type_,
        zone=zone,
        requested=view(recorder.i_requested_us),
        running=running,
        ready=ready,
        ended=ended,
        until=until,
        quarters=quarters,
        gpus=gpus,
        price=price,
        billed_s=billed_s,
        **money,
        provisioned_quarter_us=np.where(ran, quarters * (until - running), 0),
        provisioned_gpu_us=np.where(ran, gpus * (until - running), 0),
        booting_quarter_us=np.where(ran, quarters * (booted - running), 0),
        starting_quarter_us=totals_by(holds.instance, holds.quarters * (began - holds.placed), count),
        busy_quarter_us=totals_by(holds.instance, holds.quarters * (holds.until - began), count),
        busy_gpu_us=totals_by(holds.instance, holds.gpus * holds.running_us, count),
        end_reason=texts_of(count, recorder.i_end_reason),
    )
    return rows, unused


def _money(
    context: RunContext, what: tuple[Ints, Ints, Ints], when: tuple[Ints, Ints, Ints], ended_at: int
) -> tuple[dict[str, Ints], int]:
    """Volume, fee, discount, cost and rate of instances, and what was paid for unused commitments.

    A volume and a fee are paid for as long as the instance runs, also where that is free.

    what   environment, type and price of each instance
    when   running, until and billed seconds
    """
    environment, type_, price = what
    running, until, billed_s = when
    per_hour = np.array([row.volume_uusd_per_hour for row in context.environments], dtype=np.int64)
    volume_price = per_hour[environment] if len(per_hour) else np.zeros_like(price)
    lasted_s = billed_seconds(running, until)
    volume = cost_uusd(lasted_s, volume_price)
    fee_price = _fee_prices(context)[environment, type_]
    fee = cost_uusd(lasted_s, fee_price)
    plain = cost_uusd(billed_s, price)
    discount, unused = np.zeros_like(plain), 0
    if context.commitments is not None:
        managed = np.array([row.managed for row in context.environments], dtype=np.bool_)
        kinds = np.array(context.commitments.kind_of, dtype=np.int64)[type_]
        mine = np.flatnonzero(managed[environment] & (kinds >= 0) & (running >= 0))
        usage = Usage(kinds[mine], running[mine], until[mine], plain[mine])
        discount[mine], unused = discounts(usage, context.commitments, ended_at)
    cost = plain + volume + fee - discount
    rate = np.where(billed_s > 0, price, 0) + volume_price + fee_price
    lasted = np.maximum(until - running, 1) / (S_PER_HOUR * US_PER_S)
    rate = np.where(discount > 0, np.floor(cost / lasted).astype(np.int64), rate)
    return {"volume": volume, "fee": fee, "discount": discount, "cost": cost, "rate": rate}, unused


def _fee_prices(context: RunContext) -> Ints:
    """Micro-USD an hour, by environment and instance type."""
    parts = np.array([row.fee_part for row in context.environments] or [0.0])
    prices = np.array([row.on_demand_uusd_per_hour for row in context.instance_types] or [0], dtype=np.int64)
    return np.rint(np.outer(parts, prices)).astype(np.int64)
