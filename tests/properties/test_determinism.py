"""The same scenario and seed give the same bytes; relabelling and rescaling change nothing else."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import batchsim

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """
batchsim: 1
name: night
computeEnvironments:
  - computeEnvironmentName: od
    type: MANAGED
    computeResources:
      type: EC2
      allocationStrategy: BEST_FIT_PROGRESSIVE
      minvCpus: 4
      maxvCpus: 64
      instanceTypes: [c6i, m6i, r6i]
  - {computeEnvironmentName: own, type: UNMANAGED, instances: [{vcpus: 8, memory: 32GiB, count: 2}]}
jobQueues:
  - jobQueueName: high
    priority: 5
    computeEnvironmentOrder: [{order: 1, computeEnvironment: own}, {order: 2, computeEnvironment: od}]
  - {jobQueueName: low, priority: 1, computeEnvironmentOrder: [{order: 1, computeEnvironment: od}]}
jobDefinitions:
  - jobDefinitionName: a
    type: container
    containerProperties:
      {image: a, resourceRequirements: [{type: VCPU, value: "2"}, {type: MEMORY, value: "6000"}]}
    retryStrategy: {attempts: 3}
workload:
  - name: x
    jobQueue: low
    jobDefinition: a
    count: 150
    arrivals: {poisson: {rate: 200/h}}
    runtime: {lognormal: {median: 8m, p95: 30m}}
    failure: {rate: 0.1}
  - name: y
    jobQueue: high
    jobDefinition: a
    count: 40
    arrivals: {every: {interval: 1m}}
    runtime: {gamma: {mean: 5m, cv: 1.5}}
"""
COMMAND = [
    sys.executable,
    "-m",
    "batchsim",
    "run",
    "night.yaml",
    "--seed",
    "3",
    "-o",
    "out",
    "--format",
    "json",
]


def digest(folder: Path, hash_seed: str) -> str:
    """SHA-256 over everything that a run writes and prints."""
    folder.mkdir()
    (folder / "night.yaml").write_text(SCENARIO)
    done = subprocess.run(
        COMMAND,
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
        timeout=120,
    )
    total = hashlib.sha256(done.stdout)
    files = sorted((folder / "out").iterdir())
    assert len(files) >= 6
    for file in files:
        total.update(file.name.encode() + file.read_bytes())
    return total.hexdigest()


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path):
    digests = {digest(tmp_path / seed, seed) for seed in ("0", "1", "random")}
    assert len(digests) == 1


def test_another_seed_gives_another_result():
    scenario = batchsim.parse_scenario(SCENARIO)
    assert (
        batchsim.run(scenario, seed=1).summary["cost_usd"]
        != batchsim.run(scenario, seed=2).summary["cost_usd"]
    )


def test_renaming_queues_and_environments_changes_nothing_else():
    before = batchsim.run(batchsim.parse_scenario(SCENARIO), seed=5)
    text = SCENARIO
    for old, new in (("high", "zz-top"), ("low", "aa-bottom"), (" od", " elastic"), (" own", " lab")):
        text = text.replace(old, new)
    after = batchsim.run(batchsim.parse_scenario(text), seed=5)
    same = [name for name in before.jobs.columns if name not in {"queue", "environment"}]
    assert before.jobs[same].equals(after.jobs[same])


def test_an_entry_more_leaves_the_draws_of_the_others_alone():
    one = batchsim.run(
        batchsim.parse_scenario(
            SCENARIO, overrides=["computeEnvironments.od.computeResources.maxvCpus=4096"]
        ),
        seed=5,
    )
    more = (
        SCENARIO
        + "  - {name: z, jobQueue: low, jobDefinition: a, count: 5, arrivals: {atOnce: {}}, runtime: 1m}"
    )
    two = batchsim.run(
        batchsim.parse_scenario(more, overrides=["computeEnvironments.od.computeResources.maxvCpus=4096"]),
        seed=5,
    )
    columns = ["job", "submit_s"]
    kept = two.jobs[two.jobs["group"] != "z"][columns].reset_index(drop=True)
    assert kept.equals(one.jobs[columns])
