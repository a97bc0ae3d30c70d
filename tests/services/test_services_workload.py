"""Service jobs as columns."""

from __future__ import annotations

import numpy as np
import pytest

from batchsim.errors import ScenarioError
from batchsim.workload import JobsEvent, build_services, build_workload
from tests.services.scenarios import TYPE, jobs, queue, training

S = 1_000_000


def test_columns_are_in_order_of_submission(load):
    every = {"every": {"interval": "10s"}}
    late = jobs("late", 2, arrivals={"atOnce": {"at": "5s"}}, runtime="7s")
    workload = build_services(load(training(jobs("a", 3, arrivals=every), late)))
    assert (workload.submit_us // S).tolist() == [0, 5, 5, 10, 20]
    assert [workload.classes[row].group for row in workload.job_class] == ["a", "late", "late", "a", "a"]
    assert workload.ordinal.tolist() == [0, 0, 1, 1, 2]
    assert (workload.runtime_us // S).tolist() == [60, 7, 7, 60, 60]
    assert (workload.submit_us.dtype, workload.job_class.dtype) == (np.int64, np.int32)
    assert workload.notes == {name: {"source": "generated", "jobs": n} for name, n in (("a", 3), ("late", 2))}


def test_a_class_says_all_that_the_entry_does(load):
    rules = [{"onStatusReason": "Received status from SageMaker: *", "action": "RETRY"}]
    entry = jobs(
        "a",
        instances=3,
        retryStrategy={"attempts": 2, "evaluateOnExit": rules},
        timeoutConfig={"attemptDurationSeconds": 90},
        schedulingPriority=7,
        preemptionConfiguration={"preemptionRetriesBeforeTermination": 4},
        capacityFailures={"first": 1, "rate": 0.5},
        exitCodes=[1, 2, 0],
        reasons=["oom"],
    )
    (kind,) = build_services(load(training(entry))).classes
    assert (kind.instance_type, kind.instances, kind.attempts, kind.timeout_us) == (TYPE, 3, 2, 90 * S)
    assert kind.rules == (("Received status from SageMaker: *", None, None, True),)
    assert (kind.priority, kind.preemptions, kind.refused_first, kind.refusal_rate) == (7, 4, 1, 0.5)
    assert (kind.exit_codes, kind.reasons) == ((1, 2, 0), ("oom", "", ""))
    assert (kind.share, kind.quota_share) == (None, None)


def test_each_job_draws_its_share(load):
    data = training(
        jobs("a", 200, shareIdentifier={"A": 3, "B": 1}),
        schedulingPolicies=[{"name": "fair", "fairsharePolicy": {}}],
    )
    data["jobQueues"] = [queue("q", schedulingPolicyArn="fair")]
    workload = build_services(load(data), 1)
    shares = [workload.classes[row].share for row in workload.job_class]
    assert 130 < shares.count("A") < 170
    assert shares.count("A") + shares.count("B") == 200


def test_an_entry_is_drawn_alike_whatever_the_others_are(load):
    drawn = jobs("a", 20, runtime={"exponential": {"mean": "1m"}}, arrivals={"poisson": {"rate": "1/m"}})
    alone = build_services(load(training(drawn)), 5)
    beside = build_services(load(training(jobs("b", 9), drawn)), 5)
    mine = np.array([each.group == "a" for each in beside.classes])[beside.job_class]
    assert beside.submit_us[mine].tolist() == alone.submit_us.tolist()
    assert beside.runtime_us[mine].tolist() == alone.runtime_us.tolist()
    assert build_services(load(training(drawn)), 6).runtime_us.tolist() != alone.runtime_us.tolist()


def test_events_name_rows_of_this_table(load):
    data = training(
        jobs("a", 3),
        {"at": "1s", "terminate": "a-1", "reason": "no"},
        {"at": "2s", "cancel": "a", "reason": "all"},
    )
    scenario = load(data)
    workload = build_services(scenario)
    assert workload.events == (
        JobsEvent(1 * S, "terminate", (range(1, 2),), "no"),
        JobsEvent(2 * S, "cancel", (range(3),), "all"),
    )
    assert (len(build_workload(scenario)), build_workload(scenario).events) == (0, ())
    assert len(workload.before(2 * S).events) == 1


def test_an_event_on_a_job_that_no_draw_gives_is_refused(load):
    listed = jobs("a", arrivals={"times": ["1s", "2s"]})
    del listed["count"]
    with pytest.raises(ScenarioError, match="there is no job a-2"):
        build_services(load(training(listed, {"at": "1s", "cancel": "a-2"})))


def test_a_scenario_without_service_jobs_has_an_empty_table(load):
    data = training(jobs("a"))
    data["computeEnvironments"] = [
        {"computeEnvironmentName": "l", "type": "UNMANAGED", "instances": [{"vcpus": 1, "memory": "1GiB"}]}
    ]
    data["jobQueues"].append(
        {"jobQueueName": "c", "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "l"}]}
    )
    definition = {"image": "x", "vcpus": 1, "memory": 100}
    data["jobDefinitions"] = [{"jobDefinitionName": "d", "containerProperties": definition}]
    plain = {"name": "b", "jobQueue": "c", "jobDefinition": "d", "runtime": "1s"}
    data["workload"] = [{**plain, "count": 1, "arrivals": {"atOnce": {}}}]
    workload = build_services(load(data))
    assert (len(workload), workload.classes, workload.events) == (0, [], ())
