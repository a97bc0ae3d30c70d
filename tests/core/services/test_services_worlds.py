"""Random small worlds: the scheduler and a slow, obvious one give the same commands at every instant."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from batchsim.core.plan import ExitRule, TimeLimit
from batchsim.core.services import invariants
from batchsim.core.services.plan import (
    NO_UNIT,
    QuotaSharePlan,
    ServiceClassPlan,
    ServiceEnvironmentPlan,
    ServicePlan,
    ServiceQueuePlan,
)
from batchsim.core.services.scheduler import ServiceScheduler
from batchsim.core.services.states import FAILED, HOLDING, LEGAL, RUNNABLE, SUBMITTED, SUCCEEDED
from tests.reference_services import SlowServices
from tests.service_worlds import HeapServices, ServiceWorld

REASONS = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:SERVICE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED",
)
RULES = ((), (ExitRule("fail*", None, None, retry=False),), (ExitRule("other", None, None, retry=False),))


class CheckedServices(ServiceScheduler):
    """Checks every law after every decision."""

    def decide(self, now):
        commands = super().decide(now)
        invariants.check(self)
        assert super().decide(now) == []
        return commands


small = st.integers(0, 3)


@st.composite
def shares(draw, units):
    return tuple(
        QuotaSharePlan(
            f"share{index}",
            tuple(draw(st.integers(0, 4)) for _ in range(units)),
            draw(st.sampled_from(["RESERVE", "LEND", "LEND_AND_BORROW", "LEND_AND_BORROW"])),
            draw(st.sampled_from([-1, 0, 50, 100, 200])),
            draw(st.booleans()),
        )
        for index in range(draw(st.integers(1, 4)))
    )


@st.composite
def plans(draw):
    """One environment of two instance types with quota shares, and one that up to three FIFO queues share."""
    divided = draw(shares(2))
    total = tuple(
        max(0, sum(share.limits[unit] for share in divided) + draw(st.integers(-2, 1))) for unit in (0, 1)
    )
    limits = st.lists(st.sampled_from(REASONS), unique=True, max_size=3).map(
        lambda chosen: tuple(TimeLimit(reason, 6) for reason in chosen)
    )
    queues = [ServiceQueuePlan("divided", 1, 0, quota_shares=divided, time_limits=draw(limits))]
    queues += [
        ServiceQueuePlan(name, draw(st.integers(1, 2)), 1, time_limits=draw(limits))
        for name in ("a", "b", "c")[: draw(small)]
    ]
    environments = [
        ServiceEnvironmentPlan("types", total),
        ServiceEnvironmentPlan("all", (draw(st.integers(1, 4)),)),
    ]
    classes = []
    for _ in range(draw(st.integers(1, 6))):
        queue = draw(st.sampled_from([0, 0, *range(len(queues))]))
        classes.append(
            ServiceClassPlan(
                queue,
                0 if queue else draw(st.sampled_from([0, 0, 0, 1, NO_UNIT])),
                draw(st.integers(1, 4)),
                attempts=draw(st.integers(1, 3)),
                rules=draw(st.sampled_from(RULES)),
                timeout_us=draw(st.sampled_from([0, 0, 3])),
                quota_share=-1 if queue else draw(st.integers(0, len(divided) - 1)),
                priority=draw(small),
                preemptions=draw(st.sampled_from([-1, -1, 0, 1])),
            )
        )
    class_of = draw(st.lists(st.integers(0, len(classes) - 1), min_size=1, max_size=14))
    return ServicePlan(environments, queues, classes, class_of)


@st.composite
def lending(draw):
    """One instance type, shares that lend and borrow, and jobs that all fit: capacity changes hands often."""
    divided = tuple(
        QuotaSharePlan(
            f"share{index}",
            (draw(st.integers(0, 4)),),
            draw(st.sampled_from(["LEND", "LEND_AND_BORROW", "LEND_AND_BORROW"])),
            draw(st.sampled_from([-1, -1, 100])),
            draw(st.booleans()),
        )
        for index in range(draw(st.integers(2, 4)))
    )
    total = (sum(share.limits[0] for share in divided),)
    classes = [
        ServiceClassPlan(
            0,
            0,
            draw(st.integers(1, 2)),
            attempts=draw(st.integers(1, 2)),
            quota_share=draw(st.integers(0, len(divided) - 1)),
            priority=draw(small),
            preemptions=draw(st.sampled_from([-1, -1, 1])),
        )
        for _ in range(draw(st.integers(3, 6)))
    ]
    class_of = draw(st.lists(st.integers(0, len(classes) - 1), min_size=4, max_size=14))
    queue = ServiceQueuePlan("divided", 1, 0, quota_shares=divided)
    return ServicePlan([ServiceEnvironmentPlan("types", total)], [queue], classes, class_of)


@st.composite
def cases(draw):
    lends = draw(st.booleans())
    plan = draw(lending() if lends else plans())
    jobs = len(plan.class_of)
    each = lambda values: draw(st.lists(values, min_size=jobs, max_size=jobs))
    requests = draw(
        st.lists(
            st.tuples(
                st.integers(0, 15),
                st.sampled_from(["job_cancelled", "job_terminated"]),
                st.integers(0, jobs - 1),
            ),
            max_size=3,
        )
    )
    return plan, ServiceWorld(
        submit=sorted(each(st.integers(0, 12))),
        runtime=each(st.integers(4, 15) if lends else st.integers(0, 8)),
        failures=each(st.sampled_from([0, 0, 0, 1, 2])),
        refusals=each(st.sampled_from([0, 0, 0, 1, 3])),
        pending=draw(small),
        download=draw(small),
        stop=draw(small),
        requests=sorted(requests),
    )


@given(cases())
def test_a_slow_and_obvious_scheduler_gives_the_same_commands(case):
    plan, world = case
    core = CheckedServices(plan)
    slow = SlowServices(plan)
    drive = HeapServices(world, core, slow)
    drive.run()
    assert list(core.state) == slow.state
    assert list(core.preemptions) == [job.preemptions for job in slow.jobs]
    assert list(core.attempt) == [job.attempts for job in slow.jobs]
    for job, state in enumerate(core.state):
        assert state in (SUCCEEDED, FAILED, RUNNABLE)
        assert (state == RUNNABLE) == (job in core.waiting_reasons())


class Watched(bytearray):
    """States of jobs that may change only along the table."""

    def __setitem__(self, job, after):
        before = self[job]
        assert after in ((SUBMITTED,) if before == 255 else LEGAL[before]), (before, after)
        super().__setitem__(job, after)


@given(cases())
def test_states_change_along_the_table_only_and_everybody_gets_on(case):
    plan, world = case
    core = ServiceScheduler(plan)
    core.state = Watched(core.state)
    HeapServices(world, core).run()
    assert not [state for state in core.state if state in HOLDING]


@given(cases(), st.integers(1, 4), st.integers(0, 3))
def test_a_grid_of_passes_breaks_no_law(case, interval, evaluation):
    plan, world = case
    gridded = ServicePlan(
        plan.environments,
        plan.queues,
        plan.classes,
        plan.class_of,
        scheduling_interval_us=interval,
        submit_evaluation_us=evaluation,
    )
    core = CheckedServices(gridded)
    drive = HeapServices(world, core)
    drive.run()
    assert all(
        now % interval == 0 for now, command in drive.log if command.startswith(("Schedule", "Preempt"))
    )
    assert not [state for state in core.state if state in HOLDING]


@given(cases())
def test_whoever_is_preempted_borrowed_or_was_in_the_way_and_somebody_gets_the_room(case):
    """Each decision's preemptions, judged from the counts alone."""
    plan, world = case
    core = Judged(plan)
    HeapServices(world, core).run()


class Judged(ServiceScheduler):
    """Looks at the room before and after each decision that preempts."""

    def decide(self, now):
        holding = {job for job, state in enumerate(self.state) if state in HOLDING}
        stopping = {job for job in holding if self.is_stopping(job)}
        commands = super().decide(now)
        victims = {command[1] for command in commands if command[0] == 2}
        assert not victims & stopping
        scheduled = {command[1] for command in commands if command[0] == 0}
        for victim in victims:
            kind = self.plan.classes[self.plan.class_of[victim]]
            share = self.plan.queues[kind.queue].quota_shares[kind.quota_share]
            before = self._instances((holding | scheduled) - stopping, kind)
            rivals = [
                self.plan.classes[self.plan.class_of[job]]
                for job, state in enumerate(self.state)
                if state == RUNNABLE and self.plan.classes[self.plan.class_of[job]].queue == kind.queue
            ]
            same = any(
                rival.quota_share == kind.quota_share and rival.priority > kind.priority and share.in_share
                for rival in rivals
            )
            assert same or before > share.limits[kind.unit], "it neither borrowed nor was in somebody's way"
        if victims:
            self._there_is_room_for_somebody()
        return commands

    def _instances(self, jobs, like):
        kinds = (self.plan.classes[self.plan.class_of[job]] for job in jobs)
        return sum(
            kind.instances
            for kind in kinds
            if (kind.queue, kind.quota_share, kind.unit) == (like.queue, like.quota_share, like.unit)
        )

    def _there_is_room_for_somebody(self):
        _, soon = self.desks()[0].quotas()
        heads = [job for job in self.desks()[0].heads() if job >= 0]
        kinds = [self.plan.classes[self.plan.class_of[job]] for job in heads]
        assert any(
            kind.unit >= 0 and soon.fits(kind.quota_share, kind.unit, kind.instances) for kind in kinds
        ), "room was made for nobody"


@example([3, 1, 2])
@given(st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_a_fifo_queue_is_served_in_order_and_fills_what_it_can(instances):
    """An exact oracle: with equal running times, job k starts when enough of those before it have ended."""
    limit = max(instances)
    plan = ServicePlan(
        [ServiceEnvironmentPlan("training", (limit,))],
        [ServiceQueuePlan("q", 1, 0)],
        [ServiceClassPlan(0, 0, each) for each in instances],
        range(len(instances)),
    )
    jobs = len(instances)
    drive = HeapServices(
        ServiceWorld([0] * jobs, [10] * jobs, [0] * jobs, [0] * jobs), ServiceScheduler(plan)
    )
    drive.run()
    begun = {int(text[13:-1]): now for now, text in drive.log}
    assert list(begun) == sorted(begun)
    now = 0
    for job, asked in enumerate(instances):
        held = lambda at, job=job: sum(instances[i] for i in range(job) if begun[i] <= at < begun[i] + 10)
        while held(now) + asked > limit:
            now += 10
        assert begun[job] == now
