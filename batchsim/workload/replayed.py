"""Jobs replayed from a trace."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.errors import TraceError, at_path
from batchsim.scenario import MOST_DEPENDENCIES, Resources
from batchsim.workload.classes import class_of_trace
from batchsim.workload.generated import with_shares
from batchsim.workload.part import Part, Streams
from batchsim.workload.swf import MAX_MEMORY_MIB, MIN_MEMORY_MIB, SwfOptions, read_swf
from batchsim.workload.wfformat import Workflow, read_wfformat

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from batchsim.scenario import Scenario, TraceJobs

_MEMORY_BITS = 24  # of the key that tells trace jobs apart; the largest memory, 10^7 MiB, fits


def replay_part(scenario: Scenario, entry: TraceJobs, streams: Streams) -> Part:
    """The jobs of a trace. Raises TraceError for one that cannot be used."""
    read = _swf if entry.trace.format == "swf" else _wfformat
    with at_path(f"{scenario.path_of(entry)}.trace.path"):
        needs, part = read(scenario, entry)
    classes = [class_of_trace(scenario, entry, each) for each in needs]
    classes, job_class = with_shares(classes, part.job_class, entry, streams)
    return replace(part, classes=classes, job_class=job_class)


def _swf(scenario: Scenario, entry: TraceJobs) -> tuple[list[Resources], Part]:
    trace = entry.trace
    jobs = read_swf(
        scenario.base_dir / trace.path,
        SwfOptions(
            scale=Fraction(str(trace.scaleArrivals)),
            from_us=trace.from_ or 0,
            to_us=trace.to,
            limit=trace.limit,
            memory_per_vcpu_mib=_memory_per_vcpu_mib(scenario, entry),
        ),
    )
    needs, need = distinct(jobs.vcpus, jobs.memory_mib)
    notes = {"source": "trace", "format": trace.format, "path": trace.path, **jobs.notes}
    if trace.scaleArrivals != 1:
        notes["arrivals_scaled_by"] = trace.scaleArrivals
    return needs, Part([], need, jobs.submit_us, jobs.runtime_us, jobs.requested_us, jobs.number, notes)


def _wfformat(scenario: Scenario, entry: TraceJobs) -> tuple[list[Resources], Part]:
    """One job a task, in the order of the specification, all submitted at `start`."""
    path = scenario.base_dir / entry.trace.path
    flow = read_wfformat(path)
    memory_mib, memory_notes = _memory(flow, path, _memory_per_vcpu_mib(scenario, entry))
    needs, need = distinct(flow.cores.astype(np.int64), memory_mib)
    tasks = len(flow.ids)
    counts = [len(above) for above in flow.parents]
    parents = np.array([parent for above in flow.parents for parent in above], np.int64)
    notes: dict[str, Any] = {"path": entry.trace.path, "jobs": tasks, **flow.notes, **memory_notes}
    notes["tasks_beyond_aws_dependencies"] = {
        name: count for name, count in zip(flow.ids, counts, strict=True) if count > MOST_DEPENDENCIES
    }
    part = Part(
        [],
        need,
        np.full(tasks, entry.trace.start, np.int64),
        flow.runtime_us,
        np.full(tasks, -1, np.int64),
        np.arange(tasks),
        notes,
        waits=(parents, np.repeat(np.arange(tasks), counts)),
    )
    return needs, part


def _memory(
    flow: Workflow, path: Path, assumed_mib_per_vcpu: int
) -> tuple[NDArray[np.int64], dict[str, int]]:
    known = flow.memory_mib >= 0
    memory_mib = np.where(known, flow.memory_mib, assumed_mib_per_vcpu * flow.cores.astype(np.int64))
    if int(memory_mib.max()) > MAX_MEMORY_MIB:
        raise TraceError(
            f"task {flow.ids[int(memory_mib.argmax())]}",
            file=str(path),
            expected=f"at most {MAX_MEMORY_MIB:,} MiB",
            found=f"{int(memory_mib.max()):,}",
        )
    notes = {
        "memory_assumed_jobs": int((~known).sum()),
        "memory_assumed_mib_per_vcpu": assumed_mib_per_vcpu,
        "memory_raised_to_minimum_jobs": int((memory_mib < MIN_MEMORY_MIB).sum()),
    }
    return np.maximum(memory_mib, MIN_MEMORY_MIB), notes


def _memory_per_vcpu_mib(scenario: Scenario, entry: TraceJobs) -> int:
    return entry.trace.memoryPerVcpu or scenario.assumptions.traceMemoryPerVcpu


def distinct(
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
