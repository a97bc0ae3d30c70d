from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from batchsim.errors import ContractError
from batchsim.results import COLUMNS, Recorder, build_result, columns_of
from batchsim.results.columns import FRAMES, OPTIONAL_FRAMES
from batchsim.results.recording import instance_id
from tests.results.worlds import (
    Job,
    JobClass,
    Machine,
    World,
    context_of,
    result_of,
    told_by_hand,
    write_attempt,
)

LOST = "Host EC2 (instance i-00000000000000000) terminated."
EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
FIRST = "i-00000000000000000"

JOBS = {
    "job": ["align-0", "train-0", "align-1", "train-1", "train-2", "index-0", "align-2"],
    "queue": ["bulk", "gpu", "bulk", "gpu", "gpu", "own", "bulk"],
    "group": ["align", "train", "align", "train", "train", "index", "align"],
    "array_index": [None] * 7,
    "job_definition": ["align-def", None, "align-def", None, None, None, "align-def"],
    "share": [None] * 7,
    "priority": [0] * 7,
    "state": ["SUCCEEDED", "SUCCEEDED", "RUNNABLE", "RUNNING", "RUNNABLE", "FAILED", "SUBMITTED"],
    "submit_s": [1, 5.5, 20, 120, 130, 140, 199.5],
    "runnable_s": [2, 6.5, 21, 121, 131, 141, None],
    "start_s": [45, 10.25, None, 130, None, 145, None],
    "end_s": [98, 110.25, None, None, None, 175, None],
    "pending_s": [0] * 7,
    "waiting_s": [44, 4.75, None, 10, None, 5, None],
    "execution_s": [53, 100, None, None, None, 30, None],
    "turnaround_s": [97, 104.75, None, None, None, 35, None],
    "attempts": [2, 1, 1, 1, 0, 1, 0],
    "attempts_allowed": [2, 1, 2, 1, 1, 1, 2],
    "nodes": [1] * 7,
    "vcpus": [2, 3, 2, 3, 3, 1, 2],
    "memory_mib": [1000, 8000, 1000, 8000, 8000, 100, 1000],
    "gpus": [0, 1, 0, 1, 1, 0, 0],
    "environment": ["cloud", "lab", None, "lab", None, "lab", None],
    "instance": [FIRST, "box-7", None, "box-7", None, "box-7", None],
    "instance_type": ["small", "big", None, "big", None, "big", None],
    "exit_code": [0, 0, None, None, None, 137, None],
    "status_reason": [EXITED, EXITED, None, None, None, TIMED_OUT, None],
    "reason": [None, None, None, None, None, "=killed", None],
    "is_cancelled": [False] * 7,
    "is_terminated": [False] * 7,
}
ATTEMPTS = {
    "job": ["align-0", "align-0", "train-0", "align-1", "train-1", "index-0"],
    "attempt": [1, 2, 1, 1, 1, 1],
    "node": [None] * 6,
    "is_main": [True] * 6,
    "environment": ["cloud", "cloud", "lab", "cloud", "lab", "lab"],
    "instance": [FIRST, FIRST, "box-7", FIRST, "box-7", "box-7"],
    "instance_type": ["small", "small", "big", "small", "big", "big"],
    "placed_s": [40, 75, 7, 98, 121, 142],
    "starting_s": [41, 76, 8, 99, 122, 143],
    "pulled_s": [43, 76, None, 99, None, None],
    "started_s": [45, 78, 10.25, None, 130, 145],
    "ended_s": [75, 98, 110.25, 100, None, 175],
    "vcpus": [2, 2, 3, 2, 3, 1],
    "memory_mib": [1000, 1000, 8000, 1000, 8000, 100],
    "gpus": [0, 0, 1, 0, 1, 0],
    "gpu_indices": [None, None, "0", None, "0", None],
    "exit_code": [1, 0, 0, None, None, 137],
    "status_reason": [EXITED, EXITED, EXITED, LOST, None, TIMED_OUT],
    "reason": [None, None, None, None, None, "=killed"],
}
INSTANCES = {
    "instance": [FIRST, "box-7", "i-00000000000000002"],
    "environment": ["cloud", "lab", "cloud"],
    "instance_type": ["small", "big", "small"],
    "zone": [None] * 3,
    "vcpus": [2, 4, 2],
    "memory_mib": [4000, 16000, 4000],
    "gpus": [0, 1, 0],
    "requested_s": [0, 0, 60],
    "running_s": [10, 0, None],
    "ready_s": [40, 0, None],
    "ended_s": [100, None, 80],
    "end_reason": ["lost", None, "gave up"],
    "billing": ["ec2", "ec2", "ec2"],
    "usd_per_hour": [0.1, 3.6, 0.1],
    "billed_s": [90, 200, 0],
    "volume_usd": [0, 0, 0],
    "fee_usd": [0, 0, 0],
    "discount_usd": [0, 0, 0],
    "busy_usd": [0.001389, 0.1665, 0],
    "pull_usd": [0.000222, 0.012019, 0],
    "lost_usd": [0.000056, 0, 0],
    "boot_usd": [0.000833, 0, 0],
    "idle_usd": [0, 0.021481, 0],
    "fragmentation_usd": [0, 0, 0],
    "tail_usd": [0, 0, 0],
    "cost_usd": [0.0025, 0.2, 0],
    "busy_vcpu_s": [100, 540, 0],
    "starting_vcpu_s": [20, 39.75, 0],
    "busy_gpu_s": [0, 170, 0],
}


@pytest.mark.parametrize(
    ("frame", "expected"), [("jobs", JOBS), ("attempts", ATTEMPTS), ("instances", INSTANCES)]
)
def test_every_column_holds_what_was_computed_by_hand(frame, expected):
    found = build_result(*told_by_hand()).frames[frame]
    assert list(found.columns) == list(expected)
    for name, values in expected.items():
        told = [None if pd.isna(value) else value for value in found[name].tolist()]
        assert told == values, name


def test_frames_have_the_declared_columns_in_order_with_the_declared_dtypes():
    result = build_result(*told_by_hand())
    for frame in FRAMES:
        declared = columns_of(frame)
        assert list(result.frames[frame].columns) == [column.name for column in declared]
        for column in declared:
            assert result.frames[frame][column.name].dtype == column.dtype, (frame, column.name)


def test_columns_name_their_unit():
    suffixes = {
        "_s": "s",
        "_mib": "MiB",
        "_usd": "USD",
        "_vcpu_s": "vCPU s",
        "_gpu_s": "GPU s",
        "_per_hour": "USD/h",
    }
    for column in COLUMNS:
        by_name = [unit for suffix, unit in suffixes.items() if column.name.endswith(suffix)]
        if by_name:
            assert column.unit in by_name, column
        assert column.frame in (*FRAMES, *OPTIONAL_FRAMES)
        assert column.meaning
    assert len({(column.frame, column.name) for column in COLUMNS}) == len(COLUMNS)


def test_states_are_ordered_as_a_job_passes_through_them():
    state = build_result(*told_by_hand()).jobs["state"]
    assert list(state.cat.categories) == [
        "SUBMITTED",
        "PENDING",
        "RUNNABLE",
        "STARTING",
        "RUNNING",
        "SUCCEEDED",
        "FAILED",
    ]
    assert state.cat.ordered
    assert (state >= "SUCCEEDED").sum() == 3


def test_categories_are_the_names_in_use_sorted():
    result = build_result(*told_by_hand())
    assert list(result.jobs["queue"].cat.categories) == ["bulk", "gpu", "own"]
    assert list(result.jobs["instance"].cat.categories) == ["box-7", FIRST]
    assert list(result.instances["instance_type"].cat.categories) == ["big", "small"]


def test_seconds_give_back_every_microsecond_for_ten_years():
    rng = np.random.default_rng(3)
    submits = np.sort(rng.integers(0, 10 * 366 * 86_400 * 10**6, 5_000))
    context = context_of([JobClass("a", "q")], [(int(us), 0) for us in submits])
    recorder = Recorder(len(submits))
    recorder.finish(int(submits[-1]), "horizon")
    seconds = build_result(recorder, context).jobs["submit_s"].to_numpy()
    assert (np.rint(seconds * 1e6).astype(np.int64) == submits).all()


def test_an_attempt_lost_before_it_ran_does_not_start_the_job_but_a_later_one_does():
    recorder = Recorder(1)
    context = context_of([JobClass("a", "q", attempts=3)], [(0, 0)])
    recorder.add_instance(0, 0, 0)
    recorder.runnable_us[0] = 0
    write_attempt(recorder, 0, 0, 0, 0, 50, 10, -1)
    recorder.keep_attempt(0)
    write_attempt(recorder, 0, 0, 10, 10, 20, 30, 1)
    recorder.keep_attempt(0)
    write_attempt(recorder, 0, 0, 30, 30, 40, 60, 0)
    recorder.finish(60, "finished")
    result = build_result(recorder, context)
    assert result.jobs["start_s"].tolist() == [20e-6]
    assert result.attempts["attempt"].tolist() == [1, 2, 3]
    assert [math.isnan(value) for value in result.attempts["started_s"]] == [True, False, False]


def test_a_world_without_jobs_and_instances_has_empty_frames_of_the_same_dtypes():
    recorder = Recorder(0)
    recorder.finish(0, "finished")
    empty = build_result(recorder, context_of([], [], queues=["q"]))
    full = build_result(*told_by_hand())
    for frame in FRAMES:
        declared = {column.name: column.dtype for column in columns_of(frame)}
        assert all(empty.frames[frame][name].dtype == dtype for name, dtype in declared.items())
        assert list(empty.frames[frame].columns) == list(full.frames[frame].columns)
    assert [len(empty.frames[frame]) for frame in FRAMES] == [0, 0, 0, 2, 0]
    assert empty.audit() == []


def test_what_a_run_written_down_badly_says():
    recorder, context = told_by_hand()
    with pytest.raises(ContractError, match="8 jobs"):
        build_result(recorder, context_of([JobClass("a", "q")], [(0, 0)]))
    with pytest.raises(ContractError, match="finished"):
        build_result(Recorder(1), context_of([JobClass("a", "q")], [(0, 0)]))
    recorder.instance[3] = 9
    with pytest.raises(ContractError, match="instance"):
        build_result(recorder, context)


def test_instance_ids_have_the_form_of_ec2():
    assert instance_id(255) == "i-000000000000000ff"
    assert len(instance_id(10**6)) == 19


def test_rows_are_in_order_of_submission_and_of_attempts():
    classes = [JobClass("a", "q", attempts=3), JobClass("b", "q", 2, attempts=2)]
    jobs = [Job(0, 0, [1], [1]), Job(0, 1, [2], [1, 0]), Job(1, 0, [1], [1, 1, 0])]
    world = World(classes, [context_of([], []).instance_types[0]], 1, [Machine(0, 0)], jobs)
    result = result_of(world)
    assert result.jobs["job"].tolist() == ["a-0", "b-0", "a-1"]
    assert list(zip(result.attempts["job"], result.attempts["attempt"], strict=True)) == [
        ("a-0", 1),
        ("a-0", 2),
        ("a-0", 3),
        ("b-0", 1),
        ("b-0", 2),
        ("a-1", 1),
        ("a-1", 2),
        ("a-1", 3),
    ]
    assert result.jobs["state"].tolist() == ["FAILED", "SUCCEEDED", "SUCCEEDED"]


def test_frames_do_not_share_memory_with_the_record():
    recorder, context = told_by_hand()
    result = build_result(recorder, context)
    recorded = [
        np.frombuffer(column, np.int64)
        for column in (recorder.runnable_us, recorder.ended_us, recorder.i_running_us, recorder.i_type)
    ]
    for frame in result.frames.values():
        for name in frame.columns:
            if frame[name].dtype in ("float64", "int64"):
                values = frame[name].to_numpy()
                assert not any(np.shares_memory(values, column) for column in (*recorded, context.submit_us))
