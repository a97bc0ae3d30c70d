"""Lost instances and refused launches: two drivers, written apart, record the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.grid import NEVER
from batchsim.core.plan import Need, Quota
from batchsim.drivers.ec2 import Capacity
from batchsim.drivers.simulated import simulate
from batchsim.drivers.spot import Interruptions
from batchsim.drivers.world import Boot
from batchsim.results.recording import Recorder
from tests.harness import PlanBuilder, machine, managed
from tests.heap_driver import heap_simulate
from tests.random_worlds import capacities, worlds

COLUMNS = [name for name in Recorder.__slots__ if name != "jobs"]


def record(drive, builder, world, horizon):
    recorder = Recorder(len(builder.submit_us))
    drive(builder.plan(), builder.world(**world), recorder, horizon_us=horizon)
    return {name: getattr(recorder, name) for name in COLUMNS}


@given(
    worlds(everything=True),
    st.sampled_from([0.001, 0.02, 0.2]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0, 2]),
    st.sampled_from([0.0, 0.5]),
)
def test_two_drivers_lose_the_same_instances(case, rate, shared, notice, refused):
    builder, world, horizon = case
    rows = range(len(builder.types))

    def made() -> dict[str, object]:
        pools = {row: row // 2 for row in rows}
        losses = Interruptions(dict.fromkeys(rows, rate), pools, shared, notice)
        return {**world, "interruptions": losses, "capacity": Capacity(dict.fromkeys(rows, refused))}

    first = record(simulate, builder, made(), horizon or 10_000)
    assert first == record(heap_simulate, builder, made(), horizon or 10_000)


@given(worlds(everything=True), st.data())
def test_a_run_under_quotas_comes_to_an_end(case, data):
    builder, world, horizon = case
    builder.policy = replace(builder.policy, launch_cooloff_us=2)
    rows = data.draw(st.sampled_from([{0, 1, 2, 3}, {0, 2}, {1}]))
    quotas = [Quota(frozenset(rows), data.draw(st.integers(0, 8)))]
    builder.quotas = data.draw(st.sampled_from([[], quotas]))
    world = {**world, "capacity": Capacity(quotas=quotas)}
    if not builder.quotas and any(each.shared for each in builder.environments):
        # Where the plan does not know the quota, instances of another architecture may come and go for ever
        # for jobs behind a head, and whenever one goes the head's types are tried again.
        horizon = horizon or 2_000
    first = record(simulate, builder, world, horizon)
    assert first == record(heap_simulate, builder, world, horizon)
    assert horizon or first["outcome"] in {"finished", "stalled"}


@given(worlds(everything=True), st.data(), st.sampled_from([0, 2]))
def test_two_drivers_find_the_same_zones_quotas_and_recorded_capacity(case, data, notice):
    builder, world, horizon = case
    builder.policy = replace(builder.policy, launch_cooloff_us=2)  # else it would ask for ever
    capacity = data.draw(capacities(len(builder.types), len(builder.environments)))
    world = {**world, "capacity": capacity, "spot_notice_us": notice}
    first = record(simulate, builder, world, horizon or 60)
    assert first == record(heap_simulate, builder, world, horizon or 60)


def test_an_instance_that_is_lost_while_it_boots_is_replaced():
    builder = PlanBuilder([machine(2)], [managed([0], 2)])
    builder.job(0, 5, Need(1, 1, 0))
    losses = Interruptions({0: 1.0}, {0: 0})
    lost_at = iter([3, NEVER])
    type(losses).lost_at, kept = lambda *_: next(lost_at), type(losses).lost_at
    try:
        recorder = builder.run(interruptions=losses, boot=Boot(0, 0, 10))
    finally:
        type(losses).lost_at = kept
    assert list(recorder.i_ready_us) == [-1, 13]
    assert recorder.i_ended_us[0] == 3
    assert recorder.started_us[0] == 13


def test_a_multi_node_job_starts_though_a_child_node_has_lost_its_instance(monkeypatch):
    builder = PlanBuilder([machine(2)], [managed([0], 4, gangs=True)])
    builder.nodes_job(0, 5, [Need(1, 1, 0)] * 2)
    monkeypatch.setattr(Interruptions, "lost_at", lambda *call: 3 if call[3] == 1 else NEVER)
    for drive in (simulate, heap_simulate):
        world = {"interruptions": Interruptions({0: 1.0}, {0: 0}), "dispatch_us": 4}
        recorder = record(drive, builder, world, None)
        assert list(recorder["started_us"]) == [4]
        assert list(recorder["ended_us"]) == [9]


def test_child_nodes_end_with_the_instance_of_the_main_node(monkeypatch):
    builder = PlanBuilder([machine(2)], [managed([0], 4, gangs=True)])
    builder.nodes_job(0, 50, [Need(1, 1, 0)] * 2)
    monkeypatch.setattr(Interruptions, "lost_at", lambda *call: 3 if call[3] == 0 else NEVER)
    for drive in (simulate, heap_simulate):
        recorder = record(drive, builder, {"interruptions": Interruptions({0: 1.0}, {0: 0})}, None)
        assert list(recorder["n_ended_us"]) == [3]


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.0])
def test_the_rate_of_one_instance_does_not_depend_on_what_pools_share(shared):
    losses = Interruptions({0: 1e-3}, {0: 7}, shared)
    lives = [
        losses.lost_at(1, 0, instance, 0, begins) - begins
        for instance, begins in enumerate(range(0, 40_000_000, 10_000))
    ]
    assert sum(lives) / len(lives) == pytest.approx(1000, rel=0.1)
