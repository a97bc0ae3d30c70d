"""Capacity of managed environments: closed forms and the specification's examples, to the microsecond."""

from __future__ import annotations

import pytest

from batchsim.core.allocation import pick_size, price_tiers
from batchsim.core.fleet import RETIRING
from batchsim.core.plan import EnvironmentPlan, EnvironmentUpdate, Need, Policy
from batchsim.drivers.world import Boot
from batchsim.errors import ContractError
from tests.harness import SECOND, Checked, PlanBuilder, machine, managed

C6I = [machine(2, 3679, usd=0.085, name="c6i.large"), machine(8, 15414, usd=0.34, name="c6i.2xlarge")]
AWS = Policy(
    scheduling_interval_us=SECOND,
    scaling_interval_us=30 * SECOND,
    submit_evaluation_us=SECOND,
    idle_scale_in_us=120 * SECOND,
)


def launched(builder: PlanBuilder, jobs: int) -> list[str]:
    core = Checked(builder.plan())
    for job in range(jobs):
        core.tell("job_submitted", 0, job)
    return [command for command in core.decide(0) if command.startswith("Launch")]


def test_spec_39_overshoot_by_at_most_one_instance():
    builder = PlanBuilder([C6I[1]], [managed([0], max_vcpus=10)])
    for _ in range(16):
        builder.job(0, SECOND, Need(1, 4, 0))
    assert len(launched(builder, 16)) == 2


def test_spec_40_no_launch_at_max_but_one_more_just_below_it():
    for max_vcpus, instances in ((8, 1), (9, 2)):
        builder = PlanBuilder([C6I[1]], [managed([0], max_vcpus)])
        for _ in range(9):
            builder.job(0, SECOND, Need(1, 4, 0))
        assert len(launched(builder, 9)) == instances


@pytest.mark.parametrize(("memory_mib", "chosen"), [(3000, 0), (5000, 1), (12_000, 2)])
def test_spec_41_lowest_price_per_vcpu_among_types_large_enough(memory_mib, chosen):
    types = [
        machine(2, 3679, usd=0.085, name="c6i.large"),
        machine(2, 7591, usd=0.096, name="m6i.large"),
        machine(2, 15414, usd=0.126, name="r6i.large"),
    ]
    builder = PlanBuilder(types, [managed([0, 1, 2], 64)])
    builder.job(0, SECOND, Need(1, memory_mib, 0))
    assert launched(builder, 1) == [f"Launch(instance=0, environment=0, type={chosen})"]


def test_two_jobs_that_do_not_share_a_small_instance_get_two_of_them():
    types = [machine(2, 3679, usd=0.085), machine(2, 7591, usd=0.096)]
    builder = PlanBuilder(types, [managed([0, 1], 64)])
    for _ in range(2):
        builder.job(0, SECOND, Need(1, 3000, 0))
    assert launched(builder, 2) == [f"Launch(instance={n}, environment=0, type=0)" for n in (0, 1)]


@pytest.mark.parametrize(
    ("tiebreak", "room", "chosen"),
    [
        ("largest_not_exceeding_demand", 64, 16),
        ("largest_not_exceeding_demand", 9, 8),
        ("largest_not_exceeding_demand", 1, 4),
        ("smallest_fitting", 64, 4),
    ],
)
def test_size_tiebreak(tiebreak, room, chosen):
    types = [machine(v, v * 2000, usd=v * 0.0425) for v in (2, 4, 8, 16)]
    (tier,) = price_tiers(types, range(4), Need(3, 4, 0))
    assert types[pick_size(types, tier, tiebreak, room)].vcpus == chosen


def test_rounded_prices_of_one_family_are_one_tier_and_dearer_families_another():
    types = [machine(2, usd=0.1017), machine(4, usd=0.2035), machine(2, usd=0.12)]
    assert price_tiers(types, range(3), Need(1, 4, 0)) == [[1, 0], [2]]


def test_spec_47_min_vcpus_stay_also_when_disabled():
    for enabled in (True, False):
        builder = PlanBuilder([C6I[1]], [managed([0], 64, min_vcpus=8, enabled=enabled)], policy=AWS)
        builder.job(0, 60 * SECOND, Need(8, 4, 0))
        record = builder.run(horizon_us=3600 * SECOND)
        assert list(record.i_ended_us) == [-1]


def test_minimum_is_kept_and_the_rest_is_given_back():
    builder = PlanBuilder([C6I[1]], [managed([0], 64, min_vcpus=8)], policy=AWS)
    for _ in range(4):
        builder.job(0, 60 * SECOND, Need(8, 4, 0))
    record = builder.run()
    assert record.outcome == "finished"
    assert sorted(ended >= 0 for ended in record.i_ended_us) == [False, True, True, True]


def test_reference_timeline_of_one_job_in_an_empty_environment():
    """[spec 5.3]: 0 submit, 1 RUNNABLE, 30 decided, 60 accepted, 80 running, 140 registered, 148 RUNNING."""
    builder = PlanBuilder([C6I[0]], [managed([0], 64)], policy=AWS)
    builder.job(0, 100 * SECOND, Need(1, 100, 0))
    record = builder.run(
        boot=Boot(30 * SECOND, 20 * SECOND, 60 * SECOND),
        images=[(0,)],
        pull_us=[5 * SECOND],
        dispatch_us=SECOND,
        container_start_us=2 * SECOND,
    )
    seconds = [
        column[0] / SECOND
        for column in (
            record.runnable_us,
            record.i_requested_us,
            record.i_running_us,
            record.i_ready_us,
            record.placed_us,
            record.starting_us,
            record.started_us,
            record.ended_us,
            record.i_ended_us,
        )
    ]
    assert seconds == [1, 30, 80, 140, 140, 141, 148, 248, 390]


def test_reference_timeline_on_a_warm_host():
    """[spec 5.3]: on a warm host with the image cached, RUNNING at 4 s."""
    builder = PlanBuilder([C6I[0]], [EnvironmentPlan("e", (0,))], policy=AWS)
    builder.machines_of(0, 0)
    builder.job(0, 10 * SECOND, Need(1, 100, 0))
    builder.job(100 * SECOND, 10 * SECOND, Need(1, 100, 0))
    record = builder.run(
        images=[(0,)], pull_us=[5 * SECOND], dispatch_us=SECOND, container_start_us=2 * SECOND
    )
    assert [start / SECOND for start in record.started_us] == [9, 104]


def test_two_jobs_share_one_pull_of_one_image():
    builder = PlanBuilder([machine(4)], [EnvironmentPlan("e", (0,))])
    builder.machines_of(0, 0)
    builder.job(0, 10 * SECOND, Need(1, 100, 0))
    builder.job(3 * SECOND, 10 * SECOND, Need(1, 100, 0))
    record = builder.run(images=[(0,)], pull_us=[5 * SECOND])
    assert [start / SECOND for start in record.started_us] == [5, 5]


def test_equal_jobs_on_at_most_one_instance_take_ceil_n_by_slots_rounds_and_one_boot():
    builder = PlanBuilder([machine(4, usd=0.1)], [managed([0], 4)])
    for _ in range(10):
        builder.job(0, 60 * SECOND, Need(1, 100, 0))
    record = builder.run(boot=Boot(0, 0, 45 * SECOND))
    assert max(record.ended_us) == (45 + 3 * 60) * SECOND
    assert len(record.i_type) == 1


def test_a_time_limit_that_was_not_needed_does_not_prolong_the_run():
    builder = PlanBuilder([machine(4, usd=0.1)], [managed([0], 4, min_vcpus=4)])
    builder.job(0, 60 * SECOND, Need(1, 100, 0), timeout_us=86_400 * SECOND)
    assert builder.run().ended_at_us == 60 * SECOND


def test_an_instance_kept_by_the_minimum_that_worked_again_is_given_back_once():
    policy = Policy(idle_scale_in_us=10 * SECOND)
    builder = PlanBuilder([machine(4, usd=0.1)], [managed([0], 8, min_vcpus=4)], policy=policy)
    for submit in (0, 30, 60, 60, 90):
        builder.job(submit * SECOND, 5 * SECOND, Need(4, 100, 0))
    record = builder.run()
    assert record.outcome == "finished"
    assert sorted(ended >= 0 for ended in record.i_ended_us) == [False, True]


def test_scale_in_waits_for_the_idle_time_and_a_new_job_resets_it():
    policy = Policy(idle_scale_in_us=120 * SECOND)
    builder = PlanBuilder([machine(4, usd=0.1)], [managed([0], 4)], policy=policy)
    builder.job(0, 60 * SECOND, Need(1, 100, 0))
    builder.job(150 * SECOND, 10 * SECOND, Need(1, 100, 0))
    record = builder.run()
    assert list(record.i_ended_us) == [(160 + 120) * SECOND]


def test_a_failed_launch_is_tried_again_after_the_cool_off_or_with_the_next_type():
    types = [machine(2, usd=0.085), machine(2, usd=0.096)]
    builder = PlanBuilder(types, [managed([0, 1], 4)], policy=Policy(launch_cooloff_us=180 * SECOND))
    builder.job(0, SECOND, Need(1, 4, 0))
    core = Checked(builder.plan())
    core.tell("job_submitted", 0, 0)
    assert core.decide(0) == ["Launch(instance=0, environment=0, type=0)"]
    core.tell("launch_failed", SECOND, 0)
    assert core.decide(SECOND) == ["Launch(instance=1, environment=0, type=1)"]
    core.tell("launch_failed", 2 * SECOND, 1)
    assert core.decide(2 * SECOND) == []
    assert core.next_wakeup() == 181 * SECOND
    assert core.decide(181 * SECOND) == ["Launch(instance=2, environment=0, type=0)"]


def test_demand_of_the_head_comes_first_when_room_is_scarce():
    types = [machine(4, 8_000, usd=0.17), machine(4, 32_000, usd=0.25)]
    builder = PlanBuilder(types, [managed([0, 1], 4)])
    builder.job(0, SECOND, Need(1, 20_000, 0))
    builder.job(0, SECOND, Need(1, 100, 0))
    assert launched(builder, 2) == ["Launch(instance=0, environment=0, type=1)"]


def test_a_queue_whose_head_can_never_start_asks_for_nothing_and_the_run_stalls():
    builder = PlanBuilder([C6I[0]], [managed([0], 64)], policy=AWS)
    builder.job(0, SECOND, Need(4, 100, 0))
    builder.job(0, SECOND, Need(1, 100, 0))
    record = builder.run()
    assert record.outcome == "stalled"
    assert len(record.i_type) == 0
    assert record.status_reason[0].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource")
    assert "head of job queue q" in record.status_reason[1]


def test_a_job_above_max_vcpus_never_starts_with_awss_reason():
    builder = PlanBuilder([C6I[1]], [managed([0], 4)], policy=AWS)
    builder.job(0, SECOND, Need(8, 100, 0))
    record = builder.run()
    assert record.outcome == "stalled"
    assert record.status_reason[0].startswith("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s)")


def test_an_instance_that_makes_way_for_another_cannot_become_ready():
    place = managed([0], max_vcpus=8)
    builder = PlanBuilder([C6I[1]], [place])
    builder.job(0, SECOND, Need(1, 4, 0))
    builder.updates.append(EnvironmentUpdate(0, place, replaces=True, timeout_us=60 * SECOND))
    core = Checked(builder.plan())
    core.tell("job_submitted", 0, 0)
    core.decide(0)
    core.tell("instance_ready", 0, 0)
    assert core.decide(0) == ["Start(job=0, instance=0)"]
    core.tell("plan_updated", 0, 0)
    assert core.instances[0].state == RETIRING
    with pytest.raises(ContractError, match="instance 0 became ready; it is retiring"):
        core.tell("instance_ready", 0, 0)
