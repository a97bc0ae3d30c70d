"""What `batchsim check` prints of nodes, consumable resources, time limits and dependencies."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.studies.scenarios import definition, jobs, managed, world


def asks(quantity: int) -> dict[str, object]:
    wanted = {"consumableResource": "licence", "quantity": quantity}
    return {"consumableResourcePropertiesOverride": {"consumableResourceList": [wanted]}}


@pytest.fixture
def laboratory(write) -> str:
    """A job of two nodes, jobs that use up a resource, and some that depend on one that never starts."""
    nodes = [{"targetNodes": "0:", "container": {"image": "mpi:1", "vcpus": 2, "memory": 1000}}]
    mpi = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": nodes}
    data = world(
        [managed("cloud", 64, "c6i.large")],
        [
            jobs("solve", "q0", "mpi"),
            jobs("use", "q0", "small", 3, **asks(2)),
            jobs("need", "q0", "small", 2, **asks(9)),
            jobs("after", "q0", "small", 4, dependsOn=[{"group": "need"}]),
        ],
        {"jobDefinitionName": "mpi", "type": "multinode", "nodeProperties": mpi},
        definition("small", 1, 1000),
    )
    licence = {"consumableResourceName": "licence", "totalQuantity": 5, "resourceType": "NON_REPLENISHABLE"}
    return write({**data, "consumableResources": [licence]})


def rows_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_nodes_resources_and_dependants_are_told(invoke, laboratory):
    done = invoke("check", laboratory)
    assert done.exit_code == 1
    lines = rows_of(done.stdout)
    assert ["solve", "mpi", "q0", "1", "2", "2", "1,000", "0", "cloud"] in lines
    assert ["licence", "5", "5", "2-9", "2", "in", "all,", "NEVER", "for", "2"] in lines
    for sentence in (
        "a multi-node job starts on as many empty instances of one type at once as it has nodes",
        "asks for 9 of licence; the most there ever is, is 5",
        "--set consumableResources.licence.totalQuantity=9",
        "Consumable resource licence is used up before all have had of it: at least 1 job can never start.",
        "--set consumableResources.licence.totalQuantity=6",
        "Workload after: 4 jobs could start, but for depending on jobs that never can.",
        "At least 7 of the 10 jobs can never start.",
    ):
        assert sentence.split() in lines


def test_what_no_job_has_is_not_told(invoke, good):
    text = invoke("check", good).stdout
    assert "nodes" not in text
    assert "consumable" not in text


def test_as_data(invoke, laboratory):
    told = json.loads(invoke("check", laboratory, "--format", "json").stdout)
    assert told["can_all_start"] is False
    assert told["stranded"] == {"after": 4}
    assert told["findings"][0]["nodes"] == 2
    (supply,) = told["supplies"]
    assert (supply["most"], supply["never"], supply["left_over"]) == (5, 2, 1)
    assert supply["change"]["set"] == {"consumableResources.licence.totalQuantity": "6"}
    table = list(csv.DictReader(io.StringIO(invoke("check", laboratory, "--format", "csv").stdout)))
    assert [row["nodes"] for row in table] == ["2", "1", "1", "1"]


def test_a_time_limit_is_named_where_it_helps(invoke, stuck):
    reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    limit = f"{{reason: '{reason}', state: RUNNABLE, maxTimeSeconds: 900, action: CANCEL}}"
    done = invoke("check", stuck, "--set", f"jobQueues.q0.jobStateTimeLimitActions=[{limit}]")
    assert "jobStateTimeLimitActions cancel each such head after 15m 00s." in " ".join(done.stdout.split())
    assert done.exit_code == 1


def test_a_run_that_used_a_resource_up_says_what_to_do(invoke, laboratory):
    done = invoke("run", laboratory, "--set", "workload.need.count=1")
    assert done.exit_code == 3
    lines = rows_of(done.stdout)
    assert ["licence", "raise", "totalQuantity", "of", "licence", "from", "5", "to", "6"] in lines


def test_jobs_that_must_start_before_an_update_are_told_in_the_verdict(invoke, write):
    off = {"at": "1h", "update": {"computeEnvironment": "cloud", "state": "DISABLED"}}
    data = world(
        [managed("cloud", 64, "c6i.large")], [jobs("j", "q0", "one", 3), off], definition("one", 1, 9)
    )
    done = invoke("check", write(data))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1].startswith(
        "Each of the 3 jobs can start; 3 only until 1h 00m: who waits then never starts"
    )


def test_what_is_the_same_for_several_entries_is_told_once(invoke, write):
    big, small = definition("big", 1, 100_000), definition("small", 1, 1000)
    entries = [jobs(f"j{number}", "q0", "big", 2) for number in range(6)]
    path = write(
        world([managed("cloud", 64, "m6i.large")], [*entries, jobs("k", "q0", "small", 1)], big, small)
    )
    text = invoke("check", path).stdout
    assert text.count("NEVER, see 1") == 6
    assert (
        "1. j0 (big), j1 (big), j2 (big), j3 (big) and 2 more: 12 jobs in job queue q0, such as j0-0" in text
    )
    assert text.count("to mend it: ask for at most 7591 MiB") == 1
    advice = invoke("run", path).stdout.split("What to do")[1]
    assert advice.count("ask for at most 7591 MiB") == 1
