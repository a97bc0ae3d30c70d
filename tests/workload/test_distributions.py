from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from batchsim.errors import ScenarioError
from batchsim.scenario import Distribution
from batchsim.workload.distributions import load_distribution, quantile, sample
from batchsim.workload.streams import uniform

N = 100_000
S = 1_000_000

KNOWN = {
    "uniform": ({"uniform": {"low": "10s", "high": "70s"}}, stats.uniform(10 * S, 60 * S), 40 * S),
    "exponential": ({"exponential": {"mean": "5m"}}, stats.expon(scale=300 * S), 300 * S),
    "lognormal": (
        {"lognormal": {"median": "12m", "p95": "40m"}},
        stats.lognorm(math.log(40 / 12) / stats.norm.ppf(0.95), scale=720 * S),
        720 * S * math.exp((math.log(40 / 12) / stats.norm.ppf(0.95)) ** 2 / 2),
    ),
    "gamma, spread": ({"gamma": {"mean": "1h", "cv": 2.0}}, stats.gamma(0.25, scale=4 * 3600 * S), 3600 * S),
    "gamma, narrow": ({"gamma": {"mean": "1h", "cv": 0.1}}, stats.gamma(100, scale=36 * S), 3600 * S),
}


def drawable(given_as, base_dir=None):
    return load_distribution(Distribution.model_validate(given_as), base_dir, "runtime")


@pytest.mark.parametrize("name", KNOWN)
def test_samples_follow_the_distribution(name):
    given_as, theory, mean = KNOWN[name]
    values = sample(drawable(given_as), np.random.default_rng(20), N)
    assert values.dtype == np.int64
    assert stats.kstest(values, theory.cdf).pvalue > 1e-4
    assert abs(values.mean() / mean - 1) < 0.01


@pytest.mark.parametrize("name", KNOWN)
def test_quantiles_of_uniform_numbers_follow_the_distribution(name):
    given_as, theory, mean = KNOWN[name]
    known = drawable(given_as)
    values = [quantile(known, u) for u in uniform(4, 0, "boot", np.arange(N)).tolist()]
    assert stats.kstest(values, theory.cdf).pvalue > 1e-4
    assert abs(np.mean(values) / mean - 1) < 0.01


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("u", [2**-53, 0.05, 0.5, 0.95, 0.999])
def test_quantile_is_the_inverse_of_the_cumulative_distribution(name, u):
    given_as, theory, _ = KNOWN[name]
    assert quantile(drawable(given_as), u) == pytest.approx(theory.ppf(u), rel=1e-9, abs=0.6)


def test_lognormal_has_the_percentiles_it_was_given():
    known = drawable({"lognormal": {"median": "20s", "p95": "60s"}})
    assert quantile(known, 0.5) == 20 * S
    assert abs(quantile(known, 0.95) - 60 * S) <= 1
    values = sample(known, np.random.default_rng(5), N)
    assert np.median(values) == pytest.approx(20 * S, rel=0.01)
    assert np.quantile(values, 0.95) == pytest.approx(60 * S, rel=0.02)


@pytest.mark.parametrize(
    "given_as",
    [
        "90s",
        {"constant": "90s"},
        {"uniform": {"low": "90s", "high": "90s"}},
        {"lognormal": {"median": "90s", "p95": "90s"}},
    ],
)
def test_distributions_without_spread_are_constant(given_as):
    known = drawable(given_as)
    assert sample(known, np.random.default_rng(0), 3).tolist() == [90 * S] * 3
    assert quantile(known, 0.123) == 90 * S


def test_gamma_with_a_vanishing_variation_is_its_mean():
    known = drawable({"gamma": {"mean": "90s", "cv": 1e-300}})
    assert sample(known, np.random.default_rng(0), 100).tolist() == [90 * S] * 100
    assert quantile(known, 0.9) == 90 * S


@pytest.mark.parametrize("name", [*KNOWN, "empirical"])
def test_fewer_draws_are_the_first_of_more(name, tmp_path):
    (tmp_path / "s.csv").write_text("1\n2\n3\n4\n5\n6\n7\n")
    given_as = {"empirical": {"path": "s.csv"}} if name == "empirical" else KNOWN[name][0]
    known = drawable(given_as, tmp_path)
    many = sample(known, np.random.default_rng(9), 1000)
    assert (sample(known, np.random.default_rng(9), 10) == many[:10]).all()


def test_empirical_draws_each_value_equally_often(tmp_path):
    (tmp_path / "s.csv").write_text("1\n2\n2\n10\n")
    known = drawable({"empirical": {"path": "s.csv", "unit": "m"}}, tmp_path)
    values, counts = np.unique(sample(known, np.random.default_rng(1), N), return_counts=True)
    assert values.tolist() == [60 * S, 120 * S, 600 * S]
    assert stats.chisquare(counts, [N / 4, N / 2, N / 4]).pvalue > 1e-4
    assert [quantile(known, u) // (60 * S) for u in (2**-53, 0.25, 0.74, 0.75, 1 - 2**-53)] == [
        1,
        2,
        2,
        10,
        10,
    ]


def test_a_draw_beyond_285_years_is_the_users_mistake():
    wild = drawable({"lognormal": {"median": "1s", "p95": "280d"}})
    extreme = drawable({"lognormal": {"median": "1us", "p95": "104000d"}})
    assert quantile(wild, 0.95) == pytest.approx(280 * 86_400 * S)
    for known, u in ((wild, 1 - 2**-53), (extreme, 1 - 2**-53)):
        with pytest.raises(ScenarioError, match=r"285 years.*lighter tail"):
            quantile(known, u)
    with pytest.raises(ScenarioError, match="285 years"):
        sample(drawable({"gamma": {"mean": "104000d", "cv": 100}}), np.random.default_rng(0), N)


@given(st.floats(2**-53, 1 - 2**-53), st.floats(2**-53, 1 - 2**-53), st.sampled_from(sorted(KNOWN)))
def test_quantiles_increase(u, v, name):
    known = drawable(KNOWN[name][0])
    low, high = sorted((u, v))
    assert 0 <= quantile(known, low) <= quantile(known, high)
