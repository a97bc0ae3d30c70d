"""What users do during a simulated run."""

from __future__ import annotations

from batchsim.core.consumables import ConsumablePlan
from batchsim.core.plan import EnvironmentPlan, Need, Policy
from batchsim.core.states import FAILED, PENDING, SUCCEEDED
from batchsim.drivers.world import Outcome, ResourceUpdate
from batchsim.workload import JobsEvent
from tests.harness import PlanBuilder, machine

ONE = Need(1, 1, 0)


def line(*jobs: tuple[int, int], policy: Policy | None = None, vcpus: int = 1, **more: object) -> PlanBuilder:
    """Jobs (submitted, running time) of one vCPU for a machine that by default takes one at a time."""
    builder = PlanBuilder([machine(vcpus)], [EnvironmentPlan("e", (0,))], policy=policy)
    builder.machines_of(0, 0)
    for submit, runtime in jobs:
        builder.job(submit, runtime, ONE, **more)
    return builder


def test_a_cancelled_job_ends_then_without_an_attempt():
    record = line((0, 10), (0, 10), (0, 10)).run(requests=[JobsEvent(4, "cancel", (range(1, 2),), "wrong")])
    assert list(record.ended_us) == [10, 4, 20]
    assert (record.placed_us[1], record.attempts[1], record.state[1]) == (-1, 0, FAILED)
    assert (record.status_reason, record.requested) == ({1: "wrong"}, {1: "cancelled"})


def test_requests_come_after_the_submissions_of_their_instant_and_in_order():
    both = [JobsEvent(7, "cancel", (range(2),), "first"), JobsEvent(7, "terminate", (range(2),), "second")]
    for interval in (0, 10):
        record = line((0, 30), (7, 30), policy=Policy(scheduling_interval_us=interval)).run(requests=both)
        assert record.status_reason == {0: "second", 1: "first"}
        assert record.ended_us[1] == 7


def test_jobs_that_are_submitted_later_are_not_meant():
    record = line((0, 5), (20, 5)).run(requests=[JobsEvent(9, "cancel", (range(2),), "all")])
    assert list(record.state) == [SUCCEEDED, SUCCEEDED]


def test_a_job_between_two_passes_can_be_cancelled():
    record = line((3, 5), policy=Policy(scheduling_interval_us=10)).run(
        requests=[JobsEvent(5, "cancel", (range(1),), "no")]
    )
    assert (record.runnable_us[0], record.ended_us[0], record.placed_us[0]) == (3, 5, -1)


def test_spec_115_a_larger_total_lets_more_jobs_run():
    builder = line((0, 100), (0, 100), vcpus=9, asks=((0, 3),))
    builder.consumables = [ConsumablePlan("licences", 4)]
    record = builder.run(requests=[ResourceUpdate(30, 0, "ADD", 2)])
    assert list(record.started_us) == [0, 30]


def test_requests_after_the_last_job_has_ended_do_not_prolong_the_run():
    record = line((0, 5)).run(requests=[JobsEvent(900, "terminate", (range(1),), "late")])
    assert (record.outcome, record.ended_at_us, record.requested) == ("finished", 5, {})


def test_a_job_that_waits_for_one_that_never_ends_is_pending_and_the_run_stalls():
    builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))])
    builder.machines_of(0, 0)
    builder.job(0, 1, Need(2, 1, 0))
    builder.job(0, 1, ONE, after=[0])
    record = builder.run()
    assert (record.outcome, record.state[1], record.runnable_us[1]) == ("stalled", PENDING, -1)


def test_a_job_whose_predecessor_has_failed_fails_in_the_instant_of_its_submission():
    builder = line((0, 5), policy=Policy(scheduling_interval_us=10), timeout_us=2)
    builder.job(15, 5, ONE, after=[0])
    record = builder.run()
    assert (record.ended_us[0], record.ended_us[1]) == (2, 15)
    assert record.status_reason[1] == "Dependent Job failed"


def test_gpus_are_recorded_for_each_attempt():
    builder = PlanBuilder([machine(4, gpus=4)], [EnvironmentPlan("e", (0,))])
    builder.machines_of(0, 0)
    for gpus in (1, 3, 1):
        builder.job(0, 10, Need(1, 1, gpus), attempts=2)
    record = builder.run(
        outcomes=[Outcome(), Outcome(script=((1, ""), (0, "")))],
        requests=[JobsEvent(4, "terminate", (range(1),), "enough")],
    )
    assert (record.gpus, record.e_gpus) == ({0: 0b0001, 1: 0b1110, 2: 0b0001}, {0: 0b1110})
