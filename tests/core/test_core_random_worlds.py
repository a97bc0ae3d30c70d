"""Random worlds with everything switched on or off: laws after every decision, and two drivers that agree."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from batchsim.drivers.attempts import all_begin_at_once, all_end_well, none_is_lost
from batchsim.drivers.simulated import simulate
from batchsim.results.recording import Recorder
from tests.heap_driver import heap_simulate
from tests.random_worlds import worlds

COLUMNS = [name for name in Recorder.__slots__ if name != "jobs"]


def record(drive, case):
    builder, world, horizon = case
    return recorded(drive, builder.plan(), builder.world(**world), horizon)


def recorded(drive, plan, world, horizon):
    recorder = Recorder(len(world.submit_us))
    drive(plan, world, recorder, horizon_us=horizon)
    return {name: getattr(recorder, name) for name in COLUMNS}


@given(worlds(everything=True))
def test_simpy_and_a_bare_heap_record_the_same_bytes(case):
    found = record(simulate, case)
    assert found == record(heap_simulate, case)
    assert found["outcome"] in {"finished", "stalled", "horizon"}


@given(worlds(everything=True), st.booleans())
def test_likewise_where_every_type_has_a_speed_of_its_own(case, at_once):
    builder, world, horizon = case
    if at_once:
        world = {name: value for name, value in world.items() if name in {"boot", "requests", "node_us"}}
    world = {**world, "speeds": {0: 300_000, 1: 3_000_000, 2: 700_000}}
    case = (builder, world, horizon)
    assert record(simulate, case) == record(heap_simulate, case)


@given(worlds())
def test_likewise_where_nothing_befalls_any_attempt(case):
    """Then the driver writes two instants an attempt, and the recorder fills in the rest."""
    builder, world, horizon = case
    world = builder.world(**{name: world[name] for name in ("boot", "never_registers") if name in world})
    plan = builder.plan()
    plan = replace(
        plan,
        needs=[need._replace(gpus=0) for need in plan.needs],
        classes=[replace(each, timeout_us=0) for each in plan.classes],
    )
    assume(all_begin_at_once(plan, world) and all_end_well(plan, world) and none_is_lost(plan, world))
    assert recorded(simulate, plan, world, horizon) == recorded(heap_simulate, plan, world, horizon)
