"""The reference timelines of the behaviour specification, with its defaults as constants [spec 5.3]."""

from __future__ import annotations

from tests.spec.scenarios import scenario, submit
from tests.spec.test_spec_capacity import cloud

MEDIANS = {
    "preset": "aws",
    "capacityReaction": "30s",
    "instanceLaunch": "20s",
    "instanceRegistration": "60s",
}


def test_one_job_on_an_empty_environment_second_by_second(run):
    result = run(scenario(submit("job", "1h"), environments=[cloud(2, "c6i.large")], assumptions=MEDIANS))
    (instance,) = result.instances.to_dict("records")
    (attempt,) = result.attempts.to_dict("records")
    (job,) = result.jobs.to_dict("records")
    assert job["runnable_s"] == 1
    assert [instance[name] for name in ("requested_s", "running_s", "ready_s")] == [30, 80, 140]
    assert [attempt[name] for name in ("placed_s", "starting_s", "started_s")] == [140, 141, 148]
    assert (job["start_s"], job["end_s"]) == (148, 3748)


def test_one_job_on_a_warm_host_that_has_the_image(run):
    first = submit("first", "10min")
    second = submit("second", "1min", at="800s")
    kept = cloud(2, "c6i.large", minvCpus=2)
    result = run(scenario(first, second, environments=[kept], assumptions=MEDIANS, horizon="1h"))
    (_, attempt) = result.attempts.to_dict("records")
    assert attempt["placed_s"] - 800 == 1
    assert attempt["starting_s"] - 800 == 2
    assert attempt["started_s"] - 800 == 4
