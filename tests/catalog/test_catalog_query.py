"""Ranking instance types for a job, against a recomputation that counts on fingers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.catalog import (
    SORT_KEYS,
    Catalog,
    InstanceQuery,
    InstanceType,
    Price,
    rank_instances,
)
from batchsim.catalog.memory import MEMORY_MODELS
from batchsim.errors import CatalogError, UsageError

US = Catalog.load("us-east-1")


def ranked(**need) -> list[str]:
    return [row.instance_type.name for row in rank_instances(US, InstanceQuery(**need))]


def test_the_cheapest_type_for_four_vcpus_and_31000_mib():
    rows = rank_instances(US, InstanceQuery(4, 31_000))
    first = rows[0]
    assert first.instance_type.name == "r6g.xlarge"
    assert (first.usable_memory_mib, first.jobs, first.limited_by) == (31_061, 1, ("vcpus", "memory"))
    assert (first.uusd_per_hour, first.uusd_per_job_hour) == (201_600, 201_600)
    assert "m5.2xlarge" in [row.instance_type.name for row in rows]
    assert "m5.xlarge" not in [row.instance_type.name for row in rows]


def test_what_limits_the_number_of_jobs():
    def limits(**need) -> tuple[int, tuple[str, ...]]:
        (row,) = rank_instances(US, InstanceQuery(entries=("g5.12xlarge",), **need))
        return row.jobs, row.limited_by

    assert limits(vcpus=1, memory_mib=1000, gpus=1) == (4, ("gpus",))
    assert limits(vcpus=10, memory_mib=1000) == (4, ("vcpus",))
    assert limits(vcpus=1, memory_mib=90_000) == (2, ("memory",))
    assert limits(vcpus=12, memory_mib=1000, gpus=1) == (4, ("vcpus", "gpus"))


def test_the_price_of_a_job_hour_is_rounded_half_up():
    (row,) = rank_instances(US, InstanceQuery(1, 1700, entries=("c6i.2xlarge",)))
    assert (row.jobs, row.uusd_per_hour, row.uusd_per_job_hour) == (8, 340_000, 42_500)
    (row,) = rank_instances(US, InstanceQuery(1, 2500, entries=("c6i.2xlarge",)))
    assert (row.jobs, row.uusd_per_job_hour) == (6, 56_667)


def test_only_types_that_batch_accepts_are_ranked():
    everything = ranked(vcpus=1, memory_mib=100)
    assert not any(name.startswith(("t2.", "t3.", "t4g.", "mac", "p3.")) for name in everything)
    assert len(everything) == len(set(everything)) > 1000


def test_architecture_and_entries_narrow_the_choice():
    assert all(
        US.get(name).architecture == "arm64" for name in ranked(vcpus=2, memory_mib=500, architecture="arm64")
    )
    assert ranked(vcpus=2, memory_mib=500, entries=("m5.large", "m6g.large")) == ["m6g.large", "m5.large"]
    assert ranked(vcpus=2, memory_mib=500, entries=("m5.large", "m6g.large"), architecture="x86_64") == [
        "m5.large"
    ]


def test_gpu_jobs_only_see_types_with_gpus():
    names = ranked(vcpus=4, memory_mib=15_000, gpus=1)
    assert names[0] == "g6f.xlarge"
    assert US.get("g6f.xlarge").gpu_model == "L4 (1/8)"
    assert next(name for name in names if "(" not in US.get(name).gpu_model) == "g4dn.xlarge"
    assert "trn1.32xlarge" not in names
    assert all(US.get(name).gpus for name in names)


def test_the_memory_model_decides():
    assert ranked(vcpus=1, memory_mib=8192, entries=("m5.large",), memory_model="nominal") == ["m5.large"]
    assert ranked(vcpus=1, memory_mib=8192, entries=("m5.large",)) == []


@pytest.mark.parametrize(
    ("sort_by", "best_first"),
    [
        ("price", ["c6i.large", "m6i.large", "c6i.4xlarge", "r6i.4xlarge"]),
        ("price_per_vcpu", ["c6i.large", "c6i.4xlarge", "m6i.large", "r6i.4xlarge"]),
        ("price_per_job", ["m6i.large", "r6i.4xlarge", "c6i.large", "c6i.4xlarge"]),
        ("vcpus", ["c6i.large", "m6i.large", "c6i.4xlarge", "r6i.4xlarge"]),
        ("memory", ["c6i.large", "m6i.large", "c6i.4xlarge", "r6i.4xlarge"]),
        ("jobs", ["r6i.4xlarge", "c6i.4xlarge", "m6i.large", "c6i.large"]),
    ],
)
def test_each_sort_key(sort_by, best_first):
    """Jobs of 1 vCPU and 3,600 MiB: c6i.large holds 1 of them, m6i.large 2, c6i.4xlarge 8, r6i.4xlarge 16."""
    of_spot = {"interruption"}
    assert set(SORT_KEYS) - of_spot == {"price", "price_per_vcpu", "price_per_job", "vcpus", "memory", "jobs"}
    entries = ("r6i.4xlarge", "c6i.4xlarge", "m6i.large", "c6i.large")
    assert ranked(vcpus=1, memory_mib=3600, entries=entries, sort_by=sort_by) == best_first


@pytest.mark.parametrize(
    ("need", "said"),
    [
        ({"vcpus": 0}, "vcpus: expected 1 or more, found 0"),
        ({"memory_mib": 0}, "memory: expected 1 or more, found 0"),
        ({"gpus": -1}, "gpus: expected 0 or more, found -1"),
        ({"architecture": "arm"}, "architecture: expected one of x86_64, arm64, found arm"),
        ({"sort_by": "prize"}, "found prize; did you mean price?"),
        ({"sort_by": "interruption"}, "sort-by: only Spot instances are interrupted; add --spot"),
        ({"memory_model": "guess"}, "expected one of registered, fitted, nominal, found guess"),
    ],
)
def test_senseless_queries(need, said):
    with pytest.raises(UsageError) as caught:
        ranked(**{"vcpus": 1, "memory_mib": 1, **need})
    assert said in str(caught.value)


def test_on_spot_the_price_is_its_share_of_on_demand_and_types_without_a_known_market_are_left_out():
    need = {"vcpus": 2, "memory_mib": 3000, "entries": ("m6i", "c6i", "c8a"), "spot": True}
    rows = rank_instances(US, InstanceQuery(**need))
    assert {row.instance_type.family for row in rows} == {"m6i", "c6i"}
    for row in rows:
        pool = US.spot(row.instance_type.name)
        assert row.pool == pool
        on_demand = US.price_uusd(row.instance_type.name)
        assert abs(row.uusd_per_hour - on_demand * pool.price_factor) <= 0.5
    assert [row.uusd_per_hour for row in rows] == sorted(row.uusd_per_hour for row in rows)
    calm_first = rank_instances(US, InstanceQuery(**need, sort_by="interruption"))
    order = [(row.pool.interruption_band, row.uusd_per_hour) for row in calm_first]
    assert order == sorted(order)
    assert order[0][0] < order[-1][0]


@pytest.mark.parametrize("name", ["fargate", "fargate.0.25x512", "FARGATE_SPOT"])
def test_fargate_is_no_type_to_list(name):
    with pytest.raises(CatalogError, match="environments of type FARGATE or FARGATE_SPOT list no types"):
        ranked(vcpus=1, memory_mib=1, entries=(name,))


def test_an_unknown_entry_is_a_catalogue_error():
    with pytest.raises(CatalogError, match="did you mean"):
        ranked(vcpus=1, memory_mib=1, entries=("m5large",))


machines = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.integers(300, 40_000) | st.sampled_from([4096, 8192]),
        st.integers(0, 4),
        st.integers(0, 3),
        st.sampled_from(["x86_64", "arm64"]),
        st.sampled_from(["yes", "yes", "yes", "unverified", "no", "retired"]),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=4,
    max_size=16,
)
queries = st.builds(
    InstanceQuery,
    vcpus=st.integers(1, 3),
    memory_mib=st.integers(1, 3000),
    gpus=st.sampled_from([0, 0, 1, 2]),
    architecture=st.sampled_from([None, None, "x86_64", "arm64"]),
    sort_by=st.sampled_from(sorted({*SORT_KEYS} - {"interruption"})),
    memory_model=st.sampled_from(MEMORY_MODELS),
)


def world(drawn) -> Catalog:
    types, prices = {}, {}
    for number, (vcpus, memory, gpus, cents, architecture, allowed, priced) in enumerate(drawn):
        name = f"z.s{number:02}"
        types[name] = InstanceType(
            name, "z", f"s{number:02}", vcpus, memory, architecture, gpus=gpus, batch_allowed=allowed
        )
        if priced:
            prices[name] = Price(cents / 100, "test", "2026-01-01", "list")
    return Catalog("us-east-1", types, prices)


def fit_by_counting(catalog: Catalog, one: InstanceType, query: InstanceQuery) -> int:
    free = [one.vcpus, catalog.usable_memory_mib(one.name, query.memory_model), one.gpus]
    jobs = 0
    while free[0] >= query.vcpus and free[1] >= query.memory_mib and free[2] >= query.gpus:
        free = [free[0] - query.vcpus, free[1] - query.memory_mib, free[2] - query.gpus]
        jobs += 1
    return jobs


def beats(a, b, sort_by: str) -> bool:
    """Whether row `a` stands before row `b`: cross-multiplied, without any division."""
    one, two = a.instance_type, b.instance_type
    by_key = {
        "price": (a.uusd_per_hour, b.uusd_per_hour),
        "price_per_job": (a.uusd_per_hour * b.jobs, b.uusd_per_hour * a.jobs),
        "price_per_vcpu": (a.uusd_per_hour * two.vcpus, b.uusd_per_hour * one.vcpus),
        "vcpus": (one.vcpus, two.vcpus),
        "memory": (a.usable_memory_mib, b.usable_memory_mib),
        "jobs": (b.jobs, a.jobs),
    }
    left, right = by_key[sort_by]
    if left != right:
        return left < right
    return (a.uusd_per_hour, one.vcpus, one.memory_mib, one.name) < (
        b.uusd_per_hour,
        two.vcpus,
        two.memory_mib,
        two.name,
    )


def test_a_job_that_is_cheaper_by_a_fraction_of_a_micro_dollar_stands_first():
    types = {
        name: InstanceType(name, "z", name[2:], jobs, 8192) for name, jobs in (("z.two", 2), ("z.three", 3))
    }
    prices = {"z.two": Price(0.200001, "test", "", "list"), "z.three": Price(0.300001, "test", "", "list")}
    rows = rank_instances(Catalog("us-east-1", types, prices), InstanceQuery(1, 1, sort_by="price_per_job"))
    assert [(row.instance_type.name, row.uusd_per_job_hour) for row in rows] == [
        ("z.three", 100_000),
        ("z.two", 100_001),
    ]


def test_ties_are_broken_by_vcpus_before_memory_and_then_by_name():
    shapes = {"z.d": (2, 4096), "z.c": (2, 8192), "z.b": (1, 8192), "z.a": (2, 4096)}
    types = {name: InstanceType(name, "z", name[2:], *shape) for name, shape in shapes.items()}
    prices = dict.fromkeys(types, Price(0.1, "test", "", "list"))
    rows = rank_instances(Catalog("us-east-1", types, prices), InstanceQuery(1, 1))
    assert [row.instance_type.name for row in rows] == ["z.b", "z.a", "z.d", "z.c"]


@given(machines, queries)
def test_ranking_against_counting_on_fingers(drawn, query):
    catalog = world(drawn)
    rows = rank_instances(catalog, query)
    expected = {}
    for number, (*_, architecture, allowed, priced) in enumerate(drawn):
        one = catalog.get(f"z.s{number:02}")
        jobs = fit_by_counting(catalog, one, query)
        if (
            priced
            and jobs
            and allowed in {"yes", "unverified"}
            and query.architecture in {None, architecture}
        ):
            expected[one.name] = jobs
    assert {row.instance_type.name: row.jobs for row in rows} == expected
    for place, row in enumerate(rows):
        assert sum(beats(other, row, query.sort_by) for other in rows) == place
        assert row.uusd_per_hour == catalog.price_uusd(row.instance_type.name)
        assert -row.jobs < 2 * (row.uusd_per_job_hour * row.jobs - row.uusd_per_hour) <= row.jobs


@given(machines, queries)
def test_a_limiting_resource_has_no_room_for_one_more_job(drawn, query):
    catalog = world(drawn)
    for row in rank_instances(catalog, query):
        one = row.instance_type
        has = {"vcpus": one.vcpus, "memory": row.usable_memory_mib, "gpus": one.gpus}
        needs = {"vcpus": query.vcpus, "memory": query.memory_mib, "gpus": query.gpus}
        short = tuple(resource for resource in has if has[resource] < (row.jobs + 1) * needs[resource])
        assert row.limited_by == short
