"""Small scenarios, as the data of their files, and what their results say of each job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from tests.studies.scenarios import definition, jobs, managed, queue, unmanaged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim import Result

ESSENTIAL_CONTAINER_EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
DEPENDENT_JOB_FAILED = "Dependent Job failed"
ARRAY_CHILD_FAILED = "Array Child Job failed"

HOST_RULES = {
    "attempts": 5,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ],
}
"""Lost hosts are retried, nothing else is [spec 1.6, worked examples]."""


def lab(vcpus: int, name: str = "lab") -> dict[str, Any]:
    """An environment of one machine, which is always there."""
    return unmanaged(name, {"vcpus": vcpus, "memory": "1TiB"})


def submit(name: str, runtime: str, *, at: str = "0s", count: int = 1, **more: Any) -> dict[str, Any]:
    """`count` jobs of definition `one` at one instant, to queue `q` unless another is given."""
    where = {"queue_name": more.pop("queue", "q"), "job_definition": more.pop("definition", "one")}
    return jobs(name, count=count, runtime=runtime, arrivals={"atOnce": {"at": at}}, **where, **more)


def scenario(
    *workload: dict[str, Any],
    environments: Sequence[dict[str, Any]] = (),
    assumptions: dict[str, Any] | None = None,
    definitions: Sequence[dict[str, Any]] = (),
    **sections: Any,
) -> dict[str, Any]:
    """An ideal scenario: definition `one` asks for 1 vCPU, and queue `q` has all environments, in order.

    Without any there is a lab of 1,000 vCPUs, where nobody waits.
    """
    places = list(environments) or [lab(1000)]
    return {
        "batchsim": 1,
        "computeEnvironments": places,
        "jobQueues": [queue("q", *(each["computeEnvironmentName"] for each in places))],
        "jobDefinitions": [definition("one", 1, 100), *definitions],
        "workload": list(workload),
        "assumptions": {"preset": "ideal", **(assumptions or {})},
        **sections,
    }


def each_job(result: Result, column: str) -> dict[str, Any]:
    """A column of the jobs frame by job name; None where a value is missing."""
    values = zip(result.jobs["job"], result.jobs[column], strict=True)
    return {job: None if pd.isna(value) else value for job, value in values}


def each_array(result: Result, *columns: str) -> dict[str, tuple[Any, ...]]:
    """Columns of the arrays frame by array job."""
    frame = result.arrays
    assert frame is not None
    values = zip(*(frame[name] for name in columns), strict=True)
    return dict(zip(frame["job"], values, strict=True))


def each_attempt(result: Result, column: str, job: str | None = None) -> list[Any]:
    """A column of the attempts frame, of one job or of all; None where a value is missing.

    Of multi-node jobs it has the rows of the main nodes.
    """
    rows = result.attempts[result.attempts["is_main"]]
    rows = rows if job is None else rows[rows["job"] == job]
    return [None if pd.isna(value) else value for value in rows[column]]


__all__ = [
    "ARRAY_CHILD_FAILED",
    "DEPENDENT_JOB_FAILED",
    "ESSENTIAL_CONTAINER_EXITED",
    "HOST_RULES",
    "TIMED_OUT",
    "definition",
    "each_array",
    "each_attempt",
    "each_job",
    "lab",
    "managed",
    "queue",
    "scenario",
    "submit",
]
