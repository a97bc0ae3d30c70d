"""An engine that does not answer, repeats itself or forgets to tell: nothing is lost or doubled."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.commands import LAUNCH
from batchsim.core.grid import NEVER
from batchsim.core.plan import Need
from batchsim.core.states import FAILED
from batchsim.drivers.containers import Containers
from batchsim.drivers.decisions import History, LoggedScheduler, is_told, read_log
from batchsim.drivers.gateway import RUN, GatewayLostError
from batchsim.drivers.reports import Inbox
from batchsim.drivers.simulated import simulate
from batchsim.drivers.wallclock import Reality, WallClockDriver
from batchsim.results.recording import Recorder
from tests.drivers.fakes import FakeClock, FakeGateway, FakePool
from tests.drivers.test_two_drivers import specify
from tests.harness import PlanBuilder, machine, managed
from tests.random_worlds import worlds

RUN_NAME = "faults"
COMPARED_EVERY_US = 7

faults = st.lists(st.sampled_from(["", "", "not heard", "not answered"]), max_size=60)
tellings = st.lists(st.sampled_from(["told", "told", "twice", "late", "never"]), max_size=40)


class Unhurried:
    """In place of the event on which calls wait before they are made again."""

    def wait(self, _: float) -> bool:
        return False

    def is_set(self) -> bool:
        return False

    def set(self) -> None: ...


class FaultyGateway:
    """Loses a request, or the answer to it, where the script says so."""

    SPARED = ("list", "networks")

    def __init__(self, gateway: FakeGateway, script: list[str]) -> None:
        self._gateway = gateway
        self._script = iter(script)
        self.created = Counter()

    def __getattr__(self, name):
        call = getattr(self._gateway, name)
        if name in self.SPARED:
            return call

        def made(*arguments):
            fault = next(self._script, "")
            if fault == "not heard":
                raise GatewayLostError("the connection was refused")
            if name == "create":
                self.created[arguments[0].name] += arguments[0].name not in self._gateway.containers
            answer = call(*arguments)
            if fault == "not answered":
                raise GatewayLostError("the connection was reset")
            return answer

        return made


class Run:
    """One run on a faulty engine."""

    def __init__(self, case, script, telling) -> None:
        builder, world, self.horizon = case
        self.plan, self.world = builder.plan(), builder.world(**world)
        self.recorder = Recorder(len(builder.submit_us))
        self.clock, self.log = FakeClock(), io.StringIO()
        self.engine = FakeGateway(self.plan, self.world, self.clock)
        self.gateway = FaultyGateway(self.engine, script)
        inbox = Inbox()
        pool = FakePool(self.clock, self.engine)
        self.containers = Containers([self.gateway], pool, self.clock, inbox)
        self.containers.closing = Unhurried()
        self._telling = iter(telling)
        self.engine.notify = self.tell
        self.core = LoggedScheduler(self.plan, self.log)
        reality = Reality(self.clock, inbox, self.containers, self.specify, witness=self.core.witness)
        WallClockDriver(self.core, self.world, self.recorder, reality).run(self.horizon)
        self.containers.close(0.0)
        self.clock.wait(Inbox(), self.clock.us + 1_000)  # for calls that were under way

    @staticmethod
    def specify(key, instance):
        spec = specify(key, instance)
        return replace(spec, labels={**spec.labels, RUN: RUN_NAME})

    def tell(self, notice) -> None:
        how = next(self._telling, "told")
        if how == "late":
            self.clock.after(3, lambda: self.containers.notice(notice))
        elif how != "never":
            for _ in range(2 if how == "twice" else 1):
                self.containers.notice(notice)
        self.clock.after(COMPARED_EVERY_US, lambda: self.containers.reconcile(0, RUN_NAME))


@given(worlds(everything=True), faults, tellings)
def test_no_container_is_lost_or_doubled_and_the_log_is_the_schedulers_own(case, script, telling):
    run = Run(case, script, telling)
    assert run.engine.containers == {}
    assert all(times == 1 for times in run.gateway.created.values())
    entries = list(read_log(run.log.getvalue().splitlines(), "log"))
    again = [json.loads(line) for line in History(run.plan, entries).log.splitlines()[1:]]
    assert again == [entry for entry in entries if is_told(entry)]


@given(worlds(), faults, tellings)
def test_jobs_end_as_they_would_have(case, script, telling):
    builder, world, _ = case
    builder.classes = [replace(each, timeout_us=0) for each in builder.classes]
    builder.machines = [replace(each, leaves_us=NEVER) for each in builder.machines]
    run = Run((builder, world, None), script, telling)
    recorder = Recorder(len(builder.submit_us))
    simulate(builder.plan(), builder.world(**world), recorder, horizon_us=None)
    for name in ("state", "attempts", "exit_code"):
        assert list(getattr(run.recorder, name)) == list(getattr(recorder, name)), name
    for job, state in enumerate(recorder.state):
        if state == FAILED:
            assert run.recorder.status_reason.get(job) == recorder.status_reason.get(job)


def test_a_log_tells_again_which_types_are_refused_until_an_instance_has_gone():
    builder = PlanBuilder([machine(2)], [managed([0], max_vcpus=8)])
    builder.job(0, 1, Need(1, 1, 0))
    log = io.StringIO()
    core = LoggedScheduler(builder.plan(), log)
    core.job_submitted(0, 0)
    assert core.decide(0) == [(LAUNCH, 0, 0, 0)]
    core.launch_failed(0, 0, (0,))
    assert core.decide(0) == []
    assert core.next_wakeup() is None
    entries = list(read_log(log.getvalue().splitlines(), "log"))
    assert History(builder.plan(), entries).log == log.getvalue()
