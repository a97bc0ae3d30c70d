"""What the check says of bids that are never above the recorded Spot price."""

from __future__ import annotations

from typing import Any

import pytest

from batchsim.core.feasibility import no_capacity
from batchsim.errors import InputError
from batchsim.studies.check import check
from batchsim.studies.run import run
from tests.studies.scenarios import definition, jobs, managed, world

# c6i.large is 0.085 USD/h On-Demand
PRICES = (
    "instance_type,usd_per_hour,at_s,zone\nc6i.large,0.04,0,a\nc6i.large,0.03,1800,a\nc6i.large,0.06,5400,a\n"
)
NEVER = no_capacity("c6i.large")
BID = "computeEnvironments.m.computeResources.bidPercentage"


def on_spot(tmp_path: Any, percent: int, *updates: dict[str, Any], zones: tuple[str, ...] = ("a",)) -> Any:
    (tmp_path / "prices.csv").write_text(PRICES)
    place = managed("m", 2, "c6i.large")
    place["computeResources"] |= {
        "type": "SPOT",
        "allocationStrategy": "SPOT_CAPACITY_OPTIMIZED",
        "bidPercentage": percent,
    }
    data = world([place], [jobs("j", "q0", "one"), *updates], definition("one", 1, 100))
    data["assumptions"] = {
        "preset": "ideal",
        "launchCooloff": "180s",
        "spotPrices": [{"trace": "prices.csv"}],
        "availabilityZones": list(zones),
    }
    return data


def test_a_bid_that_no_recorded_price_is_below_lets_no_job_start(load, tmp_path):
    report = check(load(on_spot(tmp_path, 35)))
    (finding,) = report.never
    assert finding.reason == NEVER
    assert finding.shortfall == (
        "m bids 0.02975 USD/h for c6i.large, and its recorded price is never below 0.03"
    )
    (change,) = finding.changes
    assert change.text == "raise bidPercentage of m to 36, so that c6i.large may be launched"
    assert report.mend_all == change.overrides == {BID: "36"}
    assert check(load(on_spot(tmp_path, 35), f"{BID}=36")).can_all_start


def test_the_run_agrees_about_bids(load, tmp_path):
    for percent, outcome in ((35, "stalled"), (36, "finished")):
        scenario = load(on_spot(tmp_path, percent))
        assert run(scenario).summary["outcome"] == outcome
        assert check(scenario).can_all_start == (outcome == "finished")


def test_check_refuses_a_record_that_lacks_a_zone(load, tmp_path):
    with pytest.raises(InputError, match=r"no price of c6i\.large in b is recorded"):
        check(load(on_spot(tmp_path, 35, zones=("a", "b"))))


def test_a_type_without_recorded_prices_takes_any_bid_above_that_of_the_catalogue(load, tmp_path):
    both = "computeEnvironments.m.computeResources.instanceTypes=[c6i.large, m6i.large]"
    assert check(load(on_spot(tmp_path, 60), both)).can_all_start
    assert check(load(on_spot(tmp_path, 35), "assumptions.spotPrices=[]", f"{BID}=100")).can_all_start


def test_an_update_may_lower_a_bid_too_far(load, tmp_path):
    lower = {"at": "1h", "update": {"computeEnvironment": "m", "bidPercentage": 20}}
    (finding,) = check(load(on_spot(tmp_path, 60, lower))).no_longer
    assert finding.in_time_only == finding.jobs
    assert finding.changes[0].overrides == {"workload.1.update.bidPercentage": "36"}
    # From two hours on the price is 0.06.
    late = {"at": "2h", "update": {"computeEnvironment": "m", "bidPercentage": 40}}
    (finding,) = check(load(on_spot(tmp_path, 60, late))).no_longer
    assert finding.changes[0].overrides == {"workload.1.update.bidPercentage": "71"}


def test_prices_that_are_never_below_on_demand_need_on_demand(load, tmp_path):
    data = on_spot(tmp_path, 100)
    (tmp_path / "prices.csv").write_text("instance_type,usd_per_hour,at_s\nc6i.large,0.09,0\n")
    (finding,) = check(load(data)).never
    (change,) = finding.changes
    assert change.text == "use On-Demand in m: the recorded prices are never below those of On-Demand"
