"""What a run prints of shares, of time in PENDING and of failures, as text and as rows."""

from __future__ import annotations

import csv
import io
import json

import pytest

import batchsim
from tests.spec.scenarios import lab, submit
from tests.spec.scenarios import scenario as scenario_of
from tests.studies.scenarios import definition, jobs, managed, unmanaged, world

DETAILS = {"runtime": "1m", "arrivals": {"atOnce": {}}}


@pytest.fixture
def scenario(write) -> str:
    """On one vCPU, a minute each: two of red, one of blue; last waits for all; what breaks, breaks three."""
    waits = {"dependsOn": [{"group": "red"}, {"group": "blue"}]}
    data = world(
        [unmanaged("lab", {"name": "box", "vcpus": 1, "memory": "8GiB", "usdPerHour": 6})],
        [
            jobs("red", "q0", "d", 2, shareIdentifier="red", **DETAILS),
            jobs("blue", "q0", "d", 1, shareIdentifier="blue", **DETAILS),
            jobs("last", "q0", "d", 1, shareIdentifier="blue", **waits, **DETAILS),
            jobs("broken", "q0", "d", 1, shareIdentifier="blue", failure={"rate": 1}, **DETAILS),
            jobs("after", "q0", "d", 2, shareIdentifier="red", dependsOn=[{"group": "broken"}], **DETAILS),
        ],
        definition("d", 1, 100),
    )
    data["jobQueues"][0]["schedulingPolicyArn"] = "fair"
    data["schedulingPolicies"] = [{"name": "fair", "fairsharePolicy": {"shareDecaySeconds": 60}}]
    data["assumptions"] = {"preset": "ideal"}
    return write(data)


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_run_tells_its_shares_its_failures_and_the_time_in_pending(invoke, scenario):
    told = lines(invoke("run", scenario).stdout)
    assert "FAILED 2: Dependent Job failed; 1: Essential container in task exited" in told
    # Of the five jobs that started, only the last waited for others: for three minutes.
    assert "PENDING mean 36s of that, waiting for jobs that they depend on" in told
    shares = [line.split()[:2] for line in told if line.startswith("q0/")]
    assert shares == [["q0/blue", "3"], ["q0/red", "4"]]


def test_a_run_tells_how_long_attempts_waited_for_their_images(invoke, write):
    """An image of 5 s on one machine: who comes a second later waits for 4 s, and who comes then, not."""
    data = world(
        [unmanaged("lab", {"vcpus": 3, "memory": "8GiB"})],
        [
            jobs(f"at{at}", "q0", "d", runtime="1m", arrivals={"atOnce": {"at": f"{at}s"}})
            for at in (0, 1, 10)
        ],
        definition("d", 1, 100),
    )
    pulls = {"preset": "ideal", "imagePullRate": 100, "imageSize": "500MB", "containerStart": "1s"}
    data["assumptions"] = pulls
    told = lines(invoke("run", write(data)).stdout)
    line = "images 2 attempts waited for theirs: P50 4.5s, P95 4.95s, 75.0 % of all time in STARTING"
    assert f"{line}; 1 found them there" in told
    data["workload"] = data["workload"][:1]
    told = lines(invoke("run", write(data)).stdout)
    line = "images 1 attempt waited for its own: P50 5s, P95 5s, 83.3 % of all time in STARTING"
    assert line in told
    data["assumptions"] = {"preset": "ideal"}
    assert not any(line.startswith("images") for line in lines(invoke("run", write(data)).stdout))


def test_rows_and_data_hold_the_shares_and_the_failures(invoke, scenario):
    rows = list(csv.DictReader(io.StringIO(invoke("run", scenario, "--format", "csv").stdout)))
    told = [(row["scope"], row["name"], row["jobs"]) for row in rows if row["scope"] in {"queue", "share"}]
    assert told == [("queue", "q0", "7"), ("share", "q0/blue", "3"), ("share", "q0/red", "4")]
    assert rows[0]["failures.Dependent Job failed.jobs"] == "2"
    data = json.loads(invoke("run", scenario, "--format", "json").stdout)
    assert sum(share["cost_usd"] for share in data["shares"].values()) == pytest.approx(data["cost_usd"])
    assert data["violations"] == []


def test_replications_tell_shares_and_pending_with_intervals(invoke, scenario):
    told = lines(invoke("run", scenario, "-n", "2").stdout)
    assert any(line.startswith("of mean PENDING") for line in told)
    assert [line.split()[:2] for line in told if line.startswith("q0/")] == [
        ["q0/blue", "3"],
        ["q0/red", "4"],
    ]


def test_a_run_tells_of_launches_that_came_to_nothing_and_the_audit_counts_them(invoke, write):
    data = world([managed("ce", 64, "c6i.large")], [jobs("a", "q0", "d", 6)], definition("d", 2, 100))
    data["assumptions"] = {"accountQuotas": {"onDemand": {"Standard": 4}}}
    scenario = write(data)
    result = batchsim.run(batchsim.load_scenario(scenario))
    never = result.instances[result.instances["running_s"].isna()]
    assert set(never["end_reason"]) == {"VcpuLimitExceeded"}
    failed = result.summary["launches_failed"]
    assert failed == {"VcpuLimitExceeded": {"instances": len(never)}}
    assert result.audit() == []
    failed["VcpuLimitExceeded"]["instances"] += 1
    assert [each.law for each in result.audit()] == ["L16"]
    told = f"launches failed {len(never):,}: VcpuLimitExceeded"
    assert told in lines(invoke("run", scenario).stdout)


def test_a_run_that_an_update_has_stalled_tells_what_to_do_about_it(invoke, write):
    late = jobs("late", "q0", "d", 3, arrivals={"atOnce": {"at": "2h"}})
    data = world(
        [managed("ce", 64, "c6i.large")],
        [
            jobs("early", "q0", "d", 2),
            {"at": "1h", "update": {"computeEnvironment": "ce", "maxvCpus": 1}},
            late,
        ],
        definition("d", 2, 100),
    )
    told = lines(invoke("run", write(data)).stdout)
    assert told[0].startswith("small: stalled after 2h")
    assert told[-2:] == [
        "What to do (batchsim check gives the --set options)",
        "late (d) ask for at most 1 vCPU, or raise maxvCpus of ce from 1 to 2 in the update at 1h 00m",
    ]


def test_nodes_of_one_job_are_not_taken_for_attempts_of_another_that_never_ran():
    data = world(
        [managed("ce", 64, "c6i.large")],
        [
            jobs("bad", "q0", "d", failure={"rate": 1}),
            jobs("dep", "q0", "d", dependsOn=[{"group": "bad"}]),
            jobs("mn", "q0", "pair"),
        ],
        definition("d", 1, 100),
    )
    node = {"targetNodes": "0:", "container": definition("n", 1, 100)["containerProperties"]}
    nodes = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": [node]}
    data["jobDefinitions"].append({"jobDefinitionName": "pair", "type": "multinode", "nodeProperties": nodes})
    result = batchsim.run(batchsim.parse_scenario(json.dumps(data)))
    assert result.attempts["job"].tolist() == ["bad-0", "mn-0", "mn-0"]
    assert result.audit() == []
    assert "RUNNING" in set(result.explain("mn-0")["state"])
    assert "RUNNING" not in set(result.explain("dep-0")["state"])


@pytest.mark.parametrize(("least", "horizon", "told"), [(2, "9h", True), (0, "9h", False), (2, None, False)])
def test_a_horizon_to_which_nothing_is_billed_is_told(invoke, write, least, horizon, told):
    place = managed("cloud", 8, "c6i.large")
    place["computeResources"]["minvCpus"] = least
    data = world([place], [jobs("j", "q0", "one", 1)], definition("one", 1, 9))
    text = invoke("run", write(data | ({"horizon": horizon} if horizon else {}))).stdout
    assert ("horizon      not reached: the bill ends with the last job, " in text) == told


def test_a_request_that_ended_no_job_is_told(invoke, write):
    def said(*workload):
        data = scenario_of(*workload, environments=[lab(2)])
        lines = invoke("run", write(data)).stdout.splitlines()
        return [line for line in lines if line.startswith(("cancel ", "terminate "))]

    two, later = submit("job", "10min", count=2), submit("other", "1min", at="2h")
    alone = submit("late", "1min", at="3h")
    assert said(two, later, {"at": "1h", "terminate": "job"}) == [
        "terminate    job at 1h 00m: of no effect; 2 jobs had ended"
    ]
    assert said(two, {"at": "5min", "cancel": "job-1"}) == [
        "cancel       job-1 at 5m 00s: of no effect; 1 job RUNNING"
    ]
    assert said(two, alone, {"at": "1h", "cancel": "late", "reason": "no more"}) == [
        "cancel       late at 1h 00m: of no effect; 1 job not submitted yet"
    ]
    assert said(two, {"at": "5min", "terminate": "job-1"}) == []
    assert said(submit("job", "10min", count=4), {"at": "5min", "cancel": "job"}) == []
    child = submit("array", "10min", array={"size": 2})
    assert said(child, later, {"at": "1h", "terminate": "array-0"}) == [
        "terminate    array-0 at 1h 00m: of no effect; 2 jobs had ended"
    ]


def test_a_request_in_vain_tells_what_its_job_was_doing(invoke, write):
    """The array fails, and with it what waits for it, though somebody has asked to end that as well."""
    array = submit("array", "10min", array={"size": 2})
    after = submit("after", "1min", dependsOn=[{"group": "array"}])
    asked = [
        {"at": "3min", "cancel": "after"},
        {"at": "5min", "terminate": "array-0:0", "reason": "bad input"},
        {"at": "7min", "cancel": "after-0", "reason": "again"},
        {"at": "8min", "cancel": "array-0:1"},
    ]
    for requests, expected in (
        (
            asked,
            [
                "after at 3m 00s: of no effect; 1 job PENDING, which failed with a job that it depends on",
                "after-0 at 7m 00s: of no effect; 1 job PENDING, which a request was ending already",
                "array-0:1 at 8m 00s: of no effect; 1 job RUNNING",
            ],
        ),
        (asked[:1], []),
    ):
        data = scenario_of(array, after, *requests, environments=[lab(2)])
        told = [line.split(maxsplit=1) for line in invoke("run", write(data)).stdout.splitlines()]
        assert [words[1] for words in told if words and words[0] in {"cancel", "terminate"}] == expected
