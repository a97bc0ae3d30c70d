"""The wall-clock driver under a fake clock and a fake engine records what the simulated driver records."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.plan import EnvironmentPlan, Need, QueuePlan, Quota
from batchsim.core.scheduler import Scheduler
from batchsim.drivers.containers import Containers
from batchsim.drivers.ec2 import Capacity
from batchsim.drivers.fargate import Tasks
from batchsim.drivers.gateway import ATTEMPT, JOB, NODE, ContainerSpec, Key
from batchsim.drivers.reports import Inbox
from batchsim.drivers.simulated import simulate
from batchsim.drivers.spot import Interruptions
from batchsim.drivers.wallclock import Reality, WallClockDriver
from batchsim.drivers.world import Bandwidth, Outcome, PlanUpdate
from batchsim.results.recording import Recorder
from batchsim.workload import JobsEvent
from tests.drivers.fakes import FakeClock, FakeGateway, FakePool
from tests.harness import PlanBuilder, machine
from tests.random_worlds import capacities, updates, worlds

NOT_TOLD = {"jobs", "pulled_us", "e_pulled_us", "n_pulled_us"}  # by engines
COLUMNS = [name for name in Recorder.__slots__ if name not in NOT_TOLD]


def specify(key: Key, instance: int) -> ContainerSpec:
    labels = {JOB: str(key.job), ATTEMPT: str(key.attempt), NODE: str(key.node)}
    return ContainerSpec(key, "-".join(map(str, key)), "image", labels, instance=instance)


def drive_with_fakes(plan, world, recorder, horizon_us=None):
    clock, inbox = FakeClock(), Inbox()
    gateway = FakeGateway(plan, world, clock)
    containers = Containers([gateway], FakePool(clock, gateway), clock, inbox)
    gateway.notify = containers.notice
    gateway.type_of = recorder.i_type.__getitem__
    reality = Reality(clock, inbox, containers, specify)
    WallClockDriver(Scheduler(plan), world, recorder, reality).run(horizon_us)


def record(drive, case):
    builder, world, horizon = case
    recorder = Recorder(len(builder.submit_us))
    drive(builder.plan(), builder.world(**world), recorder, horizon_us=horizon)
    return {name: getattr(recorder, name) for name in COLUMNS}


def unshared(case):
    """The case without pulls that slow each other: it is engines that tell when images are there."""
    builder, world, horizon = case
    return builder, {**world, "bandwidth": Bandwidth()}, horizon


@given(worlds(everything=True))
def test_fake_containers_on_a_fake_clock_give_the_bytes_of_the_simulation(case):
    assert record(drive_with_fakes, unshared(case)) == record(simulate, unshared(case))


@given(worlds())
def test_likewise_in_plain_worlds(case):
    assert record(drive_with_fakes, case) == record(simulate, case)


@given(
    worlds(everything=True),
    st.sampled_from([0.001, 0.02, 0.2]),
    st.sampled_from([0, 2]),
    st.sampled_from([0.0, 0.5]),
)
def test_likewise_with_lost_instances_and_refused_launches(case, rate, notice, refused):
    builder, world, horizon = case
    rows = range(len(builder.types))
    pools = {row: row // 2 for row in rows}
    losses = Interruptions(dict.fromkeys(rows, rate), pools, 0.5, notice)
    world = {**world, "interruptions": losses, "capacity": Capacity(dict.fromkeys(rows, refused))}
    case = unshared((builder, world, horizon or 10_000))
    assert record(drive_with_fakes, case) == record(simulate, case)


@given(worlds(everything=True), st.data(), st.sampled_from([0, 2]))
def test_likewise_with_zones_quotas_and_recorded_capacity(case, data, notice):
    builder, world, horizon = case
    builder.policy = replace(builder.policy, launch_cooloff_us=2)  # else it would ask for ever
    capacity = data.draw(capacities(len(builder.types), len(builder.environments)))
    case = unshared((builder, {**world, "capacity": capacity, "spot_notice_us": notice}, horizon or 60))
    assert record(drive_with_fakes, case) == record(simulate, case)


@st.composite
def task_worlds(draw):
    """Fargate and Fargate Spot."""
    sizes = [machine(1, 1024), machine(2, 2048), machine(1, 1024), machine(2, 2048)]
    places = [
        EnvironmentPlan(name, rows, managed=True, max_vcpus=draw(st.integers(1, 5)), per_job=True)
        for name, rows in (("usual", (0, 1)), ("spot", (2, 3)))
    ]
    builder = PlanBuilder(sizes, places, [QueuePlan("q", 1, (1, 0))])
    for submit in sorted(draw(st.lists(st.integers(0, 9), min_size=1, max_size=12))):
        vcpus = draw(st.sampled_from([1, 2]))
        need = Need(vcpus, 1000 * vcpus, 0)
        builder.job(submit, draw(st.integers(0, 12)), need, attempts=draw(st.integers(1, 3)))
    if draw(st.booleans()):
        builder.quotas = [Quota(frozenset({0, 1}), draw(st.integers(1, 4)))]
    rate = draw(st.sampled_from([0.0, 0.05]))
    spot = Interruptions({2: rate, 3: rate}, {2: 1, 3: 2}, 0.5, 1, frozenset({2, 3}))
    builder.updates = draw(updates(places, builder.queues))
    stops = sorted(draw(st.lists(st.integers(0, 10), max_size=3)))
    requests = [JobsEvent(at, "terminate", (range(len(builder.submit_us) // 2),), "stop") for at in stops]
    requests += [PlanUpdate(draw(st.integers(0, 12)), row) for row in range(len(builder.updates))]
    world = {
        "tasks": Tasks(
            {0: "usual", 1: "spot"},
            draw(st.integers(0, 2)),
            draw(st.sampled_from([0, 3])),
            2,
            draw(st.sampled_from([0, 0, 4, 9])),
        ),
        "interruptions": spot if rate else None,
        "outcomes": [Outcome(failure_rate=0.3, start_failure_rate=0.2)] * len(builder.classes),
        "requests": sorted(requests, key=lambda request: request.at_us),
        "stop_grace_us": 2,
    }
    return builder, world, draw(st.sampled_from([None, 11]))


@given(task_worlds())
def test_likewise_on_fargate(case):
    assert record(drive_with_fakes, case) == record(simulate, case)
