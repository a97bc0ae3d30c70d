"""Whom a pass sees together stands in order of submission, whoever became RUNNABLE first."""

from __future__ import annotations

import json

import batchsim

SCENARIO = {
    "batchsim": 1,
    "computeEnvironments": [
        {"computeEnvironmentName": "own", "type": "UNMANAGED", "instances": [{"vcpus": 1, "memory": "1GiB"}]}
    ],
    "jobQueues": [
        {
            "jobQueueName": "q",
            "priority": 1,
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "own"}],
        }
    ],
    "jobDefinitions": [
        {
            "jobDefinitionName": "d",
            "type": "container",
            "containerProperties": {"image": "i", "vcpus": 1, "memory": 16},
        }
    ],
    "assumptions": {"preset": "ideal", "schedulingInterval": "1s"},
    "workload": [
        {"name": "a", "arrivals": {"times": ["0s"]}, "runtime": "500ms"},
        {"name": "b", "arrivals": {"times": ["0s"]}, "runtime": "5s", "dependsOn": [{"group": "a"}]},
        {"name": "c", "arrivals": {"times": ["300ms"]}, "runtime": "5s"},
    ],
}


def test_a_job_released_after_another_came_goes_before_it_if_it_was_submitted_before(tmp_path):
    entries = [{"jobQueue": "q", "jobDefinition": "d", **each} for each in SCENARIO["workload"]]
    path = tmp_path / "s.json"
    path.write_text(json.dumps({**SCENARIO, "workload": entries}), encoding="utf-8")
    result = batchsim.run(batchsim.load_scenario(path))
    jobs = result.jobs.set_index("job")
    assert jobs["runnable_s"].to_dict() == {"a-0": 0, "b-0": 0.5, "c-0": 0.3}
    assert jobs["start_s"].to_dict() == {"a-0": 0, "b-0": 1, "c-0": 6}
    assert result.audit() == []
