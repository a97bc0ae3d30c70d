"""Which jobs a stalled run leaves waiting."""

from __future__ import annotations

from batchsim.core.feasibility import RESOURCE_REQUIREMENT
from batchsim.studies.run import run
from batchsim.studies.stalled import LeftWaiting, left_waiting
from tests.studies.scenarios import definition, jobs, unmanaged, world


def test_jobs_are_grouped_by_reason_in_order_of_submission(load):
    scenario = load(
        world(
            [unmanaged("lab", {"vcpus": 2, "memory": "4GiB"})],
            [jobs("first", "q0", "small", 1), jobs("wide", "q0", "wide", 2), jobs("last", "q0", "small", 3)],
            definition("small", 1, 1024),
            definition("wide", 16, 1024),
        )
    )
    assert left_waiting(run(scenario)) == [
        LeftWaiting(RESOURCE_REQUIREMENT, 2, "wide-0"),
        LeftWaiting(f"Waits behind the head of job queue q0: {RESOURCE_REQUIREMENT}", 3, "last-0"),
    ]


def test_a_run_that_did_not_stall_leaves_nobody_waiting(load):
    data = world(
        [unmanaged("lab", {"vcpus": 2, "memory": "4GiB"})],
        [jobs("j", "q0", "small", 5)],
        definition("small", 1, 1024),
    )
    assert left_waiting(run(load(data))) == []
    assert left_waiting(run(load(data, "horizon=90s"))) == []


def test_jobs_that_depend_on_one_that_never_starts_are_left_with_a_reason_too(load):
    data = world(
        [
            unmanaged("lab", {"vcpus": 2, "memory": "4GiB"}),
            unmanaged("other", {"vcpus": 2, "memory": "4GiB"}),
        ],
        [jobs("wide", "q0", "wide"), jobs("after", "q1", "small", 2, dependsOn=[{"group": "wide"}])],
        definition("small", 1, 1024),
        definition("wide", 16, 1024),
    )
    result = run(load(data))
    assert result.audit() == []
    assert left_waiting(result) == [
        LeftWaiting(RESOURCE_REQUIREMENT, 1, "wide-0"),
        LeftWaiting("Waits for jobs that it depends on.", 2, "after-0"),
    ]
