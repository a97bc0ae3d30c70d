"""Runs that are cut off."""

from __future__ import annotations

import pytest

import batchsim
from batchsim.studies.check import check

SCENARIO = """
batchsim: 1
computeEnvironments:
  - {computeEnvironmentName: own, type: UNMANAGED, instances: [{vcpus: 1, memory: 1GiB}]}
jobQueues: [{jobQueueName: q, computeEnvironmentOrder: [{order: 1, computeEnvironment: own}]}]
jobDefinitions:
  - jobDefinitionName: one
    type: container
    containerProperties:
      {image: one, resourceRequirements: [{type: VCPU, value: "1"}, {type: MEMORY, value: "512"}]}
workload:
  - {name: w, jobQueue: q, jobDefinition: one, arrivals: {times: [10s, 20s, 30s]}, runtime: 5s}
assumptions: {preset: ideal}
"""


@pytest.mark.parametrize(
    ("horizon", "outcome", "jobs", "later"),
    [
        ("5s", "horizon", 0, 3),  # before the first submission
        ("12s", "horizon", 1, 2),  # while a job runs
        ("17s", "horizon", 1, 2),  # all that were submitted have ended, but others would follow
        ("32s", "horizon", 3, 0),
        ("90s", "finished", 3, 0),
    ],
)
def test_a_run_that_is_cut_off_says_so(horizon, outcome, jobs, later):
    result = batchsim.run(batchsim.parse_scenario(SCENARIO, overrides=[f"horizon={horizon}"]))
    summary = result.summary
    assert (summary["outcome"], summary["jobs"], summary["jobs_not_submitted"]) == (outcome, jobs, later)
    assert summary["ended_at_s"] == (35 if outcome == "finished" else float(horizon[:-1]))
    assert result.audit() == []


def test_a_workload_that_draws_no_jobs_can_be_checked_and_run():
    nobody = ["workload.w.arrivals={poisson: {rate: 1/d}}", "workload.w.until=1s"]
    scenario = batchsim.parse_scenario(SCENARIO, overrides=nobody)
    (finding,) = check(scenario).findings
    assert (finding.jobs, finding.reason) == (0, None)
    assert batchsim.run(scenario).summary["jobs"] == 0


def test_who_gives_a_path_or_a_text_instead_is_told_what_is_expected():
    with pytest.raises(
        TypeError, match=r"expected a Scenario, as load_scenario\(path\) gives; found 's.yaml'"
    ):
        batchsim.run("s.yaml")
    with pytest.raises(TypeError, match=r"did you mean \['name=x'\]\?"):
        batchsim.load_scenario("s.yaml", "name=x")
