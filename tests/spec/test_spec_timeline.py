"""The reference timelines of the behaviour specification, with its defaults as constants [spec 5.3]."""

from __future__ import annotations

import numpy as np
import pytest

from tests.spec.scenarios import lab, scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.studies.scenarios import definition, unmanaged

MEDIANS = {
    "preset": "aws",
    "capacityReaction": "30s",
    "instanceLaunch": "20s",
    "instanceRegistration": "60s",
}


@pytest.mark.parametrize(
    ("changes", "column", "instant"),
    [
        ({}, "runnable_s", 1),
        ({}, "requested_s", 30),  # the scaling decision
        ({"instanceLaunch": "0s"}, "running_s", 60),  # so that the launch was accepted then
        ({}, "running_s", 80),
        ({}, "ready_s", 140),
        ({}, "placed_s", 140),
        ({}, "starting_s", 141),
        ({"containerStart": "0s"}, "started_s", 146),  # so that the image was there then
        ({}, "started_s", 148),
        ({}, "ended_s", 3748),
    ],
)
def test_one_job_on_an_empty_environment_second_by_second(run, changes, column, instant):
    data = scenario(
        submit("job", "1h"), environments=[cloud(2, "c6i.large")], assumptions=MEDIANS | changes, horizon="1d"
    )
    result = run(data)
    told: dict[str, float] = {}
    for frame in (result.attempts, result.instances, result.jobs):
        (row,) = frame.to_dict("records")
        told = {**row, **told}
    assert told[column] == instant


@pytest.mark.parametrize(
    ("kind", "assumptions", "pull_s"),
    [
        ("t2.nano", {}, 7.8125),  # it may burst to 0.512 Gbit/s, that is, 64 MB/s
        ("t2.nano", {"imagePullNetwork": "baseline"}, 125),  # 0.032 Gbit/s
        ("t2.nano", {"imagePullNetwork": "none"}, 5),
        ("t2.nano", {"imagePullRate": 40}, 12.5),
        ("t2.nano", {"imagePullRate": 0}, 0),
        ("t2.nano", {"preset": "measured", "imagePullSpread": 0, "imagePullRate": 100}, 7.8125),
        ("c6i.large", {"imagePullNetwork": "baseline"}, 5.121639),  # 0.781 Gbit/s
        ("c6i.xlarge", {"imagePullNetwork": "baseline"}, 5),  # 1.562 Gbit/s
    ],
)
def test_spec_53_a_pull_is_capped_by_the_network(run, kind, assumptions, pull_s):
    assumed = {"preset": "aws", "containerStart": "0s"} | assumptions
    job = submit("job", "1h")
    result = run(scenario(job, environments=[unmanaged("own", {"instanceType": kind})], assumptions=assumed))
    (attempt,) = result.attempts.to_dict("records")
    assert attempt["started_s"] - attempt["starting_s"] == pytest.approx(pull_s, abs=1e-9)


def test_spec_53_machines_of_ones_own_have_the_network_of_their_type_if_they_have_one(run):
    job = submit("job", "1h")
    assumed = {"preset": "aws", "containerStart": "0s"}
    for machine, pull_s in (({"instanceType": "t2.nano"}, 7.8125), ({"vcpus": 1, "memory": "512MiB"}, 5)):
        own = unmanaged("own", machine)
        (attempt,) = run(scenario(job, environments=[own], assumptions=assumed)).attempts.to_dict("records")
        assert attempt["started_s"] - attempt["starting_s"] == pytest.approx(pull_s, abs=1e-9)


def test_one_job_on_a_warm_host_that_has_the_image(run):
    first = submit("first", "10min")
    second = submit("second", "1min", at="800s")
    kept = cloud(2, "c6i.large", minvCpus=2)
    result = run(scenario(first, second, environments=[kept], assumptions=MEDIANS, horizon="1h"))
    (_, attempt) = result.attempts.to_dict("records")
    assert attempt["placed_s"] - 800 == 1
    assert attempt["starting_s"] - 800 == 2
    assert attempt["started_s"] - 800 == 4


def test_a_cold_start_by_the_measured_preset_takes_as_long_as_the_measured_whole(run):
    """[spec 5.3] The sum of the stages with an image of 1 GB: median 298 s, P95 461 s."""
    waits = []
    for seed in range(3):
        data = scenario(
            submit("job", "1h", count=300),
            environments=[cloud(600, "c6i.large")],
            definitions=[definition("two", 2, 1000)],
            assumptions={"preset": "measured", "imageSize": "1GB"},
        )
        data["workload"][0]["jobDefinition"] = "two"
        waits += list(run(data, seed=seed).jobs["start_s"])
    assert np.quantile(waits, 0.5) == pytest.approx(298, rel=0.05)
    assert np.quantile(waits, 0.95) == pytest.approx(461, rel=0.1)


def test_pulls_share_the_bandwidth_of_their_instance(run):
    """Two images of 500 MB at 50 MB/s, the second from half of the first on, then one that is there."""
    images = {"imagePullRate": 50, "imageSize": "500MB", "imagePullSharing": "instance"}
    kinds = [definition(name, 1, 100) for name in ("a", "b")]
    for kind in kinds:
        kind["containerProperties"]["image"] = f"{kind['jobDefinitionName']}:1"
    data = scenario(
        submit("first", "1min", definition="a"),
        submit("second", "1min", at="5s", definition="b"),
        submit("third", "1min", at="60s", definition="a"),
        environments=[lab(3)],
        definitions=kinds,
        assumptions=images,
    )
    assert list(run(data).jobs["start_s"]) == [15, 20, 60]
    data["assumptions"]["imagePullSharing"] = "none"
    assert list(run(data).jobs["start_s"]) == [10, 15, 60]


def test_pull_times_scatter_by_instance_and_image(run):
    pull = {"imagePullRate": 50, "imageSize": "500MB", "imagePullSpread": 0.5}
    environments = [unmanaged("lab", {"vcpus": 1, "memory": "1TiB", "count": 400})]
    data = scenario(submit("job", "1min", count=400), environments=environments, assumptions=pull)
    logs = np.log(run(data).jobs["start_s"] / 10)
    assert np.mean(logs) == pytest.approx(0, abs=0.1)
    assert np.std(logs) == pytest.approx(0.5, rel=0.1)


def test_pulls_of_many_instances_share_what_a_registry_gives(run):
    """Four machines at 100 MB/s each, 500 MB, and 250 MB/s for all of them."""
    machines = [unmanaged("own", {"vcpus": 1, "memory": "1GiB", "count": 4})]
    assumed = {"preset": "aws", "registryBandwidth": 250, "submitJobRate": 0, "containerStart": "1s"}
    result = run(scenario(submit("job", "1h", count=4), environments=machines, assumptions=assumed))
    assert (result.attempts["pulled_s"] - result.attempts["starting_s"]).round(6).tolist() == [8.0] * 4
    assert (result.attempts["started_s"] - result.attempts["pulled_s"]).round(6).tolist() == [1.0] * 4
    assert result.audit() == []
