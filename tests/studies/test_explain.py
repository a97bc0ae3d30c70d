"""Where the time of a job went: intervals without gaps, who was ahead, and what the head lacked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import batchsim
from batchsim.errors import ResultError, UsageError

ROOT = Path(__file__).resolve().parents[2]


def scenario(tmp_path, *entries, vcpus: int = 1, assumptions=None, **more):
    data = {
        "batchsim": 1,
        "region": "us-east-1",
        "computeEnvironments": [
            {
                "computeEnvironmentName": "ce",
                "type": "UNMANAGED",
                "instances": [{"name": "box", "vcpus": vcpus, "memory": "1TiB", "usdPerHour": 0}],
            }
        ],
        "jobQueues": [
            {
                "jobQueueName": name,
                "priority": priority,
                "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "ce"}],
            }
            for name, priority in (("q", 1), ("high", 2))
        ],
        "jobDefinitions": [
            {
                "jobDefinitionName": f"v{size}",
                "type": "container",
                "containerProperties": {"image": "i", "vcpus": size, "memory": 4},
            }
            for size in (1, 2)
        ],
        "workload": list(entries),
        "assumptions": {"preset": "ideal", **(assumptions or {})},
        **more,
    }
    path = tmp_path / "s.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return batchsim.load_scenario(path)


def entry(name: str, at: str = "0s", runtime: str = "60s", queue: str = "q", size: int = 1, **more):
    return {
        "name": name,
        "jobQueue": queue,
        "jobDefinition": f"v{size}",
        "arrivals": {"times": [at]},
        "runtime": {"constant": runtime},
        **more,
    }


def told(result, job: str) -> list[tuple]:
    life = result.explain(job)
    rows = life[["from_s", "to_s", "state", "reason", "head", "ahead"]].itertuples(index=False)
    return [(*row[:4], row[4] if isinstance(row[4], str) else None, row[5]) for row in rows]


def test_first_somebody_is_ahead_then_the_job_is_the_head_itself(tmp_path):
    result = batchsim.run(scenario(tmp_path, entry("a"), entry("b"), entry("c")))
    busy = "all machines are busy"
    assert told(result, "c-0") == [
        (0, 60, "RUNNABLE", busy, "b-0", 1),
        (60, 120, "RUNNABLE", busy, None, 0),
        (120, 180, "RUNNING", "attempt 1 on box", None, 0),
    ]
    assert told(result, "a-0") == [(0, 60, "RUNNING", "attempt 1 on box", None, 0)]


def test_a_pending_job_waits_for_the_last_of_its_predecessors(tmp_path):
    jobs = [entry("a"), entry("b", runtime="90s"), entry("c", dependsOn=[{"group": "a"}, {"group": "b"}])]
    result = batchsim.run(scenario(tmp_path, *jobs, vcpus=4))
    assert told(result, "c-0") == [
        (0, 90, "PENDING", "it waits for 2 jobs; the last to end is b-0", None, 0),
        (90, 150, "RUNNING", "attempt 1 on box", None, 0),
    ]


def test_a_predecessor_that_failed_is_named(tmp_path):
    jobs = [entry("a", exitCodes=[1]), entry("b", dependsOn=[{"group": "a"}])]
    result = batchsim.run(scenario(tmp_path, *jobs))
    assert told(result, "b-0") == [(0, 60, "PENDING", "it waits for 1 job; a-0 FAILED", None, 0)]


def test_each_attempt_and_the_wait_before_it_is_told(tmp_path):
    jobs = [
        entry("a", exitCodes=[1, 0], retryStrategy={"attempts": 2}),
        entry("b", "10s", queue="high"),
    ]
    result = batchsim.run(scenario(tmp_path, *jobs))
    assert [row[:3] for row in told(result, "a-0")] == [
        (0, 60, "RUNNING"),
        (60, 120, "RUNNABLE"),
        (120, 180, "RUNNING"),
    ]


def test_what_the_pull_took_is_told_and_what_the_container_took(tmp_path):
    slow = {"imageSize": "500MB", "imagePullRate": 100, "containerStart": "2s"}
    jobs = [entry("a"), entry("b", "90s")]
    result = batchsim.run(scenario(tmp_path, *jobs, assumptions=slow))
    there = "its image is there, and its container is started"
    assert [row[:4] for row in told(result, "a-0")][:2] == [
        (0, 5, "STARTING", "its image is pulled"),
        (5, 7, "STARTING", there),
    ]
    assert told(result, "b-0")[0][:4] == (90, 92, "STARTING", there)
    drawn = slow | {"containerStart": {"uniform": {"low": "1s", "high": "3s"}}}
    result = batchsim.run(scenario(tmp_path, *jobs, assumptions=drawn))
    (pulled, started) = told(result, "a-0")[:2]
    assert pulled[:4] == (0, 5, "STARTING", "its image is pulled")
    assert (started[0], *started[2:4]) == (5, "STARTING", there)
    assert 6 <= started[1] <= 8


def test_pulls_that_share_a_bandwidth_or_scatter_are_told_as_they_were(tmp_path):
    measured = {"preset": "measured", "dispatchDelay": "0s", "containerStart": "1s"}
    jobs = [entry("a", imageSize="700MB"), entry("b", imageSize="350MB")]
    even = measured | {"imagePullSpread": 0}
    result = batchsim.run(scenario(tmp_path, *jobs, vcpus=2, assumptions=even))
    # b-0 comes a second later; while both pull, each has 17.5 MB/s
    for job, since, there in (("a-0", 1, 31), ("b-0", 2, 22)):
        assert [row[:3] for row in told(result, job) if row[2] == "STARTING"] == [
            (since, there, "STARTING"),
            (there, there + 1, "STARTING"),
        ]
    result = batchsim.run(scenario(tmp_path, jobs[0], assumptions=measured))
    pulled, started = (row for row in told(result, "a-0") if row[2] == "STARTING")
    assert pulled[0] == 1
    assert pulled[1] != 21
    assert started[1] - started[0] == pytest.approx(1)


def test_without_images_starting_is_one_interval(tmp_path):
    result = batchsim.run(scenario(tmp_path, entry("a"), assumptions={"containerStart": "2s"}))
    assert told(result, "a-0")[0][:4] == (
        0,
        2,
        "STARTING",
        "its image is pulled and its container started",
    )


def test_a_job_that_was_cancelled_while_it_waited_ends_there(tmp_path):
    jobs = [entry("a"), entry("b"), {"at": "30s", "cancel": "b", "reason": "no"}]
    result = batchsim.run(scenario(tmp_path, *jobs))
    assert told(result, "b-0") == [(0, 30, "RUNNABLE", "all machines are busy", None, 0)]


def test_a_consumable_resource_is_named(tmp_path):
    licence = {"consumableResourceList": [{"consumableResource": "seat", "quantity": 1}]}
    jobs = [entry(name, consumableResourcePropertiesOverride=licence) for name in ("a", "b")]
    resource = {"consumableResourceName": "seat", "totalQuantity": 1}
    result = batchsim.run(scenario(tmp_path, *jobs, vcpus=4, consumableResources=[resource]))
    reason = "too little of a consumable resource is available (seat)"
    assert told(result, "b-0")[0] == (0, 60, "RUNNABLE", reason, None, 0)


def test_those_of_other_queues_who_start_while_a_head_waits_are_counted(tmp_path):
    jobs = [entry("first", size=2), entry("big", "5s", queue="high", size=2)]
    jobs += [entry(f"s{at}", f"{at}s", runtime="100s") for at in (10, 60)]
    result = batchsim.run(scenario(tmp_path, *jobs, vcpus=3))
    life = result.explain("big-0")
    assert life["state"].tolist()[0] == "RUNNABLE"
    assert life["others"].sum() == 1


def test_where_jobs_pass_each_other_no_head_is_blamed(tmp_path):
    jobs = [entry("a", runtime="60s"), entry("wide", size=2), entry("late", "1s", size=2)]
    result = batchsim.run(scenario(tmp_path, *jobs, vcpus=2, assumptions={"backfill": "greedy"}))
    waits = [row for row in told(result, "late-0") if row[2] == "RUNNABLE"]
    assert waits[0][3:] == ("there is no room for it, and others may pass it", None, 1)


def test_where_jobs_pass_under_easy_what_is_kept_for_the_head_is_named(tmp_path):
    jobs = [entry("a"), entry("wide", size=2), entry("late", "1s", runtime="300s")]
    result = batchsim.run(scenario(tmp_path, *jobs, vcpus=2, assumptions={"backfill": "easy"}))
    # A vCPU is free from the start, but on it `late` would keep `wide` waiting until 301 s.
    reason = "there is no room for it beside what EASY backfilling keeps for the head of the queue"
    assert told(result, "late-0")[0] == (1, 60, "RUNNABLE", reason, None, 1)
    assert told(result, "wide-0")[0] == (0, 60, "RUNNABLE", "all machines are busy", None, 0)


def test_who_is_not_there_is_answered_by_one_line_with_a_suggestion(tmp_path):
    result = batchsim.run(scenario(tmp_path, entry("a")))
    with pytest.raises(UsageError, match=r"job: expected a job of this result, found a-7; there are a-0"):
        result.explain("a-7")


@pytest.mark.parametrize("name", ["quickstart", "stuck", "own-machines"])
def test_the_intervals_of_every_job_have_no_gaps(name):
    result = batchsim.run(batchsim.load_scenario(ROOT / "scenarios" / f"{name}.yaml"))
    end_of_run = result.manifest["ended_at_s"]
    for job in result.jobs.iloc[:: max(len(result.jobs) // 40, 1)].itertuples():
        life = result.explain(job.job)
        end = job.end_s if job.end_s == job.end_s else end_of_run
        assert life["from_s"].iloc[0] == job.submit_s
        assert life["to_s"].iloc[-1] == end
        assert (life["from_s"].iloc[1:].to_numpy() == life["to_s"].iloc[:-1].to_numpy()).all()
        assert life["duration_s"].sum() == pytest.approx(end - job.submit_s)
        ran = life.loc[life["state"] == "RUNNING", "from_s"]
        assert ran.empty or ran.iloc[0] == job.start_s


def test_a_result_whose_frames_contradict_each_other_is_refused(tmp_path):
    result = batchsim.run(batchsim.load_scenario(ROOT / "scenarios" / "quickstart.yaml"))
    job = result.jobs["job"].iloc[5]
    assert len(result.explain(job))
    result.jobs.loc[5, "runnable_s"] = float("nan")
    with pytest.raises(ResultError, match=f"contradict each other, so that {job} cannot be explained: L"):
        result.explain(job)
