"""The clock is SimPy's: processes and timeouts of SimPy live in it beside the driver's own entries."""

from __future__ import annotations

import pytest

from batchsim.core.plan import EnvironmentPlan, Need
from batchsim.drivers.clock import AFTER_EVENTS, Clock
from batchsim.drivers.simulated import SimulatedDriver
from batchsim.errors import StallError
from batchsim.results.recording import Recorder
from tests.harness import SECOND, PlanBuilder, machine


def driver(*runtimes: int) -> tuple[SimulatedDriver, Recorder]:
    """Jobs that are submitted at 0, on one machine with one vCPU."""
    builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))])
    for runtime in runtimes:
        builder.job(0, runtime, Need(1, 4, 0))
    builder.machines_of(0, 0)
    recorder = Recorder(len(runtimes))
    return SimulatedDriver(builder.plan(), builder.world(), recorder), recorder


def test_at_one_instant_simpys_events_come_first_and_the_drivers_in_order():
    clock = Clock()
    clock.queue.append((5, AFTER_EVENTS, 0, None))
    clock.timeout(5)
    assert [event is None for _, _, _, event in sorted(clock.queue, key=lambda entry: entry[:3])] == [
        False,
        True,
    ]


def test_a_simpy_process_sees_the_time_that_the_driver_makes():
    simulation, recorder = driver(3 * SECOND, 4 * SECOND)
    clock, seen = simulation._clock, []

    def process():
        for _ in range(4):
            yield clock.timeout(2 * SECOND)
            seen.append((clock.now, recorder.ended_us.tolist()))

    clock.process(process())
    simulation.run(None)
    assert seen == [
        (2 * SECOND, [-1, -1]),
        (4 * SECOND, [3 * SECOND, -1]),
        (6 * SECOND, [3 * SECOND, -1]),
        (8 * SECOND, [3 * SECOND, 7 * SECOND]),
    ]
    assert clock.now == 8 * SECOND


def test_a_failed_event_of_simpys_ends_the_run():
    simulation, _ = driver(SECOND)
    simulation._clock.event().fail(StallError("somebody else's"))
    with pytest.raises(StallError, match="somebody else's"):
        simulation.run(None)


def test_a_horizon_ends_before_what_happens_at_it():
    simulation, recorder = driver(SECOND)
    simulation.run(SECOND)
    assert recorder.outcome == "horizon"
    assert recorder.ended_us.tolist() == [-1]
    assert simulation._clock.queue[0][0] == SECOND
