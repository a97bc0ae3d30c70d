"""The closed forms against published numbers, and against simulation by the path-wise oracles."""

import numpy as np
import pytest

from tests.queueing import (
    Interval,
    batch_wait,
    erlang_b,
    erlang_c,
    mg1_wait,
    mm1_priority_waits,
    mmc_priority_waits,
    mmc_wait,
    mmc_wait_exceeds,
    t_interval,
)
from tests.reference import kiefer_wolfowitz, lindley

TO_SIX_DIGITS = 5e-7


@pytest.mark.parametrize(
    ("arrivals", "servers", "delayed", "wait", "queue"),
    [
        (0.8, 1, 0.8, 4, 3.2),
        (1.6, 2, 0.711111, 1.777778, 2.844444),
        (8, 10, 0.409180, 0.204590, 1.636721),
        (9, 10, 0.668732, 0.668732, 6.018584),
        (95, 100, 0.506457, 0.101291, 9.622680),
    ],
)
def test_mmc(arrivals, servers, delayed, wait, queue):
    assert erlang_c(arrivals, servers) == pytest.approx(delayed, abs=TO_SIX_DIGITS)
    assert mmc_wait(arrivals, 1, servers) == pytest.approx(wait, abs=TO_SIX_DIGITS)
    assert arrivals * mmc_wait(arrivals, 1, servers) == pytest.approx(queue, abs=TO_SIX_DIGITS)


def test_erlang_loss():
    assert erlang_b(8, 10) == pytest.approx(0.121661, abs=TO_SIX_DIGITS)


def test_one_server_with_any_service_time():
    assert mg1_wait(0.8, 1, 0) == pytest.approx(2)
    assert mg1_wait(0.8, 1, 1) == pytest.approx(mmc_wait(0.8, 1, 1))
    assert mg1_wait(0.8, 1, 4) == pytest.approx(10)


def test_priorities_on_one_server():
    assert mm1_priority_waits([0.2, 0.3, 0.3], 1) == pytest.approx([1, 2, 8])


def test_priorities_on_ten_servers():
    waits = mmc_priority_waits([2, 3, 3], 1, 10)
    assert waits == pytest.approx([0.051148, 0.102295, 0.409180], abs=TO_SIX_DIGITS)
    assert np.average(waits, weights=[2, 3, 3]) == pytest.approx(mmc_wait(8, 1, 10))


def test_one_server_is_the_special_case_of_many():
    assert mmc_priority_waits([0.2, 0.3, 0.3], 1, 1) == pytest.approx(mm1_priority_waits([0.2, 0.3, 0.3], 1))


def test_the_conservation_law():
    arrivals = [0.2, 0.3, 0.3]
    weighted = np.dot(arrivals, mm1_priority_waits(arrivals, 1))
    assert weighted == pytest.approx(0.8 * mmc_wait(0.8, 1, 1)) == pytest.approx(3.2)


def test_batches_of_ten():
    assert batch_wait(0.8, 1, 10) == pytest.approx(26.5)
    assert batch_wait(0.8, 1, 1) == pytest.approx(mmc_wait(0.8, 1, 1))


def test_the_unit_of_time_does_not_matter():
    per_hour = 3600
    assert mmc_wait(8 / per_hour, 1 / per_hour, 10) == pytest.approx(per_hour * mmc_wait(8, 1, 10))
    assert mg1_wait(0.8 / per_hour, per_hour, 4) == pytest.approx(per_hour * mg1_wait(0.8, 1, 4))
    assert batch_wait(0.8 / per_hour, 1 / per_hour, 10) == pytest.approx(per_hour * batch_wait(0.8, 1, 10))
    waits = mmc_priority_waits([2 / per_hour, 3 / per_hour, 3 / per_hour], 1 / per_hour, 10)
    assert waits == pytest.approx([per_hour * wait for wait in mmc_priority_waits([2, 3, 3], 1, 10)])


@pytest.mark.parametrize(
    "formula",
    [
        lambda: mmc_wait(10, 1, 10),
        lambda: mg1_wait(1, 1, 1),
        lambda: mm1_priority_waits([0.5, 0.5], 1),
        lambda: batch_wait(1.1, 1, 2),
    ],
)
def test_an_overloaded_system_has_no_steady_state(formula):
    with pytest.raises(ValueError, match="no steady state"):
        formula()


def test_the_interval_of_a_textbook_sample():
    # Three values 1, 2, 3: deviation 1, t(0.975, 2) = 4.302653, half-width 4.302653 / sqrt(3).
    mean, half_width = t_interval([1, 2, 3], confidence=0.95)
    assert mean == pytest.approx(2)
    assert half_width == pytest.approx(2.484138, abs=TO_SIX_DIGITS)


def test_an_interval_confirms_only_what_is_inside_and_only_if_it_is_narrow():
    assert Interval(10.2, 0.3).confirms(10)
    assert not Interval(10.4, 0.3).confirms(10)
    assert not Interval(9.6, 0.3).confirms(10)
    assert not Interval(10.2, 0.6).confirms(10)


# --------------------------------------------------- 20 x 200,000 jobs, a tenth cut off as warm-up, seeded

JOBS, REPLICATIONS, WARM_UP = 200_000, 20, 20_000


def simulated_waits(arrivals, servers, draw_service, batch=1):
    """Waits in units of the mean service time, one array for each replication."""
    for replication in range(REPLICATIONS):
        rng = np.random.default_rng([7, replication])
        gaps = np.repeat(rng.exponential(1e6 * batch / arrivals, JOBS // batch), batch)
        gaps *= np.arange(JOBS) % batch == 0
        submit = np.cumsum(gaps).astype(np.int64)
        service = (draw_service(rng, JOBS) * 1e6).astype(np.int64)
        if servers == 1:
            starts = lindley(submit, service)
        else:
            starts = np.array(kiefer_wolfowitz(submit.tolist(), service.tolist(), servers))
        yield (starts - submit)[WARM_UP:] / 1e6


def exponential(rng, n):
    return rng.exponential(1, n)


@pytest.mark.parametrize(
    ("arrivals", "servers", "draw_service", "theory"),
    [
        pytest.param(0.8, 1, exponential, mmc_wait(0.8, 1, 1), id="M/M/1"),
        pytest.param(0.8, 1, lambda _, n: np.ones(n), mg1_wait(0.8, 1, 0), id="M/D/1"),
        pytest.param(0.7, 1, lambda rng, n: rng.gamma(0.5, 2, n), mg1_wait(0.7, 1, 2), id="M/G/1"),
        pytest.param(1.6, 2, exponential, mmc_wait(1.6, 1, 2), id="M/M/2"),
    ],
)
def test_simulated_waits_agree_with_theory(arrivals, servers, draw_service, theory):
    waits = simulated_waits(arrivals, servers, draw_service)
    assert t_interval([wait.mean() for wait in waits]).confirms(theory)


def test_simulated_tail_of_ten_servers_agrees_with_theory():
    waits = list(simulated_waits(8, 10, exponential))
    assert t_interval([wait.mean() for wait in waits]).confirms(mmc_wait(8, 1, 10))
    for limit in (0, 0.5):
        longer = [np.mean(wait > limit) for wait in waits]
        assert t_interval(longer).confirms(mmc_wait_exceeds(limit, 8, 1, 10))


def test_simulated_batches_agree_with_theory():
    waits = simulated_waits(0.6, 1, exponential, batch=10)
    assert t_interval([wait.mean() for wait in waits]).confirms(batch_wait(0.6, 1, 10))


def test_the_comparison_notices_a_load_that_is_three_percent_off():
    waits = simulated_waits(0.8 * 1.03, 1, exponential)
    assert not t_interval([wait.mean() for wait in waits]).confirms(mmc_wait(0.8, 1, 1))
