"""The benchmark workloads: the same every time, sorted, and as heavy as they say."""

import numpy as np
import pytest

from benchmarks import shapes
from tests.reference import kiefer_wolfowitz, read_swf

COLUMNS = ("submit_us", "runtime_us", "vcpus", "memory_mib", "gpus", "queue")


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_columns_are_complete_sorted_and_reproducible(name):
    shape, again = shapes.SHAPES[name](2000), shapes.SHAPES[name](2000)
    for column in COLUMNS:
        values = getattr(shape, column)
        assert values.shape == (2000,), column
        assert values.dtype == np.int64, column
        assert np.array_equal(values, getattr(again, column)), column
    assert np.all(np.diff(shape.submit_us) >= 0)
    assert shape.submit_us.min() >= 0
    assert shape.runtime_us.min() >= 1
    assert set(shape.queue.tolist()) == set(range(len(shape.queue_priorities)))


@pytest.mark.parametrize("name", shapes.PLAIN)
def test_shares_and_dependencies_are_all_that_sets_a_shape_apart_from_its_plain_one(name):
    shape, plain = shapes.SHAPES[name](2000), shapes.SHAPES[shapes.PLAIN[name]](2000)
    for column in COLUMNS:
        assert np.array_equal(getattr(shape, column), getattr(plain, column)), column
    assert (shape.kinds, shape.max_vcpus) == (plain.kinds, plain.max_vcpus)
    assert (plain.share, plain.edges, plain.children) == (None, None, 0)
    assert (shape.share is None) == (name != "shares")
    assert (shape.edges is None) == (name == "shares")


def test_there_are_200_shares_of_about_equal_size():
    counts = np.bincount(shapes.shares(100_000).share)
    assert len(counts) == 200
    assert counts.min() > 350
    assert counts.max() < 650


def test_a_workflow_fans_out_and_in_from_layer_to_layer():
    edges = shapes.workflow(25_000).edges
    before, after = edges.pairs()
    assert len(edges.waits_for) == 25_000
    assert len(set(zip(before.tolist(), after.tolist(), strict=True))) == len(before)
    layer, layer_before = after // 1000, before // 1000
    plain = layer % 10 > 0
    assert np.array_equal(layer_before[plain], layer[plain] - 1)
    assert set(np.bincount(after[plain])[1000:10_000].tolist()) == {1, 2, 3, 4}
    assert np.bincount(before[plain]).max() > 5
    for gatherer in (10_000, 20_000):
        assert before[after == gatherer].tolist() == list(range(gatherer - 1000, gatherer))
        assert after[before == gatherer].tolist()[:999] == list(range(gatherer + 1, gatherer + 1000))
    assert np.flatnonzero(edges.waits_for == 0).tolist() == list(range(1000))


def test_arrays_wait_child_by_child_in_chains_of_ten():
    shape = shapes.arrays(200_000)
    before, after = shape.edges.pairs()
    assert shape.children == 10_000
    assert np.array_equal(after, before + 10_000)
    assert np.array_equal(before, np.concatenate([np.arange(90_000), np.arange(100_000, 190_000)]))


def test_another_seed_gives_other_jobs():
    assert not np.array_equal(shapes.steady(100, seed=1).submit_us, shapes.steady(100, seed=2).submit_us)


@pytest.mark.parametrize(
    ("shape", "vcpus", "load"),
    [
        (shapes.steady(100_000), 400, 0.9),
        (shapes.steady(100_000, slots=1000), 1000, 0.9),
        (shapes.fleet(100_000), 160_000, 0.7),
        (shapes.managed_steady(100_000), 4096, 0.7),
        (shapes.backlogged(100_000), 1024, 1.25),
    ],
)
def test_load(shape, vcpus, load):
    demanded = float(np.dot(shape.vcpus, shape.runtime_us)) / float(shape.submit_us[-1])
    assert demanded == pytest.approx(load * vcpus, rel=0.02)
    assert vcpus in {shape.max_vcpus, shape.slots}


@pytest.mark.parametrize("name", ["burst", "managed_burst"])
def test_a_burst_is_submitted_at_once_and_is_otherwise_the_steady_workload(name):
    shape, steady = shapes.SHAPES[name](1000), shapes.SHAPES[name.replace("burst", "steady")](1000)
    assert not shape.submit_us.any()
    for column in COLUMNS[1:]:
        assert np.array_equal(getattr(shape, column), getattr(steady, column))


def test_losses_are_all_that_sets_spot_apart_from_managed_steady():
    shape, steady = shapes.managed_spot(1000), shapes.managed_steady(1000)
    assert (shape.losses_per_h, steady.losses_per_h) == (0.1, 0)
    assert (shape.kinds, shape.max_vcpus) == (steady.kinds, steady.max_vcpus)
    for column in COLUMNS:
        assert np.array_equal(getattr(shape, column), getattr(steady, column))


@pytest.mark.parametrize("name", ["fleet", "managed_steady", "managed_burst"])
def test_mixed_needs_are_24_and_each_fits_some_instance(name):
    shape = shapes.SHAPES[name](20_000)
    needs = set(zip(shape.vcpus.tolist(), shape.memory_mib.tolist(), strict=True))
    assert len(needs) == 24
    for vcpus, memory_mib in needs:
        assert any(kind.vcpus >= vcpus and kind.memory_mib >= memory_mib for kind in shape.kinds)


def test_fleets_have_the_instances_they_say():
    assert sum(kind.instances for kind in shapes.fleet(10).kinds) == 10_000
    assert sum(kind.instances for kind in shapes.fleet(10, instances=2500).kinds) == 2500
    assert sum(kind.instances for kind in shapes.steady(10).kinds) == 100
    managed = shapes.managed_steady(10)
    assert len(managed.kinds) == 8
    assert sum(kind.instances for kind in managed.kinds) == 0


def test_the_backlogged_log_is_in_whole_seconds_and_builds_a_backlog(tmp_path):
    shape = shapes.backlogged(10_000)
    shapes.write_swf(shape, tmp_path / "log.swf")
    log = read_swf(tmp_path / "log.swf")
    submit, runtime = shape.submit_us.tolist(), shape.runtime_us.tolist()
    assert [(job.submit * 1_000_000, job.run * 1_000_000) for job in log] == list(
        zip(submit, runtime, strict=True)
    )
    assert {job.processors for job in log} == {1}
    waits = [start - at for start, at in zip(kiefer_wolfowitz(submit, runtime, 1024), submit, strict=True)]
    assert sum(wait > 0 for wait in waits) > 5000


def test_a_log_of_parts_of_seconds_is_refused(tmp_path):
    with pytest.raises(AssertionError):
        shapes.write_swf(shapes.steady(10), tmp_path / "log.swf")
