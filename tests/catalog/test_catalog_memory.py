"""Memory that jobs can use: the observed table, the cautious formula, the fit [spec 3.6]."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.catalog import Catalog
from batchsim.catalog.instance_types import builtin_types
from batchsim.catalog.memory import fallback_mib, fitted_mib, model_memory_mib, observed_memory
from batchsim.errors import UsageError

# Spec 3.6: the formula's own table.
FALLBACK = {
    4096: 3679,
    8192: 7591,
    16384: 15414,
    32768: 31061,
    65536: 62354,
    131072: 124941,
    262144: 250115,
    393216: 375289,
    524288: 500463,
}


@pytest.fixture(scope="module")
def catalog():
    return Catalog.load("us-east-1")


@pytest.mark.parametrize(("nominal", "usable"), FALLBACK.items())
def test_fallback_formula(nominal, usable):
    assert fallback_mib(nominal) == usable


@pytest.mark.parametrize("name", sorted(observed_memory()))
def test_the_formula_never_promises_more_than_was_observed(name):
    seen = observed_memory()[name]
    assert fallback_mib(seen.memory_mib) <= seen.registered_mib - 32


def test_the_formula_stays_below_the_largest_job_seen_on_r5d_xlarge(catalog):
    assert catalog.usable_memory_mib("r5d.xlarge", "registered") <= 31_672


def test_scenario_43_m5_large_holds_7658_mib_and_not_7659(catalog):
    assert catalog.usable_memory_mib("m5.large", "registered") == 7690 - 32 == 7658


def test_scenario_43_a_nominal_job_needs_the_next_size(catalog):
    holds = [
        one.name
        for one in catalog.resolve(["m5"])
        if catalog.usable_memory_mib(one.name, "registered") >= 8192
    ]
    assert holds[0] == "m5.xlarge"


def test_scenario_44_c6i_large_holds_two_jobs_of_1839_mib(catalog):
    usable = catalog.usable_memory_mib("c6i.large", "registered")
    assert usable == 3679
    assert (usable // 1839, usable // 1840) == (2, 1)


@pytest.mark.parametrize(
    ("job_mib", "first"), [(3000, "c6i.large"), (5000, "m6i.large"), (12_000, "r6i.large")]
)
def test_scenario_41_the_cheapest_vcpu_that_is_large_enough(catalog, job_mib, first):
    types = catalog.resolve(["c6i.large", "m6i.large", "r6i.large"])
    fit = [one for one in types if catalog.usable_memory_mib(one.name, "registered") >= job_mib]
    assert min(fit, key=lambda one: Fraction(catalog.price_uusd(one.name), one.vcpus)).name == first


@pytest.mark.parametrize(
    ("name", "usable"),
    [
        ("m5.large", math.floor(Fraction("0.9689") * 8192) - 157 - 32),
        ("m6g.large", math.floor(Fraction("0.9667") * 8192) - 156 - 32),
        ("m5.metal", math.floor(Fraction("0.9835") * 393216) - 32),
        ("m6g.metal", math.floor(Fraction("0.9815") * 262144) - 32),
    ],
)
def test_fitted_model(catalog, name, usable):
    assert catalog.usable_memory_mib(name, "fitted") == usable


def test_nominal_model(catalog):
    assert catalog.usable_memory_mib("m5.large", "nominal") == 8192


def test_the_fit_is_near_every_observation():
    for name, seen in observed_memory().items():
        fitted = model_memory_mib(builtin_types()[name], "fitted")
        assert abs(fitted / (seen.registered_mib - 32) - 1) < 0.055, name


@pytest.mark.parametrize("model", ["registered", "fitted", "nominal"])
def test_every_type_offers_something_and_not_more_than_it_has(model):
    for one in builtin_types().values():
        assert 0 < model_memory_mib(one, model) <= one.memory_mib, one.name


@given(st.integers(0, 10**9))
def test_formulas_are_exact_floors(nominal):
    assert fallback_mib(nominal) == max(0, math.floor(Fraction("0.955") * nominal) - 232)
    assert fitted_mib(nominal, "x86_64", bare_metal=False) == max(
        0, math.floor(Fraction("0.9689") * nominal) - 189
    )


def test_an_observation_holds_only_for_its_nominal_size():
    doubled = replace(builtin_types()["m5.large"], memory_mib=16384)
    assert model_memory_mib(doubled, "registered") == 15414


def test_an_unknown_model_is_a_usage_error(catalog):
    with pytest.raises(UsageError, match=r"expected one of registered, fitted, nominal, found guessed"):
        catalog.usable_memory_mib("m5.large", "guessed")
