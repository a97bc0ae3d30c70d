"""Workflows as workloads: published task and edge counts, and makespans by a scheduler of slots."""

from __future__ import annotations

import heapq
import json
import math

import numpy as np
import pytest

from batchsim.core.dependencies import Dependencies, Graph
from batchsim.errors import TraceError
from batchsim.workload import build_workload

S = 1_000_000
# tasks, edges, and the makespan in seconds on 1, 4, 16 and unlimited slots
PUBLISHED = {
    "helloworld-forkjoin-10-chameleon.json": (10, 16, (1028.704, 410.474, 307.36, 307.36)),
    "blast-chameleon-small-001.json": (43, 120, (382.91272, 96.932877, 29.065488, 10.413171)),
    "nextflow-rnaseq-dirt02-001.json": (197, 451, (2580.36, 886.136, 759.454, 759.454)),
    "1000genome-chameleon-8ch-100k-001.json": (208, 304, (16617.042, 4228.839, 1092.078, 401.277)),
}


def flow(name, path, **more):
    return {"name": name, "trace": {"format": "wfformat", "path": str(path), **more}}


def makespan_us(workload, slots):
    """First come, first served by the time a task became ready, ties by row."""
    edges = workload.edges
    columns = (edges.successor_start, edges.successors, edges.waits_for, edges.patient)
    waiting = Dependencies(Graph(len(workload), *(column.tolist() for column in columns)))
    ready = [(0, job) for job in range(len(workload)) if not waiting.waiting(job)]
    running: list[tuple[int, int]] = []
    now = 0
    while ready or running:
        while ready and len(running) < slots:
            _, job = heapq.heappop(ready)
            heapq.heappush(running, (now + int(workload.runtime_us[job]), job))
        now = running[0][0]
        while running and running[0][0] == now:
            _, job = heapq.heappop(running)
            for released in waiting.job_ended(job, succeeded=True).released:
                heapq.heappush(ready, (now, released))
    return now


@pytest.mark.parametrize(("name", "expected"), PUBLISHED.items())
def test_published_workflows(jobs_of, traces, name, expected):
    tasks, edges, makespans_s = expected
    workload = build_workload(jobs_of(flow("w", traces / "dag" / name)))
    assert len(workload) == tasks
    assert len(workload.edges.successors) == edges == int(workload.edges.waits_for.sum())
    assert not len(workload.edges.patient)
    for slots, makespan_s in zip((1, 4, 16, math.inf), makespans_s, strict=True):
        assert makespan_us(workload, slots) / S == pytest.approx(makespan_s, abs=1e-6)


def document(parents, **runs):
    tasks = [{"id": name, "parents": above} for name, above in parents.items()]
    times = [{"id": name, "runtimeInSeconds": 1.5, **runs.get(name, {})} for name in parents]
    return json.dumps({"workflow": {"specification": {"tasks": tasks}, "execution": {"tasks": times}}})


def test_tasks_are_jobs_of_one_instant(jobs_of, tmp_path):
    (tmp_path / "w.json").write_text(
        document({"b": ["a"], "a": []}, a={"coreCount": 4, "memoryInBytes": 2**30}, b={"memoryInBytes": 5})
    )
    workload = build_workload(jobs_of(flow("w", "w.json", start="1h", memoryPerVcpu="1GiB")))
    assert workload.submit_us.tolist() == [3600 * S] * 2
    assert workload.runtime_us.tolist() == [1_500_000] * 2
    assert workload.requested_us.tolist() == [-1, -1]
    assert workload.job_names() == ["w-0", "w-1"]
    found = [workload.classes[each] for each in workload.job_class.tolist()]
    assert [(each.vcpus, each.memory_mib) for each in found] == [(1, 4), (4, 1024)]
    assert workload.edges.pairs()[0].tolist() == [1]
    assert workload.edges.pairs()[1].tolist() == [0]
    notes = workload.notes["w"]
    assert (notes["source"], notes["path"], notes["jobs"], notes["edges"]) == ("wfformat", "w.json", 2, 1)
    assert (notes["memory_assumed_jobs"], notes["memory_raised_to_minimum_jobs"]) == (0, 1)
    assert notes["tasks_beyond_aws_dependencies"] == {}


def test_memory_is_assumed_where_a_task_does_not_say(jobs_of, tmp_path):
    (tmp_path / "w.json").write_text(document({"a": []}, a={"coreCount": 4}))
    workload = build_workload(jobs_of(flow("w", "w.json", memoryPerVcpu="1GiB")))
    assert [each.memory_mib for each in workload.classes] == [4096]
    assumed = {"preset": "ideal", "traceMemoryPerVcpu": "2GiB"}
    workload = build_workload(jobs_of(flow("w", "w.json"), assumptions=assumed))
    assert [each.memory_mib for each in workload.classes] == [8192]
    assert workload.edges is None
    (tmp_path / "w.json").write_text(document({"a": []}, a={"memoryInBytes": 2**50}))
    with pytest.raises(TraceError, match="task a: expected at most 10,000,000 MiB, found 1,073,741,824"):
        build_workload(jobs_of(flow("w", "w.json")))


def test_the_notes_name_tasks_that_aws_would_refuse(jobs_of, tmp_path):
    many = [f"t{number}" for number in range(21)]
    above = {**{name: [] for name in many}, "twenty": many[1:], "more": many}
    (tmp_path / "w.json").write_text(document(above))
    workload = build_workload(jobs_of(flow("w", "w.json")))
    assert workload.notes["w"]["tasks_beyond_aws_dependencies"] == {"more": 21}
    assert len(workload.edges.successors) == 41


def test_workflows_interleave_and_groups_wait_for_them(jobs_of, tmp_path):
    (tmp_path / "w.json").write_text(document({"b": ["a"], "a": []}))
    after = {"name": "after", "jobDefinition": "one", "runtime": "1s", "count": 1}
    scenario = jobs_of(
        {**after, "dependsOn": [{"group": "w"}]},
        flow("v", "w.json", start="2s"),
        flow("w", "w.json") | {"dependsOn": [{"group": "v"}]},
    )
    workload = build_workload(scenario)
    assert workload.job_names() == ["after-0", "w-0", "w-1", "v-0", "v-1"]
    pairs = [*zip(*(side.tolist() for side in workload.edges.pairs()), strict=True)]
    barrier_of_w, barrier_of_v = 5, 6
    assert pairs == [
        (1, barrier_of_w),
        (2, 1),
        (2, barrier_of_w),
        (3, barrier_of_v),
        (4, 3),
        (4, barrier_of_v),
        (barrier_of_w, 0),
        (barrier_of_v, 1),
        (barrier_of_v, 2),
    ]
    assert np.array_equal(workload.edges.waits_for, [1, 2, 1, 1, 0, 2, 2])
