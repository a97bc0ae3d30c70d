"""From a scenario to the columns of its workload."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from batchsim.errors import ScenarioError, UsageError
from batchsim.scenario import (
    MAX_JOBS,
    GeneratedJobs,
    Resources,
    RetryStrategy,
    TraceJobs,
    effective_definition,
)
from batchsim.units import US_PER_S
from batchsim.workload.arrivals import draw_arrivals, expected_arrivals
from batchsim.workload.distributions import Samples, load_distribution, sample
from batchsim.workload.streams import generator
from batchsim.workload.swf import SwfOptions, read_swf
from batchsim.workload.table import ExitRule, JobClass, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from batchsim.scenario import Distribution, Failure, Scenario

_MEMORY_BITS = 24  # of the key that tells trace jobs apart; the largest memory, 10^7 MiB, fits


class _Kind(NamedTuple):
    """What an item of a mix, or the whole entry, says about its jobs."""

    definition: str | None
    image_bytes: int | None = None
    failure: Failure | None = None


_Streams = partial[np.random.Generator]


class _Part(NamedTuple):
    """The jobs of one workload entry, in draw or trace order; `job_class` is an index into `classes`."""

    classes: list[JobClass]
    job_class: NDArray[np.int64]
    submit_us: NDArray[np.int64]
    runtime_us: NDArray[np.int64]
    requested_us: NDArray[np.int64]
    ordinal: NDArray[np.int64]
    notes: dict[str, Any]


def build_workload(scenario: Scenario, seed: int = 0, replication: int = 0) -> Workload:
    """All jobs of a scenario, in order of submission.

    The same scenario, seed and replication give the same columns; so does each entry whatever the
    other entries are. Raises ScenarioError when more than 10^7 jobs are to be expected (nothing is
    drawn then), when an entry can never submit a job, or when a time comes out beyond 285 years;
    TraceError for a trace or sample file that cannot be used; UsageError for a negative seed.
    """
    for name, value in (("seed", seed), ("replication", replication)):
        if value < 0:
            raise UsageError(f"the {name}", expected="0 or more", found=str(value))
    _check_expected_jobs(scenario)
    streams = partial(generator, seed, replication)
    parts = [
        _replayed(scenario, entry) if isinstance(entry, TraceJobs) else _generated(scenario, entry, streams)
        for _, entry in scenario.submissions()
    ]
    workload = _merged(parts)
    workload.notes = {
        entry.name: part.notes for (_, entry), part in zip(scenario.submissions(), parts, strict=True)
    }
    return workload


def _check_expected_jobs(scenario: Scenario) -> None:
    total = 0.0
    for _, entry in scenario.submissions():
        if isinstance(entry, GeneratedJobs):
            expected = expected_arrivals(entry)
            if expected == 0:
                raise ScenarioError(
                    "no job is submitted before until",
                    path=f"workload.{entry.name}.until",
                    hint="until is counted from the beginning of the run",
                )
            total += expected
            if not total <= MAX_JOBS:
                raise _too_many(f"workload.{entry.name}", total)


def _too_many(path: str, jobs: float) -> ScenarioError:
    return ScenarioError(
        path=path,
        expected=f"at most {MAX_JOBS:,} jobs in all",
        found=f"{jobs:,.0f}",
        hint="lower rates, counts or until",
    )


def _generated(scenario: Scenario, entry: GeneratedJobs, streams: _Streams) -> _Part:
    with _path(f"workload.{entry.name}.arrivals"):
        submit_us = draw_arrivals(entry, streams("arrivals", entry.name))
    n = len(submit_us)
    kind = np.zeros(n, np.int64)
    if entry.mix is not None:
        weights = np.cumsum([item.weight for item in entry.mix])
        u = streams("mix", entry.name).random(n)
        kind = np.searchsorted(weights / weights[-1], u, side="right")
    runtime_us, files = _draw_runtimes(scenario, entry, kind, streams)
    notes: dict[str, Any] = {"source": "generated", "jobs": n}
    if files:
        notes["runtime_files"] = files
    unknown_us = np.full(n, -1, np.int64)
    return _Part(_classes_of(scenario, entry), kind, submit_us, runtime_us, unknown_us, np.arange(n), notes)


def _draw_runtimes(
    scenario: Scenario, entry: GeneratedJobs, kind: NDArray[np.int64], streams: _Streams
) -> tuple[NDArray[np.int64], dict[str, str]]:
    """Runtimes int64[n] and the digests of the files they come from.

    The entry's own runtime is drawn for every job and each mix item's for its own jobs, so a change
    of one distribution moves no draw of another.
    """
    runtime_us = np.zeros(len(kind), np.int64)
    files: dict[str, str] = {}

    def draw(distribution: Distribution, part: int, jobs: NDArray[np.bool_], path: str) -> None:
        with _path(f"workload.{entry.name}.{path}"):
            known = load_distribution(distribution, scenario.base_dir)
            rng = streams("runtimes", entry.name, part)
            runtime_us[jobs] = sample(known, rng, int(jobs.sum()))
        if isinstance(known, Samples):
            files[distribution.chosen.path] = known.sha256

    if entry.runtime is not None:
        draw(entry.runtime, 0, np.ones(len(kind), np.bool_), "runtime")
    for index, item in enumerate(entry.mix or ()):
        if item.runtime is not None:
            draw(item.runtime, index + 1, kind == index, f"mix.{index}.runtime")
    return runtime_us, files


def _classes_of(scenario: Scenario, entry: GeneratedJobs) -> list[JobClass]:
    """One class for each item of the mix, or the only one."""
    kinds: list[_Kind] = [
        _Kind(item.jobDefinition, item.imageSize, item.failure) for item in entry.mix or ()
    ] or [_Kind(entry.jobDefinition)]
    classes = []
    for kind in kinds:
        needs = effective_definition(scenario.definition(kind.definition or ""), entry).resources()
        classes.append(_job_class(scenario, entry, needs, kind))
    return classes


def _replayed(scenario: Scenario, entry: TraceJobs) -> _Part:
    trace = entry.trace
    memory_per_vcpu_mib = trace.memoryPerVcpu or scenario.assumptions.traceMemoryPerVcpu
    jobs = read_swf(
        scenario.base_dir / trace.path,
        SwfOptions(
            scale=Fraction(str(trace.scaleArrivals)),
            from_us=trace.from_ or 0,
            to_us=trace.to,
            limit=trace.limit,
            memory_per_vcpu_mib=memory_per_vcpu_mib,
        ),
    )
    needs, need = _distinct(jobs.vcpus, jobs.memory_mib)
    kind = _Kind(entry.jobDefinition)
    classes = [_job_class(scenario, entry, each, kind) for each in needs]
    notes = {"source": "trace", "format": trace.format, "path": trace.path, **jobs.notes}
    if trace.scaleArrivals != 1:
        notes["arrivals_scaled_by"] = trace.scaleArrivals
    return _Part(classes, need, jobs.submit_us, jobs.runtime_us, jobs.requested_us, jobs.number, notes)


def _distinct(
    vcpus: NDArray[np.int64], memory_mib: NDArray[np.int64]
) -> tuple[list[Resources], NDArray[np.int64]]:
    """The different needs in order of first appearance, and for each job the index of its need."""
    keys, first, inverse = np.unique(
        vcpus << _MEMORY_BITS | memory_mib, return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys))
    needs = [Resources(key >> _MEMORY_BITS, key & (1 << _MEMORY_BITS) - 1, 0) for key in keys[order].tolist()]
    return needs, rank[inverse]


def _job_class(
    scenario: Scenario, entry: GeneratedJobs | TraceJobs, needs: Resources, kind: _Kind
) -> JobClass:
    """What is said at submission comes before the job definition, an item of a mix before its entry."""
    definition = scenario.definition(kind.definition) if kind.definition else None
    retry = entry.retryStrategy or (definition.retryStrategy if definition else RetryStrategy())
    timeout = entry.timeout or (definition.timeout if definition else None)
    failure = kind.failure or entry.failure
    sizes = (kind.image_bytes, entry.imageSize, scenario.assumptions.imageSize)
    return JobClass(
        group=entry.name,
        queue=entry.jobQueue,
        job_definition=kind.definition,
        vcpus=needs.vcpus,
        memory_mib=needs.memory_mib,
        gpus=needs.gpus,
        attempts=retry.attempts,
        rules=tuple(
            ExitRule(rule.onStatusReason, rule.onReason, rule.onExitCode, rule.action == "RETRY")
            for rule in retry.evaluateOnExit
        ),
        timeout_us=timeout.attemptDurationSeconds * US_PER_S if timeout else None,
        image=definition.images()[0] if definition else entry.name,
        image_bytes=next(size for size in sizes if size is not None),
        failure_rate=failure.rate if failure else 0.0,
        failure_exit_code=failure.exitCode if failure else 1,
    )


def _merged(parts: list[_Part]) -> Workload:
    total = sum(len(part.submit_us) for part in parts)
    if any(part.notes["source"] == "trace" for part in parts) and total > MAX_JOBS:
        raise _too_many("workload", total)
    interned: dict[JobClass, int] = {}
    class_of_job = []
    for part in parts:
        numbers = [interned.setdefault(job_class, len(interned)) for job_class in part.classes]
        class_of_job.append(np.array(numbers, np.int32)[part.job_class])
    submit_us = np.concatenate([part.submit_us for part in parts])
    order = np.argsort(submit_us, kind="stable")
    return Workload(
        classes=list(interned),
        job_class=np.concatenate(class_of_job)[order],
        submit_us=submit_us[order],
        runtime_us=np.concatenate([part.runtime_us for part in parts])[order],
        requested_us=np.concatenate([part.requested_us for part in parts])[order],
        ordinal=np.concatenate([part.ordinal for part in parts])[order],
    )


@contextmanager
def _path(path: str) -> Iterator[None]:
    """Say in which part of the scenario a problem lies."""
    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(error.message, path=path, hint=error.hint) from error
