"""The rival simulators do what they are compared for: each agrees with an oracle or keeps its own laws."""

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import shapes
from benchmarks.measure import MeasurementError
from benchmarks.rivals import kiefer_wolfowitz as recursion
from benchmarks.rivals.accasim_shim import run_accasim, usable_jobs
from benchmarks.rivals.heap_fcfs import heap_fcfs
from benchmarks.rivals.textbook_simpy import (
    Delays,
    identical_slots,
    managed_dispatcher,
    managed_filter_store,
    managed_resource,
)
from tests.reference import TickInstance, TickJob, TickQueue, kiefer_wolfowitz, tick_model

S = 1_000_000
SLOT_MODELS = [heap_fcfs, identical_slots, recursion.kiefer_wolfowitz]
MANAGED_MODELS = [managed_dispatcher, managed_filter_store, managed_resource]


@pytest.mark.parametrize("model", SLOT_MODELS)
@given(
    jobs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=30),
    slots=st.integers(1, 4),
)
def test_identical_slots_agree_with_kiefer_wolfowitz_when_times_tie(model, jobs, slots):
    submit = sorted(at for at, _ in jobs)
    runtime = [run for _, run in jobs]
    assert model(submit, runtime, slots) == kiefer_wolfowitz(submit, runtime, slots)


@pytest.mark.parametrize("model", SLOT_MODELS)
@pytest.mark.parametrize("name", ["steady", "burst"])
def test_identical_slots_agree_with_kiefer_wolfowitz_on_a_benchmark(model, name):
    shape = shapes.SHAPES[name](3000)
    submit, runtime = shape.submit_us.tolist(), shape.runtime_us.tolist()
    expected = kiefer_wolfowitz(submit, runtime, 40)
    assert model(submit, runtime, 40) == expected
    assert max(start - at for start, at in zip(expected, submit, strict=True)) > 60 * S


def test_priorities_on_identical_slots():
    submit, runtime, priority = [0, 2, 3, 5, 7], [10, 4, 4, 4, 4], [1, 1, 0, 1, 0]
    jobs = [TickJob(*job, 1, queue=queue) for *job, queue in zip(submit, runtime, priority, strict=True)]
    placed = tick_model(jobs, [TickInstance(1)], [TickQueue(2), TickQueue(1)])
    assert identical_slots(submit, runtime, 1, priority) == [placement.start for placement in placed]
    assert identical_slots(submit, runtime, 1) == kiefer_wolfowitz(submit, runtime, 1)


# ------------------------------------------------------------------ a managed environment, by hand and by law


def small_shape(*jobs, max_vcpus=4):
    """Jobs (submit, runtime in seconds, vcpus, queue) on instances of 4 vCPUs; queue 0 goes before 1."""
    submit, runtime, vcpus, queue = np.array(jobs, dtype=np.int64).T
    kind = shapes.InstanceKind("only", 4, 16, 1.0)
    return shapes.Shape(
        submit * S, runtime * S, vcpus, 4 * vcpus, 0 * vcpus, queue, (9, 1), (kind,), max_vcpus
    )


@pytest.mark.parametrize("model", MANAGED_MODELS)
class TestManaged:
    def test_a_job_waits_for_the_next_scaling_decision_and_the_boot(self, model):
        outcome = model(small_shape((10, 100, 4, 0)), Delays(30 * S, 90 * S, 120 * S))
        assert outcome.starts == [120 * S]
        assert outcome.launched == 1
        assert outcome.paid_vcpu_us == 4 * (220 - 30) * S

    def test_equal_jobs_share_one_instance_up_to_its_vcpus(self, model):
        outcome = model(small_shape(*[(0, 50, 2, 0)] * 5))
        assert outcome.starts == [at * S for at in (120, 120, 170, 170, 220)]
        assert outcome.launched == 1

    def test_an_idle_instance_is_retired_and_another_launched_when_needed(self, model):
        outcome = model(small_shape((0, 100, 4, 0), (1000, 100, 4, 0)))
        assert outcome.starts == [120 * S, 1110 * S]
        assert outcome.launched == 2
        assert outcome.instances == [0, 1]
        # Idle from 220, the first goes at the scaling decision at 360; the second lives from 1020 to 1210.
        assert outcome.paid_vcpu_us == 4 * (330 + 190) * S

    def test_a_blocked_head_blocks_its_own_queue_only(self, model):
        shape = small_shape((0, 100, 3, 0), (1, 10, 4, 0), (2, 10, 1, 0), (3, 10, 1, 1))
        assert model(shape).starts == [at * S for at in (120, 220, 230, 120)]

    def test_the_higher_queue_goes_first(self, model):
        shape = small_shape((0, 50, 4, 1), (1, 50, 4, 1), (2, 50, 4, 0))
        assert model(shape).starts == [at * S for at in (170, 220, 120)]

    @pytest.mark.parametrize(("jobs", "vcpus"), [(1, 4), (15, 4), (16, 16), (40, 16)])
    def test_the_largest_size_that_the_demand_fills_is_launched_at_the_lowest_price_a_vcpu(
        self, model, jobs, vcpus
    ):
        kinds = [
            ("dear", 32, 999, 3.3),
            ("small", 4, 16, 0.4),
            ("large", 16, 64, 1.6),
            ("huge", 64, 256, 6.4),
        ]
        shape = small_shape(*[(0, 100, 1, 0)] * jobs, max_vcpus=1)
        outcome = model(replace(shape, kinds=tuple(shapes.InstanceKind(*kind) for kind in kinds)))
        assert outcome.launched == 1
        assert outcome.paid_vcpu_us == vcpus * (max(outcome.starts) + 100 * S - 30 * S)

    @pytest.mark.parametrize("name", ["managed_steady", "managed_burst"])
    def test_laws_on_a_benchmark(self, model, name):
        shape = replace(shapes.SHAPES[name](1500), max_vcpus=512)
        outcome = model(shape)
        starts, instances = np.array(outcome.starts), np.array(outcome.instances)
        assert starts.min() == 120 * S
        assert np.all(starts >= shape.submit_us)
        for queue in range(3):
            assert np.all(np.diff(starts[shape.queue == queue]) >= 0)
        for instance in np.unique(instances):
            mine = instances == instance
            vcpus, memory_mib = peaks(starts[mine], shape, mine)
            assert any(kind.vcpus >= vcpus and kind.memory_mib >= memory_mib for kind in shape.kinds)
        vcpus, _ = peaks(starts, shape, np.full(len(shape), fill_value=True))
        assert 400 < vcpus < 512 + 32
        used = int(np.dot(shape.vcpus, shape.runtime_us))
        assert used < outcome.paid_vcpu_us < 4 * used


def peaks(starts, shape, chosen):
    """The most vCPUs and memory that the chosen jobs hold at once."""
    times = np.concatenate([starts + shape.runtime_us[chosen], starts])
    order = np.argsort(times, kind="stable")  # ends come before starts of the same instant
    return [
        np.concatenate([-column[chosen], column[chosen]])[order].cumsum().max()
        for column in (shape.vcpus, shape.memory_mib)
    ]


# ------------------------------------------------------------------------------------------------ AccaSim


def test_the_log_for_accasim_keeps_the_jobs_that_ran_on_something():
    lines = [
        "; MaxProcs: 8\n",
        "7 50 3 10 2 -1 -1 4 60 -1 1 1 1 1 1 1 -1 -1\n",
        "\n",
        "8 40 3 20 -1 -1 -1 4 -1 512 1 1 1 1 1 1 -1 -1\n",
        "9 41 3 0 1 -1 -1 1 60 -1 1 1 1 1 1 1 -1 -1\n",
        "10 42 3 5 -1 -1 -1 -1 60 -1 1 1 1 1 1 1 -1 -1\n",
    ]
    rows = [[int(field) for field in line.split()] for line in usable_jobs(lines)]
    assert [(number, submit, run, used, asked) for number, submit, _, run, used, _, _, asked, *_ in rows] == [
        (1, 40, 20, 4, 4),
        (2, 50, 10, 2, 2),
    ]
    assert {len(row) for row in rows} == {18}


def test_a_missing_accasim_is_one_clear_error(tmp_path):
    if importlib.util.find_spec("accasim"):
        pytest.skip("AccaSim is installed here")
    shapes.write_swf(shapes.backlogged(10), tmp_path / "log.swf")
    with pytest.raises(
        MeasurementError, match="AccaSim did not run: ModuleNotFoundError: No module named 'accasim'"
    ):
        run_accasim(sys.executable, tmp_path / "log.swf", 1024)


def test_accasim_agrees_with_kiefer_wolfowitz(tmp_path):
    if not importlib.util.find_spec("accasim"):
        pytest.skip("needs AccaSim, see benchmarks/rivals/accasim_shim.py")
    shape = shapes.backlogged(1000, slots=64)
    shapes.write_swf(shape, tmp_path / "log.swf")
    submit, runtime = shape.submit_us.tolist(), shape.runtime_us.tolist()
    expected_s = (sum(kiefer_wolfowitz(submit, runtime, 64)) - sum(submit)) / len(shape) / S
    outcome = run_accasim(sys.executable, tmp_path / "log.swf", 64)
    assert outcome.jobs == 1000
    assert expected_s > 100
    assert outcome.mean_wait_s == pytest.approx(expected_s, abs=1e-9)
