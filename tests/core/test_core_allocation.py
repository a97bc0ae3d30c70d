"""Allocation strategies, what BEST_FIT may not do, and how long instances are kept."""

from __future__ import annotations

import pytest

from batchsim.core.allocation import STRATEGIES, tiers_of
from batchsim.core.plan import EnvironmentPlan, Need, Policy
from tests.harness import SECOND, Checked, PlanBuilder, machine, managed

MINUTE = 60 * SECOND
ONE = Need(1, 4, 0)
#          0                      1                       2                      3
TYPES = [
    machine(2, 4000, usd=0.085, name="c6i.large"),
    machine(2, 8000, usd=0.096, name="m6i.large"),
    machine(4, 8000, usd=0.170, name="c6i.xlarge"),
    machine(2, 16000, usd=0.126, name="r6i.large"),
]


def tiers(strategy: str, need: Need = ONE, **more: tuple[int, ...]) -> list[list[int]]:
    environment = EnvironmentPlan("e", (1, 0, 2, 3), managed=True, strategy=strategy, **more)
    return tiers_of(TYPES, environment, need)


def test_each_strategy_prefers_what_it_says():
    assert tiers("BEST_FIT") == [[0]]
    assert tiers("BEST_FIT", Need(3, 4, 0)) == [[2]]
    assert tiers("BEST_FIT_PROGRESSIVE") == [[2, 0], [1], [3]]
    assert tiers("BEST_FIT_PROGRESSIVE_ORDERED", entries=(0, 1, 1, 2)) == [[1], [0], [2], [3]]
    bands = {"bands": (0, 4, 0, 4)}  # of 1, 0, 2, 3
    assert tiers("SPOT_CAPACITY_OPTIMIZED", **bands) == [[0, 3], [2, 1]]
    assert tiers("SPOT_PRICE_CAPACITY_OPTIMIZED", **bands) == [[0], [3], [2], [1]]
    assert tiers("SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", **bands) == [[0], [3], [1], [2]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_holds_no_job_is_in_no_tier(strategy):
    assert tiers(strategy, Need(5, 4, 0)) == []
    assert {index for tier in tiers(strategy, Need(1, 9000, 0)) for index in tier} == {3}


def test_spec_41_the_cheapest_vcpu_whose_memory_suffices():
    for memory, expected in ((3000, 0), (5000, 1), (12_000, 3)):
        first = tiers_of(TYPES, EnvironmentPlan("e", (0, 1, 3)), Need(1, memory, 0))[0]
        assert first == [expected]


def test_spec_42_an_explicit_type_keeps_its_place_before_its_family():
    family = [machine(2, usd=1, name="m7a.large"), machine(16, usd=8, name="m7a.4xlarge")]
    environment = EnvironmentPlan(
        "e", (1, 0), managed=True, strategy="BEST_FIT_PROGRESSIVE_ORDERED", entries=(0, 1)
    )
    assert tiers_of(family, environment, Need(2, 4, 0)) == [[1], [0]]


def launched(
    types: list, environment: EnvironmentPlan, jobs: int, need: Need = ONE, **policy: int
) -> Checked:
    builder = PlanBuilder(types, [environment], policy=Policy(**policy))
    for _ in range(jobs):
        builder.job(0, 1, need)
    core = Checked(builder.plan())
    for job in range(jobs):
        core.tell("job_submitted", 0, job)
    core.decide(0)
    return core


def test_spec_39_best_fit_on_demand_never_exceeds_the_maximum_and_the_others_by_one_instance():
    for overshoots, vcpus in ((True, 16), (False, 8)):
        core = launched([machine(8, usd=1)], managed([0], 10, overshoots=overshoots), 16)
        assert sum(instance.vcpus for instance in core.instances) == vcpus


def test_best_fit_waits_while_its_type_cannot_be_launched_and_progressive_takes_the_next():
    pair = [machine(2, usd=1), machine(2, usd=2)]
    for strategy, then in (
        ("BEST_FIT", []),
        ("BEST_FIT_PROGRESSIVE", ["Launch(instance=1, environment=0, type=1)"]),
    ):
        core = launched(pair, managed([0, 1], 10, strategy=strategy), 1, launch_cooloff_us=MINUTE)
        core.tell("launch_failed", SECOND, 0)
        assert core.decide(SECOND) == then
    core = launched(pair, managed([0, 1], 10, strategy="BEST_FIT"), 1, launch_cooloff_us=MINUTE)
    core.tell("launch_failed", SECOND, 0)
    core.decide(SECOND)
    assert core.decide(SECOND + MINUTE) == ["Launch(instance=1, environment=0, type=0)"]


def test_spec_46_an_instance_that_has_run_a_job_is_kept_for_the_delay_and_no_other():
    environment = managed([0], 4, scale_down_delay_us=20 * MINUTE)
    core = launched([machine(2, usd=1)], environment, 2, Need(2, 4, 0), idle_scale_in_us=2 * MINUTE)
    for instance in (0, 1):
        core.tell("instance_ready", 0, instance)
    core.decide(0)
    for job in (0, 1):
        core.tell("attempt_started", 0, job)
    core.tell("attempt_exited", 90 * MINUTE, 1, 0)
    core.tell("attempt_exited", 100 * MINUTE, 0, 0)
    core.decide(100 * MINUTE)
    assert core.decide(110 * MINUTE - 1) == []
    assert core.decide(110 * MINUTE) == ["Terminate(instance=1)"]
    assert core.decide(120 * MINUTE) == ["Terminate(instance=0)"]


def test_an_instance_that_never_ran_a_job_goes_after_the_usual_time():
    environment = managed([0], 4, scale_down_delay_us=20 * MINUTE)
    core = launched([machine(2, usd=1)], environment, 1, idle_scale_in_us=2 * MINUTE)
    core.tell("job_cancelled", 1, 0, "x")
    core.decide(1)
    core.tell("instance_ready", MINUTE, 0)
    core.decide(MINUTE)
    assert core.decide(3 * MINUTE) == ["Terminate(instance=0)"]
