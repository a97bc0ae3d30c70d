"""A machine that tells a scheduler anything, also the impossible: laws hold, illegal events are refused."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchsim.core.services import invariants
from batchsim.core.services.commands import FAIL, PREEMPT, SCHEDULE, STOP
from batchsim.core.services.plan import QuotaSharePlan, ServiceClassPlan, ServiceEnvironmentPlan, ServicePlan
from batchsim.core.services.plan import ServiceQueuePlan as Queue
from batchsim.core.services.scheduler import UNBORN, ServiceScheduler
from batchsim.core.services.states import FAILED, HOLDING, RUNNABLE, RUNNING, SCHEDULED, STARTING, SUBMITTED
from batchsim.core.shares import FairSharePolicy
from batchsim.errors import ContractError

JOBS = 40
SHARES = (
    QuotaSharePlan("owner", (3, 1), "LEND", in_share=True),
    QuotaSharePlan("borrower", (1, 0), "LEND_AND_BORROW", 200),
    QuotaSharePlan("greedy", (0, 1), "LEND_AND_BORROW", in_share=True),
    QuotaSharePlan("keeper", (2, 1)),
)
EVENTS = {
    "job_submitted": ((UNBORN,), ()),
    "training_starting": ((SCHEDULED,), ()),
    "training_started": ((STARTING,), ()),
    "attempt_exited": (HOLDING, ("failed",)),
    "capacity_refused": ((SCHEDULED,), ()),
}
HAPPENS_TO = {
    SCHEDULED: ["training_starting", "capacity_refused", "attempt_exited"],
    STARTING: ["training_started", "attempt_exited"],
    RUNNING: ["attempt_exited"],
}


def classes():
    quota = [
        ServiceClassPlan(
            0,
            unit,
            size,
            attempts=2,
            quota_share=share,
            priority=priority,
            timeout_us=40,
            preemptions=2 - priority,
        )
        for share in range(len(SHARES))
        for unit, size, priority in ((0, 1, 0), (0, 2, 1), (1, 1, 2), (0, 3, 3))
    ]
    plain = [ServiceClassPlan(1, 0, size, attempts=3) for size in (1, 2)]
    fair = [ServiceClassPlan(2, 0, size, share=share) for size in (1, 2) for share in (0, 1)]
    return quota + plain + fair


class Services(RuleBasedStateMachine):
    @initialize(kinds=st.lists(st.integers(0, len(classes()) - 1), min_size=JOBS, max_size=JOBS))
    def begin(self, kinds):
        environments = [ServiceEnvironmentPlan("types", (6, 3)), ServiceEnvironmentPlan("all", (4,))]
        queues = [
            Queue("divided", 1, 0, quota_shares=SHARES),
            Queue("plain", 2, 1),
            Queue("fair", 1, 1, fair_share=FairSharePolicy(share_decay_us=50, reservation_percent=25)),
        ]
        self.core = ServiceScheduler(ServicePlan(environments, queues, classes(), kinds, shares=("A", "B")))
        self.now = 0
        self.submitted = 0

    def everything(self):
        desks = [(vars(desk), desk.waiting_reasons()) for desk in self.core.desks()]
        own = {
            name: value
            for name, value in vars(self.core).items()
            if name not in {"plan", "_desks", "_desk_of"}
        }
        return repr(own) + repr([(sorted(fields), reasons) for fields, reasons in desks])

    @rule(step=st.integers(1, 30))
    def time_passes(self, step):
        self.now += step

    @precondition(lambda self: self.submitted < JOBS)
    @rule(count=st.integers(1, 4))
    def submit(self, count):
        for _ in range(min(count, JOBS - self.submitted)):
            self.core.job_submitted(self.now, self.submitted)
            self.submitted += 1

    @rule(pick=st.integers(0, JOBS - 1), chance=st.integers(0, 2), good=st.booleans())
    def something_happens(self, pick, chance, good):
        holding = [job for job, state in enumerate(self.core.state) if state in HOLDING]
        if holding:
            job = holding[pick % len(holding)]
            state = self.core.state[job]
            event = HAPPENS_TO[state][chance % len(HAPPENS_TO[state])]
            more = {"succeeded": True} if event == "attempt_exited" and good and state == RUNNING else {}
            getattr(self.core, event)(self.now, job, *EVENTS[event][1], **more)

    @rule(job=st.integers(0, JOBS - 1), event=st.sampled_from(["job_cancelled", "job_terminated"]))
    def request(self, job, event):
        if self.core.state[job] == UNBORN:
            with pytest.raises(ContractError):
                getattr(self.core, event)(self.now, job, "why")
        else:
            getattr(self.core, event)(self.now, job, "why")

    @rule(job=st.integers(0, JOBS - 1), event=st.sampled_from(sorted(EVENTS)))
    def the_impossible(self, job, event):
        states, arguments = EVENTS[event]
        if self.core.state[job] not in states:
            before = self.everything()
            with pytest.raises(ContractError):
                getattr(self.core, event)(self.now, job, *arguments)
            assert self.everything() == before

    @precondition(lambda self: self.core.now > 0)
    @rule(job=st.integers(0, JOBS - 1))
    def time_goes_back(self, job):
        before = self.everything()
        with pytest.raises(ContractError, match="L1"):
            self.core.job_terminated(self.core.now - 1, job, "why")
        assert self.everything() == before

    @rule()
    def decide(self):
        holding = [job for job, state in enumerate(self.core.state) if state in HOLDING]
        waiting = [job for job, state in enumerate(self.core.state) if state in (SUBMITTED, RUNNABLE)]
        for kind, job, *_ in self.core.decide(self.now):
            if kind == SCHEDULE:
                assert job in waiting
                holding.append(job)
                assert self.core.state[job] == SCHEDULED
            elif kind == FAIL:
                assert self.core.state[job] == FAILED
            else:
                assert kind in (STOP, PREEMPT)
                assert job in holding
                assert self.core.is_stopping(job)
        assert self.core.decide(self.now) == []
        wakeup = self.core.next_wakeup()
        assert wakeup is None or wakeup > self.now

    @invariant()
    def laws(self):
        if hasattr(self, "core"):
            invariants.check(self.core)


TestServices = Services.TestCase
TestServices.settings = settings(stateful_step_count=60, deadline=None)
