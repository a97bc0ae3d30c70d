"""A scheduler comes to rest, whatever keeps a job waiting; and it forgets nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchsim.core.commands import LAUNCH, START
from batchsim.core.consumables import ConsumablePlan
from batchsim.core.plan import EnvironmentPlan, Gang, Need, Plan, Policy, QueuePlan
from batchsim.core.scheduler import Scheduler
from batchsim.core.states import RUNNABLE
from batchsim.errors import ContractError
from tests.harness import Checked, PlanBuilder, machine, managed

ONE = Need(1, 1, 0)


def settle(core: Checked, now: int) -> None:
    """Decide at one instant until nothing is left to do; instances are ready and containers up at once."""
    for _ in range(20):
        commands = core.commands(now)
        if not commands:
            return
        for kind, index, *_ in commands:
            if kind == LAUNCH:
                core.tell("instance_ready", now, index)
            elif kind == START:
                core.tell("attempt_started", now, index)
    pytest.fail(f"it launches and terminates for ever: {len(core.instances)} instances at one instant")


def licensed(builder: PlanBuilder, total: int, quantity: int, *, replenishable: bool = True) -> Plan:
    """Every job takes so much of one consumable resource."""
    resource = ConsumablePlan("licences", total, replenishable=replenishable)
    return replace(
        builder.plan(),
        asks=[((0, quantity),)],
        consumables=[resource],
    )


@pytest.mark.parametrize("backfill", ["none", "greedy"])
def test_a_job_that_lacks_a_consumable_resource_for_ever_needs_no_instance_after_instance(backfill):
    builder = PlanBuilder([machine(2)], [managed([0], max_vcpus=4)], policy=Policy(backfill=backfill))
    for _ in range(2):
        builder.job(0, 10, ONE)
    core = Checked(licensed(builder, total=3, quantity=2, replenishable=False))
    for job in range(2):
        core.tell("job_submitted", 0, job)
    settle(core, 0)
    core.tell("attempt_exited", 10, 0, 0)
    settle(core, 10)
    assert core.state[1] == RUNNABLE


def test_a_job_behind_a_blocked_head_needs_no_instance_after_instance():
    """The head waits for a machine of the user; the job behind it could only run in the cloud, or later."""
    places = [EnvironmentPlan("own", (0,)), managed([1], max_vcpus=2)]
    builder = PlanBuilder([machine(8), machine(2)], places, [QueuePlan("q", 1, (0, 1))])
    for vcpus in (5, 5, 1):
        builder.job(0, 10, Need(vcpus, 1, 0))
    core = Checked(builder.plan())
    core.tell("instance_joined", 0, 0, 0)
    for job in range(3):
        core.tell("job_submitted", 0, job)
    settle(core, 0)
    assert list(core.state[1:]) == [RUNNABLE, RUNNABLE]
    core.tell("attempt_exited", 10, 0, 0)
    settle(core, 10)
    assert RUNNABLE not in core.state


def test_a_consumable_resource_that_a_lost_instance_frees_goes_to_the_next_job():
    builder = PlanBuilder([machine(1)], [EnvironmentPlan("own", (0,))])
    for _ in range(2):
        builder.job(0, 10, ONE)
    core = Checked(licensed(builder, total=1, quantity=1))
    for _ in range(2):
        core.tell("instance_joined", 0, 0, 0)
    for job in range(2):
        core.tell("job_submitted", 0, job)
    settle(core, 0)
    assert core.tell("instance_lost", 5, 0, "Host EC2 (instance i-0) terminated.") == [0]
    assert core.decide(5) == ["Start(job=1, instance=1)"]


def test_easy_backfilling_knows_neither_nodes_nor_consumable_resources():
    builder = PlanBuilder(
        [machine(2)], [managed([0], max_vcpus=4, gangs=True)], policy=Policy(backfill="easy")
    )
    builder.job(0, 10, ONE)
    for plan in (
        replace(builder.plan(), gangs=[Gang(nodes=(0, 0))], estimate_us=[10]),
        licensed(builder, total=1, quantity=1),
    ):
        with pytest.raises(ContractError, match="EASY backfilling"):
            Scheduler(plan)
