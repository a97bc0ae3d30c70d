"""Dependencies: the edges through their barriers against a direct reading of the rules, and their cost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.dependencies import Dependencies, Graph
from batchsim.scenario import Dependency
from batchsim.workload import build_workload
from batchsim.workload.edges import Rows, build_edges

PLAIN = {"jobDefinition": "one", "runtime": "60s"}


def graph_of(edges, jobs):
    return Graph(
        jobs,
        edges.successor_start.tolist(),
        edges.successors.tolist(),
        edges.waits_for.tolist(),
        edges.patient.tolist(),
    )


def awaited_jobs(edges, jobs):
    """For each job those that it waits for, straight or by barriers."""
    before = {node: [] for node in range(len(edges.waits_for))}
    for source, target in zip(*(side.tolist() for side in edges.pairs()), strict=True):
        before[target].append(source)

    def jobs_behind(node):
        return {node} if node < jobs else set().union(*map(jobs_behind, before[node]))

    return [set().union(*map(jobs_behind, before[job])) for job in range(jobs)]


@st.composite
def groups_of_jobs(draw):
    """Groups of jobs or arrays, on rows in any order, that wait for earlier groups."""
    kinds = draw(
        st.lists(st.tuples(st.sampled_from([None, 2, 3]), st.integers(0, 3)), min_size=1, max_size=4)
    )
    jobs = sum(count * (size or 1) for size, count in kinds)
    rows = np.array(draw(st.permutations(range(jobs))), np.int64)
    groups, used = {}, 0
    for number, (size, count) in enumerate(kinds):
        mine = rows[used : used + count * (size or 1)]
        used += len(mine)
        waits = [Dependency(type="SEQUENTIAL")] if size and draw(st.booleans()) else []
        for other, earlier in groups.items():
            choice = draw(st.sampled_from(["no", "all", "each"]))
            if choice == "all":
                waits.append(Dependency(group=other))
            if choice == "each" and size and earlier.rows.ndim == 2 and earlier.rows.shape[1] == size:
                waits.append(Dependency(group=other, type="N_TO_N"))
        groups[f"g{number}"] = Rows(mine.reshape(-1, size) if size else mine, waits)
    return groups, jobs


def arrays_of(group):
    """The arrays of a group, a job without an array as one of its own."""
    return group.rows.tolist() if group.rows.ndim == 2 else [[job] for job in group.rows.tolist()]


def expected_awaited(groups, jobs):
    """The rules of spec 1.9, job by job."""
    awaited = [set() for _ in range(jobs)]
    for group in groups.values():
        for dependency, array in itertools.product(group.depends_on, arrays_of(group)):
            for index, job in enumerate(array):
                awaited[job] |= set().union(*awaited_units(groups, dependency, array, index))
    return awaited


@given(groups_of_jobs())
def test_every_job_waits_for_exactly_whom_it_depends_on(given_groups):
    groups, jobs = given_groups
    edges = build_edges(groups, jobs)
    expected = expected_awaited(groups, jobs)
    if edges is None:
        assert not any(expected)
        return
    assert awaited_jobs(edges, jobs) == expected
    nodes = jobs + len(edges.patient)
    assert len(edges.waits_for) == nodes == len(edges.successor_start) - 1
    assert np.bincount(edges.successors, minlength=nodes).tolist() == edges.waits_for.tolist()
    assert edges.waits_for[jobs:].all()  # a barrier that waits for nobody would never let anybody go


@given(groups_of_jobs(), st.data())
def test_a_patient_barrier_is_an_array_and_others_fail_at_once(given_groups, data):
    """Which jobs are doomed after some failures, as the scheduler counts it, against the rules."""
    groups, jobs = given_groups
    edges = build_edges(groups, jobs)
    if edges is None:
        return
    fate = Dependencies(graph_of(edges, jobs))
    ran: dict[int, bool] = {}
    doomed: set[int] = set()
    for job in data.draw(st.permutations(range(jobs))):
        if job in ran or job in doomed or fate.waiting(job):
            continue
        ran[job] = data.draw(st.booleans())
        falling = [(job, ran[job])]
        released: list[int] = []
        while falling:
            ended = fate.job_ended(falling[0][0], succeeded=falling.pop(0)[1])
            released += ended.released
            doomed |= set(ended.doomed)
            falling += [(lost, False) for lost in ended.doomed]
        assert doomed == expected_doomed(groups, ran)
        assert not doomed & set(released)


def expected_doomed(groups, ran):
    """All with a failed dependency: a job, or an array whose children have all ended and not all well."""
    doomed: set[int] = set()
    while True:
        ended = ran | dict.fromkeys(doomed, False)
        found = {
            job
            for group in groups.values()
            for dependency, array in itertools.product(group.depends_on, arrays_of(group))
            for index, job in enumerate(array)
            for unit in awaited_units(groups, dependency, array, index)
            if all(each in ended for each in unit) and not all(ended[each] for each in unit)
        }
        if found == doomed:
            return doomed
        doomed = found


def awaited_units(groups, dependency, array, index):
    """What child `index` of an array waits for: jobs, or whole arrays."""
    if dependency.type == "SEQUENTIAL":
        return [[array[index - 1]]] if index else []
    arrays = arrays_of(groups[dependency.group])
    return [[each[index]] for each in arrays] if dependency.type == "N_TO_N" else arrays


@given(groups_of_jobs(), st.integers(0, 40))
def test_what_is_cut_off_is_never_there_and_never_lets_anybody_go(given_groups, cut):
    groups, jobs = given_groups
    edges = build_edges(groups, jobs)
    if edges is None:
        return
    cut = min(cut, jobs)
    left = edges.before(cut, jobs)
    kept = {job: job for job in range(cut)} | {
        node: node - jobs + cut for node in range(jobs, len(edges.waits_for))
    }
    expected = {
        (kept[source], kept[target])
        for source, target in zip(*(side.tolist() for side in edges.pairs()), strict=True)
        if source in kept and target in kept
    }
    assert set(zip(*(side.tolist() for side in left.pairs()), strict=True)) == expected
    assert left.waits_for.tolist() == [edges.waits_for.tolist()[node] for node in kept]
    assert left.patient.tolist() == edges.patient.tolist()


def test_a_group_is_one_barrier_whoever_waits_for_it(jobs_of):
    edges = build_workload(
        jobs_of(
            {**PLAIN, "name": "a", "count": 1000},
            {**PLAIN, "name": "b", "count": 2000, "dependsOn": [{"group": "a"}]},
            {**PLAIN, "name": "c", "count": 3, "dependsOn": [{"group": "a"}, {"group": "b"}]},
        )
    ).edges
    assert edges.patient.tolist() == [False, False]
    assert len(edges.successors) == 1000 + 2000 + 3 + 2000 + 3
    assert edges.waits_for[:1000].tolist() == [0] * 1000
    assert edges.waits_for[1000:].tolist() == [1] * 2000 + [2] * 3 + [1000, 2000]
    assert edges.successor_start.dtype == np.int64
    assert (edges.successors.dtype, edges.waits_for.dtype) == (np.int32, np.int32)


def test_the_parent_of_an_array_waits_for_all_its_children(jobs_of):
    edges = build_workload(
        jobs_of(
            {**PLAIN, "name": "a", "count": 2, "array": {"size": 3}},
            {**PLAIN, "name": "b", "count": 1, "dependsOn": [{"group": "a"}]},
        )
    ).edges
    assert edges.patient.tolist() == [True, True, False]
    fate = Dependencies(graph_of(edges, 7))
    assert fate.job_ended(1, succeeded=False) == ([], [])
    assert fate.job_ended(0, succeeded=True) == ([], [])
    assert fate.job_ended(2, succeeded=True) == ([], [6])


def test_scenario_16_n_to_n(jobs_of):
    array = {**PLAIN, "count": 1, "array": {"size": 3}}
    edges = build_workload(
        jobs_of(
            {**array, "name": "a"}, {**array, "name": "b", "dependsOn": [{"group": "a", "type": "N_TO_N"}]}
        )
    ).edges
    assert [*zip(*(side.tolist() for side in edges.pairs()), strict=True)] == [(0, 3), (1, 4), (2, 5)]
    fate = Dependencies(graph_of(edges, 6))
    assert [fate.job_ended(job, succeeded=job != 1) for job in range(3)] == [
        ([3], []),
        ([], [4]),
        ([5], []),
    ]


def test_scenario_17_sequential(jobs_of):
    array = {**PLAIN, "name": "a", "count": 2, "array": {"size": 4}, "dependsOn": [{"type": "SEQUENTIAL"}]}
    edges = build_workload(jobs_of(array)).edges
    pairs = [*zip(*(side.tolist() for side in edges.pairs()), strict=True)]
    assert pairs == [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7)]


def test_groups_may_be_listed_in_any_order_and_interleave(jobs_of):
    every = {"every": {"interval": "2s"}}
    scenario = jobs_of(
        {**PLAIN, "name": "after", "count": 2, "arrivals": every, "dependsOn": [{"group": "before"}]},
        {**PLAIN, "name": "before", "count": 2, "arrivals": every},
    )
    workload = build_workload(scenario)
    assert workload.job_names() == ["after-0", "before-0", "after-1", "before-1"]
    assert awaited_jobs(workload.edges, 4) == [{1, 3}, set(), {1, 3}, set()]
    assert workload.notes["after"]["dependencies_of_each_job"] == 2
    assert "dependencies_of_each_job" not in workload.notes["before"]


def test_nobody_waits_for_a_group_that_came_out_empty(jobs_of):
    rare = {**PLAIN, "name": "rare", "arrivals": {"poisson": {"rate": "1e-9/s"}}, "until": "1s"}
    workload = build_workload(
        jobs_of(rare, {**PLAIN, "name": "b", "count": 1, "dependsOn": [{"group": "rare"}]})
    )
    assert len(workload) == 1
    assert workload.edges is None


@pytest.mark.parametrize("sizes", [(1, 3), (3, 1), (3, 3)])
def test_n_to_n_between_several_arrays(jobs_of, sizes):
    before, after = sizes
    workload = build_workload(
        jobs_of(
            {**PLAIN, "name": "a", "count": before, "array": {"size": 2}},
            {
                **PLAIN,
                "name": "b",
                "count": after,
                "array": {"size": 2},
                "dependsOn": [{"group": "a", "type": "N_TO_N"}],
            },
        )
    )
    awaited = awaited_jobs(workload.edges, 2 * (before + after))
    for row, index in enumerate(workload.arrays.index.tolist()):
        expected = {2 * array + index for array in range(before)} if row >= 2 * before else set()
        assert awaited[row] == expected
    assert len(workload.edges.successors) == 2 * (before * after if 1 in sizes else before + after)
