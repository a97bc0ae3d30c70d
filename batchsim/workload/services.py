"""Service jobs as columns: SageMaker Training jobs that SubmitServiceJob submits [spec 1.16].

They share nothing with the jobs of compute environments, so they have a small table of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.errors import at_path
from batchsim.scenario import ServiceJobs
from batchsim.units import US_PER_S
from batchsim.workload.arrivals import draw_arrivals
from batchsim.workload.distributions import Samples, load_distribution, sample
from batchsim.workload.events import JobsEvent, resolve_events
from batchsim.workload.generated import with_shares
from batchsim.workload.pacing import call_interval_us, note_delays, paced
from batchsim.workload.part import Part
from batchsim.workload.streams import generator
from batchsim.workload.table import ExitRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchsim.scenario import Scenario
    from batchsim.workload.part import Streams

_RATE = "submitServiceJobRate"


@dataclass(frozen=True, slots=True)
class ServiceClass:
    """What service jobs have in common: equal jobs share one class.

    instances          of `instance_type`: what one attempt holds
    attempts           1..10, the first one included; refusals for want of capacity are none
    timeout_us         limit on one attempt's time in RUNNING; None for no limit
    share, quota_share, priority   of fair-share queues, of queues with quota shares, of both
    preemptions        after so many the next one makes the job FAILED; None: it is always queued again
    failure_rate, failure_exit_code   probability that an attempt fails, and what its container leaves
    exit_codes, reasons   scripted: attempt 1, 2, ... leaves this code and SageMaker's words ("" for the usual
                       ones), the last pair repeats; () and (): attempts end by `failure_rate`
    refused_first, refusal_rate   the first times that a job is scheduled SageMaker has no capacity, each
                       later time with that probability
    """

    group: str
    queue: str
    instance_type: str
    instances: int
    attempts: int
    rules: tuple[ExitRule, ...]
    timeout_us: int | None
    quota_share: str | None
    priority: int
    preemptions: int | None
    failure_rate: float
    failure_exit_code: int
    exit_codes: tuple[int, ...]
    reasons: tuple[str, ...]
    refused_first: int
    refusal_rate: float
    share: str | None = None


@dataclass(slots=True)
class ServiceWorkload:
    """Columns of length n, in order of submission; ties by workload entry, then as drawn.

    classes      by workload entry, divided by the share identifiers that were drawn
    job_class    int32[n], index into `classes`
    submit_us    int64[n], nondecreasing
    runtime_us   int64[n] >= 0, time in RUNNING of an attempt that runs to its end
    ordinal      int64[n], number within the workload entry
    notes        by workload entry, for the manifest
    events       CancelJob and TerminateServiceJob, in order of time
    """

    classes: list[ServiceClass]
    job_class: NDArray[np.int32]
    submit_us: NDArray[np.int64]
    runtime_us: NDArray[np.int64]
    ordinal: NDArray[np.int64]
    notes: dict[str, Any] = field(default_factory=dict)
    events: tuple[JobsEvent, ...] = ()

    def __len__(self) -> int:
        return len(self.submit_us)

    def before(self, instant_us: int) -> ServiceWorkload:
        """What is submitted or done before an instant."""
        n = int(np.searchsorted(self.submit_us, instant_us))
        return ServiceWorkload(
            self.classes,
            self.job_class[:n],
            self.submit_us[:n],
            self.runtime_us[:n],
            self.ordinal[:n],
            self.notes,
            tuple(event for event in self.events if event.at_us < instant_us),
        )


def build_services(scenario: Scenario, seed: int = 0, replication: int = 0) -> ServiceWorkload:
    """All service jobs of a scenario. `build_workload`, which is to be called first, says what it raises."""
    with scenario.placing_errors():
        streams = partial(generator, seed, replication)
        entries = [entry for _, entry in scenario.entries() if isinstance(entry, ServiceJobs)]
        drawn = {entry.name: _draw(scenario, entry, streams) for entry in entries}
        return _merged(scenario, drawn)


_Drawn = dict[str, tuple[list[ServiceClass], Part]]


def _draw(scenario: Scenario, entry: ServiceJobs, streams: Streams) -> tuple[list[ServiceClass], Part]:
    path = scenario.path_of(entry)
    with at_path(f"{path}.arrivals"):
        submit_us = draw_arrivals(entry, streams("arrivals", entry.name))
    jobs = len(submit_us)
    known = load_distribution(entry.runtime, scenario.base_dir, f"{path}.runtime")
    with at_path(f"{path}.runtime"):
        runtime_us = sample(known, streams("runtimes", entry.name), jobs)
    classes, job_class = with_shares([_class_of(entry)], np.zeros(jobs, np.int64), entry, streams)
    notes: dict[str, Any] = {"source": "generated", "jobs": jobs}
    if isinstance(known, Samples):
        notes["runtime_files"] = {entry.runtime.chosen.path: known.sha256}
    requested_us = np.full(jobs, -1, np.int64)
    return classes, Part([], job_class, submit_us, runtime_us, requested_us, np.arange(jobs), notes)


def _class_of(entry: ServiceJobs) -> ServiceClass:
    timeout, failure = entry.timeoutConfig, entry.failure
    scripted = entry.exitCodes or ()
    return ServiceClass(
        group=entry.name,
        queue=entry.jobQueue,
        instance_type=entry.resourceConfig.instanceType,
        instances=entry.resourceConfig.instanceCount,
        attempts=entry.retryStrategy.attempts,
        rules=tuple(
            ExitRule(rule.onStatusReason, None, None, rule.action == "RETRY")
            for rule in entry.retryStrategy.evaluateOnExit
        ),
        timeout_us=timeout.attemptDurationSeconds * US_PER_S if timeout else None,
        quota_share=entry.quotaShareName,
        priority=entry.schedulingPriority,
        preemptions=entry.preemptionConfiguration.preemptionRetriesBeforeTermination,
        failure_rate=failure.rate if failure else 0.0,
        failure_exit_code=failure.exitCode if failure else 1,
        exit_codes=scripted,
        reasons=entry.reasons + ("",) * (len(scripted) - len(entry.reasons)),
        refused_first=entry.capacityFailures.first,
        refusal_rate=entry.capacityFailures.rate,
    )


def _merged(scenario: Scenario, drawn: _Drawn) -> ServiceWorkload:
    parts = {name: part for name, (_, part) in drawn.items()}
    submit_us = _column(parts, "submit_us")
    order = np.argsort(submit_us, kind="stable")
    bounds = list(accumulate((len(classes) for classes, _ in drawn.values()), initial=0))
    job_class = [part.job_class + first for part, first in zip(parts.values(), bounds, strict=False)]
    workload = ServiceWorkload(
        classes=[each for classes, _ in drawn.values() for each in classes],
        job_class=np.concatenate([np.zeros(0, np.int64), *job_class]).astype(np.int32)[order],
        submit_us=submit_us[order],
        runtime_us=_column(parts, "runtime_us")[order],
        ordinal=_column(parts, "ordinal")[order],
        notes={name: part.notes for name, part in parts.items()},
    )
    rows = np.empty(len(order), np.int64)
    rows[order] = np.arange(len(order))
    ends = list(accumulate(map(len, parts.values()), initial=0))
    rows_of = {name: rows[low:high] for name, (low, high) in zip(parts, pairwise(ends), strict=True)}
    interval_us = call_interval_us(scenario.assumptions, _RATE)
    if interval_us:
        _pace(workload, rows_of, interval_us)
    by_entry = {name: (part, rows_of[name]) for name, part in parts.items()}
    found = resolve_events(scenario, by_entry, workload.submit_us)
    workload.events = tuple(event for event in found if isinstance(event, JobsEvent))
    return workload


def _pace(workload: ServiceWorkload, rows_of: dict[str, NDArray[np.int64]], interval_us: int) -> None:
    """Let the SubmitServiceJob calls of all entries leave at the account's rate."""
    wanted_us = workload.submit_us
    workload.submit_us = paced(wanted_us, interval_us, _RATE)
    note_delays(workload.notes, workload.submit_us - wanted_us, rows_of, _RATE)


def _column(parts: dict[str, Part], name: str) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for part in parts.values())])
