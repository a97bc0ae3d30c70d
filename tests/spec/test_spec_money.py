"""Volumes, Reserved Instances and a Savings Plan, to the micro-USD [spec 8.1]."""

from __future__ import annotations

from typing import Any

import pytest

from batchsim.errors import ScenarioError
from batchsim.results.audit import audit_frames
from tests.spec.scenarios import scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.spec.test_spec_fargate import fargate, job, on_fargate
from tests.spec.test_spec_spot import OFTEN, interrupted_at, spot
from tests.studies.scenarios import definition, unmanaged

EIGHT_MILLI_USD = {"instanceVolume": "73GiB"}  # an hour: 73 x 0.08 / 730


def on_one_large(runtime: str, **more: Any) -> dict[str, Any]:
    """One job on one c6i.large, which costs 0.085 USD an hour."""
    places = more.pop("environments", [cloud(2, "c6i.large")])
    return scenario(submit("job", runtime), environments=places, **more)


def uusd(result, key: str) -> int:
    return round(result.summary[key] * 1e6)


# --- volumes ------------------------------------------------------------------------------------


def test_a_volume_is_paid_by_the_second_as_long_as_its_instance_runs(run):
    result = run(on_one_large("90min", assumptions=EIGHT_MILLI_USD))
    assert (uusd(result, "volume_usd"), uusd(result, "cost_usd")) == (12_000, 127_500 + 12_000)


def test_an_environment_has_volumes_of_its_own(run):
    place = cloud(2, "c6i.large") | {"instanceVolume": "146GiB"}
    result = run(on_one_large("1h", environments=[place], assumptions=EIGHT_MILLI_USD))
    assert uusd(result, "volume_usd") == 16_000
    result = run(
        on_one_large("1h", environments=[place | {"instanceVolume": 0}], assumptions=EIGHT_MILLI_USD)
    )
    assert uusd(result, "volume_usd") == 0


def test_the_volume_of_a_free_spot_instance_is_not_free(run, monkeypatch):
    interrupted_at(30, monkeypatch)
    result = run(on_one_large("2h", environments=[spot(2, "c6i.large")], assumptions=OFTEN | EIGHT_MILLI_USD))
    assert uusd(result, "cost_usd") == uusd(result, "volume_usd") == 4000
    assert uusd(result, "cost_unattributed_usd") == 0


def test_own_machines_and_tasks_have_no_volumes(run, problems_of):
    lab = unmanaged("lab", {"instanceType": "c6i.large"})
    assert uusd(run(on_one_large("1h", environments=[lab], assumptions=EIGHT_MILLI_USD)), "volume_usd") == 0
    assert uusd(run(on_fargate(job("1h"), assumptions=EIGHT_MILLI_USD)), "volume_usd") == 0
    (said,) = problems_of(on_fargate(job("1h"), environments=[fargate(4) | {"instanceVolume": "30GiB"}]))
    assert "Fargate tasks have no instance volume" in said
    (said,) = problems_of(on_one_large("1h", environments=[lab | {"instanceVolume": "30GiB"}]))
    assert "instanceVolume does not belong to UNMANAGED environments" in said


def test_a_region_without_a_known_price_of_volumes_must_say_one(run):
    data = on_one_large("1h", assumptions=EIGHT_MILLI_USD, region="eu-west-1")
    with pytest.raises(ScenarioError, match="no price of EBS volumes in eu-west-1 is known"):
        run(data)
    assert (
        uusd(run(data | {"assumptions": data["assumptions"] | {"volumePrice": 0.1}}), "volume_usd") == 10_000
    )
    run(data | {"assumptions": {}})


# --- commitments --------------------------------------------------------------------------------


def plan(commitment: float, **more: float) -> dict[str, Any]:
    return {"savingsPlan": {"commitment": commitment, "discount": 0.28, **more}}


def reserve(count: int, name: str = "c6i.large") -> dict[str, Any]:
    return {"reservedInstances": [{"instanceType": name, "instanceCount": count, "discount": 0.4}]}


def money(result) -> tuple[int, int, int]:
    """Cost, discount and unused commitment."""
    return tuple(uusd(result, key) for key in ("cost_usd", "discount_usd", "commitment_unused_usd"))


def test_a_plan_that_covers_half_of_an_hour_saves_half_of_its_discount(run):
    # At the plan's rate, 0.0612 USD an hour, 0.0306 cover half an instance; the other half costs 0.0425.
    assert money(run(on_one_large("2h", commitments=plan(0.0306)))) == (146_200, 23_800, 0)


def test_what_is_left_of_a_plan_is_paid_for_every_hour_that_has_begun(run):
    assert money(run(on_one_large("2h", commitments=plan(0.1)))) == (200_000, 47_600, 200_000 - 122_400)
    assert money(run(on_one_large("90min", commitments=plan(0.1)))) == (200_000, 35_700, 200_000 - 91_800)


def test_a_plan_is_used_by_all_instances_of_an_hour_alike(run):
    data = on_one_large("1h", environments=[cloud(8, "c6i.large")], commitments=plan(0.0612))
    data["workload"].append(submit("late", "30min", at="30min"))
    result = run(data | {"jobDefinitions": [definition("one", 2, 100)]})
    # One and a half instance-hours, of which the plan covers one: two thirds of both.
    assert [round(1e6 * each) for each in result.instances["discount_usd"]] == [15_866, 7933]
    assert uusd(result, "commitment_unused_usd") == 0


def test_reserved_instances_are_paid_used_or_not(run):
    # Two at 0.051 USD for three hours, of which one is used for two and a half.
    assert money(run(on_one_large("150min", commitments=reserve(2)))) == (306_000, 85_000, 178_500)


def test_reserved_instances_come_before_the_plan(run):
    data = on_one_large("1h", environments=[cloud(4, "c6i.large")], commitments=plan(1.0) | reserve(1))
    data["jobDefinitions"] = [definition("one", 2, 100)]
    data["workload"].append(submit("other", "1h"))
    result = run(data)
    # One instance-hour saves 0.4 of 0.085, the other 0.28; the plan's 1 USD is used for 0.0612.
    assert money(result)[1:] == (2 * 28_900, 1_000_000 - 61_200)


def test_spot_and_own_machines_use_no_commitment(run):
    for place in (spot(2, "c6i.large"), unmanaged("lab", {"instanceType": "c6i.large"})):
        assert money(run(on_one_large("1h", environments=[place], commitments=plan(0.1))))[1:] == (0, 100_000)


def test_tasks_are_covered_where_the_plan_says_so_but_not_on_spot(run):
    # 1 vCPU and 2 GB for an hour: 0.04937 USD
    covered = run(on_fargate(job("1h"), commitments=plan(0.1, fargateDiscount=0.2)))
    assert money(covered) == (100_000, 9874, 100_000 - 39_496)
    assert money(run(on_fargate(job("1h"), commitments=plan(0.1))))[1:] == (0, 100_000)
    on_spot = [fargate(8, "FARGATE_SPOT")]
    result = run(on_fargate(job("1h"), environments=on_spot, commitments=plan(0.1, fargateDiscount=0.2)))
    assert money(result)[1:] == (0, 100_000)


def test_instances_that_an_update_makes_spot_use_no_commitment(run):
    data = on_one_large("1h", commitments=plan(0.0612) | reserve(1))
    change = {"computeEnvironment": "cloud", "type": "SPOT", "allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"}
    data["workload"] += [{"at": "90min", "update": change}, submit("late", "1h", at="2h")]
    result = run(data)
    saved = dict(zip(result.instances["billing"].astype(str), result.instances["discount_usd"], strict=True))
    assert saved == {"ec2": 0.034, "spot": 0}
    assert money(result)[2] == 3 * 61_200 + 2 * 51_000
    assert result.audit() == []


def test_volumes_are_not_discounted(run):
    result = run(on_one_large("1h", commitments=plan(0.0612), assumptions=EIGHT_MILLI_USD))
    assert money(result) == (61_200 + 8000, 23_800, 0)


def test_unused_commitments_are_a_row_of_their_own(run):
    result = run(on_one_large("1h", commitments=plan(0.1)))
    rows = result.costs.astype(object).where(result.costs.notna(), None)[
        ["queue", "commitment_usd", "cost_usd"]
    ]
    assert rows.to_numpy().tolist() == [["q", 0, 0.0612], [None, 0.0388, 0.0388]]
    by_job = result.costs_by("job")
    assert by_job["cost_usd"].sum() == pytest.approx(0.1)


def test_what_nobody_could_use_is_refused(run):
    with pytest.raises(ScenarioError, match=r"no On-Demand environment has m5\.large"):
        run(on_one_large("1h", commitments=reserve(1, "m5.large")))


@pytest.mark.parametrize(
    ("frame", "column", "value"),
    [
        ("instances", "discount_usd", 0.0239),
        ("instances", "volume_usd", 0.0081),
        ("costs", "commitment_usd", 0.0389),
    ],
)
def test_the_audit_catches_other_discounts_and_volumes(run, frame, column, value):
    data = on_one_large("1h", commitments=plan(0.1), assumptions=EIGHT_MILLI_USD)
    result = run(data)
    frames = {name: each.copy() for name, each in result.frames.items()}
    frames[frame].loc[len(frames[frame]) - 1, column] = value
    assert {"L13", "L23"} & {each.law for each in audit_frames(frames, result.summary, result.manifest)}
    assert result.audit() == []


def test_the_audit_catches_commitments_that_were_not_made(run):
    result = run(on_one_large("1h", commitments=plan(0.1)))
    scenario_without = {
        key: value for key, value in result.manifest["scenario"].items() if key != "commitments"
    }
    manifest = {**result.manifest, "scenario": scenario_without}
    assert "L13" in {each.law for each in audit_frames(result.frames, result.summary, manifest)}


def test_the_audit_allows_for_the_rounding_of_each_instance(run):
    """One attempt bears the overhead of a hundred instances, each of whose parts was rounded."""
    place = cloud(400, "c6i.large", desiredvCpus=200)
    result = run(on_one_large("2h", environments=[place], assumptions={"preset": "aws"}))
    assert len(result.instances) == 100
    assert result.audit() == []
