"""Hypothesis strategies for the tick-by-tick worlds of the tests of results."""

from __future__ import annotations

from hypothesis import strategies as st

from batchsim.results import InstanceTypeRow
from tests.results.worlds import Job, JobClass, Machine, World


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to 14 jobs of 3 queues on up to 4 machines of 2 environments: ties, retries, losses, a horizon."""
    small = st.integers(0, 3)
    queues = draw(st.integers(1, 3))
    classes = [
        JobClass(
            f"g{row}",
            f"q{draw(st.integers(0, queues - 1))}",
            vcpus=draw(st.integers(1, 3)),
            memory_mib=draw(st.integers(1, 3)) * 100,
            gpus=draw(st.sampled_from([0, 0, 0, 1])),
            attempts=draw(st.integers(1, 3)),
        )
        for row in range(draw(st.integers(1, 4)))
    ]
    kinds = [
        InstanceTypeRow("small", 2, 400, 0, 17_123),
        InstanceTypeRow("large", 4, 500, 1, 3_600_000),
    ]
    environments = draw(st.integers(1, 2))
    machines = []
    for _ in range(draw(st.integers(0, 4))):
        running = draw(st.sampled_from([0, 0, 1, 3, 9]))
        ready = running + draw(small)
        lost = draw(st.sampled_from([-1, -1, ready + 1 + draw(st.integers(0, 12))]))
        machines.append(
            Machine(draw(st.integers(0, environments - 1)), draw(st.integers(0, 1)), running, ready, lost)
        )
    submits = sorted(draw(st.lists(st.integers(0, 10), max_size=14)))
    jobs = [
        Job(
            submit,
            draw(st.integers(0, len(classes) - 1)),
            draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)),
            draw(st.lists(st.sampled_from([0, 0, 1, 137]), min_size=1, max_size=3)),
        )
        for submit in submits
    ]
    return World(
        classes,
        kinds,
        environments,
        machines,
        jobs,
        evaluate=draw(st.integers(0, 1)),
        dispatch=draw(st.integers(0, 1)),
        pull=draw(st.integers(0, 2)),
        horizon=draw(st.sampled_from([None, None, 5, 12, 30])),
        tick_us=draw(st.sampled_from([1, 333_333, 1_000_000, 61_000_000])),
    )
