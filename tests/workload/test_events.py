"""Events on jobs: names become rows."""

from __future__ import annotations

import pytest

from batchsim.errors import ScenarioError
from batchsim.scenario import parse_scenario
from batchsim.workload import JobsEvent, ResourceEvent, build_workload

S = 1_000_000
EVERY = {"every": {"interval": "2s"}}
PLAIN = {"name": "a", "jobDefinition": "one", "runtime": "60s", "count": 4, "arrivals": EVERY}
ARRAYS = {**PLAIN, "name": "b", "count": 2, "array": {"size": 3}}  # rows 1-3 and 5-7, between those of a
SWF = "5 1 -1 60 4 -1 -1 -1 120 -1 1 1 1 -1 -1 -1 -1 -1\n8 2 -1 10 4 -1 -1 -1 -1 -1 1 1 1 -1 -1 -1 -1 -1\n"


def rows_of(scenario):
    return [tuple(event.rows) for event in build_workload(scenario).events]


@pytest.mark.parametrize(
    ("target", "rows"),
    [
        ("a", (range(1), range(4, 5), range(8, 10))),
        ("a-2", (range(8, 9),)),
        ("b", (range(1, 4), range(5, 8))),
        ("b-1", (range(5, 8),)),
        ("b-1:0", (range(5, 6),)),
        ("b-0:2", (range(3, 4),)),
    ],
)
def test_a_target_is_an_entry_a_job_or_a_child(jobs_of, target, rows):
    assert rows_of(jobs_of(PLAIN, ARRAYS, {"at": "1h", "cancel": target})) == [rows]
    assert rows_of(jobs_of(PLAIN, ARRAYS, {"at": "1h", "terminate": target})) == [rows]


def test_events_are_in_order_of_time_then_of_the_file(jobs_of):
    more = {"at": "2s", "updateConsumableResource": "licences", "operation": "SET", "quantity": 7}
    scenario = jobs_of(
        PLAIN, {"at": "9s", "cancel": "a", "reason": "late"}, more, {"at": "2s", "terminate": "a-0"}
    )
    assert build_workload(scenario).events == (
        ResourceEvent(2 * S, "licences", "SET", 7),
        JobsEvent(2 * S, "terminate", (range(1),), "Terminated by the user"),
        JobsEvent(9 * S, "cancel", (range(4),), "late"),
    )


@pytest.mark.parametrize(("at", "rows"), [("1s", (range(1),)), ("2s", (range(2),)), ("0s", (range(1),))])
def test_only_what_has_been_submitted_can_be_cancelled(jobs_of, at, rows):
    assert rows_of(jobs_of(PLAIN, {"at": at, "cancel": "a"})) == [rows]
    assert rows_of(jobs_of(PLAIN, {"at": at, "cancel": "a-3"})) == [()]


def test_a_throttled_call_is_submitted_when_it_leaves(jobs_of):
    burst = {**PLAIN, "arrivals": {"atOnce": {}}}
    scenario = jobs_of(burst, {"at": "40ms", "cancel": "a"}, assumptions={"preset": "aws"})
    assert rows_of(scenario) == [(range(3),)]


def test_jobs_of_a_trace_go_by_the_numbers_it_gives(jobs_of, tmp_path):
    (tmp_path / "log.swf").write_text(SWF)
    log = {"name": "log", "trace": {"format": "swf", "path": "log.swf"}}
    assert rows_of(jobs_of(log, {"at": "1h", "cancel": "log-8"})) == [(range(1, 2),)]
    with pytest.raises(ScenarioError, match=r"workload\.1\.cancel: there is no job log-6; .* 5 to 8"):
        build_workload(jobs_of(log, {"at": "1h", "cancel": "log-6"}))


def test_a_job_that_can_never_be_is_a_mistake_and_one_that_is_not_by_chance_is_none(jobs_of):
    timed = {**PLAIN, "arrivals": {"times": [1, 2]}, "count": None}
    with pytest.raises(ScenarioError, match="there is no job a-2"):
        build_workload(jobs_of(timed, {"at": "1h", "cancel": "a-2"}))
    chance = {**PLAIN, "arrivals": {"poisson": {"rate": "1e-9/s"}}, "until": "1s", "count": None}
    assert rows_of(jobs_of(chance, {"at": "1h", "cancel": "a-2"})) == [()]


def test_a_mistake_is_found_in_the_file(all_built):
    text = """
batchsim: 1
computeEnvironments:
  - {computeEnvironmentName: lab, type: UNMANAGED, instances: [{vcpus: 8, memory: 8GiB}]}
jobQueues:
  - {jobQueueName: q, computeEnvironmentOrder: [{order: 1, computeEnvironment: lab}]}
jobDefinitions:
  - {jobDefinitionName: one, containerProperties: {image: i, vcpus: 1, memory: 512}}
workload:
  - {name: a, jobQueue: q, jobDefinition: one, runtime: 1s, arrivals: {times: [1]}}
  - {at: 1h, terminate: a-1}
"""
    with pytest.raises(ScenarioError) as caught:
        build_workload(parse_scenario(text, file="s.yaml"))
    assert str(caught.value).startswith(
        "s.yaml:11:25: workload.1.terminate: there is no job a-1; its workload"
    )


def test_a_name_is_an_entry_even_if_it_reads_as_a_job(jobs_of):
    scenario = jobs_of(PLAIN, {**PLAIN, "name": "a-2", "count": 1}, {"at": "1h", "cancel": "a-2"})
    assert build_workload(scenario).job_names()[1] == "a-2-0"
    assert rows_of(scenario) == [(range(1, 2),)]


def test_service_jobs_are_not_of_this_workload(jobs_of):
    service = {
        "name": "fits",
        "jobQueue": "train",
        "resourceConfig": {"instanceType": "ml.m5.large"},
        "count": 1,
        "runtime": "1h",
    }
    queues = [
        {"jobQueueName": "q", "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "lab"}]},
        {
            "jobQueueName": "train",
            "jobQueueType": "SAGEMAKER_TRAINING",
            "serviceEnvironmentOrder": [{"order": 1, "serviceEnvironment": "training"}],
        },
    ]
    limits = [{"maxCapacity": 50, "capacityUnit": "NUM_INSTANCES"}]
    scenario = jobs_of(
        PLAIN,
        service,
        {"at": "1h", "terminate": "fits"},
        jobQueues=queues,
        serviceEnvironments=[{"serviceEnvironmentName": "training", "capacityLimits": limits}],
    )
    workload = build_workload(scenario)
    assert (len(workload), workload.events) == (4, ())
