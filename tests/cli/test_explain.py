"""`batchsim explain`: a job's life as a table, as data, and what cannot be told."""

from __future__ import annotations

import csv
import io
import json

import pytest

from batchsim.results import Result
from tests.studies.scenarios import definition, jobs, managed, queue, unmanaged, world


@pytest.fixture
def folder(invoke, write, tmp_path) -> str:
    """Three jobs in a row on one vCPU, and one of a queue of higher priority that comes in between."""
    at_once = {"arrivals": {"atOnce": {}}, "runtime": "1m"}
    data = world(
        [unmanaged("lab", {"name": "box", "vcpus": 1, "memory": "8GiB"})],
        [
            jobs("a", "low", "d", 3, **at_once),
            jobs("urgent", "high", "d", 1, arrivals={"atOnce": {"at": "70s"}}, runtime="1m"),
            jobs("big", "low", "large", 1, arrivals={"atOnce": {"at": "80s"}}, runtime="1m"),
        ],
        definition("d", 1, 100),
        definition("large", 2, 100),
    )
    data["jobQueues"] = [{**queue("low", "lab"), "priority": 1}, {**queue("high", "lab"), "priority": 9}]
    data["assumptions"] = {"preset": "ideal"}
    target = tmp_path / "told"
    assert invoke("run", write(data), "-o", str(target)).exit_code == 3
    return str(target)


def test_explain_tells_who_was_ahead_and_what_the_head_waited_for(invoke, folder):
    done = invoke("explain", folder, "a-2")
    assert done.exit_code == 0
    waited = "at the head of its queue: all machines are busy; 1 job of another queue started meanwhile"
    assert [" ".join(line.split()) for line in done.stdout.splitlines()][3:] == [
        "0s 1m 00s RUNNABLE 1 job ahead at first, the head a-1, for which all machines are busy",
        f"1m 00s 2m 00s RUNNABLE {waited}",
        "3m 00s 1m 00s RUNNING attempt 1 on box",
        "SUCCEEDED after 4m 00s, 3m 00s until it first ran: Essential container in task exited",
    ]
    assert done.stdout.startswith("a-2: SUCCEEDED, in job queue low, 1 vCPU, 100 MiB\n")


def test_explain_tells_of_a_job_that_never_started(invoke, folder):
    done = invoke("explain", folder, "big-0")
    assert done.exit_code == 0
    assert "at the head of its queue: no instance type is large enough" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("The run ended while it was RUNNABLE: MISCONFIGURATION:")


def test_explain_as_data_holds_what_the_library_tells(invoke, folder):
    told = json.loads(invoke("explain", folder, "a-1", "--format", "json").stdout)
    life = Result.read(folder).explain("a-1")
    assert told["job"] == "a-1"
    assert [row["state"] for row in told["intervals"]] == ["RUNNABLE", "RUNNING"]
    assert [(row["from_s"], row["to_s"], row["ahead"]) for row in told["intervals"]] == list(
        zip(life["from_s"], life["to_s"], life["ahead"], strict=True)
    )
    assert [row["head"] for row in told["intervals"]] == [None, None]
    table = list(csv.DictReader(io.StringIO(invoke("explain", folder, "a-1", "--format", "csv").stdout)))
    assert list(table[0]) == list(life.columns)
    assert [row["reason"] for row in table] == list(life["reason"])


@pytest.mark.parametrize(
    ("job", "hint"),
    [
        ("a-9", "found a-9; there are a-0, a-1, a-2"),
        ("urgnt-0", "found urgnt-0; there are urgent-0"),
        ("zzz", "found zzz; such as a-0"),
    ],
)
def test_a_job_that_is_not_there_is_one_line_with_some_that_are(invoke, folder, job, hint):
    done = invoke("explain", folder, job)
    assert done.exit_code == 2
    assert done.stderr == f"error: job: expected a job of this result, {hint}\n"


def test_a_folder_without_a_result_is_one_line(invoke, tmp_path):
    done = invoke("explain", str(tmp_path / "nowhere"), "a-0")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "nowhere" in done.stderr


@pytest.fixture
def arrays(invoke, write, tmp_path) -> str:
    """Two arrays of three on one vCPU, a minute each: the second waits for the first; stopped at 4.5 min."""
    array = {"arrivals": {"atOnce": {}}, "runtime": "1m", "array": {"size": 3}}
    data = world(
        [unmanaged("lab", {"name": "box", "vcpus": 1, "memory": "8GiB"})],
        [
            jobs("first", "q0", "d", 1, **array),
            jobs("then", "q0", "d", 1, **array, dependsOn=[{"group": "first"}]),
            jobs("late", "q0", "d", 1, **array, dependsOn=[{"group": "then"}]),
        ],
        definition("d", 1, 100),
    )
    data["assumptions"] = {"preset": "ideal"}
    target = tmp_path / "arrays"
    assert invoke("run", write(data), "-o", str(target), "--set", "horizon=270s").exit_code == 0
    return str(target)


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (
            "first-0",
            [
                "first-0: SUCCEEDED, an array of 3 jobs, in job queue q0",
                "0s 3m 00s PENDING it waits for its 3 children; the last to end is first-0:2",
                "SUCCEEDED after 3m 00s; of its children 3 SUCCEEDED",
            ],
        ),
        (
            "then-0",
            [
                "then-0: PENDING, an array of 3 jobs, in job queue q0",
                "0s 3m 00s SUBMITTED none of its children is RUNNABLE yet",
                (
                    "3m 00s 1m 30s PENDING it waits for its 3 children; 2 have not ended, such as then-0:1"
                    " (RUNNING)"
                ),
                "The run ended while it was PENDING; of its children 1 RUNNABLE, 1 RUNNING, 1 SUCCEEDED",
            ],
        ),
        (
            "late-0",
            [
                "late-0: SUBMITTED, an array of 3 jobs, in job queue q0",
                "0s 4m 30s SUBMITTED none of its children is RUNNABLE yet",
                "The run ended while it was SUBMITTED; of its children 3 PENDING",
            ],
        ),
    ],
)
def test_spec_1_2_an_array_job_is_explained_by_its_own_states(invoke, arrays, job, told):
    lines = [" ".join(line.split()) for line in invoke("explain", arrays, job).stdout.splitlines()]
    assert [lines[0], *lines[3:]] == told


def test_an_array_that_failed_says_why(invoke, write, tmp_path):
    data = world(
        [unmanaged("lab", {"name": "box", "vcpus": 1, "memory": "8GiB"})],
        [jobs("a", "q0", "d", 1, runtime="1m", array={"size": 2}, exitCodes=[7])],
        definition("d", 1, 100),
    )
    target = str(tmp_path / "failed")
    invoke("run", write(data | {"assumptions": {"preset": "ideal"}}), "-o", target)
    last = invoke("explain", target, "a-0").stdout.splitlines()[-1]
    assert last == "FAILED after 2m 00s: Array Child Job failed; of its children 2 FAILED"


def test_of_a_long_life_the_middle_is_shown_when_asked_for(invoke, write, tmp_path):
    data = world([managed("ce", 8, "c6i.large")], [jobs("a", "q0", "d")], definition("d", 1, 100))
    data |= {"horizon": "3h", "assumptions": {"insufficientCapacity": 0.99, "launchCooloff": "1m"}}
    target = str(tmp_path / "long")
    invoke("run", write(data), "-o", target)
    lines = invoke("explain", target, "a-0").stdout.splitlines()[3:-1]
    whole = invoke("explain", target, "a-0", "--format", "wide").stdout.splitlines()[3:-1]
    assert len(whole) == len(Result.read(target).explain("a-0")) > 60
    assert lines[14].strip() == f"... {len(whole) - 28} more intervals: --format wide shows them"
    assert [line.split() for line in lines[:14] + lines[15:]] == [
        line.split() for line in whole[:14] + whole[-14:]
    ]


def test_explain_and_run_tell_of_updates_meanwhile(invoke, write, tmp_path):
    data = world(
        [managed("ce", 4, "c6i.large")],
        [
            jobs("a", "q0", "d", 6, runtime="1h"),
            {"at": "10min", "update": {"computeEnvironment": "ce", "maxvCpus": 2}},
            {"at": "20min", "update": {"computeEnvironment": "ce", "updateToLatestImageVersion": True}},
            {"at": "3h", "update": {"jobQueue": "q0", "priority": 5}},
            jobs("late", "q0", "d", 1, arrivals={"atOnce": {"at": "4h"}}),
        ],
        definition("d", 1, 100),
    )
    data["assumptions"] = {"preset": "ideal"}
    above, replaced = "were above maxvCpus", "2 instances replaced, UPDATING until 50m 00s"
    said = [
        f"10m 00s ce: maxvCpus 2; 2 of 4 vCPUs {above}, up to the next update or the end",
        f"20m 00s ce: updateToLatestImageVersion; 2 of 4 vCPUs {above}, until 50m 00s; {replaced}",
        "3h 00m job queue q0: priority 5",
    ]
    done = invoke("run", write(data), "-o", str(tmp_path / "told"))
    words = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert words[words.index("Updates during the run") + 1 :] == said
    told = invoke("explain", str(tmp_path / "told"), "a-5").stdout
    words = [" ".join(line.split()) for line in told.splitlines()]
    assert words[words.index("Updates of its queue and environments meanwhile") + 1 :] == said[:2]
    assert "Updates" not in invoke("explain", str(tmp_path / "told"), "late-0").stdout
    assert len(json.loads(invoke("run", write(data), "--format", "json").stdout)["updates"]) == 3
