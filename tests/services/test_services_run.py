"""Service jobs from a scenario to a result: the specification's scenarios, and each field of the scenario."""

from __future__ import annotations

import json

import numpy as np
import pytest

import batchsim
from batchsim.errors import ScenarioError
from batchsim.results.columns import columns_of
from batchsim.scenario import parse_scenario
from tests.services.scenarios import TYPE, divided, jobs, queue, share, training

BORROWS = {"strategy": "LEND_AND_BORROW"}


def each(result, column):
    frame = result.service_jobs
    return dict(
        zip(frame["job"], frame[column].astype(object).where(frame[column].notna(), None), strict=True)
    )


# ------------------------------------------------------------------------- the specification's scenarios


def test_spec_55_a_share_runs_what_it_may_borrow_and_flags_what_it_may_not(run):
    shares = [share("mine", 2, "LEND_AND_BORROW", sharing={"borrowLimit": 100}), share("other", 8, "LEND")]
    four = jobs("four", instances=4, quotaShareName="mine")
    five = jobs("five", instances=5, quotaShareName="mine", schedulingPriority=0)
    result = run(divided(shares, four, five))
    assert each(result, "state") == {"four-0": "SUCCEEDED", "five-0": "RUNNABLE"}
    assert each(result, "status_reason")["five-0"] == (
        "MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED -"
        " Job requirements exceed quota share capacity limits and borrow limits."
    )
    assert result.summary["services"]["outcome"] == "stalled"


def test_spec_55_no_idle_capacity_no_borrowing(run):
    shares = [share("mine", 2, "LEND_AND_BORROW", sharing={"borrowLimit": 100}), share("other", 8, "LEND")]
    busy = jobs("busy", instances=7, quotaShareName="other", runtime="100s")
    four = jobs("four", instances=4, quotaShareName="mine")
    result = run(divided(shares, busy, four))
    assert each(result, "scheduled_s") == {"busy-0": 0, "four-0": 100}


def test_spec_60_the_sixth_job_waits_and_a_capacity_failure_uses_no_attempt(run):
    six = jobs("six", 6, instances=10)
    result = run(training(six, limit=50))
    assert each(result, "start_s") == {**{f"six-{number}": 0 for number in range(5)}, "six-5": 60}
    assert set(each(result, "attempts").values()) == {1}

    refused = jobs("six", 6, instances=10, capacityFailures={"first": 2})
    delays = {"preset": "ideal", "trainingPending": "5s"}
    result = run(training(refused, limit=50, assumptions=delays))
    assert each(result, "scheduled_s")["six-0"] == 0
    assert each(result, "start_s") == {**{f"six-{number}": 15 for number in range(5)}, "six-5": 90}
    assert set(each(result, "attempts").values()) == {1}
    assert set(each(result, "capacity_retries").values()) == {2}
    assert result.summary["services"]["capacity_retries"] == 12


# ------------------------------------------------------------------------------------- what really happens


def test_a_job_is_scheduled_then_starts_then_runs(run):
    result = run(training(jobs("a"), assumptions={"preset": "aws", "submitServiceJobRate": 0}))
    (row,) = result.service_jobs.to_dict("records")
    assert (row["submit_s"], row["scheduled_s"], row["start_s"], row["end_s"]) == (0, 1, 181, 241)
    assert (row["waiting_s"], row["execution_s"], row["turnaround_s"]) == (181, 60, 241)
    assert (row["held_s"], row["running_s"], row["preempted_s"]) == (240, 60, 0)
    assert row["status_reason"] == "Received status from SageMaker: Training job completed"
    hours = {key: result.summary["services"][f"instance_hours_{key}"] for key in ("held", "running")}
    assert hours == {"held": 240 / 3600, "running": 60 / 3600}


def test_submissions_leave_at_five_a_second(run):
    result = run(training(jobs("a", 11), assumptions={"preset": "ideal", "submitServiceJobRate": "5/s"}))
    assert result.service_jobs["submit_s"].tolist() == pytest.approx([0.2 * number for number in range(11)])
    assert result.manifest["workload"]["a"]["calls_delayed"] == 10
    assert result.manifest["workload"]["a"]["held_by"] == "submitServiceJobRate"


@pytest.mark.parametrize(
    ("outcome", "attempts", "state", "text"),
    [
        ({"exitCodes": [1, 0]}, 2, "SUCCEEDED", "Training job completed"),
        ({"exitCodes": [1]}, 3, "FAILED", "AlgorithmError: , exit code: 1"),
        (
            {"exitCodes": [1], "reasons": ["InternalServerError: again"]},
            3,
            "FAILED",
            "InternalServerError: again",
        ),
        ({"failure": {"rate": 1, "exitCode": 9}}, 3, "FAILED", "AlgorithmError: , exit code: 9"),
    ],
)
def test_how_attempts_end(run, outcome, attempts, state, text):
    result = run(training(jobs("a", retryStrategy={"attempts": 3}, **outcome)))
    (row,) = result.service_jobs.to_dict("records")
    assert (row["attempts"], row["state"]) == (attempts, state)
    assert row["status_reason"] == f"Received status from SageMaker: {text}"
    assert row["running_s"] == 60 * attempts


def test_a_rule_on_the_status_reason_ends_a_job_early(run):
    rules = [{"onStatusReason": "Received status from SageMaker: AlgorithmError*", "action": "EXIT"}]
    result = run(training(jobs("a", exitCodes=[1], retryStrategy={"attempts": 3, "evaluateOnExit": rules})))
    assert each(result, "attempts") == {"a-0": 1}


def test_a_time_limit_stops_a_training_after_a_while(run):
    limited = jobs(
        "a", runtime="500s", timeoutConfig={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 3}
    )
    result = run(training(limited, assumptions={"preset": "ideal", "trainingStop": "20s"}))
    assert (each(result, "end_s"), each(result, "attempts")) == ({"a-0": 80}, {"a-0": 1})
    assert each(result, "status_reason") == {"a-0": "Job attempt duration exceeded timeout"}


def test_a_training_that_ends_while_it_is_stopped_ends_by_itself(run):
    limited = jobs("a", runtime="70s", timeoutConfig={"attemptDurationSeconds": 60})
    result = run(training(limited, assumptions={"preset": "ideal", "trainingStop": "20s"}))
    assert (each(result, "end_s"), each(result, "state")) == ({"a-0": 70}, {"a-0": "SUCCEEDED"})


def test_requests_are_about_jobs_by_name(run):
    result = run(
        training(
            jobs("a", 4, runtime="100s"),
            {"at": "10s", "cancel": "a-0", "reason": "too late"},
            {"at": "10s", "terminate": "a-1", "reason": "enough"},
            {"at": "20s", "cancel": "a-3", "reason": "not needed"},
            limit=2,
            assumptions={"preset": "ideal", "trainingStop": "5s"},
        )
    )
    assert each(result, "end_s") == {"a-0": 100, "a-1": 15, "a-2": 115, "a-3": 20}
    assert each(result, "status_reason")["a-1"] == "enough"
    assert each(result, "status_reason")["a-3"] == "not needed"
    assert each(result, "attempts")["a-3"] == 0


def test_a_time_limit_action_terminates_a_head_that_can_never_run(run):
    action = {
        "reason": "MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE",
        "state": "RUNNABLE",
        "maxTimeSeconds": 600,
        "action": "TERMINATE",
    }
    data = training(jobs("big", instances=3), jobs("small"), limit=2)
    data["jobQueues"][0]["jobStateTimeLimitActions"] = [action]
    result = run(data)
    assert each(result, "end_s") == {"big-0": 600, "small-0": 660}
    assert each(result, "status_reason")["big-0"] == (
        "Terminated by JobStateTimeLimit action due to reason:"
        " MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE"
    )


def test_a_preempted_job_begins_anew(run):
    shares = [share("owner", 2, "LEND"), share("guest", 0, "LEND_AND_BORROW")]
    guest = jobs("guest", instances=2, runtime="100s", quotaShareName="guest")
    owner = jobs("owner", instances=1, quotaShareName="owner", arrivals={"atOnce": {"at": "40s"}})
    result = run(divided(shares, guest, owner, assumptions={"preset": "ideal", "trainingStop": "10s"}))
    assert each(result, "start_s") == {"guest-0": 0, "owner-0": 50}
    assert each(result, "end_s") == {"guest-0": 210, "owner-0": 110}
    (row, _) = result.service_jobs.to_dict("records")
    assert (row["preemptions"], row["attempts"], row["preempted_s"], row["running_s"]) == (1, 1, 50, 150)
    shares = result.summary["services"]["queues"]["q"]["quotaShares"]
    assert {name: metrics["preemptions"] for name, metrics in shares.items()} == {"owner": 0, "guest": 1}
    assert shares["guest"]["instance_hours_preempted"] == 2 * 50 / 3600


def test_a_job_that_may_not_be_preempted_fails_on_the_first(run):
    shares = [share("owner", 1, "LEND"), share("guest", 0, "LEND_AND_BORROW")]
    once = {"preemptionRetriesBeforeTermination": 0}
    guest = jobs("guest", runtime="100s", quotaShareName="guest", preemptionConfiguration=once)
    owner = jobs("owner", quotaShareName="owner", arrivals={"atOnce": {"at": "40s"}})
    result = run(divided(shares, guest, owner))
    assert each(result, "state") == {"guest-0": "FAILED", "owner-0": "SUCCEEDED"}
    assert each(result, "status_reason")["guest-0"].startswith("Cross-share preemption")


def test_a_higher_priority_preempts_in_its_share(run):
    enabled = {"preemptionConfiguration": {"inSharePreemption": "ENABLED"}}
    low = jobs("low", runtime="100s", quotaShareName="s")
    high = jobs("high", quotaShareName="s", schedulingPriority=9, arrivals={"atOnce": {"at": "40s"}})
    result = run(divided([share("s", 1, **enabled)], low, high))
    assert each(result, "start_s")["high-0"] == 40
    assert each(result, "end_s") == {"low-0": 200, "high-0": 100}


def test_fair_shares_take_turns(run):
    policies = [{"name": "fair", "fairsharePolicy": {}}]
    workload = [jobs(name, 4, shareIdentifier=name) for name in ("A", "B")]
    data = training(*workload, limit=2, schedulingPolicies=policies)
    data["jobQueues"] = [queue("q", schedulingPolicyArn="fair")]
    result = run(data)
    starts = result.service_jobs.groupby("share", observed=True)["start_s"].apply(list).to_dict()
    assert starts == {"A": [0, 60, 120, 180], "B": [0, 60, 120, 180]}


def test_queues_of_one_environment_share_its_instances(run):
    data = training(jobs("low", 2), jobs("high", 2, jobQueue="top"), limit=2)
    data["jobQueues"] = [queue("q", priority=1), queue("top", priority=5)]
    result = run(data)
    assert each(result, "start_s") == {"low-0": 60, "low-1": 60, "high-0": 0, "high-1": 0}


# ------------------------------------------------------------------------------------------- the result


def test_the_frame_has_its_columns_and_the_states_of_service_jobs(run):
    result = run(training(jobs("a")))
    columns = {column.name: column.dtype for column in columns_of("service_jobs")}
    assert {name: str(dtype) for name, dtype in result.service_jobs.dtypes.items()} == columns
    assert list(result.service_jobs["state"].cat.categories) == [
        "SUBMITTED",
        "RUNNABLE",
        "SCHEDULED",
        "STARTING",
        "RUNNING",
        "SUCCEEDED",
        "FAILED",
    ]


def test_every_attempt_has_a_row_whatever_became_of_it(run):
    shares = [share("owner", 2, "LEND"), share("guest", 1, "LEND_AND_BORROW")]
    guest = jobs("guest", instances=2, runtime="100s", quotaShareName="guest", capacityFailures={"first": 1})
    owner = jobs("owner", instances=2, quotaShareName="owner", arrivals={"atOnce": {"at": "40s"}})
    bad = jobs("bad", runtime="10s", quotaShareName="owner", exitCodes=[1], retryStrategy={"attempts": 2})
    delays = {"preset": "ideal", "trainingStop": "10s", "trainingPending": "5s"}
    result = run(divided(shares, guest, owner, bad, assumptions=delays))
    frame = result.service_attempts
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        column.name: column.dtype for column in columns_of("service_attempts")
    }
    columns = ["job", "attempt", "instances", "scheduled_s", "starting_s", "started_s", "ended_s", "outcome"]
    rows = frame[columns].astype(object).where(frame[columns].notna(), None).to_numpy().tolist()
    assert rows == [
        ["guest-0", 1, 2, 0, None, None, 5, "REFUSED"],
        ["guest-0", 1, 2, 5, 10, 10, 50, "PREEMPTED"],  # told to stop at 40 s
        ["guest-0", 1, 2, 115, 120, 120, 220, "SUCCEEDED"],
        ["bad-0", 1, 1, 0, 5, 5, 15, "FAILED"],
        ["bad-0", 2, 1, 15, 20, 20, 30, "FAILED"],
        ["owner-0", 1, 2, 50, 55, 55, 115, "SUCCEEDED"],
    ]
    assert frame["status_reason"].tolist()[:2] == [
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Unable to provision requested compute resources",
        "Cross-share preemption triggered to reclaim borrowed capacity",
    ]


def test_an_attempt_that_goes_on_at_the_horizon_has_no_end(run):
    result = run(training(jobs("a", 2, runtime="100s"), limit=1, horizon="50s"))
    (row,) = result.service_attempts.to_dict("records")
    assert (row["job"], row["started_s"], np.isnan(row["ended_s"])) == ("a-0", 0, True)
    assert result.service_attempts[["outcome", "status_reason"]].isna().all(axis=None)
    assert result.audit() == []


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_result_is_read_back_as_it_was_written(run, tmp_path, form):
    result = run(training(jobs("a", 3, exitCodes=[1, 0], retryStrategy={"attempts": 2}), limit=1))
    result.write(tmp_path / "out", form)
    again = batchsim.Result.read(tmp_path / "out")
    assert again.service_jobs.equals(result.service_jobs)
    assert again.service_attempts.equals(result.service_attempts)
    assert again.service_attempts.dtypes.equals(result.service_attempts.dtypes)
    assert again.service_jobs.dtypes.equals(result.service_jobs.dtypes)
    assert again.summary == result.summary
    assert again.audit() == []


@pytest.mark.parametrize(
    ("horizon", "states"),
    [
        ("5s", ["SCHEDULED", "RUNNABLE"]),
        ("15s", ["STARTING", "RUNNABLE"]),
        ("50s", ["RUNNING", "RUNNABLE"]),
        ("85s", ["SUCCEEDED", "SCHEDULED"]),
    ],
)
def test_a_run_ends_at_its_horizon(run, horizon, states):
    delays = {"preset": "ideal", "trainingPending": "10s", "trainingDownload": "10s"}
    late = jobs("late", arrivals={"atOnce": {"at": "1h"}})
    result = run(training(jobs("a", 2), late, limit=1, horizon=horizon, assumptions=delays))
    services = result.summary["services"]
    assert result.service_jobs["state"].tolist() == states
    assert (services["outcome"], services["ended_at_s"], services["jobs_not_submitted"]) == (
        "horizon",
        int(horizon[:-1]),
        1,
    )
    assert result.service_jobs["held_s"].sum() == int(horizon[:-1])


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run):
    drawn = jobs(
        "a",
        40,
        runtime={"lognormal": {"median": "1m", "p95": "5m"}},
        arrivals={"poisson": {"rate": "60/h"}},
        capacityFailures={"rate": 0.3},
        failure={"rate": 0.3},
        retryStrategy={"attempts": 3},
    )
    pending = {"exponential": {"mean": "30s"}}
    data = training(drawn, limit=2, assumptions={"preset": "ideal", "trainingPending": pending})
    one, two, other = run(data, seed=1), run(data, seed=1), run(data, seed=2)
    assert one.service_jobs.equals(two.service_jobs)
    assert not one.service_jobs.equals(other.service_jobs)
    assert one.service_jobs["capacity_retries"].sum() > 0
    assert set(one.service_jobs["state"]) == {"SUCCEEDED", "FAILED"}


def test_more_capacity_changes_when_jobs_run_but_not_what_happens_to_them(run):
    drawn = jobs(
        "a", 60, runtime={"exponential": {"mean": "5m"}}, failure={"rate": 0.4}, retryStrategy={"attempts": 2}
    )
    few, many = (run(training(drawn, limit=limit), seed=3).service_jobs for limit in (2, 20))
    for column in ("state", "attempts", "running_s", "submit_s"):
        assert few[column].equals(many[column])
    assert few["waiting_s"].sum() > many["waiting_s"].sum()


def test_both_kinds_of_jobs_run_side_by_side(run):
    data = training(jobs("a", 2), limit=1)
    data["computeEnvironments"] = [
        {
            "computeEnvironmentName": "lab",
            "type": "UNMANAGED",
            "instances": [{"vcpus": 2, "memory": "1GiB", "usdPerHour": 1}],
        }
    ]
    data["jobQueues"].append(
        {"jobQueueName": "c", "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "lab"}]}
    )
    definition = {"image": "x", "vcpus": 1, "memory": 100}
    data["jobDefinitions"] = [{"jobDefinitionName": "d", "containerProperties": definition}]
    plain = {"name": "b", "jobQueue": "c", "jobDefinition": "d", "runtime": "30s"}
    data["workload"].append({**plain, "count": 2, "arrivals": {"atOnce": {}}})
    result = run(data)
    assert result.jobs["end_s"].tolist() == [30, 30]
    assert result.service_jobs["end_s"].tolist() == [60, 120]
    assert (result.summary["ended_at_s"], result.summary["services"]["ended_at_s"]) == (30, 120)
    assert list(result.summary["queues"]) == ["c"]
    assert list(result.summary["services"]["queues"]) == ["q"]
    alone = run({**data, "workload": data["workload"][1:]})
    assert alone.jobs.equals(result.jobs)
    assert len(alone.service_jobs) == 0


def test_without_service_queues_there_is_no_frame():
    data = {
        "batchsim": 1,
        "computeEnvironments": [
            {
                "computeEnvironmentName": "l",
                "type": "UNMANAGED",
                "instances": [{"vcpus": 1, "memory": "1GiB"}],
            }
        ],
        "jobQueues": [
            {"jobQueueName": "c", "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "l"}]}
        ],
        "jobDefinitions": [
            {"jobDefinitionName": "d", "containerProperties": {"image": "x", "vcpus": 1, "memory": 100}}
        ],
        "workload": [
            {
                "name": "b",
                "jobQueue": "c",
                "jobDefinition": "d",
                "runtime": "1s",
                "count": 1,
                "arrivals": {"atOnce": {}},
            }
        ],
    }
    result = batchsim.run(parse_scenario(json.dumps(data)))
    assert result.service_jobs is None
    assert "services" not in result.summary


def test_what_is_not_modelled_is_told(load):
    told = load(training(jobs("a"))).not_modelled()
    assert any("Prices of SageMaker instances are not modelled" in sentence for sentence in told)
    assert any("Checkpoints are not modelled" in sentence for sentence in told)


def test_too_many_service_jobs_are_refused_before_any_is_drawn(load):
    many = jobs("a", arrivals={"poisson": {"rate": "1000/s"}}, until="10h")
    del many["count"]
    with pytest.raises(ScenarioError, match="at most 10,000,000 jobs in all"):
        batchsim.run(load(training(many)))


def test_an_entry_that_never_submits_is_refused(load):
    with pytest.raises(ScenarioError, match="no job is submitted before until"):
        batchsim.run(load(training(jobs("a", arrivals={"atOnce": {"at": "2h"}}, until="1h"))))


def test_little_s_law_holds_for_a_queue_of_service_jobs(run):
    """An exact identity: jobs in the system over time add up to the turnarounds."""
    drawn = jobs("a", 200, arrivals={"poisson": {"rate": "100/h"}}, runtime={"exponential": {"mean": "60s"}})
    frame = run(training(drawn, limit=2)).service_jobs
    instants = np.sort(np.concatenate((frame["submit_s"], frame["end_s"])))
    inside = [((frame["submit_s"] <= t) & (frame["end_s"] > t)).sum() for t in instants[:-1]]
    assert np.dot(inside, np.diff(instants)) == pytest.approx(frame["turnaround_s"].sum())
    assert TYPE in set(frame["instance_type"])
