"""Exact relations that hold for every policy, on random worlds of the scheduler and its driver."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.plan import EnvironmentPlan, Need, Policy
from batchsim.drivers.simulated import simulate
from batchsim.results.recording import Recorder
from tests.harness import PlanBuilder, machine
from tests.random_worlds import TIMES, at_other_times, slowed, worlds


def record(builder: PlanBuilder, world: dict[str, object], horizon: int | None, **plan: object) -> Recorder:
    recorder = Recorder(len(builder.submit_us))
    simulate(replace(builder.plan(), **plan), builder.world(**world), recorder, horizon_us=horizon)
    return recorder


@given(worlds(), st.integers(2, 9))
def test_all_times_scale_together(case, k):
    """Catches hard-coded durations and unit slips."""
    builder, world, horizon = case
    before = record(builder, world, horizon)
    policy = builder.policy
    slow = replace(
        policy,
        scheduling_interval_us=policy.scheduling_interval_us * k,
        scaling_interval_us=policy.scaling_interval_us * k,
        submit_evaluation_us=policy.submit_evaluation_us * k,
        idle_scale_in_us=policy.idle_scale_in_us * k,
    )
    classes = [replace(each, timeout_us=each.timeout_us * k) for each in builder.classes]
    after = record(builder, slowed(builder, world, k), horizon and horizon * k, policy=slow, classes=classes)
    for name in TIMES:
        expected = [value * k if value >= 0 else value for value in getattr(before, name)]
        assert list(getattr(after, name)) == expected, name
    assert (after.outcome, list(after.instance), list(after.i_type)) == (
        before.outcome,
        list(before.instance),
        list(before.i_type),
    )


@given(worlds(), st.integers(2, 5))
def test_all_sizes_scale_together(case, k):
    """Catches rounding and hard-coded sizes."""
    builder, world, horizon = case
    before = record(builder, world, horizon)
    environments = [
        replace(
            each,
            min_vcpus=each.min_vcpus * k,
            max_vcpus=each.max_vcpus * k,
            desired_vcpus=each.desired_vcpus * k,
        )
        for each in builder.environments
    ]
    types = [
        replace(
            each, vcpus=each.vcpus * k, memory_mib=each.memory_mib * k, uusd_per_hour=each.uusd_per_hour * k
        )
        for each in builder.types
    ]
    needs = [Need(each.vcpus * k, each.memory_mib * k, each.gpus) for each in builder.needs]
    after = record(builder, world, horizon, environments=environments, types=types, needs=needs)
    for name in (*TIMES, "instance", "i_type", "state", "attempts"):
        assert getattr(after, name) == getattr(before, name), name


@given(worlds(), st.integers(1, 5))
def test_a_later_beginning_shifts_everything(case, steps):
    """Catches hidden absolute time. Only without capacity that is there from the beginning of a run."""
    builder, world, _ = case
    shift = 60 * steps  # a multiple of every interval that the worlds use
    if any(each.min_vcpus or each.desired_vcpus for each in builder.environments):
        return
    before = record(builder, world, None)
    later = {
        "submit_us": [value + shift for value in builder.submit_us],
        "machines": at_other_times(builder.machines, lambda time_us: time_us + shift),
    }
    after = record(builder, {**world, **later}, None)
    for name in ("started_us", "ended_us", "runnable_us", "placed_us"):
        expected = [value + shift if value >= 0 else value for value in getattr(before, name)]
        assert list(getattr(after, name)) == expected, name
    assert after.instance == before.instance


@given(worlds())
def test_prices_that_scale_together_change_nothing(case):
    builder, world, horizon = case
    before = record(builder, world, horizon)
    types = [replace(each, uusd_per_hour=each.uusd_per_hour * 7) for each in builder.types]
    after = record(builder, world, horizon, types=types)
    for name in (*TIMES, "instance", "i_type"):
        assert getattr(after, name) == getattr(before, name), name


ANOMALIES = {
    # jobs as (submit, duration, need); starts with the smaller and with the larger capacity
    "greedy: a third unit of capacity delays the third job": (
        "greedy",
        [(0, 6, 1), (2, 6, 4), (3, 5, 1)],
        (4, [0, 8, 3]),
        (5, [0, 2, 6]),
    ),
}


def test_anomaly_more_capacity_delays_a_job_when_others_may_pass():
    for policy, jobs, *cases in ANOMALIES.values():
        for capacity, starts in cases:
            builder = PlanBuilder(
                [machine(capacity)], [EnvironmentPlan("e", (0,))], policy=Policy(backfill=policy)
            )
            builder.machines_of(0, 0)
            for submit, duration, need in jobs:
                builder.job(submit, duration, Need(need, 4, 0))
            assert list(builder.run().started_us) == starts


pool_jobs = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 6), st.integers(1, 4)), min_size=1, max_size=12
).map(sorted)


@given(pool_jobs, st.integers(4, 8), st.integers(0, 11))
def test_theorem_strict_fifo_on_one_pool_never_suffers_from_more_capacity_or_less_work(jobs, capacity, index):
    def starts(given_jobs: list[tuple[int, int, int]], size: int) -> list[int]:
        builder = PlanBuilder([machine(size)], [EnvironmentPlan("e", (0,))])
        builder.machines_of(0, 0)
        for submit, duration, need in given_jobs:
            builder.job(submit, duration, Need(need, 4, 0))
        return list(builder.run().started_us)

    before = starts(jobs, capacity)
    assert all(new <= old for new, old in zip(starts(jobs, capacity + 1), before, strict=True))
    removed = index % len(jobs)
    without = starts(jobs[:removed] + jobs[removed + 1 :], capacity) if len(jobs) > 1 else []
    rest = before[:removed] + before[removed + 1 :]
    assert all(new <= old for new, old in zip(without, rest, strict=True))
    assert starts(jobs[: removed + 1], capacity) == before[: removed + 1]
