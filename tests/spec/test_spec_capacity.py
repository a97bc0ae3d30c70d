"""How capacity arrives and goes, and how much of it: the examples of the behaviour specification."""

from __future__ import annotations

from typing import Any

import pytest

from batchsim.catalog import Catalog
from tests.spec.scenarios import scenario, submit
from tests.studies.scenarios import definition, managed


def cloud(max_vcpus: int, *types: str, state: str = "ENABLED", **resources: Any) -> dict[str, Any]:
    """A managed environment of these types; BEST_FIT_PROGRESSIVE unless something else is said."""
    environment = managed("cloud", max_vcpus, *types, state=state)
    environment["computeResources"] |= resources
    return environment


def usable_mib(name: str) -> int:
    return Catalog.load("us-east-1").usable_memory_mib(name, "registered")


def launched(result: Any) -> list[str]:
    """The types of the instances of a run, in the order of their launch."""
    return list(result.instances["instance_type"].astype(str))


def test_spec_38_the_second_environment_takes_what_the_first_cannot(run):
    first = managed("first", 4, "c6i.large")
    second = managed("second", 100, "c6i.large")
    result = run(
        scenario(
            submit("job", "1h", count=5, definition="pair"),
            environments=[first, second],
            definitions=[definition("pair", 2, 100)],
        )
    )
    names = result.instances["environment"].astype(str)
    assert sorted(names) == ["first"] * 2 + ["second"] * 3


@pytest.mark.parametrize(("strategy", "vcpus"), [("BEST_FIT_PROGRESSIVE", 16), ("BEST_FIT", 8)])
def test_spec_39_only_best_fit_stays_within_max_vcpus(run, strategy, vcpus):
    result = run(
        scenario(
            submit("job", "1h", count=16),
            environments=[cloud(10, "c6i.2xlarge", allocationStrategy=strategy)],
            horizon="30min",
        )
    )
    assert 8 * len(result.instances) == vcpus


@pytest.mark.parametrize(
    ("kind", "strategy", "may_exceed"),
    [
        ("EC2", "BEST_FIT", False),
        ("EC2", "BEST_FIT_PROGRESSIVE", True),
        ("EC2", "BEST_FIT_PROGRESSIVE_ORDERED", True),
        ("SPOT", "BEST_FIT", True),
        ("SPOT", "BEST_FIT_PROGRESSIVE", True),
        ("SPOT", "SPOT_CAPACITY_OPTIMIZED", True),
        ("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED", True),
        ("SPOT", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", True),
    ],
)
def test_spec_3_2_all_but_best_fit_on_demand_exceed_the_maximum_by_one_instance(
    run, kind, strategy, may_exceed
):
    def at_once(name: str, demand: int) -> list[str]:
        place = cloud(10, name, type=kind, allocationStrategy=strategy)
        return launched(
            run(scenario(submit("job", "1h", count=demand), environments=[place], horizon="30min"))
        )

    assert at_once("c6i.2xlarge", 16) == ["c6i.2xlarge"] * (2 if may_exceed else 1)
    assert at_once("c6i.8xlarge", 32) == ["c6i.8xlarge"] * may_exceed


@pytest.mark.parametrize(("max_vcpus", "instances"), [(8, 1), (9, 2)])
def test_spec_40_a_launch_needs_current_vcpus_below_max(run, max_vcpus, instances):
    result = run(
        scenario(
            submit("job", "1h", count=8),
            submit("late", "1h", at="1min"),
            environments=[cloud(max_vcpus, "c6i.2xlarge")],
            horizon="30min",
        )
    )
    assert len(result.instances) == instances


@pytest.mark.parametrize(
    ("memory", "chosen"), [(3000, "c6i.large"), (5000, "m6i.large"), (12_000, "r6i.large")]
)
def test_spec_41_the_cheapest_vcpu_that_holds_the_job(run, memory, chosen):
    result = run(
        scenario(
            submit("job", "1h", definition="that"),
            environments=[cloud(64, "c6i.large", "m6i.large", "r6i.large")],
            definitions=[definition("that", 1, memory)],
            assumptions={"memoryModel": "registered"},
        )
    )
    assert launched(result) == [chosen]


def test_spec_3_4_two_jobs_that_one_larger_instance_would_hold_get_two_of_the_cheapest_vcpu(run):
    result = run(
        scenario(
            submit("job", "1h", count=2, definition="that"),
            environments=[cloud(64, "c6i.large", "m6i.large", "r6i.large")],
            definitions=[definition("that", 1, 3000)],
            assumptions={"memoryModel": "registered"},
        )
    )
    assert launched(result) == ["c6i.large", "c6i.large"]
    assert result.summary["cost_usd"] == 0.17
    assert (usable_mib("c6i.large"), usable_mib("m6i.large")) == (3679, 7591)


def test_spec_42_ordered_takes_the_first_of_the_list(run):
    ordered = cloud(64, "m7a.4xlarge", "m7a", allocationStrategy="BEST_FIT_PROGRESSIVE_ORDERED")
    result = run(
        scenario(
            submit("job", "1h", definition="pair"),
            environments=[ordered],
            definitions=[definition("pair", 2, 100)],
        )
    )
    assert launched(result) == ["m7a.4xlarge"]


def test_a_family_of_the_ordered_list_is_used_by_what_fits_best(run):
    ordered = cloud(64, "r6i", "c6i", allocationStrategy="BEST_FIT_PROGRESSIVE_ORDERED")
    result = run(
        scenario(
            submit("job", "1h", definition="three"),
            environments=[ordered],
            definitions=[definition("three", 3, 100)],
        )
    )
    assert launched(result) == ["r6i.xlarge"]


def test_without_a_strategy_it_is_best_fit(load):
    environment = cloud(64, "c6i.large")
    del environment["computeResources"]["allocationStrategy"]
    read = load(scenario(submit("job", "1h"), environments=[environment]))
    assert read.computeEnvironments[0].computeResources.allocationStrategy == "BEST_FIT"


@pytest.mark.parametrize(("memory", "chosen"), [(7658, "m5.large"), (7659, "m5.xlarge"), (8192, "m5.xlarge")])
def test_spec_43_what_a_table_type_really_offers(run, memory, chosen):
    result = run(
        scenario(
            submit("job", "1h", definition="that"),
            environments=[cloud(64, "m5.large", "m5.xlarge", allocationStrategy="BEST_FIT")],
            definitions=[definition("that", 1, memory)],
            assumptions={"memoryModel": "registered"},
        )
    )
    assert launched(result) == [chosen]


@pytest.mark.parametrize(("memory", "instances"), [(1839, 1), (1840, 2)])
def test_spec_44_two_jobs_share_an_instance_up_to_the_formula(run, memory, instances):
    result = run(
        scenario(
            submit("job", "1h", count=2, definition="that"),
            environments=[cloud(64, "c6i.large")],
            definitions=[definition("that", 1, memory)],
            assumptions={"memoryModel": "registered"},
        )
    )
    assert len(result.instances) == instances


def test_spec_45_the_fifth_job_waits_for_a_gpu_though_vcpus_are_free(run):
    result = run(
        scenario(
            submit("job", "1h", count=5, definition="gpu"),
            environments=[cloud(48, "g5.12xlarge")],
            definitions=[definition("gpu", 1, 100, gpus=1)],
        )
    )
    assert list(result.jobs["start_s"]) == [0, 0, 0, 0, 3600]


def test_spec_46_an_instance_that_has_run_jobs_is_kept_for_the_delay(run):
    kept = cloud(2, "c6i.large", scalingPolicy={"minScaleDownDelayMinutes": 20})
    result = run(
        scenario(
            submit("first", "100min"),
            submit("second", "5min", at="110min"),
            environments=[kept],
        )
    )
    assert list(result.instances["ended_s"]) == [135 * 60]
    assert list(result.instances["billed_s"]) == [135 * 60]


def test_spec_46_an_instance_that_never_ran_a_job_is_not_held(run):
    kept = cloud(64, "c6i.large", desiredvCpus=2, scalingPolicy={"minScaleDownDelayMinutes": 20})
    result = run(scenario(submit("first", "1min", at="1h"), environments=[kept]))
    assert result.instances["ended_s"].iloc[0] == 0


def test_spec_3_8_the_delay_counts_from_the_last_job_of_each_instance(run):
    kept = cloud(4, "c6i.large", scalingPolicy={"minScaleDownDelayMinutes": 20})
    result = run(
        scenario(
            submit("short", "5min", definition="pair"),
            submit("long", "10min", definition="pair"),
            environments=[kept],
            definitions=[definition("pair", 2, 100)],
        )
    )
    assert list(result.instances["ended_s"]) == [25 * 60, 30 * 60]


@pytest.mark.parametrize(("minutes", "refused"), [(0, 0), (19, 1), (20, 0), (10_080, 0), (10_081, 1)])
def test_spec_3_8_the_delay_is_20_minutes_to_a_week_or_none(problems_of, minutes, refused):
    place = cloud(2, "c6i.large", scalingPolicy={"minScaleDownDelayMinutes": minutes})
    assert len(problems_of(scenario(submit("job", "1h"), environments=[place]))) == refused


@pytest.mark.parametrize("state", ["ENABLED", "DISABLED"])
def test_spec_47_min_vcpus_stay(run, state):
    other = managed("other", 64, "c6i.large")
    kept = managed("kept", 64, "c6i.2xlarge", state=state)
    kept["computeResources"]["minvCpus"] = 8
    result = run(
        scenario(submit("job", "1h"), environments=[kept, other], horizon="10h"),
    )
    ours = result.instances[result.instances["environment"].astype(str) == "kept"]
    assert len(ours) == 1
    assert ours["ended_s"].isna().all()
