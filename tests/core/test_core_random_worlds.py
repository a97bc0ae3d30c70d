"""Random worlds with everything switched on or off: laws after every decision, and two drivers that agree."""

from __future__ import annotations

from hypothesis import given

from batchsim.drivers.simulated import simulate
from batchsim.results.recording import Recorder
from tests.heap_driver import heap_simulate
from tests.random_worlds import worlds

COLUMNS = [name for name in Recorder.__slots__ if name != "jobs"]


@given(worlds(everything=True))
def test_simpy_and_a_bare_heap_record_the_same_bytes(case):
    builder, world, horizon = case
    records = []
    for drive in (simulate, heap_simulate):
        recorder = Recorder(len(builder.submit_us))
        drive(builder.plan(), builder.world(**world), recorder, horizon_us=horizon)
        records.append({name: getattr(recorder, name) for name in COLUMNS})
    assert records[0] == records[1]
    assert records[0]["outcome"] in {"finished", "stalled", "horizon"}
