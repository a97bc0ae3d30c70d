"""Mean waits against queueing theory, through scenario text, workload, scheduler and driver."""

from __future__ import annotations

import numpy as np
import pytest

import batchsim
from batchsim.drivers.planning import prepare
from batchsim.drivers.simulated import simulate
from batchsim.results.recording import Recorder
from batchsim.workload import build_workload
from tests import queueing

SCENARIO = """
batchsim: 1
computeEnvironments:
  - computeEnvironmentName: slots
    type: UNMANAGED
    instances: [{{vcpus: 1, memory: 1GiB, count: {servers}}}]
jobQueues: [{queues}]
jobDefinitions:
  - jobDefinitionName: one
    type: container
    containerProperties:
      {{image: one, resourceRequirements: [{{type: VCPU, value: "1"}}, {{type: MEMORY, value: "1024"}}]}}
workload: [{workload}]
assumptions: {{preset: ideal}}
"""
QUEUE = (
    "{{jobQueueName: q{n}, priority: {priority},"
    " computeEnvironmentOrder: [{{order: 1, computeEnvironment: slots}}]}}"
)
ENTRY = (
    "{{name: w{n}, jobQueue: q{n}, jobDefinition: one, count: {count},"
    " arrivals: {{poisson: {{rate: {rate}/s}}}}, runtime: {runtime}}}"
)


def scenario(servers: int, rates: list[float], count: int, runtime: str) -> batchsim.Scenario:
    """One queue a rate, the first with the highest priority; `count` jobs in proportion to the rates."""
    total = sum(rates)
    return batchsim.parse_scenario(
        SCENARIO.format(
            servers=servers,
            queues=", ".join(QUEUE.format(n=n, priority=len(rates) - n) for n in range(len(rates))),
            workload=", ".join(
                ENTRY.format(n=n, count=round(count * rate / total), rate=rate, runtime=runtime)
                for n, rate in enumerate(rates)
            ),
        )
    )


def mean_waits(wanted: batchsim.Scenario, replication: int, queues: int) -> list[float]:
    """Mean wait in seconds by queue, the first tenth of all jobs left out."""
    workload = build_workload(wanted, seed=11, replication=replication)
    setup = prepare(wanted, workload, 11, replication)
    recorder = Recorder(len(workload))
    simulate(setup.plan, setup.world, recorder)
    waits = (np.array(recorder.started_us) - workload.submit_us) / 1e6
    queue = np.array([int(each.queue[1:]) for each in workload.classes])[workload.job_class]
    warm = np.arange(len(workload)) >= len(workload) // 10
    return [float(waits[warm & (queue == n)].mean()) for n in range(queues)]


# servers, arrivals, replications: the closer to saturation, the more it takes for a narrow interval
MMC = [(1, 0.8, 20), (2, 1.6, 20), (10, 8.0, 20), (10, 9.0, 45)]


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "arrivals", "replications"), MMC)
def test_mean_wait_of_mmc(servers, arrivals, replications):
    wanted = scenario(servers, [arrivals], 200_000, "{exponential: {mean: 1s}}")
    means = [mean_waits(wanted, replication, 1)[0] for replication in range(replications)]
    assert queueing.t_interval(means).confirms(queueing.mmc_wait(arrivals, 1, servers))


@pytest.mark.slow
def test_mean_wait_of_md1():
    wanted = scenario(1, [0.8], 200_000, "{constant: 1s}")
    means = [mean_waits(wanted, replication, 1)[0] for replication in range(20)]
    assert queueing.t_interval(means).confirms(queueing.mg1_wait(0.8, 1, 0))


@pytest.mark.slow
def test_mean_wait_of_mg1_with_gamma_service():
    wanted = scenario(1, [0.8], 200_000, "{gamma: {mean: 1s, cv: 2}}")
    means = [mean_waits(wanted, replication, 1)[0] for replication in range(30)]
    assert queueing.t_interval(means).confirms(queueing.mg1_wait(0.8, 1, 4), precision=0.06)


@pytest.mark.slow
def test_mean_waits_of_three_priorities():
    rates = [2.0, 3.0, 3.0]
    wanted = scenario(10, rates, 200_000, "{exponential: {mean: 1s}}")
    rows = [mean_waits(wanted, replication, 3) for replication in range(20)]
    for queue, theory in enumerate(queueing.mmc_priority_waits(rates, 1, 10)):
        assert queueing.t_interval([row[queue] for row in rows]).confirms(theory)


def test_a_small_mm1_run_is_near_its_theory():
    wanted = scenario(1, [0.5], 50_000, "{exponential: {mean: 1s}}")
    assert mean_waits(wanted, 0, 1)[0] == pytest.approx(queueing.mmc_wait(0.5, 1, 1), rel=0.1)
