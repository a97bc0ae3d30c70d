"""The driver on SimPy's clock and one on a bare heap record the same, whatever the world."""

from __future__ import annotations

import pytest
from hypothesis import given

from batchsim.core.services.commands import describe
from batchsim.core.services.scheduler import ServiceScheduler
from batchsim.core.services.states import RUNNABLE
from batchsim.drivers import services
from batchsim.drivers.services import ServiceDriver, simulate_services
from batchsim.drivers.serviceworld import ServiceWorld
from batchsim.errors import StallError
from batchsim.workload import JobsEvent, ServiceClass
from tests.core.services.test_services_worlds import cases
from tests.service_worlds import HeapServices, ServiceBuilder

ACTIONS = {"job_cancelled": "cancel", "job_terminated": "terminate"}


class Logged(ServiceDriver):
    """Keeps the commands it obeys."""

    def __init__(self, plan, world):
        super().__init__(plan, world)
        self.log = []

    def _obey(self, now, command):
        self.log.append((now, describe(command)))
        super()._obey(now, command)


def world_of(plan, world) -> ServiceWorld:
    """The same world for the driver on SimPy: each job has a class of its own."""
    classes = [
        ServiceClass(
            group="g",
            queue="q",
            instance_type="ml.m5.large",
            instances=1,
            attempts=1,
            rules=(),
            timeout_us=None,
            quota_share=None,
            priority=0,
            preemptions=None,
            failure_rate=0.0,
            failure_exit_code=1,
            exit_codes=(1,) * failures + (0,),
            reasons=("",) * (failures + 1),
            refused_first=refusals,
            refusal_rate=0.0,
        )
        for failures, refusals in zip(world.failures, world.refusals, strict=True)
    ]
    requests = [
        JobsEvent(at, ACTIONS[event], (range(job, job + 1),), "as asked")
        for at, event, job in world.requests
        if world.submit[job] <= at
    ]
    return ServiceWorld(
        submit_us=world.submit,
        runtime_us=world.runtime,
        class_of=range(len(world.submit)),
        classes=classes,
        pending=world.pending,
        download=world.download,
        stop_us=world.stop,
        requests=requests,
    )


@given(cases())
def test_simpy_and_a_bare_heap_do_the_same(case):
    plan, world = case
    says = "Received status from SageMaker: AlgorithmError: , exit code: 1"
    world.reasons = dict.fromkeys(range(len(world.submit)), says)
    heap = HeapServices(world, ServiceScheduler(plan))
    heap.run()
    driver = Logged(plan, world_of(plan, world))
    recorder = driver.run(None)
    assert driver.log == heap.log
    assert list(recorder.state) == list(heap.core.state)
    assert list(recorder.scheduled_us) == heap.scheduled
    assert list(recorder.started_us) == heap.started
    assert list(recorder.ended_us) == heap.ended
    assert list(recorder.attempts) == list(heap.core.attempt)
    assert recorder.preemptions == heap.core.preemptions
    assert recorder.outcome == ("stalled" if RUNNABLE in heap.core.state else "finished")
    reasons = {job: text for job, text in recorder.status_reason.items() if job in heap.core.status_reason}
    assert reasons == heap.core.status_reason


def test_a_scheduler_that_goes_round_in_circles_is_found_out(monkeypatch):
    class Restless(ServiceScheduler):
        def decide(self, now):
            super().decide(now)
            return []

        def next_wakeup(self):
            return 0

    builder = ServiceBuilder()
    builder.job()
    monkeypatch.setattr(services, "ServiceScheduler", Restless)
    world = ServiceWorld(submit_us=[0], runtime_us=[1], class_of=[0], classes=[])
    with pytest.raises(StallError, match="decisions at 0 us"):
        simulate_services(builder.plan(), world)
