"""The auditor is awake: whatever is changed in a good result, it says so and names the right law."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchsim.errors import ResultError
from batchsim.results import InstanceTypeRow, Result, build_result
from batchsim.results.audit import LAWS, Violation, audit_folder, audit_frames
from batchsim.results.audit.capacity import by_instance_and_time
from tests.results.worlds import Job, JobClass, Machine, World, record, told_by_hand, told_of_everything

KINDS = [InstanceTypeRow("small", 2, 400, 0, 17_123), InstanceTypeRow("large", 4, 500, 1, 3_600_000)]


@pytest.fixture(scope="module")
def horizon() -> Result:
    """Job 0: two attempts; 1 and 3: on box-7, 3 still RUNNING; 2: lost, waits; 4: waits; 5: FAILED."""
    return build_result(*told_by_hand())


@pytest.fixture(scope="module")
def finished() -> Result:
    """One queue, one machine of 4 vCPUs: a-0 and a-1 run, b-0 (4 vCPUs) waits for both, a-2 behind it."""
    classes = [JobClass("a", "q", 2), JobClass("b", "q", 4)]
    jobs = [Job(0, 0, [5]), Job(0, 0, [7]), Job(1, 1, [3]), Job(2, 0, [4])]
    return build_result(*record(World(classes, KINDS, 1, [Machine(0, 1)], jobs, pull=1)))


@pytest.fixture(scope="module")
def retried() -> Result:
    """On 2 vCPUs: a-0 fails at 4 and again at 8, a-1 fails at 8; the host is lost under a-2 at 15."""
    classes = [JobClass("a", "q", 1, attempts=2)]
    jobs = [Job(0, 0, [3, 3], [1, 1]), Job(0, 0, [7, 2], [2, 0]), Job(1, 0, [50])]
    machines = [Machine(0, 0, lost=15), Machine(0, 0, 10, 20)]
    return build_result(*record(World(classes, KINDS, 1, machines, jobs, pull=1, horizon=40)))


@pytest.fixture(scope="module")
def stalled() -> Result:
    """b-0 is too large for the only machine; a-1 waits behind it."""
    classes = [JobClass("a", "q", 1), JobClass("b", "q", 9)]
    jobs = [Job(0, 0, [2]), Job(1, 1), Job(1, 0)]
    return build_result(*record(World(classes, KINDS, 1, [Machine(0, 0)], jobs)))


@pytest.fixture(scope="module")
def everything() -> Result:
    """Nodes, arrays, dependencies, shares, pods, GPUs, requests: `worlds.EVERYTHING`."""
    return build_result(*told_of_everything())


def broken(result: Result, *changes: tuple[str, str, int, Any], **more: Any) -> list[Violation]:
    """The violations after changing cells, given as (frame, column, row, value)."""
    frames = {name: frame.copy() for name, frame in result.frames.items()}
    for frame, column, row, value in changes:
        values = frames[frame][column]
        if values.dtype == "category" and value is not None and value not in values.cat.categories:
            values = values.cat.add_categories([value])
        values = values.copy()
        values.iloc[row] = value
        frames[frame][column] = values
    summary, manifest = copy.deepcopy(result.summary), copy.deepcopy(result.manifest)
    for path, value in more.pop("summary", {}).items():
        *parents, key = path.split(".")
        inner = summary
        for parent in parents:
            inner = inner[parent]
        inner[key] = value
    manifest.update(more.pop("manifest", {}))
    return audit_frames(frames, summary, manifest)


def laws(violations: list[Violation]) -> set[str]:
    return {violation.law for violation in violations}


def test_the_results_to_be_broken_are_good(horizon, finished, retried, stalled, everything):
    for result in (horizon, finished, retried, stalled, everything):
        assert [str(violation) for violation in result.audit()] == []
    assert finished.jobs["start_s"].tolist() == [1, 1, 9, 13]
    assert retried.attempts["status_reason"].str.startswith("Host EC2").sum() == 1
    assert stalled.summary["outcome"] == "stalled"
    assert stalled.jobs["state"].tolist() == ["SUCCEEDED", "RUNNABLE", "RUNNABLE"]


PLANTED = {
    # what is planted: (result, law, changed cells)
    "submitted after it became RUNNABLE": ("horizon", "L1", ("jobs", "submit_s", 0, 3.0)),
    "submitted before the job above": ("horizon", "L1", ("jobs", "submit_s", 1, 0.5)),
    "ended after the run": ("finished", "L1", ("jobs", "end_s", 3, 99.0)),
    "negative instant": ("horizon", "L1", ("jobs", "runnable_s", 0, -2.0)),
    "infinite instant": ("horizon", "L1", ("attempts", "ended_s", 0, np.inf)),
    "no submission": ("horizon", "L1", ("jobs", "submit_s", 0, np.nan)),
    "placed before it was RUNNABLE": ("finished", "L1", ("attempts", "placed_s", 3, 1.0)),
    "STARTING before it was placed": ("horizon", "L1", ("attempts", "starting_s", 0, 39.0)),
    "RUNNING before STARTING": ("horizon", "L1", ("attempts", "started_s", 0, 40.5)),
    "ready before it ran": ("horizon", "L1", ("instances", "ready_s", 0, 9.0)),
    "requested after it ran": ("horizon", "L1", ("instances", "requested_s", 0, 11.0)),
    "RUNNING job called SUCCEEDED": ("horizon", "L2", ("jobs", "state", 3, "SUCCEEDED")),
    "SUCCEEDED job called FAILED": ("horizon", "L2", ("jobs", "state", 1, "FAILED")),
    "FAILED job called SUCCEEDED": ("horizon", "L2", ("jobs", "state", 5, "SUCCEEDED")),
    "SUBMITTED job called RUNNABLE": ("horizon", "L2", ("jobs", "state", 6, "RUNNABLE")),
    "RUNNING job called STARTING": ("horizon", "L2", ("jobs", "state", 3, "STARTING")),
    "no state": ("horizon", "L2", ("jobs", "state", 0, None)),
    "terminal without an end": ("horizon", "L2", ("jobs", "end_s", 0, np.nan)),
    "RUNNING without STARTING": ("horizon", "L2", ("attempts", "starting_s", 0, np.nan)),
    "exit code without having run": ("horizon", "L2", ("attempts", "exit_code", 3, 1)),
    "exit code of the job is another": ("horizon", "L2", ("jobs", "exit_code", 5, 1)),
    "a success that was tried again": ("horizon", "L2", ("attempts", "exit_code", 0, 0)),
    "placed, but never RUNNABLE": ("finished", "L2", ("jobs", "runnable_s", 1, np.nan)),
    "start is not the first attempt's": ("horizon", "L2", ("jobs", "start_s", 0, 78.0)),
    "end is not the last attempt's": ("finished", "L2", ("jobs", "end_s", 0, 5.0)),
    "two jobs of one name": ("horizon", "L2", ("jobs", "job", 6, "train-2")),
    "an instance with fewer vCPUs": ("finished", "L3", ("instances", "vcpus", 0, 3)),
    "an instance with less memory": ("finished", "L3", ("instances", "memory_mib", 0, 199)),
    "an instance without its GPU": ("horizon", "L3", ("instances", "gpus", 1, 0)),
    "an attempt on too few vCPUs": ("finished", "L3", ("attempts", "vcpus", 2, 1)),
    "a job that asked for more memory": ("finished", "L3", ("jobs", "memory_mib", 2, 101)),
    "overlap with the job before": ("finished", "L3", ("attempts", "placed_s", 2, 6.0)),
    "placed before the instance was ready": ("horizon", "L4", ("instances", "ready_s", 0, 50.0)),
    "placed on an instance never ready": ("finished", "L4", ("instances", "ready_s", 0, np.nan)),
    "placed on an instance that was gone": ("horizon", "L4", ("instances", "ended_s", 0, 98.0)),
    "an instance nobody knows": ("horizon", "L4", ("attempts", "instance", 0, "i-unknown")),
    "an attempt without an instance": ("horizon", "L4", ("attempts", "instance", 2, None)),
    "another instance in the job's row": ("horizon", "L4", ("jobs", "instance", 0, "box-7")),
    "no instance in the job's row": ("finished", "L4", ("jobs", "instance", 0, None)),
    "another environment": ("horizon", "L4", ("attempts", "environment", 0, "lab")),
    "another environment in the job's row": ("horizon", "L4", ("jobs", "environment", 1, "cloud")),
    "another instance type": ("horizon", "L4", ("attempts", "instance_type", 0, "big")),
    "no instance type": ("horizon", "L4", ("jobs", "instance_type", 3, None)),
    "two instances of one name": ("horizon", "L4", ("instances", "instance", 2, "box-7")),
    "RUNNING job called RUNNABLE": ("horizon", "L4", ("jobs", "state", 3, "RUNNABLE")),
    "waiting job called RUNNING": ("horizon", "L4", ("jobs", "state", 4, "RUNNING")),
    "SUCCEEDED, but still held": ("finished", "L4", ("attempts", "ended_s", 0, np.nan)),
    "attempts begun twice": ("retried", "L5", ("attempts", "placed_s", 1, 2.0)),
    "an attempt before the end of the one before": ("horizon", "L5", ("attempts", "ended_s", 0, 76.0)),
    "attempt 3 after attempt 1": ("horizon", "L5", ("attempts", "attempt", 1, 3)),
    "an attempt of nobody": ("horizon", "L5", ("attempts", "job", 2, "train-9")),
    "an attempt of another": ("horizon", "L5", ("attempts", "job", 4, "train-2")),
    "attempts counted wrong": ("horizon", "L5", ("jobs", "attempts", 4, 1)),
    "more attempts than allowed": ("horizon", "L5", ("jobs", "attempts_allowed", 0, 1)),
    "eleven attempts allowed": ("horizon", "L5", ("jobs", "attempts_allowed", 0, 11)),
    "time series: one job more": ("horizon", "L6", ("timeseries", "submitted", 500, 5)),
    "time series: running": ("horizon", "L6", ("timeseries", "running", 300, 7)),
    "time series: vCPUs": ("horizon", "L6", ("timeseries", "provisioned_vcpus", 4500, 7)),
    "time series: an instant": ("horizon", "L6", ("timeseries", "t_s", 1500, 99.95)),
    "RUNNABLE a microsecond late": ("horizon", "L11", ("jobs", "runnable_s", 4, 131.000001)),
    "RUNNABLE before its evaluation": ("horizon", "L11", ("jobs", "runnable_s", 2, 20.5)),
    "time series: a share": ("everything", "L6", ("timeseries", "runnable", -900, 7)),
    "time series: PENDING": ("everything", "L6", ("timeseries", "pending", 1500, 7)),
    "outlives its instance": ("horizon", "L12", ("instances", "ended_s", 0, 99.5)),
    "open on an instance that ended": ("horizon", "L12", ("instances", "ended_s", 1, 199.0)),
    "host lost, yet an exit code": ("retried", "L12", ("attempts", "exit_code", 4, 1)),
    "host lost, ended before it": ("retried", "L12", ("attempts", "ended_s", 4, 14.0)),
    "billed a second less": ("horizon", "L13", ("instances", "billed_s", 0, 89)),
    "a micro-USD more": ("horizon", "L13", ("instances", "cost_usd", 1, 0.200001)),
    "another price": ("horizon", "L13", ("instances", "usd_per_hour", 1, 3.7)),
    "a negative price": ("horizon", "L13", ("instances", "usd_per_hour", 2, -0.1)),
    "cost of what never ran": ("horizon", "L13", ("instances", "cost_usd", 2, 0.001667)),
    "cost so far falls": ("horizon", "L13", ("timeseries", "cost_usd", 4500, 0.5)),
    "cost so far ends elsewhere": ("horizon", "L13", ("timeseries", "cost_usd", 6005, 0.3)),
    "turnaround is not end - submit": ("horizon", "L14", ("jobs", "turnaround_s", 0, 96.0)),
    "waiting is not start - submit": ("horizon", "L14", ("jobs", "waiting_s", 1, 5.0)),
    "execution without an end": ("horizon", "L14", ("jobs", "execution_s", 3, 70.0)),
    "turnaround is missing": ("horizon", "L14", ("jobs", "turnaround_s", 1, np.nan)),
    "busy a microsecond more": ("horizon", "L15", ("instances", "busy_vcpu_s", 0, 100.000001)),
    "starting time is gone": ("horizon", "L15", ("instances", "starting_vcpu_s", 1, 0.0)),
    "an attempt started earlier": ("horizon", "L15", ("attempts", "started_s", 4, 129.0)),
    "FAILED without a reason": ("horizon", "L16", ("jobs", "status_reason", 5, None)),
    "pulled before STARTING": ("horizon", "L1", ("attempts", "pulled_s", 0, 40.5)),
    "pulled after RUNNING": ("horizon", "L1", ("attempts", "pulled_s", 0, 45.5)),
    "pulled after the end": ("horizon", "L1", ("attempts", "pulled_s", 3, 100.5)),
    "pulled without STARTING": ("horizon", "L18", ("attempts", "starting_s", 3, np.nan)),
    "pulled a microsecond late": ("horizon", "L18", ("attempts", "pulled_s", 0, 43.000001)),
    "pulled once more": ("horizon", "L18", ("attempts", "pulled_s", 3, 99.5)),
    "RUNNING without its image": ("horizon", "L18", ("attempts", "pulled_s", 1, np.nan)),
    "STARTING a microsecond late": ("horizon", "L18", ("attempts", "starting_s", 3, 99.000001)),
    "STARTING with the placement": ("horizon", "L18", ("attempts", "starting_s", 0, 40.0)),
    "never STARTING": ("horizon", "L18", ("attempts", "starting_s", 3, np.nan)),
    "one attempt more allowed": ("horizon", "L18", ("jobs", "attempts_allowed", 1, 2)),
    "one attempt fewer allowed": ("horizon", "L18", ("jobs", "attempts_allowed", 2, 1)),
    "a job of another group": ("horizon", "L18", ("jobs", "group", 3, "index")),
    "a name without a number": ("horizon", "L18", ("jobs", "job", 6, "align-x")),
    "GPU-time a microsecond more": ("horizon", "L15", ("instances", "busy_gpu_s", 1, 170.000001)),
    "a GPU that the instance lacks": ("horizon", "L19", ("attempts", "gpu_indices", 2, "1")),
    "two GPUs for one": ("horizon", "L19", ("attempts", "gpu_indices", 2, "0,1")),
    "no GPU for one": ("horizon", "L19", ("attempts", "gpu_indices", 2, None)),
    "a GPU for none": ("horizon", "L19", ("attempts", "gpu_indices", 0, "0")),
    "GPUs that are no numbers": ("horizon", "L19", ("attempts", "gpu_indices", 2, "one")),
    "another priority": ("horizon", "L18", ("jobs", "priority", 0, 1)),
    "a share that nobody submits for": ("horizon", "L18", ("jobs", "share", 0, "red")),
    "an index of no array": ("horizon", "L18", ("jobs", "array_index", 0, 0)),
    "cancelled, yet it SUCCEEDED": ("horizon", "L2", ("jobs", "is_cancelled", 0, True)),
    "terminated, yet it goes on": ("horizon", "L2", ("jobs", "is_terminated", 3, True)),
    "parts of a vCPU": ("horizon", "L3", ("attempts", "vcpus", 0, 2.1)),
    "half a node": ("finished", "L5", ("attempts", "node", 0, 0)),
    "a second node": ("finished", "L5", ("jobs", "nodes", 0, 2)),
    "not a main node": ("finished", "L5", ("attempts", "is_main", 0, False)),
    "a node of another instance's": ("everything", "L4", ("attempts", "instance", 0, "i-00000000000000004")),
    "two nodes on one instance": ("everything", "L4", ("attempts", "instance", 0, "i-00000000000000002")),
    "somebody beside a node": ("everything", "L4", ("attempts", "instance", 6, "i-00000000000000000")),
    "a node in another environment": ("everything", "L4", ("attempts", "environment", 3, "lab")),
    "a node twice": ("everything", "L5", ("attempts", "node", 0, 2)),
    "a node too many": ("everything", "L5", ("attempts", "node", 2, 3)),
    "no node": ("everything", "L5", ("attempts", "node", 0, pd.NA)),
    "a node of no attempt": ("everything", "L5", ("attempts", "attempt", 0, 3)),
    "two main nodes": ("everything", "L5", ("attempts", "is_main", 0, True)),
    "no main node": ("everything", "L5", ("attempts", "is_main", 1, False)),
    "a node before its main node": ("everything", "L5", ("attempts", "starting_s", 0, 7.5)),
    "a node placed before its main node": ("everything", "L5", ("attempts", "placed_s", 3, 27.0)),
    "a node that outlives its main node": ("everything", "L5", ("attempts", "ended_s", 3, 61.0)),
    "a node that never ends": ("everything", "L5", ("attempts", "ended_s", 2, np.nan)),
    "a node with too much": ("everything", "L3", ("attempts", "vcpus", 0, 1.5)),
    "a node with too little": ("everything", "L3", ("attempts", "memory_mib", 2, 499)),
    "a quarter more": ("everything", "L3", ("attempts", "vcpus", 6, 0.5)),
    "an eighth of a vCPU": ("everything", "L3", ("jobs", "vcpus", 1, 0.125)),
    "a node's work": ("everything", "L15", ("attempts", "started_s", 0, 9.5)),
    "one GPU for two jobs": ("everything", "L19", ("attempts", "gpu_indices", 6, "1")),
    "one GPU for two jobs, again": ("everything", "L19", ("attempts", "gpu_indices", 15, "1")),
    "a third GPU of two": ("everything", "L19", ("attempts", "gpu_indices", 7, "2")),
    "a GPU of a node": ("everything", "L19", ("attempts", "gpu_indices", 1, "0")),
    "RUNNABLE before its dependency ended": ("everything", "L11", ("jobs", "runnable_s", 6, 52.9)),
    "RUNNABLE after its dependency ended": ("everything", "L11", ("jobs", "runnable_s", 7, 75.1)),
    "RUNNABLE though a dependency failed": ("everything", "L11", ("jobs", "runnable_s", 10, 80.0)),
    "RUNNABLE without its dependency": ("everything", "L11", ("jobs", "runnable_s", 14, 100.0)),
    "failed before its dependency": ("everything", "L11", ("jobs", "end_s", 10, 79.0)),
    "failed long after its dependency": ("everything", "L11", ("jobs", "end_s", 10, 81.0)),
    "failed for another reason": ("everything", "L11", ("jobs", "status_reason", 10, "bad luck")),
    "failed for no dependency": ("everything", "L11", ("jobs", "status_reason", 8, "Dependent Job failed")),
    "SUBMITTED though it was evaluated": ("horizon", "L11", ("jobs", "submit_s", 6, 198.0)),
    "PENDING for nothing": ("horizon", "L11", ("jobs", "state", 6, "PENDING")),
    "PENDING for longer": ("everything", "L11", ("jobs", "pending_s", 6, 42.5)),
    "PENDING without a dependency": ("everything", "L11", ("jobs", "pending_s", 0, 1.0)),
    "PENDING no more": ("everything", "L11", ("jobs", "pending_s", 14, 1.0)),
    "the dependency failed": ("everything", "L11", ("jobs", "state", 13, "FAILED")),
    "an edge to another job": ("everything", "L11", ("dependencies", "depends_on", 9, "slow-0")),
    "an edge of another job": ("everything", "L11", ("dependencies", "job", 4, "big-1")),
    "an edge to nowhere": ("everything", "L11", ("dependencies", "depends_on", 0, "nobody-0")),
    "an edge to the future": ("everything", "L11", ("dependencies", "depends_on", 9, None)),
    "a barrier without patience": ("everything", "L11", ("dependencies", "is_patient", 10, False)),
    "a patient job": ("everything", "L11", ("dependencies", "is_patient", 0, True)),
    "a child of another array": ("everything", "L21", ("jobs", "job", 9, "part-0:1")),
    "a child too many": ("everything", "L21", ("arrays", "size", 0, 4)),
    "a child FAILED, the array not": ("everything", "L21", ("arrays", "state", 1, "SUCCEEDED")),
    "an array that ended with its first child": ("everything", "L21", ("arrays", "end_s", 1, 30.0)),
    "an array of another name": ("everything", "L21", ("arrays", "job", 0, "part-1")),
    "an array RUNNING": ("everything", "L21", ("arrays", "state", 0, "RUNNING")),
    "a part a micro-USD more": ("horizon", "L23", ("instances", "idle_usd", 1, 0.021482)),
    "a part that is missing": ("horizon", "L23", ("instances", "pull_usd", 0, np.nan)),
    "a negative part": ("horizon", "L23", ("instances", "tail_usd", 0, -0.000001)),
    "a row that bears a micro-USD less": ("horizon", "L23", ("costs", "busy_usd", 1, 0.165749)),
    "a queue that bears nothing": ("horizon", "L23", ("costs", "queue", 2, None)),
    "a bearer whom nobody knows": ("horizon", "L23", ("costs", "group", 1, "nobody")),
    "another environment bears it": ("horizon", "L23", ("costs", "environment", 0, "lab")),
    "the host was not lost": ("horizon", "L23", ("attempts", "status_reason", 3, "bad luck")),
    "stalled in silence": ("stalled", "L16", ("jobs", "status_reason", 2, None)),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_cell_is_reported_under_its_law(planted, request):
    which, law, change = PLANTED[planted]
    result = request.getfixturevalue(which)
    found = broken(result, change)
    assert law in laws(found)
    frame, _, row, _ = change
    of_frame = [violation for violation in found if (violation.law, violation.frame) == (law, frame)]
    if law in {"L2", "L14", "L15", "L16"} and of_frame:  # laws of one row: it must be this one
        assert row in {number for violation in of_frame for number in violation.rows}


IN_SUMMARY = {
    "images.waited": ("L16", 2),
    "images.found": ("L16", 1),
    "images.wait_p50_s": ("L16", 2.5),
    "images.wait_p95_s": ("L16", None),
    "images.part_of_starting": ("L16", 0.1),
    "jobs": ("L16", 8),
    "states.FAILED": ("L16", 2),
    "queues.gpu.jobs": ("L16", 4),
    "queues.own.states.FAILED": ("L16", 0),
    "attempts": ("L16", 7),
    "jobs_started": ("L16", 3),
    "outcome": ("L16", "finished"),
    "ended_at_s": ("L13", 201.0),
    "cost_usd": ("L13", 0.202501),
    "environments.lab.cost_usd": ("L13", 0.2025),
    "instanceTypes.small.cost_usd": ("L13", 0.0),
    "queues.own.cost_usd": ("L13", 0.000926),
    "cost_unattributed_usd": ("L23", 0.1),
    "cost_parts_usd.busy": ("L23", 0.1),
    "environments.cloud.cost_parts_usd.idle": ("L23", 0.000001),
    "instanceTypes.small.cost_parts_usd.lost": ("L23", 0.0),
    "queues.gpu.cost_parts_usd.tail": ("L23", 0.000001),
    "vcpu_hours_free": ("L15", 0.18),
    "waiting_jobs": ("L14", 3),
    "jobs_not_started": ("L14", 4),
    "not_started_max_s": ("L14", None),
    "queues.gpu.not_started_max_s": ("L14", 71.0),
    "waiting_mean_s": ("L14", 15.9376),
    "waiting_p50_s": ("L14", 7.4),
    "waiting_p95_s": ("L14", 44.0),
    "waiting_p99_s": ("L14", None),
    "waiting_max_s": ("L14", 45.0),
    "execution_mean_s": ("L14", 60.0),
    "turnaround_mean_s": ("L14", 79.0),
    "makespan_s": ("L14", 175.0),
    "bounded_slowdown_mean": ("L14", 1.0),
    "queues.gpu.waiting_mean_s": ("L14", 7.0),
    "utilization": ("L15", 0.66),
    "vcpu_hours_used": ("L15", 0.18),
    "vcpu_hours_paid": ("L15", 0.18),
    "vcpu_hours_provisioned": ("L15", 0.18),
    "vcpu_hours_starting": ("L15", 0.18),
    "vcpu_hours_booting": ("L15", 0.18),
    "vcpu_hours_unused": ("L15", 0.18),
    "environments.lab.utilization": ("L15", None),
    "gpu_utilization": ("L15", 0.91),
    "gpu_hours_used": ("L15", 0.18),
    "gpu_hours_paid": ("L15", 0.18),
    "gpu_hours_provisioned": ("L15", 0.18),
    "environments.cloud.gpu_utilization": ("L15", 0.0),
    "instanceTypes.big.gpu_hours_paid": ("L15", 0.18),
    "queues.gpu.gpu_utilization": ("L15", 0.84),
    "queues.own.gpu_hours_used": ("L15", 0.18),
    "instanceTypes.big.vcpu_hours_used": ("L15", 0.18),
    "queues.gpu.utilization": ("L15", 0.18),
    "queues.own.vcpu_hours_used": ("L15", 0.18),
}


@pytest.mark.parametrize("path", IN_SUMMARY)
def test_a_planted_figure_of_the_summary_is_reported_under_its_law(horizon, path):
    law, value = IN_SUMMARY[path]
    assert law in laws(broken(horizon, summary={path: value}))


MOVED = {
    # what is moved from one part, or bearer, to another: (frame, the cells and how much they grow)
    "boot called idle": ("instances", (("boot_usd", 0, -0.0005), ("idle_usd", 0, 0.0005))),
    "pull called busy": ("instances", (("pull_usd", 1, -0.01), ("busy_usd", 1, 0.01))),
    "idle called tail": ("instances", (("idle_usd", 1, -0.02), ("tail_usd", 1, 0.02))),
    "work of another queue": ("costs", (("busy_usd", 1, -0.01), ("busy_usd", 2, 0.01))),
    "idle cost of another queue": ("costs", (("idle_usd", 1, -0.01), ("idle_usd", 2, 0.01))),
}


@pytest.mark.parametrize("planted", MOVED)
def test_money_that_was_moved_is_missed_where_it_was(horizon, planted):
    frame, cells = MOVED[planted]
    changes = [
        (frame, column, row, horizon.frames[frame][column][row] + amount) for column, row, amount in cells
    ]
    totals = [
        (frame, "cost_usd", row, horizon.frames[frame]["cost_usd"][row] + amount)
        for _, row, amount in cells
        if len({row for _, row, _ in cells}) > 1
    ]
    assert "L23" in laws(broken(horizon, *changes, *totals))


@pytest.mark.parametrize("rule", ["even", "separate"])
def test_idle_cost_is_borne_by_the_rule_that_the_manifest_names(horizon, rule):
    assert "L23" in laws(broken(horizon, manifest={"idle_cost": rule}))


IN_SUMMARY_OF_EVERYTHING = {
    "pending_mean_s": ("L14", 8.0),
    "queues.bulk.pending_mean_s": ("L14", None),
    "queues.gang.pending_mean_s": ("L14", 1.0),
    "shares.pods/red.pending_mean_s": ("L14", 1.0),
    "shares.pods/red.waiting_mean_s": ("L14", 8.0),
    "shares.pods/blue.waiting_jobs": ("L14", 1),
    "shares.pods/red.jobs": ("L16", 3),
    "shares.pods/blue.attempts": ("L16", 3),
    "shares.pods/blue.states.FAILED": ("L16", 0),
    "shares.pods/blue.vcpu_hours_used": ("L15", 0.18),
    "shares.pods/red.gpu_hours_used": ("L15", 0.18),
    "shares.pods/red.cost_usd": ("L13", 0.0136),
    "shares": ("L16", {}),
    "failures": ("L16", {}),
    "failures.stop it.jobs": ("L16", 2),
}


@pytest.mark.parametrize("path", IN_SUMMARY_OF_EVERYTHING)
def test_a_planted_figure_of_shares_dependencies_and_failures_is_reported(everything, path):
    law, value = IN_SUMMARY_OF_EVERYTHING[path]
    assert law in laws(broken(everything, summary={path: value}))


def test_a_missing_mean_time_in_pending_is_noticed(everything):
    del (summary := copy.deepcopy(everything.summary))["pending_mean_s"]
    found = audit_frames(everything.frames, summary, everything.manifest)
    assert [each.message for each in found] == ["pending_mean_s is missing"]


def test_a_run_must_end_as_its_states_say(horizon, finished, stalled):
    finish = {"summary": {"outcome": "finished"}, "manifest": {"outcome": "finished"}}
    assert laws(broken(stalled, **finish)) == {"L16"}
    stall = {"summary": {"outcome": "stalled"}, "manifest": {"outcome": "stalled"}}
    assert laws(broken(finished, **stall)) == {"L16"}
    assert laws(broken(horizon, manifest={"horizon_s": 300.0})) == {"L16"}
    assert laws(broken(horizon, manifest={"horizon_s": None})) == {"L16"}
    assert laws(broken(horizon, manifest={"ended_at_s": 199.0})) == {"L16"}
    lost = {"summary": {"outcome": "lost"}, "manifest": {"outcome": "lost"}}
    assert laws(broken(horizon, **lost)) == {"L16"}
    assert laws(broken(finished, summary={"jobs_not_submitted": 1})) == {"L16"}


# What nothing else in a result tells: names for people, reasons, sizes that were not reached.
UNTOLD = {
    "jobs": {"job_definition", "reason", "status_reason", "is_terminated"},
    "attempts": {"status_reason", "reason"},
    "instances": {"requested_s", "end_reason", "memory_mib", "gpus"},
}
# The same of rows to which nothing else refers: a job never placed, an instance that never ran.
UNTOLD_ALONE = {
    "jobs": {"job", "submit_s", "vcpus", "memory_mib", "gpus", "nodes", "is_cancelled"},
    "attempts": set(),
    "instances": {"instance", "instance_type", "usd_per_hour"},
}


def another(values: pd.Series, row: int) -> Any:
    """A different value for a cell, as near to the old one as can be told."""
    old = values.iloc[row]
    if values.dtype == "category":
        names = [name for name in values.cat.categories if name != old]
        return names[0] if names else "another"
    if values.dtype == "bool":
        return not old
    if values.dtype == "string":
        return f"{old}x"
    if pd.isna(old):
        return 1
    if values.name == "usd_per_hour":
        return old * 2 + 1
    return old + (1e-6 if values.dtype == "float64" else 1)


SOME_ROWS = {"jobs": (0, 1, 6, 9, 10, 11, 12, 14), "attempts": (0, 1, 3, 6, 15, 16), "instances": (1,)}


@pytest.mark.parametrize(
    ("which", "frame"),
    [
        *itertools.product(
            ["horizon", "finished", "retried", "stalled", "everything"], ["jobs", "attempts", "instances"]
        ),
        ("everything", "arrays"),
    ],
)
def test_no_cell_can_be_changed_without_being_noticed(which, frame, request):
    result = request.getfixturevalue(which)
    rows = result.frames[frame]
    alone = {
        "jobs": rows.get("attempts"),
        "attempts": rows.get("attempt"),
        "instances": rows.get("billed_s"),
        "arrays": rows.get("size"),
    }
    unnoticed = []
    for column in rows.columns.difference(UNTOLD.get(frame, set())):
        for row in SOME_ROWS.get(frame, range(len(rows))) if which == "everything" else range(len(rows)):
            failed = (
                (frame, column) == ("attempts", "exit_code")
                and not pd.isna(old := rows[column][row])
                and (old > 0 or not rows["is_main"][row])
            )
            of_nodes = (frame, column) == ("jobs", "nodes") and rows[column][row] > 1
            untold = (
                failed or of_nodes or (alone[frame][row] == 0 and column in UNTOLD_ALONE.get(frame, set()))
            )
            value = another(rows[column], row)
            if not untold and not broken(result, (frame, column, row, value)):
                unnoticed.append(f"{column}[{row}] = {value!r}")
    assert not unnoticed, "; ".join(unnoticed)


def test_every_law_has_been_broken_here():
    planted = {law for _, law, _ in PLANTED.values()} | {law for law, _ in IN_SUMMARY.values()}
    assert planted == LAWS.keys() - {"L7", "L8", "L20", "L22", "L24"}  # which have files of their own


def test_a_violation_names_its_law_and_its_first_rows(horizon):
    changes = [("jobs", "turnaround_s", row, 1.5) for row in range(7)]
    first = next(
        violation for violation in broken(horizon, *changes) if "turnaround_s is" in violation.message
    )
    assert (first.law, first.frame, first.rows, first.count) == ("L14", "jobs", (0, 1, 2, 3, 4), 7)
    assert str(first) == (
        f"L14 ({LAWS['L14']}): jobs rows 0, 1, 2, 3, 4, ...: "
        "turnaround_s is not the time between its two instants"
    )
    one = Violation("L5", "no such job", (3,), "attempts", 1)
    assert "attempts row 3: no such job" in str(one)
    assert "): summary: x" in str(Violation("L13", "x"))


def test_rows_are_those_of_the_frame_whatever_its_order(horizon):
    frames = horizon.frames
    shuffled = frames["attempts"].iloc[::-1].reset_index(drop=True)
    assert audit_frames(frames | {"attempts": shuffled}, horizon.summary, horizon.manifest) == []
    shuffled.loc[0, "placed_s"] = 139.0
    found = audit_frames(frames | {"attempts": shuffled}, horizon.summary, horizon.manifest)
    assert {(violation.law, violation.rows) for violation in found if violation.frame == "attempts"} == {
        ("L1", (0,)),
        ("L18", (0,)),
    }


def test_a_series_that_is_missing_is_missed(horizon):
    frame = horizon.timeseries
    for kept in (frame[frame["name"] != "gpu"], frame.iloc[:0]):
        found = audit_frames(horizon.frames | {"timeseries": kept}, horizon.summary, horizon.manifest)
        assert [(violation.law, violation.frame) for violation in found if violation.law == "L6"] == [
            ("L6", "timeseries")
        ]


def test_events_too_far_apart_for_one_integer_are_in_the_same_order():
    rng = np.random.default_rng(2)
    instance = rng.integers(0, 5, 200)
    begin = rng.integers(0, 40, 200)
    end = begin + rng.integers(1, 20, 200)
    near = by_instance_and_time(instance, begin, end)
    far = by_instance_and_time(instance * 10**6, begin * 10**12, end * 10**12)
    instants, instances = np.concatenate((begin, end)), np.concatenate((instance, instance))
    told = [list(zip(instances[order], instants[order], order < 200, strict=True)) for order in (near, far)]
    assert told[0] == told[1] == sorted(told[0])


def test_a_folder_is_audited_like_the_result_in_it(horizon, tmp_path):
    horizon.write(tmp_path)
    assert audit_folder(tmp_path) == []
    jobs = pd.read_parquet(tmp_path / "jobs.parquet")
    jobs.loc[0, "end_s"] = 97.0
    jobs.to_parquet(tmp_path / "jobs.parquet")
    assert {"L2", "L14"} <= laws(audit_folder(tmp_path))


def test_what_is_no_result_is_an_error_and_not_a_violation(horizon, tmp_path):
    with pytest.raises(ResultError, match="no such folder"):
        audit_folder(tmp_path / "nowhere")
    with pytest.raises(ResultError, match="the jobs frame has no column end_s"):
        audit_frames(
            horizon.frames | {"jobs": horizon.jobs.drop(columns="end_s")}, horizon.summary, horizon.manifest
        )
    with pytest.raises(ResultError, match="has no 'queues'"):
        audit_frames(
            horizon.frames,
            {key: v for key, v in horizon.summary.items() if key != "queues"},
            horizon.manifest,
        )
