"""The account's SubmitJob rate: against a loop, and through a scenario."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.errors import ScenarioError
from batchsim.scenario import Assumptions
from batchsim.workload import build_workload
from batchsim.workload.pacing import call_interval_us, paced

S = 1_000_000
SINGLES = {"name": "singles", "jobDefinition": "one", "runtime": "1s", "count": 10_000}
AWS = {"preset": "aws"}


@given(st.lists(st.integers(0, 2000)).map(sorted), st.integers(1, 700))
def test_calls_leave_in_order_at_least_an_interval_apart(wanted, interval):
    expected = []
    for instant in wanted:
        expected.append(max(instant, expected[-1] + interval) if expected else instant)
    assert paced(np.array(wanted, np.int64), interval).tolist() == expected


@pytest.mark.parametrize(
    ("rate", "interval"),
    [
        ("50/s", 20_000),
        ("100/m", 600_000),
        ("3/s", 333_334),
        ("1e7/s", 1),
        ("7/m", 8_571_429),
        ("1/d", 86_400 * S),
        ("5e-324/s", 2**53),
        (0, 0),
    ],
)
def test_the_interval_is_rounded_up_to_whole_microseconds(all_built, rate, interval):
    assert call_interval_us(Assumptions.model_validate({"submitJobRate": rate})) == interval


def test_scenario_53_ten_thousand_single_calls_take_200_seconds(jobs_of):
    workload = build_workload(jobs_of(SINGLES, assumptions=AWS))
    assert workload.submit_us.tolist() == [20_000 * call for call in range(10_000)]
    assert workload.submit_us[-1] == 199.98 * S
    assert workload.job_names()[:2] == ["singles-0", "singles-1"]
    notes = workload.notes["singles"]
    assert (notes["calls_delayed"], notes["longest_delay_s"]) == (9_999, 199.98)


def test_an_array_is_one_call(jobs_of):
    wide = {**SINGLES, "name": "wide", "count": 3, "array": {"size": 10_000}}
    workload = build_workload(jobs_of(wide, assumptions=AWS))
    assert np.bincount(workload.submit_us // 20_000).tolist() == [10_000] * 3
    assert workload.arrays.first.tolist() == [0, 10_000, 20_000]
    assert (workload.notes["wide"]["calls_delayed"], workload.notes["wide"]["longest_delay_s"]) == (2, 0.04)


def test_the_rate_is_of_the_account(jobs_of):
    first = {**SINGLES, "name": "first", "count": 3}
    second = {**SINGLES, "name": "second", "count": 2, "array": {"size": 2}, "jobQueue": "q"}
    late = {**SINGLES, "name": "late", "count": 2, "arrivals": {"every": {"interval": "1s", "start": "70ms"}}}
    workload = build_workload(jobs_of(late, second, first, assumptions=AWS))
    told = [*zip(workload.job_names(), (workload.submit_us // 1000).tolist(), strict=True)]
    assert told == [
        ("second-0:0", 0),
        ("second-0:1", 0),
        ("second-1:0", 20),
        ("second-1:1", 20),
        ("first-0", 40),
        ("first-1", 60),
        ("first-2", 80),
        ("late-0", 100),
        ("late-1", 1070),
    ]
    assert workload.notes["late"]["calls_delayed"] == 1


@pytest.mark.parametrize("assumptions", [{"preset": "ideal"}, {"submitJobRate": 0}])
def test_no_limit_leaves_every_call_where_it_is(jobs_of, assumptions):
    workload = build_workload(jobs_of(SINGLES, assumptions=assumptions))
    assert not workload.submit_us.any()
    assert workload.notes["singles"] == {"source": "generated", "jobs": 10_000}


def test_a_limit_that_is_not_built_yet_has_no_effect(jobs_of, monkeypatch):
    scenario = jobs_of(SINGLES, assumptions=AWS)
    monkeypatch.setattr(
        "batchsim.scenario.unbuilt.UNBUILT", {"Assumptions.submitJobRate": "throttled submission"}
    )
    assert not build_workload(scenario).submit_us.any()


@pytest.mark.parametrize("rate", ["1e-9/s", "1e-12/s", "1/d"])
def test_a_rate_at_which_the_jobs_never_get_out_is_refused(jobs_of, rate):
    slow = {"preset": "aws", "submitJobRate": rate}
    many = {**SINGLES, "count": 200_000}
    with pytest.raises(ScenarioError, match=r"assumptions\.submitJobRate: the last job would be submitted"):
        build_workload(jobs_of(many, assumptions=slow))
