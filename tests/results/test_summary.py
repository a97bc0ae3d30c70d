from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim import units
from batchsim.results import EnvironmentRow, InstanceTypeRow, Recorder, build_result
from batchsim.results.cost import NOT_IN_THE_BILL, billed_seconds, cost_uusd
from batchsim.results.exact import exact_sum, sums_by
from tests.results.worlds import JobClass, S, context_of, told_by_hand, told_of_everything, write_attempt


def test_every_value_of_the_summary_is_what_was_computed_by_hand():
    summary = build_result(*told_by_hand()).summary
    queues, environments, types = (summary.pop(key) for key in ("queues", "environments", "instanceTypes"))
    assert summary == {
        "outcome": "horizon",
        "ended_at_s": 200,
        "jobs_not_submitted": 1,
        "jobs": 7,
        "jobs_started": 4,
        "states": {
            "SUBMITTED": 1,
            "PENDING": 0,
            "RUNNABLE": 2,
            "STARTING": 0,
            "RUNNING": 1,
            "SUCCEEDED": 2,
            "FAILED": 1,
        },
        "makespan_s": 174,
        "waiting_jobs": 4,
        "waiting_mean_s": 15.9375,
        "waiting_p50_s": 7.5,
        "waiting_p95_s": pytest.approx(38.9),
        "waiting_p99_s": pytest.approx(42.98),
        "waiting_max_s": 44,
        "jobs_not_started": 3,
        "not_started_max_s": 180,
        "execution_mean_s": 61,
        "turnaround_mean_s": 236.75 / 3,
        "bounded_slowdown_mean": pytest.approx((97 / 53 + 104.75 / 100 + 35 / 30) / 3),
        "attempts": 6,
        "failures": {"Job attempt duration exceeded timeout": {"jobs": 1}},
        "launches_failed": {"gave up": {"instances": 1}},
        "images": {
            "waited": 1,
            "found": 2,
            "wait_p50_s": 2.0,
            "wait_p95_s": 2.0,
            "part_of_starting": 2 / (4 + 2 + 2.25 + 1 + 8 + 2),
        },
        "instances": 2,
        "peak_vcpus": 6,
        "utilization": 640 / 980,
        "vcpu_hours_used": 640 / 3600,
        "vcpu_hours_paid": (90 * 2 + 200 * 4) / 3600,
        "vcpu_hours_provisioned": 980 / 3600,
        "vcpu_hours_starting": 59.75 / 3600,
        "vcpu_hours_booting": 60 / 3600,
        "vcpu_hours_unused": 220.25 / 3600,
        "gpu_utilization": 170 / 200,
        "gpu_hours_used": 170 / 3600,
        "gpu_hours_paid": 200 / 3600,
        "gpu_hours_provisioned": 200 / 3600,
        "cost_usd": 0.2025,
        "vcpu_hours_free": 0,
        "cost_parts_usd": {
            "busy": 0.167889,
            "pull": 0.012241,
            "lost": 0.000056,
            "boot": 0.000833,
            "idle": 0.021481,
            "fragmentation": 0,
            "tail": 0,
        },
        "commitment_unused_usd": 0,
        "cluster_usd": 0,
        "cost_unattributed_usd": 0,
        "volume_usd": 0,
        "fee_usd": 0,
        "discount_usd": 0,
    }
    assert set(queues) == {"gpu", "bulk", "own", "empty"}
    assert environments["cloud"]["cost_usd"] == types["small"]["cost_usd"] == 0.0025
    # lab: 0.001 USD/s; nine tenths are its GPU, a tenth its 4 vCPUs
    assert environments["lab"]["cost_parts_usd"] == {
        "busy": 0.1665,  # 170 s x 0.975, 30 s x 0.025
        "pull": 0.012019,  # (3.25 s + 9 s) x 0.975, 3 s x 0.025
        "lost": 0,
        "boot": 0,
        "idle": 0.021481,
        "fragmentation": 0,
        "tail": 0,
    }
    assert (environments["cloud"]["instances"], environments["cloud"]["peak_vcpus"]) == (1, 2)
    assert environments["cloud"]["utilization"] == 100 / 180
    assert set(types) == {"small", "big"}


def test_queues_bear_the_cost_of_an_environment_by_what_their_jobs_cost_directly():
    queues = build_result(*told_by_hand()).summary["queues"]
    # lab: 0.2 USD over (170 s + 12.25 s) x 0.975 of gpu and (30 s + 3 s) x 0.025 of own, in proportion
    assert queues["gpu"]["cost_usd"] == 0.199075
    assert queues["own"]["cost_usd"] == 0.000925
    assert queues["bulk"]["cost_usd"] == 0.0025
    assert queues["empty"]["cost_usd"] == 0


def test_queues_have_the_metrics_of_their_own_jobs():
    queues = build_result(*told_by_hand()).summary["queues"]
    gpu, empty = queues["gpu"], queues["empty"]
    assert (gpu["jobs"], gpu["jobs_started"], gpu["attempts"]) == (3, 2, 2)
    assert gpu["states"]["RUNNABLE"] == gpu["states"]["RUNNING"] == gpu["states"]["SUCCEEDED"] == 1
    assert gpu["waiting_mean_s"] == (4.75 + 10) / 2
    assert gpu["makespan_s"] == 110.25 - 5.5
    assert gpu["utilization"] == 510 / 980
    assert (gpu["gpu_utilization"], gpu["gpu_hours_used"]) == (170 / 200, 170 / 3600)
    assert sum(queue["utilization"] for queue in queues.values()) == pytest.approx(640 / 980)
    assert empty["jobs"] == 0
    assert [
        empty[key] for key in ("makespan_s", "waiting_mean_s", "waiting_p95_s", "bounded_slowdown_mean")
    ] == [None] * 4


def test_shares_have_the_metrics_and_the_cost_of_their_own_jobs():
    summary = build_result(*told_of_everything()).summary
    red, blue = (summary["shares"][name] for name in ("pods/red", "pods/blue"))
    assert list(summary["shares"]) == ["pods/blue", "pods/red"]
    assert (red["jobs"], red["jobs_started"], red["waiting_mean_s"], red["not_started_max_s"]) == (2, 1, 7, 6)
    assert (blue["jobs"], blue["jobs_started"], blue["waiting_mean_s"]) == (2, 2, 8)
    assert (red["vcpu_hours_used"], blue["vcpu_hours_used"]) == (12.5 / 3600, 98.25 / 3600)
    # 119 s of an instance of 3.60 USD an hour. They held for 52 and 135 s one of its two GPUs, which are nine
    # tenths of it, and 0.25 and 0.75 of its eight vCPUs: 23.5625 and 62.015625 s of the whole instance.
    assert (red["cost_usd"], blue["cost_usd"]) == (0.032764, 0.086236)
    assert summary["queues"]["pods"]["cost_usd"] == 0.119
    assert "shares" not in build_result(*told_by_hand()).summary


def test_failures_are_counted_by_status_reason_the_most_frequent_first():
    failures = build_result(*told_of_everything()).summary["failures"]
    assert list(failures.items()) == [
        ("Dependent Job failed", {"jobs": 1}),
        ("Essential container in task exited", {"jobs": 1}),
        ("not needed", {"jobs": 1}),
        ("stop it", {"jobs": 1}),
    ]


def test_the_part_of_waiting_in_pending_is_told_where_jobs_depend_on_others():
    summary = build_result(*told_of_everything()).summary
    # Of the twelve jobs that started two had waited for others: for 42 s and 64 s.
    assert summary["pending_mean_s"] == 106 / 12
    # part-0 to part-2, join-0, last-0, frail-0, frail-1 and slow-0
    assert summary["queues"]["bulk"]["pending_mean_s"] == 106 / 8
    assert "pending_mean_s" not in build_result(*told_by_hand()).summary


def test_the_summary_and_the_manifest_are_plain_json():
    result = build_result(*told_by_hand())
    for value in (result.summary, result.manifest):
        assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_the_manifest_says_what_the_result_rests_on():
    recorder, context = told_by_hand()
    manifest = build_result(recorder, context).manifest
    assert manifest == {
        "batchsim": "0.1.0",
        "numpy": np.__version__,
        "driver": "simulated",
        "name": "small",
        "region": "us-east-1",
        "currency": "USD",
        "price_date": "2026-01-31",
        "seed": 7,
        "replication": 0,
        "scenario_sha256": context.digest,
        "outcome": "horizon",
        "ended_at_s": 200,
        "horizon_s": 200,
        "assumptions": {
            "preset": "ideal",
            "submitEvaluation": "1s",
            "dispatchDelay": "1s",
            "containerStart": {"constant": "2s"},
            "backfill": "none",
        },
        "not_modelled": ["tags"],
        "idle_cost": "proportional",
        "not_in_the_bill": list(NOT_IN_THE_BILL),
        "architectures": {},
        "workload": {"align": {"source": "generated"}},
        "scenario": {
            "batchsim": 1,
            "name": "small",
            "jobDefinitions": [{"jobDefinitionName": "align-def", "containerProperties": {}}],
            "workload": [
                {"name": "align", "retryStrategy": {"attempts": 2}},
                {"name": "train", "retryStrategy": {"attempts": 1}},
                {"name": "index", "retryStrategy": {"attempts": 1}},
            ],
        },
    }


def one_instance(running: int, ended: int, uusd_per_hour: int, *, ends_run: int | None = None) -> dict:
    recorder = Recorder(0)
    row = recorder.add_instance(0, 0, 0)
    recorder.i_running_us[row] = recorder.i_ready_us[row] = running
    recorder.i_ended_us[row] = ended
    recorder.finish(ended if ends_run is None else ends_run, "finished")
    context = context_of([], [], queues=["q"], instance_types=[InstanceTypeRow("t", 8, 1, 0, uusd_per_hour)])
    return build_result(recorder, context).summary


@pytest.mark.parametrize(
    ("running", "ended", "price", "seconds", "uusd"),
    [
        (0, 60 * S, 3_600_000, 60, 60_000),
        (0, 1, 3_600_000, 60, 60_000),  # the minimum
        (0, 0, 3_600_000, 60, 60_000),  # told to run, then told to end: the minimum
        (5 * S, 65 * S + 1, 3_600_000, 61, 61_000),  # a second begun is a second billed
        (0, 3600 * S, 85_000, 3600, 85_000),
        (0, 61 * S, 85_000, 61, 1_440),  # 1,440.28
        (0, 90 * S, 20, 90, 1),  # 0.5 rounds up
        (0, 90 * S, 19, 90, 0),  # 0.475 does not
        (0, 10 * 365 * 86_400 * S, 400_000_000, 315_360_000, 35_040_000_000_000),
    ],
)
def test_an_instance_is_billed_by_the_second_at_least_a_minute(running, ended, price, seconds, uusd):
    summary = one_instance(running, ended, price)
    assert summary["cost_usd"] == uusd / 1e6
    assert summary["vcpu_hours_paid"] == seconds * 8 / 3600


def test_an_instance_that_outlives_the_run_is_billed_to_its_end():
    assert one_instance(0, -1, 3_600_000, ends_run=100 * S)["cost_usd"] == 0.1


def test_nobody_is_charged_for_an_environment_that_nobody_used():
    summary = one_instance(0, 60 * S, 3_600_000)
    assert summary["cost_unattributed_usd"] == summary["cost_usd"] == 0.06
    assert summary["queues"]["q"]["cost_usd"] == 0
    assert summary["utilization"] == 0


@given(st.lists(st.tuples(st.integers(0, 2**45), st.integers(0, 2**45), st.integers(0, 10**9)), max_size=20))
def test_columns_are_billed_as_single_instances_are(rows):
    running = np.array([row[0] for row in rows], dtype=np.int64)
    until = running + np.array([row[1] for row in rows], dtype=np.int64)
    price = np.array([row[2] for row in rows], dtype=np.int64)
    seconds = billed_seconds(running, until)
    assert seconds.tolist() == [units.billed_seconds(row[1]) for row in rows]
    expected = [units.cost_uusd(units.billed_seconds(row[1]), row[2]) for row in rows]
    assert cost_uusd(seconds, price).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-(2**63), 2**63 - 1)), max_size=50))
def test_sums_do_not_overflow(rows):
    codes = np.array([code for code, _ in rows], dtype=np.int64)
    values = np.array([value for _, value in rows], dtype=np.int64)
    assert exact_sum(values) == sum(value for _, value in rows)
    assert sums_by(codes, values, 4) == [sum(v for c, v in rows if c == code) for code in range(4)]


def test_the_mean_waiting_is_exact_where_the_sum_outgrows_63_bits():
    jobs = 40_000
    wait = 9 * 365 * 86_400 * S + 1
    recorder = Recorder(jobs)
    recorder.add_instance(0, 0, 0)
    for job in range(jobs):
        recorder.runnable_us[job] = 0
        write_attempt(recorder, job, 0, wait, wait, wait, wait, 0)
        recorder.state[job] = 5
    recorder.finish(wait, "finished")
    summary = build_result(recorder, context_of([JobClass("a", "q")], [(0, 0)] * jobs)).summary
    assert jobs * wait > 2**63
    assert summary["waiting_mean_s"] == wait / S == summary["waiting_max_s"]


def test_peak_vcpus_count_an_end_before_a_beginning_at_the_same_instant():
    recorder = Recorder(0)
    for begin, end in ((0, 10), (10, 20), (5, 15)):
        row = recorder.add_instance(0, 0, 0)
        recorder.i_running_us[row], recorder.i_ended_us[row] = begin, end
    recorder.finish(30, "finished")
    assert build_result(recorder, context_of([], [], queues=["q"])).summary["peak_vcpus"] == 8


def test_types_of_one_name_and_two_prices_are_one_row_of_the_summary():
    recorder = Recorder(0)
    for kind in (0, 1):
        row = recorder.add_instance(kind, kind, 0)
        recorder.i_running_us[row] = 0
    recorder.finish(3600 * S, "finished")
    context = context_of(
        [],
        [],
        queues=["q"],
        environments=[EnvironmentRow("a", managed=True), EnvironmentRow("b", managed=False)],
        instance_types=[InstanceTypeRow("m5", 2, 1, 0, 100), InstanceTypeRow("m5", 2, 1, 0, 250)],
    )
    summary = build_result(recorder, context).summary
    assert summary["instanceTypes"]["m5"]["cost_usd"] == 350e-6
    assert summary["environments"]["b"]["cost_usd"] == 250e-6
