"""Sections 3 and 6 of the specification, rule by rule: what environments launch, hold, keep and cost."""

from __future__ import annotations

from typing import Any

import pytest

from batchsim.core.feasibility import RESOURCE_REQUIREMENT
from batchsim.errors import InputError
from batchsim.studies.check import check
from tests.spec.scenarios import each_attempt, each_job, queue, scenario, submit
from tests.spec.test_spec_capacity import cloud, launched
from tests.spec.test_spec_fargate import fargate, on_fargate
from tests.spec.test_spec_fargate import job as task
from tests.studies.scenarios import definition, unmanaged

HOUR = 3600
SIZES = [definition(f"vcpus{number}", number, 100) for number in (2, 4, 20, 32, 48)]


def of_cloud(at: str, **what: Any) -> dict[str, Any]:
    return {"at": at, "update": {"computeEnvironment": "cloud", **what}}


# --- vCPUs [spec 3.2] -----------------------------------------------------------------------------


def test_spec_3_2_asking_for_fewer_desired_vcpus_than_there_are_gives_back_none(run):
    result = run(
        scenario(
            submit("job", "1h", count=8),
            of_cloud("10min", desiredvCpus=2),
            environments=[cloud(8, "c6i.large")],
        )
    )
    assert list(result.instances["ended_s"]) == [HOUR] * 4


@pytest.mark.parametrize(("desired", "refused"), [(1, True), (2, False), (8, False), (9, True)])
def test_spec_3_2_desired_vcpus_lie_between_the_minimum_and_the_maximum(problems_of, desired, refused):
    said = problems_of(
        scenario(
            submit("job", "1h"),
            of_cloud("10min", desiredvCpus=desired),
            environments=[cloud(8, "c6i.large", minvCpus=2)],
        )
    )
    assert [
        "desiredvCpus: expected a number between minvCpus = 2 and maxvCpus = 8" in one for one in said
    ] == ([True] if refused else [])


@pytest.mark.parametrize(("minimum", "stays"), [(4, True), (0, False)])
def test_spec_3_2_a_large_instance_stays_or_goes_and_is_not_swapped_for_a_smaller_one(run, minimum, stays):
    result = run(
        scenario(
            submit("job", "1h", definition="vcpus32"),
            of_cloud("10min", minvCpus=minimum),
            submit("late", "1min", at="5h"),
            environments=[cloud(64, "c6i.large", "c6i.8xlarge")],
            definitions=SIZES,
        )
    )
    first, *others = result.instances.to_dict("records")
    assert (first["instance_type"], first["ended_s"] == HOUR) == ("c6i.8xlarge", not stays)
    assert [each["instance_type"] for each in others] == ([] if stays else ["c6i.large"])


def test_spec_3_2_instances_count_with_all_their_vcpus_and_tasks_with_those_of_their_jobs(run):
    instances = run(scenario(submit("job", "1h", count=6), environments=[cloud(4, "c6i.xlarge")]))
    assert list(instances.jobs["start_s"]) == [0] * 4 + [HOUR] * 2
    assert instances.timeseries.query("kind == 'environment'")["provisioned_vcpus"].max() == 4
    tasks = run(on_fargate(task("1h", count=6), environments=[fargate(4)]))
    assert list(tasks.jobs["start_s"]) == [0] * 4 + [HOUR] * 2
    last = tasks.timeseries.query("kind == 'environment' and t_s >= 3600")["provisioned_vcpus"]
    assert last.max() == 2


# --- which types [spec 3.3, 3.4] ------------------------------------------------------------------


def test_spec_3_3_an_environment_has_one_architecture(run):
    with pytest.raises(InputError, match=r"one architecture per compute environment: c6i\.large is x86_64"):
        run(scenario(submit("job", "1h"), environments=[cloud(8, "c6i.large", "c6g.large")]))


@pytest.mark.parametrize(
    ("bundle", "families"),
    [
        ("optimal", {"m6i", "c6i", "r6i", "c7i"}),
        ("default_x86_64", {"m6i", "c6i", "r6i", "c7i"}),
        ("default_arm64", {"m6g", "c6g", "r6g", "c7g"}),
    ],
)
def test_spec_3_3_a_bundle_launches_the_cheapest_of_its_families_that_holds_the_job(run, bundle, families):
    jobs = [definition(f"of{gib}", 1, gib * 1024 - 1200) for gib in (2, 4, 8)]
    result = run(
        scenario(
            *(submit(f"job{gib}", "1h", definition=f"of{gib}") for gib in (2, 4, 8)),
            environments=[cloud(64, bundle)],
            definitions=jobs,
            assumptions={"memoryModel": "registered", "sizeTiebreak": "smallest_fitting"},
        )
    )
    used = {name.partition(".")[0] for name in launched(result)}
    assert used <= families
    assert len(used) == 1


def test_spec_3_4_best_fit_takes_the_cheapest_instance_that_holds_a_job_and_no_larger_one(run):
    place = cloud(64, "c6i.xlarge", "m6i.large", "c6i.large", allocationStrategy="BEST_FIT")
    assert launched(run(scenario(submit("job", "1h", count=4), environments=[place]))) == ["c6i.large"] * 2


@pytest.mark.parametrize(
    ("tiebreak", "max_vcpus", "chosen"),
    [
        ("largest_not_exceeding_demand", 64, ["c6i.4xlarge", "c6i.xlarge"]),
        ("largest_not_exceeding_demand", 8, ["c6i.2xlarge"]),
        ("smallest_fitting", 64, ["c6i.xlarge"] * 5),
    ],
)
def test_spec_3_4_the_size_inside_a_family_is_an_assumption(run, tiebreak, max_vcpus, chosen):
    result = run(
        scenario(
            submit("job", "1h", count=5, definition="vcpus4"),
            environments=[cloud(max_vcpus, "c6i")],
            definitions=SIZES,
            assumptions={"sizeTiebreak": tiebreak},
            horizon="30min",
        )
    )
    assert launched(result) == chosen


def test_spec_3_4_where_no_size_is_within_the_demand_it_is_the_smallest_that_fits(run):
    result = run(
        scenario(submit("job", "1h", count=3), environments=[cloud(64, "c6i.8xlarge", "c6i.4xlarge")])
    )
    assert launched(result) == ["c6i.4xlarge"]


@pytest.mark.parametrize(
    ("vcpus", "chosen"), [(2, "m7a.4xlarge"), (20, "m7a.8xlarge"), (32, "m7a.8xlarge"), (48, "m7a.12xlarge")]
)
def test_spec_3_4_ordered_skips_what_is_too_small_and_expands_the_family_by_what_fits_best(
    run, vcpus, chosen
):
    place = cloud(256, "m7a.4xlarge", "m7a", "m6a", allocationStrategy="BEST_FIT_PROGRESSIVE_ORDERED")
    data = scenario(submit("job", "1h", definition=f"vcpus{vcpus}"), environments=[place], definitions=SIZES)
    assert launched(run(data)) == [chosen]


def test_spec_3_4_ordered_falls_back_to_larger_sizes_and_then_to_the_next_entry(run):
    place = cloud(256, "m7a.4xlarge", "m7a", "m6a", allocationStrategy="BEST_FIT_PROGRESSIVE_ORDERED")
    data = scenario(
        submit("job", "1h", definition="vcpus32"),
        environments=[place],
        definitions=SIZES,
        assumptions={"launchCooloff": "2h"},
    )
    nothing_of = [f"m7a.{size}xlarge" for size in (8, 12, 16)]
    short = {"hourly": [1] * 6 + [0] * 18}
    data["assumptions"]["capacityShortages"] = [{"instanceTypes": nothing_of, **short}]
    assert launched(run(data)) == [*nothing_of, "m7a.24xlarge"]
    data["assumptions"]["capacityShortages"] = [{"instanceTypes": ["m7a"], **short}]
    assert launched(run(data))[-1] == "m6a.8xlarge"


# --- memory and GPUs [spec 3.6, 3.7] --------------------------------------------------------------

REGISTERED = {
    "m5.large": 7690,
    "m5.xlarge": 15586,
    "m5.2xlarge": 31377,
    "m5.4xlarge": 62960,
    "m5.12xlarge": 189294,
    "m5.24xlarge": 378665,
    "m4.large": 7984,
    "m4.xlarge": 16048,
    "r4.large": 15292,
    "g4dn.xlarge": 15731,
    "inf1.xlarge": 7667,
    "c5.large": 3714,
    "c5.xlarge": 7634,
    "c5.2xlarge": 15473,
    "c5.4xlarge": 31152,
    "c5.9xlarge": 70351,
    "c5.18xlarge": 140780,
    "c4.large": 3765,
    "c4.8xlarge": 60385,
    "r4.16xlarge": 491809,
    "t3.medium": 3828,
    "trn1.32xlarge": 507821,
}


@pytest.mark.parametrize("name", REGISTERED)
def test_spec_3_6_a_type_of_the_table_holds_what_it_registers_less_32_mib(load, name):
    data = scenario(
        submit("most", "1h", definition="most"),
        submit("more", "1h", definition="more"),
        environments=[unmanaged("lab", {"instanceType": name})],
        definitions=[
            definition("most", 1, REGISTERED[name] - 32),
            definition("more", 1, REGISTERED[name] - 31),
        ],
        assumptions={"memoryModel": "registered"},
    )
    told = {each.group: each.reason for each in check(load(data)).findings}
    assert told == {"most": None, "more": RESOURCE_REQUIREMENT}


GPUS = {
    1: ["g4dn.xlarge", "g4dn.2xlarge", "g4dn.4xlarge", "g4dn.8xlarge", "g4dn.16xlarge"],
    4: ["g4dn.12xlarge", "p3.8xlarge"],
    8: ["g5.48xlarge", "g6.48xlarge", "p3.16xlarge", "p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge"],
}
GPUS[1] += [f"{family}.{size}xlarge" for family in ("g5", "g6") for size in ("", 2, 4, 8, 16)] + [
    "p3.2xlarge"
]
GPUS[4] += [f"{family}.{size}xlarge" for family in ("g5", "g6") for size in (12, 24)]
GPUS[8] += ["p6-b200.48xlarge"]


@pytest.mark.parametrize(("name", "gpus"), [(name, gpus) for gpus, names in GPUS.items() for name in names])
def test_spec_3_7_so_many_jobs_of_one_gpu_run_on_a_type(run, name, gpus):
    result = run(
        scenario(
            submit("job", "1h", count=gpus + 1, definition="gpu"),
            environments=[unmanaged("lab", {"instanceType": name, "usdPerHour": 1})],
            definitions=[definition("gpu", 1, 100, gpus=1)],
        )
    )
    assert list(result.jobs["start_s"]) == [0] * gpus + [HOUR]


@pytest.mark.parametrize("value", ["0.5", "1.5"])
def test_spec_3_7_a_gpu_is_a_whole_one(problems_of, value):
    data = scenario(submit("job", "1h"), environments=[cloud(8, "g4dn.xlarge")])
    data["jobDefinitions"][0]["containerProperties"]["resourceRequirements"] += [
        {"type": "GPU", "value": value}
    ]
    (said,) = problems_of(data)
    assert f"expected 1 to 10000 whole GPUs, found '{value}'" in said


def test_spec_3_7_jobs_without_gpus_can_starve_those_that_want_one(run):
    result = run(
        scenario(
            submit("plain", "1h", definition="vcpus48"),
            submit("gpu", "1min", at="1min", definition="gpu"),
            environments=[cloud(48, "g5.12xlarge")],
            definitions=[*SIZES, definition("gpu", 1, 100, gpus=1)],
        )
    )
    assert each_job(result, "start_s") == {"plain-0": 0, "gpu-0": HOUR}


# --- placement and scale-down [spec 3.8] ----------------------------------------------------------


def test_spec_3_8_jobs_go_to_the_fullest_instance_that_holds_them_so_that_others_drain(run):
    lab = unmanaged("lab", {"vcpus": 4, "memory": "1TiB", "count": 2})
    data = scenario(
        submit("a", "1h", definition="vcpus4"),
        submit("b", "2h", definition="vcpus2"),
        submit("c", "1h", at="90min", count=2),
        submit("d", "1h", at="91min"),
        environments=[lab],
        definitions=SIZES,
    )
    host = dict(zip(each_attempt(run(data), "job"), each_attempt(run(data), "instance"), strict=True))
    assert host["a-0"] != host["b-0"] == host["c-0"] == host["c-1"] != host["d-0"]


def test_spec_3_8_an_idle_instance_goes_after_two_minutes_at_the_next_decision(run):
    result = run(
        scenario(submit("job", "10min"), environments=[cloud(2, "c6i.large")], assumptions={"preset": "aws"})
    )
    (row,) = result.instances.to_dict("records")
    (end,) = result.jobs["end_s"]
    assert end + 120 <= row["ended_s"] <= end + 150
    assert row["ended_s"] % 30 == 0
    assert row["tail_usd"] > 0


def test_spec_3_8_one_long_job_keeps_a_whole_large_instance(run):
    result = run(
        scenario(
            submit("long", "10h"),
            submit("short", "1h", count=31),
            environments=[cloud(32, "c6i.8xlarge")],
        )
    )
    (row,) = result.instances.to_dict("records")
    assert (row["ended_s"], row["cost_usd"]) == (10 * HOUR, 13.6)


@pytest.mark.parametrize(("seconds", "billed"), [(20, 60), (60, 60), (61, 61), (3599, 3599)])
def test_spec_3_8_an_instance_is_billed_by_the_second_and_for_a_minute_at_least(run, seconds, billed):
    result = run(scenario(submit("job", f"{seconds}s"), environments=[cloud(2, "c6i.large")]))
    assert list(result.instances["billed_s"]) == [billed]


# --- unmanaged environments [spec 6] --------------------------------------------------------------


def test_spec_6_machines_of_an_unmanaged_environment_are_there_whatever_there_is_to_do(run):
    lab = unmanaged("lab", {"instanceType": "c6i.large", "count": 2})
    result = run(
        scenario(
            submit("job", "1h"),
            submit("many", "1h", at="10h", count=6),
            environments=[lab],
            horizon="20h",
        )
    )
    assert list(result.instances["requested_s"]) == [0, 0]
    assert result.instances["ended_s"].isna().all()
    assert each_job(result, "start_s") == {
        "job-0": 0,
        **{f"many-{number}": (10 if number < 4 else 11) * HOUR for number in range(6)},
    }


def test_spec_6_without_machines_jobs_wait_for_ever(run):
    data = scenario(submit("job", "1h"), environments=[unmanaged("lab"), cloud(8, "c6i.large")])
    data["jobQueues"] = [queue("q", "lab"), queue("other", "cloud")]
    data["workload"].append(submit("other", "10h", queue="other"))
    result = run(data)
    assert result.summary["outcome"] == "stalled"
    assert each_job(result, "state") == {"job-0": "RUNNABLE", "other-0": "SUCCEEDED"}


@pytest.mark.parametrize(
    "resources", [{"type": "FARGATE", "maxvCpus": 8}, {"type": "EC2", "minvCpus": 1, "maxvCpus": 8}]
)
def test_spec_6_an_unmanaged_environment_has_no_compute_resources(problems_of, resources):
    lab = unmanaged("lab", {"vcpus": 1, "memory": "1GiB"}) | {"computeResources": resources}
    (said,) = problems_of(scenario(submit("job", "1h"), environments=[lab]))
    assert "computeResources does not belong to UNMANAGED environments" in said


def test_spec_6_unmanaged_vcpus_count_for_the_fair_share_reservation_only(run):
    def in_use(**lab: int) -> int:
        data = scenario(
            submit("job", "1h", count=8, shareIdentifier="a"),
            environments=[unmanaged("lab", {"vcpus": 8, "memory": "1TiB"}) | lab],
            schedulingPolicies=[{"name": "fair", "fairsharePolicy": {"computeReservation": 50}}],
        )
        data["jobQueues"][0]["schedulingPolicyArn"] = "fair"
        return int((run(data).jobs["start_s"] == 0).sum())

    assert in_use(unmanagedvCpus=4) == 2
    assert in_use(unmanagedvCpus=8) == 4
