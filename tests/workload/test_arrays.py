"""Array jobs as rows: children together, one call, one share and kind each, own running times."""

from __future__ import annotations

import numpy as np
import pytest

from batchsim.errors import ScenarioError
from batchsim.workload import build, build_workload

S = 1_000_000
ARRAY = {
    "name": "wide",
    "jobDefinition": "one",
    "runtime": {"exponential": {"mean": "5m"}},
    "count": 40,
    "array": {"size": 7},
    "arrivals": {"poisson": {"rate": "1/s"}},
}
OTHER = {**ARRAY, "name": "other", "count": 300, "array": None}
SMALL = {**ARRAY, "name": "small", "array": None, "arrayProperties": {"size": 2}}


def entry(given):
    return {key: value for key, value in given.items() if value is not None}


def test_children_are_consecutive_rows_in_order_of_index(jobs_of):
    workload = build_workload(jobs_of(entry(OTHER), entry(ARRAY), entry(SMALL)))
    arrays = workload.arrays
    assert len(workload) == 300 + 280 + 80
    assert (arrays.array.dtype, arrays.index.dtype) == (np.int32, np.int32)
    assert (arrays.first.dtype, arrays.size.dtype) == (np.int64, np.int64)
    assert sorted(arrays.size.tolist()) == [2] * 40 + [7] * 40
    inside = np.zeros(len(workload), bool)
    for number, (first, size) in enumerate(zip(arrays.first.tolist(), arrays.size.tolist(), strict=True)):
        children = slice(first, first + size)
        inside[children] = True
        assert arrays.array[children].tolist() == [number] * size
        assert arrays.index[children].tolist() == list(range(size))
        assert len(set(workload.submit_us[children].tolist())) == 1
        assert len(set(workload.ordinal[children].tolist())) == 1
        assert len(set(workload.job_class[children].tolist())) == 1
        assert len(set(workload.runtime_us[children].tolist())) == size
    assert (arrays.array[~inside] == -1).all()
    assert (arrays.index[~inside] == -1).all()
    assert (np.diff(arrays.first) > 0).all()
    assert (np.diff(workload.submit_us) >= 0).all()


def test_names_tell_children_apart(jobs_of):
    few = {**ARRAY, "count": 2, "array": {"size": 2}, "arrivals": {"times": ["9s", "3s"]}}
    del few["count"]
    single = {**OTHER, "count": 1, "arrivals": {"atOnce": {"at": "5s"}}}
    workload = build_workload(jobs_of(few, entry(single)))
    assert workload.job_names() == ["wide-1:0", "wide-1:1", "other-0", "wide-0:0", "wide-0:1"]
    assert workload.notes["wide"] == {"source": "generated", "jobs": 4, "arrays": 2}


def test_the_calls_are_those_of_the_same_jobs_without_arrays(jobs_of):
    """An array changes neither when its entry calls nor what kinds of jobs that draws."""
    mix = [{"weight": 1, "jobDefinition": "one"}, {"weight": 2, "jobDefinition": "task"}]
    mixed = {**{key: value for key, value in ARRAY.items() if key != "jobDefinition"}, "mix": mix}
    plain = build_workload(jobs_of(entry({**mixed, "array": None})), 3)
    wide = build_workload(jobs_of(mixed), 3)
    heads = wide.arrays.first
    assert wide.submit_us[heads].tolist() == plain.submit_us.tolist()
    assert [wide.classes[each].job_definition for each in wide.job_class[heads].tolist()] == [
        plain.classes[each].job_definition for each in plain.job_class.tolist()
    ]
    assert wide.runtime_us[:40].tolist() == plain.runtime_us.tolist()


def test_more_calls_begin_with_the_fewer(jobs_of):
    fewer, more = (build_workload(jobs_of({**ARRAY, "count": count})) for count in (10, 40))
    assert more.runtime_us[:70].tolist() == fewer.runtime_us.tolist()


def test_plain_jobs_have_no_columns_but_their_own(jobs_of):
    workload = build_workload(jobs_of(entry(OTHER)))
    unused = (workload.arrays, workload.edges, workload.startup_us, workload.node_us, workload.events)
    assert unused == (None, None, None, None, ())


def test_children_count_as_jobs(jobs_of, monkeypatch):
    monkeypatch.setattr(build, "MAX_JOBS", 280)
    assert len(build_workload(jobs_of(ARRAY))) == 280
    monkeypatch.setattr(build, "MAX_JOBS", 279)
    with pytest.raises(ScenarioError, match=r"workload\.wide: expected at most 279 jobs in all, found 280"):
        build_workload(jobs_of(ARRAY))


@pytest.mark.parametrize("instant_s", [0, 1, 5, 12, 10**6])
def test_a_workload_ends_at_a_horizon_between_arrays(jobs_of, instant_s):
    waiting = {**entry(OTHER), "dependsOn": [{"group": "wide"}]}
    late = {"at": "12s", "cancel": "wide", "reason": "late"}
    whole = build_workload(jobs_of(waiting, ARRAY, {**late, "at": "5s"}, late))
    n = int((whole.submit_us < instant_s * S).sum())
    part = whole.before(instant_s * S)
    assert part.submit_us.tolist() == whole.submit_us[:n].tolist()
    assert part.job_names() == whole.job_names()[:n]
    assert part.arrays.size.sum() == (part.arrays.index >= 0).sum()
    assert part.arrays.first.tolist() == np.flatnonzero(part.arrays.index == 0).tolist()
    assert part.edges.waits_for.tolist()[:n] == whole.edges.waits_for.tolist()[:n]
    assert len(part.edges.waits_for) == n + len(part.edges.patient) == n + 41
    assert [event.at_us // S for event in part.events] == [at for at in (5, 12) if at < instant_s]


def test_an_array_of_the_instant_of_the_horizon_is_cut_off_whole(jobs_of):
    timed = {**entry({**ARRAY, "count": None}), "array": {"size": 2}, "arrivals": {"times": ["1s", "2s"]}}
    part = build_workload(jobs_of(timed)).before(2 * S)
    assert part.job_names() == ["wide-0:0", "wide-0:1"]
    assert (part.arrays.first.tolist(), part.arrays.size.tolist()) == ([0], [2])


def test_a_workload_may_have_nothing_that_submit_job_submits(jobs_of):
    event = {"at": "1h", "updateConsumableResource": "licences", "operation": "ADD", "quantity": 5}
    workload = build_workload(jobs_of(event))
    assert (len(workload), workload.job_names(), workload.classes) == (0, [], [])
    assert [tuple(each) for each in workload.events] == [(3600 * S, "licences", "ADD", 5)]
