"""Spot instances: which are launched, when they are taken back, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest

from batchsim.catalog import Catalog, SpotPool
from batchsim.results.audit import audit_frames
from tests.spec.scenarios import HOST_RULES, scenario, submit
from tests.spec.test_spec_capacity import cloud, launched

HOUR = 3600


def spot(max_vcpus: int, *types: str, **resources: Any) -> dict[str, Any]:
    strategy = {"allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED"}
    return cloud(max_vcpus, *types, **({"type": "SPOT"} | strategy | resources))


def interrupted_at(minutes: int, monkeypatch) -> None:
    """Every Spot instance is lost so long after it runs."""

    def lost_at(_: object, *draw_and_running: int) -> int:
        return draw_and_running[-1] + minutes * 60_000_000

    monkeypatch.setattr("batchsim.drivers.spot.Interruptions.lost_at", lost_at)


def spot_uusd(name: str, minutes: int) -> int:
    """What an instance costs at the Spot price."""
    catalog = Catalog.load("us-east-1")
    pool = catalog.spot(name)
    assert pool is not None
    return round(round(catalog.price_uusd(name) * pool.price_factor) * minutes / 60)


def uusd(result: Any) -> int:
    return round(1e6 * result.summary["cost_usd"])


OFTEN = {"spotInterruptions": "1/h"}


def test_spec_48_taken_back_within_the_first_hour_it_is_free(run, monkeypatch):
    interrupted_at(50, monkeypatch)
    result = run(scenario(submit("job", "2h"), environments=[spot(2, "c6i.large")], assumptions=OFTEN))
    (row,) = result.instances.to_dict("records")
    assert (row["ended_s"], row["end_reason"]) == (50 * 60, "interrupted: Spot")
    assert (row["billed_s"], row["cost_usd"]) == (0, 0)
    (job,) = result.jobs.to_dict("records")
    assert (job["state"], job["end_s"]) == ("FAILED", 50 * 60)
    assert job["status_reason"] == f"Host EC2 (instance {row['instance']}) terminated."


def test_spec_48_taken_back_later_it_costs_what_it_ran(run, monkeypatch):
    interrupted_at(70, monkeypatch)
    result = run(scenario(submit("job", "2h"), environments=[spot(2, "c6i.large")], assumptions=OFTEN))
    assert list(result.instances["billed_s"]) == [70 * 60]
    assert uusd(result) == spot_uusd("c6i.large", 70)


@pytest.mark.parametrize(("minute", "billed"), [(59, 0), (60, 60), (61, 61)])
def test_spec_3_8_the_free_hour_ends_with_its_last_second(run, monkeypatch, minute, billed):
    interrupted_at(minute, monkeypatch)
    result = run(scenario(submit("job", "2h"), environments=[spot(2, "c6i.large")], assumptions=OFTEN))
    assert list(result.instances["billed_s"]) == [billed * 60]


def test_spec_3_8_an_interruption_does_not_wait_for_the_scale_down_delay(run, monkeypatch):
    interrupted_at(50, monkeypatch)
    kept = spot(2, "c6i.large", scalingPolicy={"minScaleDownDelayMinutes": 20})
    result = run(scenario(submit("job", "40min"), environments=[kept], assumptions=OFTEN))
    (row,) = result.instances.to_dict("records")
    assert (row["ended_s"], row["end_reason"]) == (50 * 60, "interrupted: Spot")


def test_spec_48_given_back_within_the_hour_it_costs_what_it_ran(run):
    result = run(scenario(submit("job", "50min"), environments=[spot(2, "c6i.large")]))
    assert list(result.instances["billed_s"]) == [50 * 60]
    assert uusd(result) == spot_uusd("c6i.large", 50)


def test_a_lost_host_is_retried_at_once_on_another_instance(run, monkeypatch):
    interrupted_at(50, monkeypatch)
    job = submit("job", "40min", retryStrategy=HOST_RULES)
    late = submit("late", "30min", at="20min", retryStrategy=HOST_RULES)
    result = run(scenario(job, late, environments=[spot(2, "c6i.large")], assumptions=OFTEN))
    one, two = result.jobs.to_dict("records")
    assert (one["state"], one["attempts"]) == ("SUCCEEDED", 1)
    assert (two["state"], two["attempts"], two["end_s"]) == ("SUCCEEDED", 1, 50 * 60)
    longer = submit("late", "31min", at="20min", retryStrategy=HOST_RULES)
    result = run(scenario(job, longer, environments=[spot(2, "c6i.large")], assumptions=OFTEN))
    _, two = result.jobs.to_dict("records")
    assert (two["state"], two["attempts"], two["end_s"]) == ("SUCCEEDED", 2, 81 * 60)


def test_a_run_does_not_go_on_for_interruptions_alone(run):
    kept = spot(64, "c6i.large", minvCpus=2)
    result = run(
        scenario(submit("job", "1min"), environments=[kept], assumptions={"spotInterruptions": "9/h"})
    )
    assert result.summary["ended_at_s"] <= 10 * HOUR


def test_interruptions_come_at_the_rate_that_was_asked_for(run):
    kept = spot(2000, "c6i.large", minvCpus=2000)
    for correlation in (0, 0.9):
        result = run(
            scenario(
                submit("job", "100h", retryStrategy={"attempts": 10}),
                environments=[kept],
                assumptions={"spotInterruptions": "0.02/h", "spotCorrelation": correlation},
                horizon="100h",
            )
        )
        lost = result.instances["end_reason"].astype(str) == "interrupted: Spot"
        hours = (result.instances["ended_s"].fillna(100 * HOUR) - result.instances["running_s"]).sum() / HOUR
        instants = result.instances["ended_s"][lost].nunique()
        if correlation:
            assert instants < 0.3 * lost.sum()
        else:
            assert lost.sum() / hours == pytest.approx(0.02, rel=0.1)
            assert instants == lost.sum()


def test_a_notice_comes_before_the_loss(run):
    def losses(notice: str) -> list[float]:
        result = run(
            scenario(
                submit("job", "20h", count=20),
                environments=[spot(20, "c6i.large")],
                assumptions={"spotInterruptions": "0.1/h", "spotNotice": notice},
            )
        )
        return sorted(result.instances["ended_s"])

    assert losses("120s")[0] == pytest.approx(losses("0s")[0] + 120)


@pytest.mark.parametrize(
    ("strategy", "chosen"),
    [
        ("SPOT_CAPACITY_OPTIMIZED", "r5.large"),
        ("SPOT_PRICE_CAPACITY_OPTIMIZED", "r5.large"),
        ("SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", "r5.large"),
        ("BEST_FIT", "c5.large"),
        ("BEST_FIT_PROGRESSIVE", "c5.large"),
    ],
)
def test_strategies_prefer_the_pool_or_the_price(run, monkeypatch, strategy, chosen):
    bands = {"c5.large": (0.3, 4), "r5.large": (0.5, 0)}
    monkeypatch.setattr(
        "batchsim.catalog.Catalog.spot",
        lambda _, name: SpotPool(*bands[name], "2026-01-01", "test"),
    )
    place = spot(2, "c5.large", "r5.large", allocationStrategy=strategy)
    assert launched(run(scenario(submit("job", "1min"), environments=[place]))) == [chosen]


def test_types_at_or_above_the_bid_are_left_out(run, load):
    pools = Catalog.load("us-east-1")
    cheap, dear = sorted(("c5.large", "r5.large"), key=lambda name: pools.spot(name).price_factor)
    low, high = (pools.spot(name).price_factor for name in (cheap, dear))
    assert low < high
    between = spot(2, dear, cheap, bidPercentage=round(100 * high))
    assert launched(run(scenario(submit("job", "1min"), environments=[between]))) == [cheap]
    with pytest.raises(Exception, match="no Spot price of these types is below"):
        run(scenario(submit("job", "1min"), environments=[spot(2, dear, bidPercentage=round(100 * low))]))


def test_a_type_without_capacity_is_left_alone_while_others_serve(run):
    place = cloud(64, "c6i.large", "m6i.large")
    short = {"insufficientCapacity": {"c6i": 0.99}, "launchCooloff": "1h"}
    result = run(scenario(submit("job", "1min"), environments=[place], assumptions=short))
    rows = result.instances.to_dict("records")
    assert [(row["instance_type"], row["end_reason"]) for row in rows] == [
        ("c6i.large", "InsufficientInstanceCapacity"),
        ("m6i.large", "scaled in: idle"),
    ]
    assert (rows[0]["cost_usd"], result.summary["ended_at_s"]) == (0, 60)


def test_best_fit_waits_for_the_one_type(run):
    place = cloud(64, "c6i.large", "m6i.large", allocationStrategy="BEST_FIT")
    short = {"insufficientCapacity": {"c6i.large": 0.9}, "launchCooloff": "10min"}
    result = run(scenario(submit("job", "1min"), environments=[place], assumptions=short))
    kinds = set(launched(result))
    failed = len(result.instances) - 1
    assert kinds == {"c6i.large"}
    assert failed > 0
    assert list(result.jobs["start_s"]) == [600 * failed]


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"allocationStrategy": "BEST_FIT_PROGRESSIVE_ORDERED"}, "is for type EC2"),
        ({"type": "EC2"}, "is for type SPOT; use BEST_FIT_PROGRESSIVE"),
        ({"bidPercentage": 0}, "bidPercentage: expected 1 to 100, found 0"),
        ({"bidPercentage": 101}, "bidPercentage: expected a value of at most 100, found 101"),
    ],
)
def test_what_a_spot_environment_may_say(problems_of, resources, said):
    (problem,) = problems_of(scenario(submit("job", "1min"), environments=[spot(64, "c6i", **resources)]))
    assert said in problem


@pytest.mark.parametrize(
    ("column", "value"),
    [("billed_s", 3000), ("cost_usd", 0.1), ("billing", "ec2"), ("end_reason", "scaled in: idle")],
)
def test_the_audit_catches_a_bill_for_an_instance_that_is_free(run, monkeypatch, column, value):
    interrupted_at(50, monkeypatch)
    result = run(scenario(submit("job", "2h"), environments=[spot(2, "c6i.large")], assumptions=OFTEN))
    frames = {name: frame.copy() for name, frame in result.frames.items()}
    values = frames["instances"][column]
    frames["instances"][column] = (
        values.astype(object)
        .map(lambda _: value)
        .astype("category" if isinstance(value, str) else values.dtype)
    )
    assert "L13" in {each.law for each in audit_frames(frames, result.summary, result.manifest)}
