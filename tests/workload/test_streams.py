from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from batchsim.workload.streams import STREAMS, generator, uniform

seeds = st.integers(0, 2**130)
entities = st.integers(0, 2**63 - 1)


def test_stream_numbers_are_distinct_and_stay_as_published():
    assert len(set(STREAMS.values())) == len(STREAMS)
    published = "arrivals runtimes mix failures boot registration capacity shares containers nodes"
    services = "service_failures refusals training_pending training_download"
    losses = "interruptions spot_pools launches provisioning shortages zones placement_groups"
    starts = "pulls container_starts"
    assert [*STREAMS] == [
        *published.split(),
        "start_failures",
        *services.split(),
        *losses.split(),
        *starts.split(),
    ]
    assert [*STREAMS.values()] == [*range(1, 25)]


@given(seeds, st.integers(0, 10**6), st.sampled_from(sorted(STREAMS)), st.lists(entities), st.integers(0, 99))
def test_scalar_and_vector_agree_bit_for_bit(seed, replication, stream, chosen, k):
    vector = uniform(seed, replication, stream, np.array(chosen, np.int64), k)
    assert vector.dtype == np.float64
    assert vector.tolist() == [uniform(seed, replication, stream, entity, k) for entity in chosen]
    assert all(0.0 < value < 1.0 for value in vector.tolist())


def test_vector_keeps_its_shape():
    assert uniform(1, 0, "boot", np.arange(6).reshape(2, 3)).shape == (2, 3)
    assert uniform(1, 0, "boot", np.array(5)).shape == ()
    assert uniform(1, 0, "boot", np.empty(0, np.int64)).shape == (0,)


def test_uniform_is_uniform_and_neighbours_are_unrelated():
    u = uniform(7, 0, "failures", np.arange(100_000))
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.02
    for other in (
        uniform(7, 0, "failures", np.arange(100_000), 1),
        uniform(7, 0, "boot", np.arange(100_000)),
        uniform(7, 1, "failures", np.arange(100_000)),
        uniform(8, 0, "failures", np.arange(100_000)),
    ):
        assert stats.kstest(other, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(u, other)[0, 1]) < 0.02


def test_draws_of_all_entities_and_counters_differ():
    draws = np.concatenate([uniform(0, 0, "failures", np.arange(20_000), k) for k in range(10)])
    assert len(np.unique(draws)) == len(draws)


def test_uniform_depends_on_every_part_of_a_long_seed():
    values = {uniform(seed, 0, "boot", 0) for seed in (0, 1, 2**32, 2**64, 2**100)}
    assert len(values) == 5


def test_uniform_never_reaches_its_bounds():
    # The largest and the smallest value 52 bits can give.
    assert (2**52 - 1 + 0.5) * 2.0**-52 < 1.0
    assert 0.5 * 2.0**-52 > 0.0
    assert math.isclose(uniform(0, 0, "boot", 2**63 - 1, 2**63 - 1), 0.5, abs_tol=0.5)


def test_generators_of_different_keys_give_different_columns():
    keys = itertools.product((0, 1), (0, 1), ("arrivals", "runtimes"), ("a", "b"), (0, 1))
    columns = {generator(*key).bytes(16) for key in keys}
    assert len(columns) == 32


def test_a_generator_does_not_depend_on_what_was_drawn_before():
    before = generator(3, 0, "runtimes", "a").random(5)
    generator(3, 0, "mix", "a").random(1000)
    assert (generator(3, 0, "runtimes", "a").random(5) == before).all()
