"""The attempts of a record as integer columns, and the nodes of those of multi-node jobs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.recorded import CONTAINER_EXITED, Text, class_column, status_reasons, texts_of, view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.results.context import NodeGroupLike, RunContext
    from batchsim.results.exact import Ints
    from batchsim.results.recording import Recorder
    from batchsim.results.tables import Jobs

_AMOUNTS = ("vcpu_quarters", "memory_mib", "gpus")


@dataclass(frozen=True, slots=True)
class Attempts:
    """One row a placed attempt, or a node of one, by job, then by number, then by node.

    node               -1 but for multi-node jobs
    until              its end, or the run's
    quarters, gpus     reserved from `placed` to `until`; a vCPU has 4 quarters
    gpu_mask           of the GPUs of its instance; 0 without, and where it is not known
    """

    job: Ints
    number: Ints
    node: Ints
    instance: Ints
    placed: Ints
    starting: Ints
    pulled: Ints
    started: Ints
    ended: Ints
    until: Ints
    quarters: Ints
    memory_mib: Ints
    gpus: Ints
    gpu_mask: Ints
    exit_code: Ints
    status_reason: Text
    reason: Text

    @property
    def running_us(self) -> Ints:
        """Time in RUNNING, so far if the run ended first."""
        return np.where(self.started < 0, 0, self.until - self.started)


def build_attempts(recorder: Recorder, context: RunContext, jobs: Jobs, ended_at: int) -> Attempts:
    """One row an attempt; those of multi-node jobs are of their main node."""
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

    def masks(earlier: Mapping[int, int], of_jobs: Mapping[int, int]) -> Ints:
        if not earlier and not of_jobs:
            return np.zeros(len(job), dtype=np.int64)
        return merged(_masks(len(recorder.e_job), earlier), _masks(recorder.jobs, of_jobs)[:submitted])

    job = merged(view(recorder.e_job), np.arange(submitted))
    ended = merged(view(recorder.e_ended_us), jobs.end)
    e_exit_code = view(recorder.e_exit_code)
    main = np.array([-1 if row.nodes is None else row.nodes.main for row in context.classes], dtype=np.int64)
    node = main[jobs.job_class[job]]
    return Attempts(
        job=job,
        number=merged(view(recorder.e_attempt), jobs.attempts),
        node=node,
        instance=merged(view(recorder.e_instance), jobs.instance),
        placed=merged(view(recorder.e_placed_us), placed),
        starting=merged(view(recorder.e_starting_us), view(recorder.starting_us)[:submitted]),
        pulled=merged(view(recorder.e_pulled_us), view(recorder.pulled_us)[:submitted]),
        started=merged(view(recorder.e_started_us), view(recorder.started_us)[:submitted]),
        ended=ended,
        until=np.where(ended < 0, ended_at, ended),
        **_amounts(context, jobs.job_class[job], node),
        gpu_mask=masks(recorder.e_gpus, recorder.gpus),
        exit_code=merged(e_exit_code, jobs.exit_code),
        status_reason=merged_text(status_reasons(e_exit_code, recorder.e_status_reason), jobs.status_reason),
        reason=merged_text(texts_of(len(e_exit_code), recorder.e_reason), jobs.reason),
    )


def with_children(recorder: Recorder, context: RunContext, attempts: Attempts, ended_at: int) -> Attempts:
    """The attempts and, after each, what the record has of its other nodes; by node."""
    submitted = int(np.searchsorted(context.submit_us, ended_at, side="right"))
    mine = view(recorder.n_job) < submitted
    if not mine.any():
        return attempts
    job, node, ended, exit_code = (
        view(column)[mine]
        for column in (recorder.n_job, recorder.n_node, recorder.n_ended_us, recorder.n_exit_code)
    )
    amounts = _amounts(context, context.job_class[job], node)
    children = Attempts(
        job=job,
        number=view(recorder.n_attempt)[mine],
        node=node,
        instance=view(recorder.n_instance)[mine],
        placed=view(recorder.n_placed_us)[mine],
        starting=view(recorder.n_starting_us)[mine],
        pulled=view(recorder.n_pulled_us)[mine],
        started=view(recorder.n_started_us)[mine],
        ended=ended,
        until=np.where(ended < 0, ended_at, ended),
        **amounts,
        # Nobody shares its instance, so it has the first of the GPUs.
        gpu_mask=(1 << amounts["gpus"]) - 1,
        exit_code=exit_code,
        status_reason=Text(np.where(exit_code < 0, -1, 0), [CONTAINER_EXITED]),
        reason=texts_of(len(job), {}),
    )
    return _by_node(attempts, children)


def _by_node(attempts: Attempts, children: Attempts) -> Attempts:
    both = [np.concatenate((getattr(attempts, name), getattr(children, name))) for name in ("job", "number")]
    order = np.lexsort((np.concatenate((attempts.node, children.node)), both[1], both[0]))
    columns: dict[str, Any] = {}
    for field in fields(Attempts):
        one, other = getattr(attempts, field.name), getattr(children, field.name)
        if isinstance(one, Text):
            behind = np.where(other.codes < 0, -1, other.codes + len(one.names))
            codes = np.concatenate((one.codes, behind))[order]
            columns[field.name] = Text(codes, [*one.names, *other.names])
        else:
            columns[field.name] = np.concatenate((one, other))[order]
    return replace(attempts, **columns)


def _by_job(recorder: Recorder, jobs: Jobs, last: Ints) -> Ints:
    """The order that puts the earlier attempts, then those of the jobs `last`, by job and number."""
    number = np.concatenate((view(recorder.e_attempt), jobs.attempts[last]))
    return np.lexsort((number, np.concatenate((view(recorder.e_job), last))))


def _masks(rows: int, masks: Mapping[int, int]) -> Ints:
    column = np.zeros(rows, dtype=np.int64)
    column[list(masks)] = list(masks.values())
    return column


def _amounts(context: RunContext, job_class: Ints, node: Ints) -> dict[str, Ints]:
    """What each row reserves: what its job asks for, or its node (-1: the job has no nodes)."""
    columns = [class_column(context, job_class, name) for name in _AMOUNTS]
    for number, row in enumerate(context.classes):
        if row.nodes is None:
            continue
        mine = np.flatnonzero((job_class == number) & (node >= 0))
        groups: list[NodeGroupLike] = [row.nodes.groups[group] for group in row.nodes.group_of]
        for column, name in zip(columns, _AMOUNTS, strict=True):
            column[mine] = np.array([getattr(group, name) for group in groups], dtype=np.int64)[node[mine]]
    return dict(zip(("quarters", "memory_mib", "gpus"), columns, strict=True))
