"""Quota shares: the specification's examples, borrowing, and preemption, rule by rule."""

from __future__ import annotations

import copy

import pytest

from batchsim.core.plan import TimeLimit
from batchsim.core.services.plan import ServiceEnvironmentPlan, ServiceQueuePlan
from batchsim.core.services.quotas import Quotas
from batchsim.core.services.reasons import (
    ABOVE_BORROW_LIMIT,
    ABOVE_BORROWABLE,
    ABOVE_LIMIT,
    CROSS_SHARE,
    IN_SHARE,
    MAX_RESOURCE,
    NOTHING_IDLE,
    largest_job,
    never_runs,
)
from batchsim.core.services.states import FAILED, RUNNABLE, RUNNING, SCHEDULED
from batchsim.core.services.victims import Claim, Holder, Holders, choose
from tests.service_worlds import SECOND, ServiceBuilder, quota

BORROWS = "LEND_AND_BORROW"
CROSS = f"status_reason={CROSS_SHARE!r}"
INSIDE = f"status_reason={IN_SHARE!r}"


def begin(builder: ServiceBuilder, jobs: int):
    """A scheduler whose jobs are submitted at 0; those that find room are RUNNING."""
    core = builder.checked()
    core.submit(0, jobs)
    core.run(0, *core.scheduled(0))
    return core


def states(core, *jobs):
    return [core.state[job] for job in jobs]


# ---------------------------------------------------------------------------- the largest job of a share


def test_spec_55_a_share_borrows_up_to_its_limit_and_no_further():
    shares = (quota("mine", 2, strategy=BORROWS, borrow=100), quota("other", 8, strategy="LEND"))
    builder = ServiceBuilder.of_shares(*shares, limits=(10,))
    builder.job(4, 0)
    builder.job(5, 0)
    core = begin(builder, 2)
    assert states(core, 0, 1) == [RUNNING, RUNNABLE]
    assert core.waiting_reasons() == {1: ABOVE_BORROW_LIMIT}
    assert ABOVE_BORROW_LIMIT.startswith("MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED - ")


def test_spec_55_it_waits_while_nothing_is_idle():
    shares = (quota("mine", 2, strategy=BORROWS, borrow=100), quota("other", 8, strategy="LEND"))
    builder = ServiceBuilder.of_shares(*shares, limits=(10,))
    builder.job(7, 1)
    builder.job(4, 0)
    core = begin(builder, 2)
    assert states(core, 0, 1) == [RUNNING, RUNNABLE]
    assert core.waiting_reasons() == {1: NOTHING_IDLE}
    core.end(5, 0)
    assert core.scheduled(5) == [1]


@pytest.mark.parametrize(
    ("shares", "largest"),
    [
        ((quota("a", 4), quota("b", 4, strategy="LEND")), (4, 4)),
        ((quota("a", 2, strategy=BORROWS, borrow=100), quota("b", 8, strategy="LEND")), (4, 8)),
        ((quota("a", 4, strategy=BORROWS, borrow=200), quota("b", 4, strategy=BORROWS, borrow=200)), (8, 8)),
        ((quota("a", 4, strategy=BORROWS), quota("b", 4)), (4, 4)),
        ((quota("a", 0, strategy=BORROWS), quota("b", 4, strategy="LEND")), (4, 4)),
        ((quota("a", 0, strategy=BORROWS, borrow=900), quota("b", 4, strategy="LEND")), (0, 4)),
        ((quota("a", 3, strategy=BORROWS, borrow=50), quota("b", 9, strategy=BORROWS, borrow=0)), (4, 9)),
    ],
)
def test_the_largest_job_of_a_share(shares, largest):
    assert tuple(largest_job(shares, index, 0) for index in (0, 1)) == largest
    limits = (sum(share.limits[0] for share in shares),)
    for index, most in enumerate(largest):
        for instances in (most, most + 1):
            if not instances:
                continue
            builder = ServiceBuilder.of_shares(*shares, limits=limits)
            builder.job(instances, index)
            core = begin(builder, 1)
            assert core.state[0] == (RUNNING if instances == most else RUNNABLE)


@pytest.mark.parametrize(
    ("share", "instances", "reason"),
    [
        (quota("a", 4), 5, ABOVE_LIMIT),
        (quota("a", 4, strategy="LEND"), 5, ABOVE_LIMIT),
        (quota("a", 4, strategy=BORROWS, borrow=25), 6, ABOVE_BORROW_LIMIT),
        (quota("a", 4, strategy=BORROWS, borrow=200), 10, ABOVE_BORROWABLE),
        (quota("a", 4, strategy=BORROWS), 9, ABOVE_BORROWABLE),
        (quota("a", 4, strategy=BORROWS), 21, MAX_RESOURCE),
    ],
)
def test_why_a_job_of_a_share_can_never_run(share, instances, reason):
    builder = ServiceBuilder.of_shares(share, quota("b", 4, strategy=BORROWS), limits=(20,))
    builder.job(instances, 0)
    assert never_runs(builder.plan(), 0) == reason


def test_a_head_that_can_never_run_holds_up_its_share_only_until_its_time_is_up():
    limit = TimeLimit("MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED", 600 * SECOND)
    builder = ServiceBuilder.of_shares(quota("a", 2), quota("b", 2), limits=(4,), time_limits=(limit,))
    builder.job(3, 0)
    builder.job(1, 0)
    builder.job(1, 1)
    core = begin(builder, 3)
    assert states(core, 0, 1, 2) == [RUNNABLE, RUNNABLE, RUNNING]
    text = (
        "Terminated by JobStateTimeLimit action due to reason:"
        " MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED"
    )
    assert core.next_wakeup() == 600 * SECOND
    assert core.decide(600 * SECOND) == [f"Fail(job=0, status_reason={text!r})", "Schedule(job=1)"]


def test_a_job_of_higher_priority_begins_the_time_of_a_stuck_head_anew():
    limit = TimeLimit("MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED", 600 * SECOND)
    builder = ServiceBuilder.of_shares(quota("a", 2), limits=(4,), time_limits=(limit,))
    builder.job(3, 0)
    builder.job(3, 0, priority=1)
    core = builder.checked()
    core.submit(0)
    core.decide(0)
    core.submit(100 * SECOND)
    core.decide(100 * SECOND)
    assert core.next_wakeup() == 700 * SECOND
    assert core.decide(600 * SECOND) == []
    assert [each.split(",")[0] for each in core.decide(700 * SECOND)] == ["Fail(job=1"]
    assert core.next_wakeup() == 1300 * SECOND


# ---------------------------------------------------------------------------------- lending and borrowing


def test_what_is_reserved_is_not_lent():
    builder = ServiceBuilder.of_shares(quota("a", 4), quota("b", 4, strategy=BORROWS), limits=(8,))
    builder.job(4, 1)
    builder.job(1, 1)
    core = begin(builder, 2)
    assert states(core, 0, 1) == [RUNNING, RUNNABLE]


def test_what_belongs_to_no_share_is_not_lent():
    builder = ServiceBuilder.of_shares(
        quota("a", 1, strategy="LEND"), quota("b", 1, strategy=BORROWS), limits=(8,)
    )
    for _ in range(3):
        builder.job(1, 1)
    core = begin(builder, 3)
    assert states(core, 0, 1, 2) == [RUNNING, RUNNING, RUNNABLE]


def test_limits_are_by_instance_type():
    builder = ServiceBuilder.of_shares(quota("a", 1, 2), limits=(1, 2))
    builder.job(1, 0, unit=0)
    builder.job(2, 0, unit=1)
    builder.job(1, 0, unit=0)
    core = begin(builder, 3)
    assert states(core, 0, 1, 2) == [RUNNING, RUNNING, RUNNABLE]


def test_in_a_share_the_higher_priority_comes_first_then_the_earlier_job():
    builder = ServiceBuilder.of_shares(quota("a", 1), limits=(1,))
    for priority in (0, 0, 5, 5):
        builder.job(1, 0, priority=priority)
    core = builder.checked()
    core.submit(0, 4)
    order = []
    for now in range(4):
        (job,) = core.scheduled(now)
        order.append(job)
        core.run(now, job)
        core.end(now + 1, job)
    assert order == [2, 3, 0, 1]


def test_idle_capacity_goes_to_the_share_that_has_waited_longest():
    borrowers = [quota(name, 0, strategy=BORROWS) for name in ("b", "c", "d")]
    builder = ServiceBuilder.of_shares(quota("a", 2, strategy="LEND"), *borrowers, limits=(2,))
    builder.job(2, 0)
    builder.job(2, 3)
    builder.job(1, 1)
    builder.job(1, 2)
    core = builder.checked()
    core.submit(0)
    core.run(0, *core.scheduled(0))
    for now in (1, 2, 3):
        core.submit(now)
        assert core.scheduled(now) == []
    core.end(4, 0)
    assert core.scheduled(4) == [1]
    core.run(4, 1)
    core.end(5, 1)
    assert core.scheduled(5) == [2, 3]


def test_nobody_borrows_what_a_head_that_has_waited_longer_needs_more_of():
    shares = (quota("a", 3, strategy="LEND"), *(quota(name, 0, strategy=BORROWS) for name in "bc"))
    builder = ServiceBuilder.of_shares(*shares, limits=(3,))
    builder.job(2, 0)
    builder.job(2, 1)
    builder.job(1, 2)
    builder.job(1, 0)
    core = begin(builder, 3)
    assert states(core, 0, 1, 2) == [RUNNING, RUNNABLE, RUNNABLE]
    core.submit(1)
    core.run(1, *core.scheduled(1))  # what is its share's own may be used
    core.end(2, 0)
    assert core.scheduled(2) == [1]


def test_a_head_at_its_borrow_limit_does_not_keep_others_from_borrowing():
    shares = (
        quota("a", 3, strategy="LEND"),
        quota("b", 1, strategy=BORROWS, borrow=100),
        quota("c", 0, strategy=BORROWS),
    )
    builder = ServiceBuilder.of_shares(*shares, limits=(4,))
    for share in (1, 1, 1, 2):
        builder.job(1, share)
    core = begin(builder, 4)
    assert states(core, 0, 1, 2, 3) == [RUNNING, RUNNING, RUNNABLE, RUNNING]


def test_what_is_held_is_not_kept_from_its_owner():
    shares = (
        quota("a", 2, 2, strategy="LEND"),
        quota("s", 0, 1, strategy=BORROWS),
        quota("t", 0, 0, strategy=BORROWS),
    )
    builder = ServiceBuilder.of_shares(*shares, limits=(2, 3))
    builder.job(1, 0, unit=1)
    builder.job(3, 2, unit=1)
    builder.job(1, 1, unit=0)
    builder.job(1, 1, unit=1)
    core = begin(builder, 4)
    assert states(core, 0, 1, 2, 3) == [RUNNING, RUNNABLE, RUNNING, RUNNING]


def test_a_head_that_lacks_room_for_its_own_keeps_nobody_from_borrowing():
    shares = (quota("a", 4, strategy="LEND"), quota("b", 4), quota("c", 0, strategy=BORROWS))
    builder = ServiceBuilder.of_shares(*shares, limits=(6,))
    builder.job(4, 1)
    builder.job(3, 0)
    builder.job(1, 2)
    core = begin(builder, 3)
    assert states(core, 0, 1, 2) == [RUNNING, RUNNABLE, RUNNING]


def test_a_higher_priority_takes_the_place_of_a_lower_one_whatever_is_held():
    shares = (
        quota("a", 3, strategy="LEND"),
        quota("b", 0, strategy=BORROWS, in_share=True),
        quota("c", 0, strategy=BORROWS),
    )
    builder = ServiceBuilder.of_shares(*shares, limits=(3,))
    builder.job(2, 1)
    builder.job(2, 2)
    builder.job(2, 1, priority=1)
    core = begin(builder, 2)
    core.submit(1)
    assert core.decide(1) == [f"Preempt(job=0, {INSIDE})"]
    core.exit(2, 0)
    assert core.scheduled(2) == [2]


def test_who_stays_within_the_own_limit_comes_before_who_borrows():
    shares = (quota("a", 2, strategy="LEND"), quota("b", 0, strategy=BORROWS))
    builder = ServiceBuilder.of_shares(*shares, limits=(2,))
    builder.job(2, 1)
    builder.job(2, 0)
    core = begin(builder, 2)
    assert states(core, 0, 1) == [RUNNABLE, RUNNING]


def test_limits_of_shares_may_add_up_to_more_than_there_is():
    builder = ServiceBuilder.of_shares(quota("a", 4), quota("b", 4), limits=(6,))
    for share in (0, 1):
        for _ in range(4):
            builder.job(1, share)
    core = begin(builder, 8)
    assert [core.state[job] for job in range(8)].count(RUNNING) == 6


# ------------------------------------------------------------------------------- cross-share preemption


def borrowed_by_b(*jobs: int, owner: str = "LEND", limit: int = 4):
    """Share b, of nothing, runs jobs of so many instances each on what share a lends."""
    shares = (quota("a", limit, strategy=owner), quota("b", 0, strategy=BORROWS))
    builder = ServiceBuilder.of_shares(*shares, limits=(limit,))
    for instances in jobs:
        builder.job(instances, 1)
    return builder


def test_an_owner_takes_back_what_it_lent():
    builder = borrowed_by_b(2, 2)
    builder.job(2, 0)
    core = begin(builder, 2)
    core.submit(10)
    assert core.decide(10) == [f"Preempt(job=1, {CROSS})"]
    assert states(core, 0, 1, 2) == [RUNNING, RUNNING, RUNNABLE]
    assert core.exit(15, 1) == RUNNABLE
    assert core.scheduled(15) == [2]
    assert (core.preemptions[1], core.attempt[1], core.state[1]) == (1, 0, RUNNABLE)
    core.run(15, 2)
    core.end(20, 2)
    assert core.scheduled(20) == [1]
    assert core.attempt[1] == 1


@pytest.mark.parametrize("reached", ["SCHEDULED", "STARTING", "RUNNING"])
def test_a_job_is_preempted_in_each_state_in_which_it_holds_instances(reached):
    builder = borrowed_by_b(4)
    builder.job(4, 0)
    core = builder.checked()
    core.submit(0)
    core.decide(0)
    if reached != "SCHEDULED":
        core.tell("training_starting", 0, 0)
    if reached == "RUNNING":
        core.tell("training_started", 0, 0)
    core.submit(1)
    assert core.decide(1) == [f"Preempt(job=0, {CROSS})"]
    assert core.exit(2, 0) == RUNNABLE
    assert core.scheduled(2) == [1]


def test_while_the_victim_stops_nobody_else_is_preempted_and_nobody_takes_its_room():
    shares = (
        quota("a", 4, strategy="LEND"),
        quota("b", 0, strategy=BORROWS),
        quota("c", 0, strategy=BORROWS),
    )
    builder = ServiceBuilder.of_shares(*shares, limits=(4,))
    for _ in range(4):
        builder.job(1, 1)
    builder.job(2, 0)
    builder.job(1, 2)
    core = begin(builder, 4)
    core.submit(10)
    assert core.decide(10) == [f"Preempt(job=3, {CROSS})", f"Preempt(job=2, {CROSS})"]
    core.submit(11)
    assert core.decide(11) == []
    core.exit(12, 3)
    assert core.decide(12) == []  # job 5 would fit, but the room is promised to job 4
    core.exit(13, 2)
    assert core.scheduled(13) == [4]


def test_room_made_for_a_job_is_not_for_one_that_has_waited_longer():
    shares = (
        quota("a", 2, strategy="LEND"),
        quota("b", 0, strategy=BORROWS),
        quota("c", 0, strategy=BORROWS, in_share=True),
    )
    builder = ServiceBuilder.of_shares(*shares, limits=(2,))
    for _ in range(2):
        builder.job(1, 2)
    builder.job(1, 1)
    builder.job(1, 2, priority=1)
    core = begin(builder, 3)
    core.submit(5)
    assert core.decide(5) == [f"Preempt(job=1, {INSIDE})"]
    core.exit(6, 1)
    assert core.scheduled(6) == [3]


def test_victims_are_of_the_share_that_borrows_most_then_of_low_priority_then_short_running():
    shares = (
        quota("a", 6, strategy="LEND"),
        quota("b", 0, strategy=BORROWS),
        quota("c", 0, strategy=BORROWS),
    )
    builder = ServiceBuilder.of_shares(*shares, limits=(6,))
    builder.job(1, 2, priority=0)
    builder.job(1, 1, priority=2)
    builder.job(1, 1, priority=1)
    builder.job(1, 1, priority=1)
    builder.job(1, 1, priority=3)
    builder.job(1, 2, priority=9)
    builder.job(6, 0)
    core = builder.checked()
    for now in range(6):
        core.submit(now)
        core.run(now, *core.scheduled(now))
    core.submit(10)
    # b borrows 4 and c 2; after two of b's both borrow 2, and b comes first
    preempted = [int(each.split("=")[1].split(",")[0]) for each in core.decide(10)]
    assert preempted == [3, 2, 1, 0, 4, 5]


def test_nobody_is_preempted_whose_instances_are_not_needed():
    builder = borrowed_by_b(3, 1)
    builder.job(3, 0)
    core = builder.checked()
    core.submit(0)
    core.run(0, *core.scheduled(0))
    core.submit(5)
    core.run(5, *core.scheduled(5))
    core.submit(10)
    # job 1 is the shorter one, but without job 0 there is no room for three anyway
    assert core.decide(10) == [f"Preempt(job=0, {CROSS})"]


def test_nobody_is_preempted_for_a_job_that_would_borrow():
    shares = (
        quota("a", 4, strategy="LEND"),
        quota("b", 0, strategy=BORROWS),
        quota("c", 1, strategy=BORROWS),
    )
    builder = ServiceBuilder.of_shares(*shares, limits=(5,))
    builder.job(4, 1)
    builder.job(3, 2)
    core = begin(builder, 1)
    core.submit(10)
    assert core.decide(10) == []
    core.end(11, 0)
    assert core.scheduled(11) == [1]


def test_a_job_preempted_too_often_fails():
    for allowed, state in ((0, FAILED), (1, RUNNABLE)):
        builder = ServiceBuilder.of_shares(
            quota("a", 1, strategy="LEND"), quota("b", 0, strategy=BORROWS), limits=(1,)
        )
        builder.job(1, 1, preemptions=allowed)
        builder.job(1, 0)
        core = begin(builder, 1)
        core.submit(1)
        core.decide(1)
        assert core.exit(2, 0) == state
        assert core.status_reason.get(0) == (CROSS_SHARE if state == FAILED else None)
        assert core.preemptions[0] == 1


def test_terminate_of_a_job_that_is_being_preempted_makes_it_fail():
    builder = borrowed_by_b(4)
    builder.job(1, 0)
    core = begin(builder, 1)
    core.submit(1)
    core.decide(1)
    core.tell("job_terminated", 2, 0, "enough")
    assert core.decide(2) == []  # it stops already
    assert core.exit(3, 0) == FAILED
    assert (core.status_reason[0], core.preemptions[0]) == ("enough", 0)


def test_room_of_a_job_that_stops_anyway_is_waited_for():
    builder = borrowed_by_b(2, 2)
    builder.job(2, 0)
    core = begin(builder, 2)
    core.tell("job_terminated", 5, 0, "enough")
    core.decide(5)
    core.submit(6)
    assert core.decide(6) == []
    core.exit(7, 0)
    assert core.scheduled(7) == [2]


def test_a_job_that_is_being_preempted_does_not_time_out():
    builder = ServiceBuilder.of_shares(
        quota("a", 1, strategy="LEND"), quota("b", 0, strategy=BORROWS), limits=(1,)
    )
    builder.job(1, 1, timeout_us=60)
    builder.job(1, 0)
    core = begin(builder, 1)
    core.submit(50)
    assert core.decide(50) == [f"Preempt(job=0, {CROSS})"]
    assert core.next_wakeup() is None
    assert core.decide(60) == []
    assert core.exit(70, 0) == RUNNABLE


def test_a_job_that_began_to_stop_when_its_time_was_up_is_stopped_once():
    builder = ServiceBuilder.of_shares(
        quota("a", 1, strategy="LEND"), quota("b", 0, strategy=BORROWS), limits=(1,)
    )
    builder.job(1, 1, timeout_us=60)
    builder.job(1, 0)
    core = begin(builder, 1)
    core.submit(50)
    core.decide(50)
    core.tell("job_terminated", 55, 0, "enough")
    assert core.decide(60) == []
    assert core.exit(70, 0) == FAILED
    assert core.status_reason[0] == "enough"


# ------------------------------------------------------------------------------------- whom is needed


def victims_of(claim, shares, holders, limit):
    """The jobs that `choose` takes of holders (share, instances, priority), numbered in their order."""
    quotas = Quotas(shares, (limit,))
    standing = Holders(1, len(shares))
    for job, (share, instances, priority) in enumerate(holders):
        quotas.take(share, 0, instances)
        standing.add(0, share, Holder(priority, 0, -job, instances))
    before = copy.deepcopy(quotas.used)
    chosen = choose(claim, quotas, standing)
    if not chosen:
        assert quotas.used == before
    return [-victim.holder.job for victim in chosen]


def test_of_victims_that_are_not_needed_the_last_chosen_are_spared():
    shares = (quota("a", 6, strategy="LEND"), quota("b", 0, strategy=BORROWS))
    # in order of priority 1, 2 and 3 instances are freed; three are needed
    holders = [(1, 1, 0), (1, 2, 1), (1, 3, 2)]
    assert victims_of(Claim(0, 0, 3, 0, in_share=False), shares, holders, 6) == [0, 1]
    # four: the third must go, and with it the second may stay
    assert victims_of(Claim(0, 0, 4, 0, in_share=False), shares, holders, 6) == [0, 2]


def test_nobody_of_the_own_share_is_spared_if_the_job_then_would_borrow_what_was_taken_back():
    shares = (
        quota("a", 2, strategy=BORROWS, in_share=True),
        quota("b", 0, strategy=BORROWS),
        quota("c", 3, strategy="LEND"),
    )
    # job 0 of the own share must go before anything may be taken back; then 1 instance of b is
    holders = [(0, 1, 0), (1, 4, 5)]
    assert victims_of(Claim(0, 0, 2, 9, in_share=True), shares, holders, 5) == [0, 1]


def test_what_cannot_be_made_to_fit_is_left_alone():
    shares = (quota("a", 2, in_share=True), quota("b", 2))
    assert victims_of(Claim(0, 0, 2, 5, in_share=True), shares, [(0, 1, 9), (0, 1, 0)], 4) == []


# ---------------------------------------------------------------------------------- in-share preemption


@pytest.mark.parametrize("enabled", [True, False])
def test_a_higher_priority_preempts_in_its_share_where_that_is_enabled(enabled):
    builder = ServiceBuilder.of_shares(quota("a", 2, in_share=enabled), limits=(2,))
    builder.job(1, 0, priority=5)
    builder.job(1, 0, priority=1)
    builder.job(1, 0, priority=5)
    core = begin(builder, 2)
    core.submit(3)
    assert core.decide(3) == ([f"Preempt(job=1, {INSIDE})"] if enabled else [])
    if enabled:
        assert core.exit(4, 1) == RUNNABLE
        assert core.scheduled(4) == [2]


def test_equal_priorities_do_not_preempt_each_other():
    builder = ServiceBuilder.of_shares(quota("a", 1, in_share=True), limits=(1,))
    builder.job(1, 0, priority=5)
    builder.job(1, 0, priority=5)
    core = begin(builder, 1)
    core.submit(1)
    assert core.decide(1) == []


def test_nobody_is_preempted_in_vain():
    builder = ServiceBuilder.of_shares(quota("a", 3, in_share=True), limits=(3,))
    builder.job(2, 0, priority=9)
    builder.job(1, 0, priority=0)
    builder.job(2, 0, priority=5)
    core = begin(builder, 2)
    core.submit(1)
    assert core.decide(1) == []


def test_who_is_stopped_anyway_lets_others_be_preempted_at_once():
    builder = ServiceBuilder.of_shares(quota("a", 3, in_share=True), limits=(3,))
    builder.job(2, 0, priority=9)
    builder.job(1, 0, priority=0)
    builder.job(3, 0, priority=5)
    core = begin(builder, 2)
    core.submit(1)
    assert core.decide(1) == []  # job 0 may not be preempted, and job 1 alone is not enough
    core.tell("job_terminated", 5, 0, "enough")
    assert core.decide(5) == ["Stop(job=0, status_reason='enough')", f"Preempt(job=1, {INSIDE})"]


def test_lent_capacity_is_taken_back_before_a_job_of_the_own_share_is_preempted():
    shares = (quota("a", 4, strategy="LEND", in_share=True), quota("b", 0, strategy=BORROWS))
    builder = ServiceBuilder.of_shares(*shares, limits=(4,))
    builder.job(2, 0, priority=0)
    builder.job(2, 1, priority=9)
    builder.job(2, 0, priority=1)
    builder.job(2, 0, priority=2)
    core = begin(builder, 2)
    core.submit(1)
    assert core.decide(1) == [f"Preempt(job=1, {CROSS})"]
    core.exit(2, 1)
    assert core.scheduled(2) == [2]
    core.submit(3)
    assert core.decide(3) == [f"Preempt(job=0, {INSIDE})"]


def test_one_job_may_need_both_kinds_of_preemption():
    shares = (quota("a", 4, strategy="LEND", in_share=True), quota("b", 0, strategy=BORROWS))
    builder = ServiceBuilder.of_shares(*shares, limits=(4,))
    builder.job(2, 0, priority=0)
    builder.job(2, 1, priority=9)
    builder.job(4, 0, priority=5)
    core = begin(builder, 2)
    core.submit(1)
    assert core.decide(1) == [f"Preempt(job=0, {INSIDE})", f"Preempt(job=1, {CROSS})"]


def test_a_preempted_job_keeps_its_place_in_the_order_of_its_share():
    builder = ServiceBuilder.of_shares(quota("a", 1, in_share=True), limits=(1,))
    builder.job(1, 0, priority=1)
    builder.job(1, 0, priority=1)
    builder.job(1, 0, priority=9)
    core = begin(builder, 2)
    core.submit(1)
    core.decide(1)
    core.exit(1, 0)
    core.run(1, *core.scheduled(1))
    core.end(2, 2)
    assert core.scheduled(2) == [0]
    assert core.state[0] == SCHEDULED


def test_two_environments_do_not_know_each_other():
    environments = [ServiceEnvironmentPlan("one", (1,)), ServiceEnvironmentPlan("two", (1,))]
    queues = [
        ServiceQueuePlan("plain", 1, 0),
        ServiceQueuePlan("divided", 1, 1, quota_shares=(quota("s", 1),)),
    ]
    builder = ServiceBuilder(environments, queues)
    builder.job(1, queue=0)
    builder.job(1, 0, queue=1)
    builder.job(1, queue=0)
    builder.job(1, 0, queue=1)
    core = begin(builder, 4)
    assert states(core, 0, 1, 2, 3) == [RUNNING, RUNNING, RUNNABLE, RUNNABLE]
    core.end(1, 1)
    assert core.scheduled(1) == [3]
