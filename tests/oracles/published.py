"""Published figures, and how a scenario replays what they were computed on: a pool of processors.

Every figure is of identical processors without nodes: one machine whose memory is never short.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import batchsim

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

JOBS, CLUSTER = "jobs", "cluster"


class CaseJob(NamedTuple):
    """A job of a small published case; times in seconds."""

    submit: int
    run: int
    processors: int
    estimate: int
    expected_end: int


class SmallCase(NamedTuple):
    """Jobs on 100 processors, and the policies under which they end when expected."""

    policies: list[str]
    jobs: list[CaseJob]


def small_cases(traces: Path) -> dict[str, SmallCase]:
    cases: dict[str, SmallCase] = defaultdict(lambda: SmallCase([], []))
    columns = ("submit", "run", "procs", "estimate", "expected_finish")
    with (traces / "sched-cases" / "small_cases.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            case = cases[row["case"]]
            case.policies[:] = row["policies"].split(";")
            case.jobs.append(CaseJob(*(int(row[name]) for name in columns)))
    return dict(cases)


def swf_of(jobs: Iterable[CaseJob]) -> str:
    """The jobs as a log, numbered from 0."""
    return "".join(
        f"{number} {job.submit} -1 {job.run} {job.processors} -1 -1 {job.processors} {job.estimate}"
        " -1 1 -1 -1 -1 -1 -1 -1 -1\n"
        for number, job in enumerate(jobs)
    )


def replay(folder: Path, trace: dict[str, Any], processors: int, **assumptions: Any) -> batchsim.Result:
    """The result of a scenario, written to a file in `folder`, that replays a trace on one machine."""
    machine = {"vcpus": processors, "memory": "90TiB"}
    data = {
        "batchsim": 1,
        "computeEnvironments": [
            {"computeEnvironmentName": CLUSTER, "type": "UNMANAGED", "instances": [machine]}
        ],
        "jobQueues": [
            {"jobQueueName": "q", "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": CLUSTER}]}
        ],
        "workload": [{"name": JOBS, "jobQueue": "q", "trace": trace}],
        "assumptions": {"preset": "ideal", **assumptions},
    }
    path = folder / "scenario.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    result = batchsim.run(batchsim.load_scenario(path))
    assert result.summary["outcome"] == "finished"
    return result
