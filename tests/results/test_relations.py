"""What the frames say of nodes, arrays, dependencies, pods and requests: the world `told_of_everything`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from batchsim.results import Result, build_result
from batchsim.scenario import Dependency
from batchsim.workload.edges import Rows, build_edges
from batchsim.workload.table import Arrays
from tests.results.worlds import (
    EVERYTHING,
    JobClass,
    Recorder,
    S,
    context_of,
    told_by_hand,
    told_of_everything,
    write_attempt,
)


@pytest.fixture(scope="module")
def result() -> Result:
    return build_result(*told_of_everything())


def plain(frame: pd.DataFrame) -> dict[str, list]:
    return {
        name: [None if pd.isna(value) else value for value in frame[name].tolist()] for name in frame.columns
    }


def test_a_child_of_an_array_is_named_by_its_index(result):
    jobs = result.jobs
    assert jobs["job"].tolist()[3:10] == [
        "part-0:0",
        "part-0:1",
        "part-0:2",
        "join-0",
        "last-0",
        "frail-0:0",
        "frail-0:1",
    ]
    assert jobs["array_index"].dropna().tolist() == [0, 1, 2, 0, 1]
    assert jobs["array_index"].notna().tolist() == [row.index >= 0 for row in EVERYTHING]


def test_jobs_tell_their_share_their_priority_and_who_ended_them(result):
    jobs = result.jobs.set_index("job")
    assert jobs["share"].dropna().to_dict() == {
        "pod-0": "red",
        "big-0": "blue",
        "pod-1": "red",
        "big-1": "blue",
    }
    assert jobs["priority"].loc[["pod-0", "big-0"]].tolist() == [3, 0]
    assert jobs.index[jobs["is_cancelled"]].tolist() == ["pod-1"]
    assert jobs.index[jobs["is_terminated"]].tolist() == ["big-1"]


def test_pending_is_the_time_from_the_evaluation_until_all_dependencies_were_met_or_one_failed(result):
    pending = result.jobs.set_index("job")["pending_s"]
    assert pending[pending > 0].to_dict() == {"join-0": 42, "last-0": 64, "after-0": 59}
    assert pending.index[pending.isna()].tolist() == ["late-0"]


def test_each_node_of_a_multi_node_attempt_has_a_row_with_its_own_amounts(result):
    mpi = result.attempts[result.attempts["job"] == "mpi-0"]
    told = plain(
        mpi[["attempt", "node", "is_main", "vcpus", "memory_mib", "gpus", "gpu_indices", "exit_code"]]
    )
    assert told == {
        "attempt": [1, 1, 1, 2, 2, 2],
        "node": [0, 1, 2, 0, 1, 2],
        "is_main": [False, True, False] * 2,
        "vcpus": [1.25, 2, 1.25] * 2,
        "memory_mib": [500, 1000, 500] * 2,
        "gpus": [1, 2, 1] * 2,
        "gpu_indices": ["0", "0,1", "0"] * 2,
        "exit_code": [0, 1, 143, 143, 0, 1],
    }
    job = result.jobs.iloc[0]
    assert (job["nodes"], job["vcpus"], job["memory_mib"], job["gpus"], job["attempts"]) == (
        3,
        4.5,
        2000,
        4,
        2,
    )
    assert job["instance"] == mpi["instance"].iloc[1]
    assert result.attempts["is_main"].sum() == result.summary["attempts"] == 13


def test_nodes_and_parts_of_a_vcpu_are_counted_exactly(result):
    instances = result.instances
    # node 0: 1.25 x (10 + 27); main: 2 x (20 + 30); node 2: 1.25 x (18 + 22)
    assert instances["busy_vcpu_s"].tolist()[:3] == [46.25, 100, 50]
    assert instances["busy_gpu_s"].tolist()[:3] == [37, 100, 40]
    # pod-0: 0.25 x 50; big-0: 0.75 x 100; big-1: 0.75 x 31
    assert instances["busy_vcpu_s"][3] == 12.5 + 75 + 23.25
    assert result.summary["queues"]["gang"]["vcpu_hours_used"] == 196.25 / 3600
    series = result.timeseries
    pods = series[(series["name"] == "pods") & (series["t_s"] == 59)]
    assert (pods["reserved_vcpus"].item(), pods["running"].item()) == (1.5, 2)
    gang = series[(series["name"] == "gang") & (series["t_s"] == 15)]
    assert (gang["used_vcpus"].item(), gang["running"].item()) == (4.5, 1)
    costs = [queue["cost_usd"] for queue in result.summary["queues"].values()]
    assert sum(costs) == pytest.approx(result.summary["cost_usd"])


def test_spec_1_10_an_array_fails_only_when_its_last_child_has_ended(result):
    assert plain(result.arrays) == {
        "job": ["part-0", "frail-0"],
        "queue": ["bulk", "bulk"],
        "group": ["part", "frail"],
        "state": ["SUCCEEDED", "FAILED"],
        "submit_s": [10, 20],
        "end_s": [53, 80],
        "size": [3, 2],
        "status_reason": [None, "Array Child Job failed"],
        "submitted": [0, 0],
        "pending": [0, 0],
        "runnable": [0, 0],
        "starting": [0, 0],
        "running": [0, 0],
        "succeeded": [3, 1],
        "failed": [0, 1],
    }


@pytest.mark.parametrize(
    ("runnable", "failed", "state"),
    [
        ([-1, -1], [], "SUBMITTED"),
        ([-1, 5], [], "PENDING"),
        ([5, 5], [0], "PENDING"),
        ([5, 5], [0, 1], "FAILED"),
    ],
)
def test_spec_1_2_an_array_is_submitted_until_a_child_is_runnable_and_pending_until_all_ended(
    runnable, failed, state
):
    recorder = Recorder(2)
    recorder.add_instance(0, 0, 0)
    for job, us in enumerate(runnable):
        recorder.runnable_us[job] = us
    for job in failed:
        write_attempt(recorder, job, 0, 5, 5, 5, 9, 1)
        recorder.state[job] = 6
    recorder.finish(10, "horizon")
    arrays = Arrays.of(np.array([0, 1], dtype=np.int32))
    result = build_result(recorder, context_of([JobClass("a", "q")], [(0, 0)] * 2, arrays=arrays))
    assert result.arrays["state"].tolist() == [state]
    assert result.arrays["end_s"].notna().tolist() == [state == "FAILED"]


def test_dependencies_are_rows_of_jobs_and_of_barriers_that_stand_for_many(result):
    edges = list(result.dependencies.itertuples(index=False, name=None))
    assert edges[:5] == [
        ("join-0", "#1", False),
        ("last-0", "#2", False),
        ("after-0", "#1", False),
        ("after-0", "#4", False),
        ("late-0", "#5", False),
    ]
    assert edges[5:9] == [
        ("#0", "part-0:0", True),
        ("#0", "part-0:1", True),
        ("#0", "part-0:2", True),
        ("#1", "#0", False),
    ]


def test_a_group_that_waits_for_a_group_costs_the_sum_of_both():
    n = 300
    recorder = Recorder(2 * n)
    recorder.finish(0, "horizon")
    edges = build_edges(
        {"a": Rows(np.arange(n)), "b": Rows(np.arange(n, 2 * n), [Dependency(group="a")])}, 2 * n
    )
    classes = [JobClass("a", "q"), JobClass("b", "q")]
    context = context_of(classes, [(0, 0)] * n + [(0, 1)] * n, edges=edges)
    assert len(build_result(recorder, context).dependencies) == 2 * n


def test_a_job_that_waits_for_what_comes_after_the_run_says_so():
    recorder = Recorder(3)
    recorder.state[0] = recorder.state[1] = 1
    recorder.finish(5 * S, "horizon")
    edges = build_edges(
        {
            "a": Rows(np.array([0]), [Dependency(group="c")]),
            "b": Rows(np.array([1]), [Dependency(group="c")]),
            "c": Rows(np.array([2])),
        },
        3,
    )
    classes = [JobClass(name, "q") for name in "abc"]
    context = context_of(classes, [(0, 0), (0, 1), (9 * S, 2)], edges=edges, horizon_us=5 * S)
    result = build_result(recorder, context)
    assert plain(result.dependencies)["job"] == ["a-0", "b-0", "#0"]
    assert plain(result.dependencies)["depends_on"] == ["#0", "#0", None]
    assert [str(violation) for violation in result.audit()] == []


def test_frames_that_a_result_does_not_need_are_not_there(result, tmp_path):
    bare = build_result(*told_by_hand())
    assert (bare.arrays, bare.dependencies) == (None, None)
    result.write(tmp_path)
    assert {"arrays.parquet", "dependencies.parquet"} <= {path.name for path in tmp_path.iterdir()}
    bare.write(tmp_path)
    assert not {"arrays.parquet", "dependencies.parquet"} & {path.name for path in tmp_path.iterdir()}
    assert Result.read(tmp_path).arrays is None


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_every_frame_read_back_equals_the_one_that_was_written(result, tmp_path, suffix):
    result.write(tmp_path, suffix)
    again = Result.read(tmp_path)
    assert again.frames.keys() == result.frames.keys()
    for name, frame in result.frames.items():
        pd.testing.assert_frame_equal(again.frames[name], frame, check_exact=True)
    assert again.audit() == []


def test_a_missing_frame_of_arrays_or_dependencies_is_noticed(result):
    for name, law in (("arrays", "L21"), ("dependencies", "L11")):
        without = dataclasses.replace(result, **{name: None})
        assert {violation.law for violation in without.audit()} == {law}


def test_start_failures_that_do_not_count_may_exceed_the_attempts_allowed():
    recorder = Recorder(1)
    recorder.add_instance(0, 0, 0)
    recorder.runnable_us[0] = 0
    recorder.i_running_us[0] = recorder.i_ready_us[0] = 0
    for begin in (0, 10):
        write_attempt(recorder, 0, 0, begin, begin, -1, begin + 10, -1)
        recorder.status_reason[0] = "Task failed to start"
        recorder.keep_attempt(0)
    write_attempt(recorder, 0, 0, 20, 20, 25, 30, 0)
    recorder.state[0] = 5
    recorder.finish(30, "finished")
    for counts, broken in ((False, set()), (True, {"L5"})):
        context = context_of(
            [JobClass("a", "q")], [(0, 0)], assumptions={"startFailureConsumesAttempt": counts}
        )
        found = build_result(recorder, context).audit()
        assert {violation.law for violation in found} == broken
