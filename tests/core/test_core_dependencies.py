"""Dependencies: cascades against a direct reading of the rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.dependencies import Dependencies, Graph


def graph(jobs: int, edges: list[tuple[int, int]], patient: tuple[bool, ...] = ()) -> Graph:
    nodes = jobs + len(patient)
    rows: list[list[int]] = [[] for _ in range(nodes)]
    waits_for = [0] * nodes
    for parent, child in edges:
        rows[parent].append(child)
        waits_for[child] += 1
    start = [0]
    for row in rows:
        start.append(start[-1] + len(row))
    return Graph(jobs, start, [child for row in rows for child in row], waits_for, patient)


def test_no_graph_means_nobody_waits():
    none = Dependencies(Graph())
    assert not none.waiting(7)
    assert not none.doomed(7)
    assert none.job_ended(7, succeeded=False) == ([], [])


def test_a_job_is_released_by_its_last_parent():
    both = Dependencies(graph(3, [(0, 2), (1, 2)]))
    assert both.waiting(2)
    assert both.job_ended(0, succeeded=True) == ([], [])
    assert both.job_ended(1, succeeded=True) == ([2], [])
    assert not both.waiting(2)


def test_a_failure_dooms_those_who_wait_for_it_once_and_theirs_when_they_fail():
    diamond = Dependencies(graph(5, [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]))
    assert diamond.job_ended(0, succeeded=False) == ([], [1, 2])
    assert [diamond.doomed(job) for job in (1, 2, 3, 4)] == [True, True, False, False]
    assert diamond.job_ended(1, succeeded=False) == ([], [3])
    assert diamond.job_ended(2, succeeded=False) == ([], [])
    assert diamond.job_ended(3, succeeded=False) == ([], [4])


def test_a_group_barrier_passes_a_failure_on_at_once_and_a_parent_of_an_array_when_all_have_ended():
    for patient, after_first in ((False, [2]), (True, [])):
        fate = Dependencies(graph(3, [(0, 3), (1, 3), (3, 2)], (patient,)))
        assert fate.job_ended(0, succeeded=False) == ([], after_first)
        assert fate.job_ended(1, succeeded=True) == ([], [2] if patient else [])


def test_an_array_barrier_releases_when_every_child_has_succeeded():
    fate = Dependencies(graph(3, [(0, 3), (1, 3), (3, 2)], (True,)))
    assert fate.job_ended(0, succeeded=True) == ([], [])
    assert fate.job_ended(1, succeeded=True) == ([2], [])


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]], list[bool]]:
    jobs = draw(st.integers(1, 9))
    edges = draw(
        st.lists(
            st.tuples(st.integers(0, jobs - 1), st.integers(0, jobs - 1)).filter(lambda e: e[0] < e[1]),
            unique=True,
            max_size=20,
        )
    )
    return jobs, edges, draw(st.lists(st.booleans(), min_size=jobs, max_size=jobs))


@given(histories())
def test_every_job_runs_exactly_if_all_its_parents_succeed(case):
    """In order of submission every parent comes before its children, so one pass tells the truth."""
    jobs, edges, good = case
    parents = [[p for p, c in edges if c == job] for job in range(jobs)]
    succeeds: list[bool] = []
    for job in range(jobs):
        succeeds.append(good[job] and all(succeeds[parent] for parent in parents[job]))
    runs = [all(succeeds[parent] for parent in parents[job]) for job in range(jobs)]
    tracker = Dependencies(graph(jobs, edges))
    ready = [job for job in range(jobs) if not tracker.waiting(job)]
    ran: list[int] = []
    doomed: list[int] = []
    while ready:
        job = ready.pop(0)
        ran.append(job)
        released, fallen = tracker.job_ended(job, succeeded=good[job])
        ready += released
        doomed += fallen
        falling = list(fallen)
        while falling:
            further = tracker.job_ended(falling.pop(), succeeded=False)
            assert not further.released
            doomed += further.doomed
            falling += further.doomed
    assert sorted(ran) == [job for job in range(jobs) if runs[job]]
    assert sorted(doomed) == [job for job in range(jobs) if not runs[job]]
