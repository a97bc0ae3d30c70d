from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from batchsim.errors import ScenarioError
from batchsim.scenario import GeneratedJobs
from batchsim.workload.arrivals import draw_arrivals, expected_arrivals

N = 100_000
S = 1_000_000
HOUR = 3600 * S
DAY = 24 * HOUR


def entry(arrivals, **more):
    return GeneratedJobs.model_validate(
        {"name": "w", "jobQueue": "q", "jobDefinition": "d", "runtime": "1s", "arrivals": arrivals, **more}
    )


def drawn(arrivals, seed=1, **more):
    return draw_arrivals(entry(arrivals, **more), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("arrivals", "more", "seconds"),
    [
        ({"atOnce": {}}, {"count": 3}, [0, 0, 0]),
        ({"atOnce": {"at": "5s"}}, {"count": 2}, [5, 5]),
        ({"every": {"interval": "10s"}}, {"count": 3}, [0, 10, 20]),
        ({"every": {"interval": "10s", "start": "3s"}}, {"until": "33s"}, [3, 13, 23]),
        ({"every": {"interval": "10s", "start": "3s"}}, {"until": "33.000001s"}, [3, 13, 23, 33]),
        ({"every": {"interval": "10s"}}, {"until": "100s", "count": 2}, [0, 10]),
        ({"every": {"interval": "10s"}}, {"until": "11s", "count": 5}, [0, 10]),
        ({"times": ["7s", "1s", "4s"]}, {}, [7, 1, 4]),
        ({"times": ["7s", "1s", "4s"]}, {"until": "7s"}, [1, 4]),
    ],
)
def test_arrivals_without_chance(arrivals, more, seconds):
    times = drawn(arrivals, **more)
    assert times.dtype == np.int64
    assert times.tolist() == [second * S for second in seconds]
    assert expected_arrivals(entry(arrivals, **more)) == len(seconds)


def test_poisson_gaps_are_exponential():
    times = drawn({"poisson": {"rate": "120/h"}}, count=N)
    gaps = np.diff(times, prepend=0)
    assert stats.kstest(gaps, stats.expon(scale=30 * S).cdf).pvalue > 1e-4
    assert abs(gaps.mean() / (30 * S) - 1) < 0.01


def test_poisson_until_gives_a_poisson_number_of_uniform_times():
    times = drawn({"poisson": {"rate": "10/s", "start": "1h"}}, until="4h")
    assert abs(len(times) - 108_000) < 5 * 108_000**0.5
    assert stats.kstest(times, stats.uniform(HOUR, 3 * HOUR).cdf).pvalue > 1e-4
    counts = [len(drawn({"poisson": {"rate": "1/s"}}, seed=seed, until="50s")) for seed in range(2000)]
    assert abs(np.mean(counts) / 50 - 1) < 0.01
    assert abs(np.var(counts) / np.mean(counts) - 1) < 5 * (2 / 2000) ** 0.5


RATES = [0, 0, 0, 5, 10, 20, 0, 60, 90, 120, 120, 100, 0, 80, 60, 60, 50, 40, 20, 10, 0.5, 0, 0, 2.5]
HOURLY = [f"{rate}/h" for rate in RATES]


def integrated(times_us, start_hour):
    """The integral of the hourly rate up to each time, computed hour by hour."""
    rates = np.array(RATES[start_hour:] + RATES[:start_hour])
    hours, rest = np.divmod(np.asarray(times_us) / HOUR, 1)
    hours = hours.astype(int)
    before = np.concatenate(([0], np.cumsum(rates)))
    return hours // 24 * rates.sum() + before[hours % 24] + rest * rates[hours % 24]


@pytest.mark.parametrize("start_hour", [0, 9])
def test_hourly_arrivals_are_exponential_in_operational_time(start_hour):
    times = drawn({"hourly": {"rates": HOURLY, "startHour": start_hour}}, count=N)
    assert (np.diff(times) >= 0).all()
    gaps = np.diff(integrated(times, start_hour), prepend=0)
    assert stats.kstest(gaps, stats.expon().cdf).pvalue > 1e-4
    assert abs(gaps.mean() - 1) < 0.01


def test_hourly_counts_have_the_dispersion_of_a_poisson_process():
    times = drawn({"hourly": {"rates": HOURLY, "startHour": 9}}, until="200d")
    counts = np.bincount(times // HOUR, minlength=4800).reshape(200, 24)
    rates = np.array(RATES[9:] + RATES[:9])
    busy = rates > 0
    assert counts[:, ~busy].sum() == 0
    dispersion = (counts[:, busy] - rates[busy]) ** 2 / rates[busy]
    assert abs(dispersion.mean() - 1) < 5 * (3 / dispersion.size) ** 0.5
    assert abs(counts.sum() / (200 * rates.sum()) - 1) < 0.01
    assert abs(counts[:, busy].mean(axis=0) / rates[busy] - 1).max() < 5 / (200 * 0.5) ** 0.5


def test_hourly_begins_at_its_hour_when_it_starts():
    only_nine = ["0/h"] * 9 + ["3600/h"] + ["0/h"] * 14
    times = drawn({"hourly": {"rates": only_nine, "start": "30m", "startHour": 8}}, until="3d")
    assert len(times) > 10_000
    assert (((times - HOUR // 2) % DAY) // HOUR == 1).all()


def test_equal_hours_are_a_constant_rate():
    hourly = drawn({"hourly": {"rates": ["120/h"] * 24}}, count=1000)
    assert np.abs(hourly - drawn({"poisson": {"rate": "120/h"}}, count=1000)).max() <= 1


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"until": "1h"}, 0),
        ({"until": "3.5h"}, 2.5),
        ({"until": "1d"}, 848),
        ({"until": "10d"}, 8480),
        ({"until": "10d", "count": 8481}, 8480),
        ({"until": "10d", "count": 77}, 77),
        ({"count": 77}, 77),
    ],
)
def test_the_expected_number_is_the_integral_of_the_rate(more, expected):
    assert expected_arrivals(entry({"hourly": {"rates": HOURLY}}, **more)) == pytest.approx(expected)


def test_the_expected_number_before_the_start_is_zero():
    late = {"poisson": {"rate": "1/s", "start": "2h"}}
    assert expected_arrivals(entry(late, until="1h")) == 0
    assert len(drawn(late, until="1h")) == 0
    assert expected_arrivals(entry({"every": {"interval": "1s", "start": "2h"}}, until="1h")) == 0
    assert expected_arrivals(entry({"atOnce": {"at": "2h"}}, until="2h", count=5)) == 0


@pytest.mark.parametrize("arrivals", [{"poisson": {"rate": "50/h"}}, {"hourly": {"rates": HOURLY}}])
def test_a_wider_bound_only_adds_arrivals(arrivals):
    whole = drawn(arrivals, until="100d")
    shorter = drawn(arrivals, until="20d")
    assert 0 < len(shorter) < len(whole)
    assert (whole[: len(shorter)] == shorter).all()
    assert (whole[len(shorter) :] >= 20 * DAY).all()
    assert (drawn(arrivals, count=500) == whole[:500]).all()
    assert (drawn(arrivals, count=500, until="100d") == whole[:500]).all()


@pytest.mark.parametrize(
    "arrivals",
    [
        {"poisson": {"rate": "1e-300/s"}},
        {"poisson": {"rate": "1e-9/s"}},
        {"hourly": {"rates": [0] * 23 + ["5e-324/s"]}},
        {"every": {"interval": "100000d"}},
        {"poisson": {"rate": "1/d", "start": "104249d"}},
    ],
)
def test_arrivals_beyond_285_years_are_the_users_mistake(arrivals):
    with pytest.raises(ScenarioError, match="285 years"):
        drawn(arrivals, count=100)


@pytest.mark.parametrize(
    "arrivals", [{"poisson": {"rate": "1e308/s"}}, {"hourly": {"rates": ["1e308/s"] * 24}}]
)
def test_absurd_rates_neither_warn_nor_hang(arrivals):
    assert drawn(arrivals, count=5).tolist() == [0] * 5
    assert not expected_arrivals(entry(arrivals, until="400d")) <= 1e7


@given(
    rates=st.lists(st.floats(0, 1000), min_size=24, max_size=24).filter(lambda rates: max(rates) > 1e-3),
    start=st.integers(0, 2 * DAY),
    start_hour=st.integers(0, 23),
    count=st.integers(1, 200),
    seed=st.integers(0, 2**32),
)
def test_hourly_arrivals_fall_into_hours_that_have_a_rate(rates, start, start_hour, count, seed):
    hourly = {"rates": [f"{rate}/h" for rate in rates], "start": f"{start}us", "startHour": start_hour}
    times = drawn({"hourly": hourly}, seed=seed, count=count)
    assert len(times) == count
    assert times[0] >= start
    assert (np.diff(times) >= 0).all()
    hours = ((times - start) // HOUR + start_hour) % 24
    assert all(rates[hour] > 0 for hour in hours.tolist())
