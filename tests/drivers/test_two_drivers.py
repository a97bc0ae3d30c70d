"""The wall-clock driver under a fake clock and a fake engine records what the simulated driver records."""

from __future__ import annotations

from hypothesis import given

from batchsim.core.scheduler import Scheduler
from batchsim.drivers.containers import Containers
from batchsim.drivers.gateway import ATTEMPT, JOB, NODE, ContainerSpec, Key
from batchsim.drivers.reports import Inbox
from batchsim.drivers.simulated import simulate
from batchsim.drivers.wallclock import Reality, WallClockDriver
from batchsim.results.recording import Recorder
from tests.drivers.fakes import FakeClock, FakeGateway, FakePool
from tests.random_worlds import worlds

COLUMNS = [name for name in Recorder.__slots__ if name != "jobs"]


def specify(key: Key, instance: int) -> ContainerSpec:
    labels = {JOB: str(key.job), ATTEMPT: str(key.attempt), NODE: str(key.node)}
    return ContainerSpec(key, "-".join(map(str, key)), "image", labels, instance=instance)


def drive_with_fakes(plan, world, recorder, horizon_us=None):
    clock, inbox = FakeClock(), Inbox()
    gateway = FakeGateway(plan, world, clock)
    containers = Containers([gateway], FakePool(clock, gateway), clock, inbox)
    gateway.notify = containers.notice
    reality = Reality(clock, inbox, containers, specify)
    WallClockDriver(Scheduler(plan), world, recorder, reality).run(horizon_us)


def record(drive, case):
    builder, world, horizon = case
    recorder = Recorder(len(builder.submit_us))
    drive(builder.plan(), builder.world(**world), recorder, horizon_us=horizon)
    return {name: getattr(recorder, name) for name in COLUMNS}


@given(worlds(everything=True))
def test_fake_containers_on_a_fake_clock_give_the_bytes_of_the_simulation(case):
    assert record(drive_with_fakes, case) == record(simulate, case)


@given(worlds())
def test_likewise_in_plain_worlds(case):
    assert record(drive_with_fakes, case) == record(simulate, case)
