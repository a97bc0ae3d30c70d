"""Fargate tasks: two drivers, written apart, record the same; and what a token bucket lets pass."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.plan import EnvironmentPlan, Need, QueuePlan, Quota
from batchsim.drivers.fargate import Tasks, TokenBuckets, launch_interval_us
from batchsim.drivers.simulated import simulate
from batchsim.drivers.spot import Interruptions
from batchsim.drivers.world import Bandwidth, Outcome
from batchsim.results.recording import Recorder
from batchsim.workload import JobsEvent
from tests.harness import PlanBuilder, machine
from tests.heap_driver import heap_simulate

SPOT = (2, 3, 6, 7)
COLUMNS = [name for name in Recorder.__slots__ if name != "jobs"]
SIZES = [machine(1, 2048), machine(2, 4096), machine(1, 2048, usd=1), machine(2, 4096, usd=1)]
SIZES += [replace(size, kind=1) for size in SIZES]


def test_a_thousand_launches_of_one_bucket():
    buckets = TokenBuckets(Tasks({0: "a", 1: "a", 2: "b"}, 0, launch_interval_us(20), 100))
    instants = [buckets.launch_at(0, number % 2) for number in range(1000)]
    assert instants.count(0) == 100
    assert instants[-1] == 45_000_000
    assert buckets.launch_at(0, 2) == 0
    assert [buckets.launch_at(100_000_000, 0) for _ in range(101)][-2:] == [100_000_000, 100_050_000]


def test_without_a_limit_all_are_launched_at_once():
    buckets = TokenBuckets(Tasks({0: "a"}, 0, launch_interval_us(0)))
    assert {buckets.launch_at(7, 0) for _ in range(1000)} == {7}


jobs = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.integers(0, 12),
        st.sampled_from([1, 2]),
        st.integers(1, 3),
        st.integers(0, 1),
    ),
    max_size=12,
)


@given(
    jobs,
    st.integers(1, 5),
    st.integers(0, 4),
    st.sampled_from([0, 3]),
    st.sampled_from([0, 2]),
    st.sampled_from([0.0, 0.05]),
    st.lists(st.integers(0, 30), max_size=3),
    st.sampled_from([None, 11]),
    st.sampled_from([None, 0, 7, 20]),
    st.sampled_from([0, 0, 3, 8]),
)
def test_two_drivers_run_the_same_tasks(  # noqa: PLR0917
    asked, most_vcpus, quota, interval, provisioning, rate, stops, horizon, registry, lifetime
):
    def record(drive):
        places = [
            EnvironmentPlan(name, types, managed=True, max_vcpus=most_vcpus, per_job=True)
            for name, types in (("usual", (0, 1, 4, 5)), ("spot", (2, 3, 6, 7)))
        ]
        builder = PlanBuilder(SIZES, places, [QueuePlan("q", 1, (1, 0))])
        builder.quotas = [Quota(frozenset(SPOT), quota)] if quota else []
        for submit, runtime, vcpus, attempts, kind in sorted(asked):
            builder.job(submit, runtime, Need(vcpus, 1000 * vcpus, 0), attempts=attempts, kind=kind)
        world = {
            "tasks": Tasks({0: "usual", 1: "spot"}, provisioning, interval, 2, lifetime),
            "interruptions": Interruptions(
                dict.fromkeys(SPOT, rate), {row: row % 2 for row in SPOT}, 0.5, 1, frozenset(SPOT)
            )
            if rate
            else None,
            "outcomes": [Outcome(failure_rate=0.3, start_failure_rate=0.2)] * max(len(builder.classes), 1),
            "requests": [
                JobsEvent(at, "terminate", (range(len(asked) // 2),), "stop") for at in sorted(stops)
            ],
            "stop_grace_us": 2,
        }
        if registry is not None:
            classes = len(builder.classes)
            world |= {"images": [(0,), (0, 1)] * classes, "pull_us": [5] * classes, "container_start_us": 1}
            world["bandwidth"] = Bandwidth(6, registry=registry, of_types=dict.fromkeys(range(8), 4))
        recorder = Recorder(len(asked))
        plan = builder.plan()
        drive(plan, builder.world(**world), recorder, horizon_us=horizon)
        for job, instance in enumerate(recorder.instance):
            need = plan.classes[plan.class_of[job]].need
            kind = plan.kinds[need] if plan.kinds else 0
            assert instance < 0 or SIZES[recorder.i_type[instance]].kind == kind
        return {name: getattr(recorder, name) for name in COLUMNS}

    if horizon is not None:
        asked = [each for each in asked if each[0] < horizon]
        stops = [at for at in stops if at < horizon]
    assert record(simulate) == record(heap_simulate)
