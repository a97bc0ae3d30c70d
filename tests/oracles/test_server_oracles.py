"""Lindley and Kiefer-Wolfowitz against each other, hand-made cases and the pool; the event queue."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import (
    EXIT,
    LOSS,
    READY,
    SUBMISSION,
    WAKE_UP,
    HeapClock,
    PoolJob,
    kiefer_wolfowitz,
    lindley,
    pool_fifo,
)

SERVICES = st.integers(0, 9)
GAPS_AND_SERVICES = st.lists(st.tuples(st.integers(0, 5), SERVICES), min_size=1, max_size=40)


def columns(gaps_and_services):
    gaps, services = zip(*gaps_and_services, strict=True)
    return list(itertools.accumulate(gaps)), list(services)


def test_one_server_by_hand():
    assert lindley([0, 1, 2, 30, 31], [5, 6, 7, 1, 1]).tolist() == [0, 5, 11, 30, 31]
    assert kiefer_wolfowitz([0, 1, 2, 30, 31], [5, 6, 7, 1, 1], 1) == [0, 5, 11, 30, 31]


def test_two_servers_by_hand():
    assert kiefer_wolfowitz([0, 0, 1, 2, 20], [9, 4, 1, 8, 1], 2) == [0, 0, 4, 5, 20]


def test_a_burst_on_one_server_starts_at_the_prefix_sums():
    services = [3, 1, 4, 1, 5]
    assert lindley([0] * 5, services).tolist() == [0, 3, 4, 8, 9]
    assert kiefer_wolfowitz([0] * 5, services, 1) == [0, 3, 4, 8, 9]


def test_nobody_waits_when_there_is_a_server_for_each():
    assert kiefer_wolfowitz([2, 2, 3], [9, 9, 9], 3) == [2, 2, 3]


@given(GAPS_AND_SERVICES)
def test_lindley_is_kiefer_wolfowitz_with_one_server(gaps_and_services):
    submit, service = columns(gaps_and_services)
    assert lindley(submit, service).tolist() == kiefer_wolfowitz(submit, service, 1)


@given(GAPS_AND_SERVICES, st.integers(1, 4))
def test_kiefer_wolfowitz_is_the_pool_of_one_processor_jobs(gaps_and_services, servers):
    submit, service = columns(gaps_and_services)
    jobs = [PoolJob(at, run, 1) for at, run in zip(submit, service, strict=True)]
    assert kiefer_wolfowitz(submit, service, servers) == pool_fifo(jobs, servers)


@given(GAPS_AND_SERVICES, st.integers(1, 4))
def test_a_server_more_never_delays_anybody(gaps_and_services, servers):
    submit, service = columns(gaps_and_services)
    before = kiefer_wolfowitz(submit, service, servers)
    after = kiefer_wolfowitz(submit, service, servers + 1)
    assert all(late >= early for late, early in zip(before, after, strict=True))


def test_both_agree_on_a_million_jobs_to_the_microsecond():
    rng = np.random.default_rng(1)
    submit = np.cumsum(rng.exponential(1e6, 1_000_000)).astype(np.int64)
    service = rng.exponential(0.9e6, 1_000_000).astype(np.int64)
    starts = lindley(submit, service)
    assert np.array_equal(starts, kiefer_wolfowitz(submit.tolist(), service.tolist(), 1))
    assert np.count_nonzero(starts > submit) > 800_000


@pytest.mark.parametrize("oracle", [lindley, lambda submit, service: kiefer_wolfowitz(submit, service, 1)])
def test_jobs_out_of_order_are_refused(oracle):
    with pytest.raises(AssertionError, match="order of submission"):
        oracle([3, 2], [1, 1])


def test_events_of_one_instant_come_together_by_kind_then_index():
    clock = HeapClock()
    for at, kind, index in [
        (5, WAKE_UP, 0),
        (5, SUBMISSION, 7),
        (5, SUBMISSION, 2),
        (5, READY, 3),
        (5, EXIT, 9),
        (5, LOSS, 1),
        (4, WAKE_UP, 8),
    ]:
        clock.push(at, kind, index)
    assert clock.advance() == [(WAKE_UP, 8)]
    assert clock.now == 4
    assert clock.advance() == [
        (EXIT, 9),
        (LOSS, 1),
        (READY, 3),
        (SUBMISSION, 2),
        (SUBMISSION, 7),
        (WAKE_UP, 0),
    ]
    assert clock.now == 5


def test_an_event_pushed_for_the_present_instant_comes_in_another_round():
    clock = HeapClock()
    clock.push(5, SUBMISSION, 0)
    clock.advance()
    clock.push(5, EXIT, 0)
    assert clock.advance() == [(EXIT, 0)]
    assert clock.now == 5
    assert clock.advance() == []


def test_an_event_in_the_past_is_refused():
    clock = HeapClock()
    clock.push(5, SUBMISSION, 0)
    clock.advance()
    with pytest.raises(ValueError, match="an event at 4 is in the past of 5"):
        clock.push(4, EXIT, 0)
