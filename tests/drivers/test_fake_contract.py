"""The fake engine keeps the contract of gateways; a real one is held to it in tests/docker."""

from __future__ import annotations

import pytest

from batchsim.core.plan import EnvironmentPlan, Need
from batchsim.drivers.containers import key_of
from batchsim.drivers.gateway import ContainerSpec, Key
from batchsim.drivers.reports import Inbox
from batchsim.drivers.world import Outcome
from tests.drivers.contract import CONTRACT, Bench, labels_of
from tests.drivers.fakes import FakeClock, FakeGateway
from tests.harness import SECOND, PlanBuilder, machine


class FakeBench(Bench):
    def __init__(self) -> None:
        builder = PlanBuilder([machine(1)], [EnvironmentPlan("e", (0,))])
        for job, (seconds, _) in enumerate(
            [(0, 3), (0, 0), (0, 0), (600, 0), (600, 0), (0, 0), (0, 0), (0, 0), (0, 0)]
        ):
            builder.job(0, seconds * SECOND, Need(1, 4, 0), timeout_us=job)  # a class of its own
        outcomes = [Outcome(script=((3, ""),)), *[Outcome()] * 6, Outcome(start_failure_rate=1.0), Outcome()]
        reason = "CannotPullContainerError: there is none"
        outcomes[7] = outcomes[7]._replace(start_failure_reason=reason)
        self.clock, self.inbox, self.told = FakeClock(), Inbox(), []
        world = builder.world(outcomes=outcomes)
        self.gateway = FakeGateway(builder.plan(), world, self.clock)
        self.gateway.notify = lambda notice: self.told.append((notice.kind, key_of(notice.labels)))

    def spec(self, job, *, seconds=0, exit_code=0):  # noqa: ARG002 - the world says so
        key = Key(job, 1, 0)
        return ContainerSpec(key, f"c{job}", "image", labels_of(key))

    def missing_image(self):
        return self.spec(7)

    def until(self, condition):
        for _ in range(1000):
            if condition():
                return
            self.clock.wait(self.inbox, self.clock.us + SECOND)
        raise AssertionError("it never came")

    def notices(self):
        return self.told


@pytest.mark.parametrize("law", CONTRACT, ids=lambda law: law.__name__)
def test_the_fake_engine_keeps_the_contract(law):
    law(FakeBench())
