"""Environments and queues that users update during a run: the examples of the behaviour specification."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import batchsim
from batchsim.core.feasibility import MAX_RESOURCE
from batchsim.errors import InputError
from tests.spec.scenarios import HOST_RULES, each_attempt, each_job, queue, scenario, submit
from tests.spec.test_spec_fargate import fargate, on_fargate
from tests.spec.test_spec_fargate import job as task
from tests.studies.scenarios import definition, managed

MINUTE = 60
REPLACED = "replaced: infrastructure update"


def cloud(max_vcpus: int, *types: str, name: str = "cloud", **resources: Any) -> dict[str, Any]:
    environment = managed(name, max_vcpus, *(types or ("c6i.large",)))
    environment["computeResources"] |= resources
    return environment


def update(at: str, **what: Any) -> dict[str, Any]:
    return {"at": at, "update": what}


def of_cloud(at: str, **what: Any) -> dict[str, Any]:
    return update(at, computeEnvironment="cloud", **what)


def instances(result: Any) -> list[tuple[str, int, int, str]]:
    """Type, begin and end in minutes, and why it ended, of each instance."""
    frame = result.instances
    columns = zip(
        frame["instance_type"].astype(str),
        frame["requested_s"] // MINUTE,
        frame["ended_s"].fillna(-MINUTE) // MINUTE,
        frame["end_reason"].astype(str),
        strict=True,
    )
    return [(kind, int(begin), int(end), why) for kind, begin, end, why in columns]


def minutes(result: Any, column: str) -> dict[str, int | None]:
    return {job: None if at is None else round(at) // MINUTE for job, at in each_job(result, column).items()}


@pytest.mark.parametrize(("attempts", "ends"), [(1, 45), (2, 105)])
def test_spec_49_a_job_that_needs_45_minutes_more_is_killed_after_30(run, attempts, ends):
    result = run(
        scenario(
            submit("job", "60min", retryStrategy={**HOST_RULES, "attempts": attempts}),
            of_cloud("15min", instanceTypes=["m6i.large"]),
            environments=[cloud(8)],
        )
    )
    assert minutes(result, "end_s") == {"job-0": ends}
    assert each_job(result, "state") == {"job-0": "FAILED" if attempts == 1 else "SUCCEEDED"}
    reason = each_attempt(result, "status_reason")[0]
    assert reason.startswith("Host EC2 (instance i-")
    assert reason.endswith(") terminated.")
    first, *others = instances(result)
    assert first == ("c6i.large", 0, 45, REPLACED)
    assert [kind for kind, *_ in others] == ["m6i.large"] * (attempts - 1)


def test_a_job_that_ends_within_the_timeout_is_left_alone_and_its_instance_goes_then(run):
    result = run(
        scenario(
            submit("first", "40min"),
            of_cloud("15min", instanceTypes=["m6i.large"]),
            submit("second", "10min", at="20min"),
            environments=[cloud(8, scalingPolicy={"minScaleDownDelayMinutes": 20})],
        )
    )
    assert minutes(result, "end_s") == {"first-0": 40, "second-0": 30}
    assert instances(result)[0] == ("c6i.large", 0, 40, REPLACED)
    assert instances(result)[1][:2] == ("m6i.large", 20)


def test_terminate_jobs_on_update_does_so_at_once_and_the_policy_of_the_environment_counts(run):
    environment = cloud(8)
    environment["updatePolicy"] = {"terminateJobsOnUpdate": True}
    result = run(
        scenario(
            submit("job", "60min", retryStrategy=HOST_RULES),
            of_cloud("15min", bidPercentage=50, type="SPOT", allocationStrategy="SPOT_CAPACITY_OPTIMIZED"),
            environments=[environment],
        )
    )
    assert minutes(result, "end_s") == {"job-0": 75}
    assert result.instances["billing"].astype(str).tolist() == ["ec2", "spot"]


def test_the_timeout_of_the_update_itself_counts(run):
    policy = {"jobExecutionTimeoutMinutes": 5}
    result = run(
        scenario(
            submit("job", "60min"),
            of_cloud("15min", updateToLatestImageVersion=True, updatePolicy=policy),
            environments=[cloud(8)],
        )
    )
    assert minutes(result, "end_s") == {"job-0": 20}


def test_idle_instances_are_replaced_at_once_and_minvcpus_stays(run):
    result = run(
        scenario(
            submit("job", "1min", at="30min"),
            of_cloud("10min", instanceTypes=["m6i.large"]),
            environments=[cloud(8, minvCpus=2)],
        )
    )
    first, second = instances(result)
    assert first == ("c6i.large", 0, 10, REPLACED)
    assert second[:3] == ("m6i.large", 10, -1)


def test_both_generations_together_keep_within_maxvcpus(run):
    result = run(
        scenario(
            submit("old", "40min", count=2),
            of_cloud("15min", instanceTypes=["m6i.large"]),
            submit("new", "10min", at="20min"),
            environments=[cloud(2)],
        )
    )
    assert minutes(result, "start_s") == {"old-0": 0, "old-1": 0, "new-0": 40}


@pytest.mark.parametrize(
    "change",
    [
        {"allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED"},
        {"instanceTypes": ["m6i.large"]},
        {"bidPercentage": 90},
        {"type": "EC2", "allocationStrategy": "BEST_FIT_PROGRESSIVE"},
        {"imageId": "ami-1"},
        {"ec2Configuration": [{"imageType": "ECS_AL2023"}]},
        {"launchTemplate": {"launchTemplateName": "mine"}},
        {"ec2KeyPair": "mine"},
        {"updateToLatestImageVersion": True},
        {"subnets": ["subnet-1"]},
        {"securityGroupIds": ["sg-1"]},
        {"placementGroup": "close"},
        {"instanceRole": "arn:aws:iam::123456789012:instance-profile/mine"},
        {"tags": {"team": "red"}},
    ],
)
def test_spec_3_8_what_is_an_infrastructure_update(run, change):
    place = cloud(8, type="SPOT", allocationStrategy="SPOT_CAPACITY_OPTIMIZED", bidPercentage=80)
    result = run(scenario(submit("job", "20min"), of_cloud("10min", **change), environments=[place]))
    ((*_, end, reason),) = instances(result)
    assert (end, reason) == (20, REPLACED)
    assert told(result, "kind", "replaced", "updating_until_s") == [("infrastructure", 1, 20 * MINUTE)]


@pytest.mark.parametrize("change", [{"minvCpus": 2}, {"maxvCpus": 16}, {"desiredvCpus": 2}])
def test_spec_3_8_what_is_a_scaling_update(run, change):
    result = run(scenario(submit("job", "20min"), of_cloud("10min", **change), environments=[cloud(8)]))
    assert instances(result)[0][3] != REPLACED
    assert told(result, "kind", "replaced") == [("scaling", None)]


@pytest.mark.parametrize("change", [{"subnets": ["subnet-1"]}, {"securityGroupIds": ["sg-1"]}])
def test_spec_3_8_another_network_replaces_no_tasks_of_fargate(run, change):
    data = on_fargate(task("1h"), environments=[fargate(8)])
    data["workload"].append(update("10min", computeEnvironment="fargate", **change))
    result = run(data)
    assert minutes(result, "end_s") == {"job-0": 60}
    assert told(result, "kind") == [("scaling",)]


def test_a_setting_that_does_not_change_replaces_nothing(run):
    result = run(
        scenario(
            submit("job", "60min"),
            of_cloud("15min", instanceTypes=["c6i.large"], maxvCpus=16),
            environments=[cloud(8)],
        )
    )
    assert minutes(result, "end_s") == {"job-0": 60}


def test_raising_maxvcpus_lets_more_start(run):
    result = run(
        scenario(submit("job", "60min", count=4), of_cloud("10min", maxvCpus=4), environments=[cloud(2)])
    )
    assert sorted(minutes(result, "start_s").values()) == [0, 0, 10, 10]


def test_lowering_maxvcpus_kills_nothing_and_capacity_falls_as_jobs_end(run):
    result = run(
        scenario(submit("job", "60min", count=6), of_cloud("10min", maxvCpus=2), environments=[cloud(4)])
    )
    assert sorted(minutes(result, "start_s").values()) == [0] * 4 + [60] * 2
    assert len(result.instances) == 2
    assert set(each_job(result, "state").values()) == {"SUCCEEDED"}


def test_lowering_maxvcpus_below_one_job_leaves_it_the_instances_that_are_there(run):
    result = run(
        scenario(
            submit("job", "60min", count=6, definition="pair"),
            of_cloud("10min", maxvCpus=1),
            submit("late", "60min", at="200min", definition="pair"),
            environments=[cloud(4, "c6i.xlarge")],
            definitions=[definition("pair", 2, 100)],
        )
    )
    started = minutes(result, "start_s")
    assert sorted(started[f"job-{number}"] for number in range(6)) == [0, 0, 60, 60, 120, 120]
    assert len(result.instances) == 1
    # It was idle and has gone; nothing so large comes again.
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "status_reason")["late-0"] == MAX_RESOURCE


def test_lowering_maxvcpus_below_the_nodes_of_a_job_leaves_it_the_instances_that_are_there(run):
    container = definition("nodes", 1, 100)["containerProperties"]
    nodes = {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": container}],
    }
    result = run(
        scenario(
            submit("job", "60min", count=3, definition="nodes"),
            of_cloud("10min", maxvCpus=2),
            environments=[cloud(4, "c6i.large")],
            definitions=[{"jobDefinitionName": "nodes", "type": "multinode", "nodeProperties": nodes}],
        )
    )
    assert sorted(minutes(result, "start_s").values()) == [0, 60, 120]


def test_minvcpus_goes_up_and_down(run):
    result = run(
        scenario(
            submit("job", "1min", at="60min"),
            of_cloud("10min", minvCpus=4),
            of_cloud("20min", minvCpus=0),
            environments=[cloud(8)],
        )
    )
    assert [(begin, end) for _, begin, end, _ in instances(result)] == [(10, 20), (10, 20), (60, 61)]


def test_desiredvcpus_is_there_until_idleness_has_its_way(run):
    result = run(
        scenario(
            submit("job", "1min", at="60min"),
            of_cloud("10min", desiredvCpus=4),
            environments=[cloud(8)],
            assumptions={"idleScaleIn": "5min"},
        )
    )
    assert [(begin, end) for _, begin, end, _ in instances(result)][:2] == [(10, 15), (10, 15)]


def test_a_disabled_environment_gets_no_jobs_and_those_on_it_go_on(run):
    result = run(
        scenario(
            submit("first", "60min"),
            of_cloud("10min", state="DISABLED"),
            submit("second", "10min", at="20min"),
            of_cloud("90min", state="ENABLED"),
            environments=[cloud(8)],
        )
    )
    assert minutes(result, "end_s") == {"first-0": 60, "second-0": 100}


def test_a_run_ends_with_an_attempt_after_which_no_environment_takes_its_job(run):
    result = run(
        scenario(
            submit("job", "10min", exitCodes=[1, 0], retryStrategy={"attempts": 2}),
            of_cloud("10min", state="DISABLED"),
            environments=[cloud(8, minvCpus=2)],
        )
    )
    assert (result.summary["outcome"], result.summary["ended_at_s"]) == ("stalled", 10 * MINUTE)


def test_spec_47_a_disabled_environment_keeps_minvcpus(run):
    result = run(
        scenario(
            submit("job", "1min"),
            of_cloud("10min", state="DISABLED"),
            of_cloud("90min", state="ENABLED"),
            environments=[cloud(8, minvCpus=2)],
        )
    )
    assert [(begin, end) for _, begin, end, _ in instances(result)] == [(0, -1)]


def test_a_disabled_queue_rejects_submissions_and_its_jobs_finish(run):
    result = run(
        scenario(
            submit("waits", "60min", count=2),
            update("10min", jobQueue="q", state="DISABLED"),
            submit("refused", "1min", at="20min"),
            update("30min", jobQueue="q", state="ENABLED"),
            submit("taken", "1min", at="40min"),
            environments=[cloud(2, "c6i.large")],
            assumptions={"backfill": "none"},
        )
    )
    states = each_job(result, "state")
    assert states == {
        "waits-0": "SUCCEEDED",
        "waits-1": "SUCCEEDED",
        "refused-0": "FAILED",
        "taken-0": "SUCCEEDED",
    }
    assert (
        each_job(result, "status_reason")["refused-0"] == "SubmitJob was refused: the job queue is DISABLED."
    )
    assert minutes(result, "end_s")["refused-0"] == 20


def test_a_queue_that_is_disabled_at_first_takes_jobs_once_it_is_enabled(run):
    data = scenario(
        update("30min", jobQueue="q", state="ENABLED"),
        submit("early", "1min", at="20min"),
        submit("late", "1min", at="40min"),
    )
    data["jobQueues"][0]["state"] = "DISABLED"
    assert each_job(run(data), "state") == {"early-0": "FAILED", "late-0": "SUCCEEDED"}


def test_a_higher_priority_is_served_first_from_then_on(run):
    data = scenario(
        submit("now", "60min", count=2),
        submit("low", "10min", at="1min", count=2, queue="q"),
        submit("high", "10min", at="2min", count=2, queue="r"),
        update("30min", jobQueue="r", priority=9),
        environments=[cloud(2)],
    )
    data["jobQueues"].append(queue("r", "cloud"))
    started = minutes(run(data), "start_s")
    assert [started[job] for job in ("high-0", "high-1", "low-0", "low-1")] == [60, 60, 70, 70]


def test_another_order_of_environments_leads_jobs_elsewhere(run):
    order = [{"order": 1, "computeEnvironment": "other"}]
    result = run(
        scenario(
            submit("first", "10min"),
            update("30min", jobQueue="q", computeEnvironmentOrder=order),
            submit("second", "10min", at="40min"),
            environments=[cloud(8), cloud(8, name="other")],
        )
    )
    assert result.instances["environment"].astype(str).tolist() == ["cloud", "other"]


def test_maxvcpus_of_fargate_can_be_updated(run):
    environment = managed("tasks", 1)
    environment["computeResources"] = {"type": "FARGATE", "maxvCpus": 1}
    small = {
        "jobDefinitionName": "small",
        "type": "container",
        "platformCapabilities": ["FARGATE"],
        "containerProperties": {
            "image": "tool:1",
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}],
        },
    }
    result = run(
        scenario(
            submit("job", "60min", count=3, definition="small"),
            update("10min", computeEnvironment="tasks", maxvCpus=2),
            environments=[environment],
            definitions=[small],
        )
    )
    assert sorted(minutes(result, "start_s").values()) == [0, 10, 60]


ILLEGAL = [
    (
        {"maxvCpus": 4},
        "an update names none of them: expected exactly one of computeEnvironment and jobQueue",
    ),
    ({"computeEnvironment": "cloud", "jobQueue": "q", "state": "DISABLED"}, "an update names both"),
    ({"computeEnvironment": "cloud"}, "this update changes nothing"),
    ({"computeEnvironment": "clout", "maxvCpus": 4}, "expected the name of a compute environment"),
    ({"computeEnvironment": "cloud", "priority": 4}, "priority is not updated in environments"),
    ({"jobQueue": "q", "maxvCpus": 4}, "maxvCpus is not updated in job queues"),
    ({"jobQueue": "p", "priority": 4}, "expected the name of a job queue"),
    ({"computeEnvironment": "cloud", "minvCpus": 9}, "minvCpus: expected at most maxvCpus = 8"),
    ({"computeEnvironment": "cloud", "maxvCpus": 1}, "maxvCpus: expected at most maxvCpus = 1"),
    ({"computeEnvironment": "cloud", "desiredvCpus": 9}, "desiredvCpus: expected a number between minvCpus"),
    (
        {"computeEnvironment": "cloud", "allocationStrategy": "BEST_FIT"},
        "an environment with BEST_FIT cannot",
    ),
    ({"computeEnvironment": "cloud", "bidPercentage": 50}, "bidPercentage is for type SPOT"),
    ({"computeEnvironment": "cloud", "type": "FARGATE"}, "expected 'EC2' or 'SPOT'"),
    ({"computeEnvironment": "cloud", "unmanagedvCpus": 4}, "unmanagedvCpus does not belong to MANAGED"),
    ({"computeEnvironment": "lab", "maxvCpus": 4}, "maxvCpus does not belong to UNMANAGED environments"),
    ({"computeEnvironment": "tasks", "minvCpus": 4}, "minvCpus does not belong to Fargate"),
    (
        {"computeEnvironment": "old", "instanceTypes": ["m6i"]},
        "an environment with BEST_FIT cannot get another",
    ),
    ({"computeEnvironment": "own", "instanceTypes": ["m6i"]}, "an environment with a serviceRole of its own"),
    (
        {"computeEnvironment": "cloud", "updatePolicy": {"jobExecutionTimeoutMinutes": 0}},
        "expected a value of at least 1",
    ),
    (
        {"jobQueue": "q", "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "tasks"}]},
        "this environment is for ECS_FARGATE jobs",
    ),
]


@pytest.mark.parametrize(("what", "says"), ILLEGAL)
def test_an_illegal_update_is_one_clear_line(problems_of, what, says):
    lab = {
        "computeEnvironmentName": "lab",
        "type": "UNMANAGED",
        "instances": [{"vcpus": 4, "memory": "8GiB"}],
    }
    tasks = managed("tasks", 8)
    tasks["computeResources"] = {"type": "FARGATE", "maxvCpus": 8}
    own = cloud(8, name="own")
    own["serviceRole"] = "arn:aws:iam::123456789012:role/mine"
    places = [cloud(8, minvCpus=2), cloud(8, name="old", allocationStrategy="BEST_FIT"), own, lab, tasks]
    data = scenario(submit("job", "1min"), update("1h", **what), environments=places)
    data["jobQueues"] = [queue("q", "cloud", "old")]
    (line,) = problems_of(data)
    assert says in line
    assert "workload.1.update" in line


def test_updates_build_on_each_other_in_order_of_time(problems_of):
    data = scenario(
        submit("job", "1min"),
        of_cloud("2h", minvCpus=16),
        of_cloud("1h", maxvCpus=16),
        environments=[cloud(8)],
    )
    assert problems_of(data) == []
    data["workload"][2]["at"] = "3h"
    (line,) = problems_of(data)
    assert "workload.1.update.minvCpus: expected at most maxvCpus = 8" in line


def test_types_that_nobody_knows_are_refused_where_the_update_stands(load):
    data = scenario(
        submit("job", "1min"), of_cloud("1h", instanceTypes=["no-such.large"]), environments=[cloud(8)]
    )
    with pytest.raises(InputError) as caught:
        batchsim.run(load(data))
    assert "workload.1.update.instanceTypes" in caught.value.one_line()


# --- what a result tells of them ------------------------------------------------------------------


def told(result: Any, *columns: str) -> list[tuple[Any, ...]]:
    frame = result.updates.astype(object).where(result.updates.notna(), None)
    return [tuple(row) for row in frame[list(columns)].itertuples(index=False)]


def test_a_result_tells_what_was_above_maxvcpus_and_for_how_long(run):
    result = run(
        scenario(
            submit("job", "60min", count=8),
            of_cloud("10min", maxvCpus=4),
            of_cloud("20min", maxvCpus=5),
            of_cloud("70min", maxvCpus=1),
            environments=[cloud(8)],
        )
    )
    columns = ("change", "max_vcpus", "there_vcpus", "above_max_vcpus", "above_until_s", "replaced")
    assert told(result, *columns) == [
        ("maxvCpus 4", 4, 8, 4, None, None),
        ("maxvCpus 5", 5, 8, 3, 3600, None),
        ("maxvCpus 1", 1, None, None, None, None),  # too late
    ]
    assert told(result, "environment", "queue", "kind") == [("cloud", None, "scaling")] * 3
    for row, wrong in ((0, 4200.0), (1, 3601.0), (1, None)):
        good = result.updates["above_until_s"].copy()
        result.updates.loc[row, "above_until_s"] = wrong
        assert [(each.law, each.rows) for each in result.audit()] == [("L18", (row,))]
        result.updates["above_until_s"] = good
    assert result.audit() == []
    result.instances.loc[0, "memory_mib"] += 1
    assert "memory_mib is not that of its type" in {each.message for each in result.audit()}


def test_a_result_tells_how_long_an_environment_was_updating(run):
    result = run(
        scenario(
            submit("job", "60min", count=2),
            submit("short", "20min", count=2),
            of_cloud("15min", instanceTypes=["m6i.large"]),
            update("15min", jobQueue="q", priority=3),
            environments=[cloud(8)],
        )
    )
    columns = ("kind", "environment", "queue", "change", "replaced", "updating_until_s")
    assert told(result, *columns) == [
        ("infrastructure", "cloud", None, "instanceTypes m6i.large", 2, 45 * MINUTE),
        ("queue", None, "q", "priority 3", None, None),
    ]


def test_an_update_at_the_horizon_is_none_of_the_run(run):
    data = scenario(submit("job", "60min"), of_cloud("10min", maxvCpus=4), environments=[cloud(8)])
    assert told(run({**data, "horizon": "10min"}), "not_made") == [("the run had ended",)]
    assert told(run({**data, "horizon": "11min"}), "not_made") == [(None,)]


@pytest.mark.parametrize(
    ("column", "value"), [("there_vcpus", 7), ("above_max_vcpus", 0), ("max_vcpus", 9), ("t_s", 1.0)]
)
def test_the_audit_catches_an_update_that_is_not_so(run, column, value):
    result = run(
        scenario(submit("job", "60min", count=8), of_cloud("10min", maxvCpus=4), environments=[cloud(8)])
    )
    result.updates[column] = value
    assert [each.law for each in result.audit()] == ["L18"]
    result.updates = None
    assert [each.law for each in result.audit()] == ["L18"]


def test_spec_3_2_a_lower_desired_value_than_there_is_refused_and_told_as_are_updates_after_the_end(run):
    result = run(
        scenario(
            submit("job", "1h", count=8),
            update("10min", computeEnvironment="cloud", desiredvCpus=2),
            update("20min", computeEnvironment="cloud", desiredvCpus=8),
            update("40h", computeEnvironment="cloud", maxvCpus=16),
            update("41h", jobQueue="q", priority=7),
            environments=[cloud(8, "c6i.large")],
        )
    )
    refused = "AWS refuses it: desiredvCpus 2 is below the 8 vCPUs that are there, and can only be raised"
    assert result.updates["not_made"].fillna("").tolist() == [
        refused,
        "",
        "the run had ended",
        "the run had ended",
    ]
    assert result.summary["ended_at_s"] == 3600
    assert result.updates["there_vcpus"].tolist()[:2] == [8, 8]
    assert result.updates["there_vcpus"].isna().tolist()[2:] == [True, True]
    assert result.audit() == []
    for row, text in ((0, None), (1, refused), (2, None), (0, "the run had ended")):
        damaged = replace(result, updates=result.updates.copy())
        damaged.updates.loc[row, "not_made"] = text
        assert "L18" in {violation.law for violation in damaged.audit()}


def test_an_update_may_evict_jobs_at_the_instant_at_which_others_are_placed(run):
    cloud = managed("ce", 2, "c6i.large") | {"updatePolicy": {"terminateJobsOnUpdate": True}}
    own = {"vcpus": 2, "memory": "8GiB", "joinsAfter": "5m"}
    lab = {"computeEnvironmentName": "lab", "type": "UNMANAGED", "instances": [own]}
    data = scenario(
        submit("a", "1h", definition="two", retryStrategy={"attempts": 2}),
        submit("b", "4m", definition="two", at="6m"),
        submit("c", "1h", definition="two", at="6m"),
        {"at": "10m", "update": {"computeEnvironment": "ce", "updateToLatestImageVersion": True}},
        environments=[cloud, lab],
        definitions=[definition("two", 2, 100)],
        assumptions={"instanceLaunch": "60s"},
    )
    result = run(data)
    assert each_attempt(result, "ended_s", "a-0")[0] == each_job(result, "start_s")["c-0"] == 600
