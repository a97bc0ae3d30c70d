"""Fair share: the specification's scenarios, the rules one by one, and a direct reading of the formulas."""

from __future__ import annotations

import copy
from array import array
from fractions import Fraction
from heapq import heapify, heappop, heappush
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.fairshare import FairShareQueue
from batchsim.core.grid import NEVER
from batchsim.core.ordering import NOBODY
from batchsim.core.shares import DEFAULT_WINDOW_US, FairSharePolicy, Share, Stake, Weights
from tests.reference_fairshare import Job, SlowFairShare

SECOND = 1_000_000


DEFAULTS = FairSharePolicy()


class Desk:
    """A fair-share queue and what a scheduler tells it: jobs are numbered as they are submitted."""

    def __init__(self, policy: FairSharePolicy = DEFAULTS, identifiers: tuple[str, ...] = ("A", "B")):
        self.identifiers = identifiers
        self.stakes: list[Stake] = []
        self.class_of = array("i", [0]) * 100_000
        self.runnable_us = array("q", [-1]) * 100_000
        self.jobs = 0
        self.queue = FairShareQueue(policy, identifiers, self.stakes, self.class_of, self.runnable_us)

    def submit(self, now: int, share: str, vcpus: int = 1, priority: int = 1, count: int = 1) -> int:
        """SUBMITTED and RUNNABLE at once; gives the number of the first."""
        stake = Stake(vcpus, self.identifiers.index(share), vcpus, priority)
        if stake not in self.stakes:
            self.stakes.append(stake)
        for job in range(self.jobs, self.jobs + count):
            self.class_of[job] = self.stakes.index(stake)
            self.runnable_us[job] = now
            self.queue.submitted(now, job)
            self.queue.add(job)
        self.jobs += count
        return self.jobs - count

    def share_of(self, job: int) -> str:
        return self.identifiers[self.stakes[self.class_of[job]].share]

    def start(self, now: int, vcpus: int | None = None, total: int | None = None) -> list[int]:
        """A pass: start jobs while the next one has room in `vcpus` and the reservation admits it."""
        self.queue.begin_pass(now)
        started: list[int] = []
        while (job := self.queue.first(0)) != NOBODY:
            asked = self.stakes[self.class_of[job]].vcpus
            if vcpus is not None and self.queue.vcpus_in_flight + asked > vcpus:
                assert not self.queue.skip(job)
                break
            if total is not None and not self.queue.admits(now, job, total):
                break
            self.queue.take(job)
            self.queue.started(now, job)
            started.append(job)
        self.queue.end_pass()
        return started

    def end(self, now: int, job: int) -> None:
        self.queue.ended(now, job)
        self.queue.finished(now, job)

    def running(self, share: str) -> int:
        index = self.identifiers.index(share)
        return self.queue.usage(self.queue._now)[index].vcpus_in_flight

    def score(self, now: int, share: str) -> Fraction:
        """In vCPUs, as the specification has it."""
        index = self.identifiers.index(share)
        scores = {each.share: each.score for each in self.queue.usage(now)}
        return Fraction(scores.get(index, 0), self.queue.score_unit)


# ------------------------------------------------------------------------- the specification's scenarios


def test_spec_32_equal_weights_give_two_small_jobs_for_each_of_twice_the_size():
    desk = Desk()
    for _ in range(20):
        desk.submit(0, "A", 32)
        desk.submit(0, "B", 64)
    started = [desk.share_of(job) for job in desk.start(0, vcpus=256)]
    assert (started.count("A"), started.count("B")) == (4, 2)


def test_spec_33_an_eighth_of_the_weight_gives_eight_times_the_resources():
    desk = Desk(FairSharePolicy(weights=(("A", 1_250), ("B", 10_000))))
    desk.submit(0, "A", count=200)
    desk.submit(0, "B", count=200)
    desk.start(0, vcpus=90)
    assert (desk.running("A"), desk.running("B")) == (80, 10)


def test_spec_33_holds_while_jobs_end_and_others_take_their_places():
    desk = Desk(FairSharePolicy(weights=(("A", 1_250), ("B", 10_000))))
    desk.submit(0, "A", count=3_000)
    desk.submit(0, "B", count=3_000)
    running = desk.start(0, vcpus=90)
    for second in range(1, 2_400):
        desk.end(second * SECOND, running.pop((second * 7) % 83))
        running += desk.start(second * SECOND, vcpus=90)
        if second > 600:
            assert abs(desk.running("A") - 80) <= 2


def test_spec_34_the_reservation_leaves_half_to_a_share_alone_and_three_quarters_to_two():
    desk = Desk(FairSharePolicy(reservation_percent=50))
    desk.submit(0, "A", count=1000)
    assert desk.queue.n_active(0) == 1
    desk.start(0, total=256)
    assert desk.queue.vcpus_in_flight == 128
    assert desk.start(SECOND, total=256) == []
    desk.submit(2 * SECOND, "B")
    assert desk.queue.n_active(2 * SECOND) == 2
    assert desk.queue.usable_vcpus(2 * SECOND, 256) == 192
    desk.start(2 * SECOND, total=256)
    assert desk.queue.vcpus_in_flight == 192


@pytest.mark.parametrize(
    ("percent", "reserved"),
    [
        (25, ["25", "6.25", "1.5625", "0.390625"]),
        (50, ["50", "25", "12.5", "6.25"]),
        (75, ["75", "56.25", "42.1875", "31.640625"]),
        (0, ["0", "0", "0", "0"]),
    ],
)
def test_spec_34_the_table_of_reserved_parts(percent, reserved):
    names = tuple("ABCD")
    desk = Desk(FairSharePolicy(reservation_percent=percent), names)
    assert desk.queue.usable_vcpus(0, 256) == 0
    total = 100_000_000
    for name, text in zip(names, reserved, strict=True):
        desk.submit(0, name)
        assert desk.queue.usable_vcpus(0, total) == total - total * Fraction(text) / 100


def test_spec_34_the_part_that_is_left_over_is_rounded_down_exactly():
    names = tuple(f"s{number}" for number in range(500))
    desk = Desk(FairSharePolicy(reservation_percent=99), names)
    for name in names:
        desk.submit(0, name)
    assert desk.queue.usable_vcpus(0, 10**6) == 10**6 * (100**500 - 99**500) // 100**500


def test_spec_35_usage_fades_linearly_over_the_default_window():
    desk = Desk()
    job = desk.submit(0, "A", 4)
    desk.start(0)
    desk.end(300 * SECOND, job)
    assert desk.score(300 * SECOND, "A") * 600 == 900
    assert desk.score(600 * SECOND, "A") * 600 == 300
    assert desk.score(900 * SECOND - 1, "A") > 0
    assert desk.score(900 * SECOND, "A") == 0
    assert desk.score(901 * SECOND, "A") == 0


def test_spec_35_usage_of_a_job_that_has_just_ended():
    desk = Desk()
    job = desk.submit(0, "A", 2)
    desk.start(300 * SECOND)
    desk.end(600 * SECOND, job)
    assert desk.score(600 * SECOND, "A") * 600 == 450


def test_spec_35_an_attempt_longer_than_the_window_counts_for_half_of_it():
    desk = Desk(FairSharePolicy(share_decay_us=60 * SECOND))
    job = desk.submit(0, "A", 4)
    desk.start(0)
    assert desk.score(1000 * SECOND, "A") == 4
    desk.end(1000 * SECOND, job)
    assert desk.score(1000 * SECOND, "A") == 2
    assert desk.score(1030 * SECOND, "A") == Fraction(1, 2)
    assert desk.score(1060 * SECOND, "A") == 0


def test_spec_36_priority_counts_in_a_share_and_not_between_shares():
    desk = Desk()
    running = desk.submit(0, "A", 8, 1)
    desk.start(0)
    low, high = desk.submit(1, "A", 1, 1), desk.submit(2, "A", 1, 100)
    other = desk.submit(3, "B", 1, 1)
    assert desk.start(3) == [other, high, low]
    assert running == 0


# ------------------------------------------------------------------------------------- the rules, one by one


def test_a_retried_job_comes_before_others_of_its_priority_only():
    desk = Desk()
    first, second, urgent = desk.submit(0, "A"), desk.submit(0, "A"), desk.submit(0, "A", priority=2)
    assert desk.start(0, vcpus=2) == [urgent, first]
    third = desk.submit(1, "A", priority=2)
    desk.queue.ended(1, first)
    desk.queue.add(first, retried=True)
    assert desk.queue.jobs() == [third, first, second]
    assert desk.start(1, vcpus=4) == [third, first, second]


def test_of_equal_shares_the_one_whose_head_waits_longer_is_served_then_the_first():
    desk = Desk(identifiers=("A", "B", "C"))
    later, early, equal = desk.submit(5, "A"), desk.submit(4, "C"), desk.submit(5, "B")
    assert desk.start(5) == [early, later, equal]


def test_a_share_with_less_usage_is_served_first_until_the_usage_has_faded():
    desk = Desk(FairSharePolicy(share_decay_us=100))
    job = desk.submit(0, "A")
    desk.start(0)
    desk.end(10, job)
    first, second = desk.submit(11, "A"), desk.submit(12, "B")
    desk.queue.begin_pass(109)
    assert desk.queue.first(0) == second
    desk.queue.begin_pass(110)
    assert desk.queue.first(0) == first


def test_a_share_is_active_until_a_window_after_its_last_job():
    desk = Desk(FairSharePolicy(share_decay_us=100))
    job = desk.submit(0, "A")
    desk.start(0)
    desk.end(50, job)
    assert [desk.queue.n_active(now) for now in (50, 149)] == [1, 1]
    again = desk.submit(149, "A")
    assert desk.queue.n_active(200) == 1
    desk.start(200)
    desk.end(200, again)
    assert [desk.queue.n_active(now) for now in (299, 300)] == [1, 0]


def test_a_wildcard_divides_its_part_among_the_active_shares_that_match():
    policy = FairSharePolicy(share_decay_us=100, weights=(("user*", 10_000),))
    desk = Desk(policy, ("user1", "user2", "other"))
    for name in desk.identifiers[:2]:
        desk.submit(0, name, 3)
    desk.start(0)
    assert [desk.score(0, name) for name in desk.identifiers] == [6, 6, 0]
    desk.end(0, 1)
    assert desk.score(99, "user1") == 6
    assert desk.score(100, "user1") == 3


def test_a_wildcard_that_is_not_divided_gives_its_weight_to_each():
    policy = FairSharePolicy(weights=(("user*", 20_000), ("u", 5_000)), wildcard_split=False)
    desk = Desk(policy, ("user1", "user2", "u", "us"))
    for name in desk.identifiers:
        desk.submit(0, name, 3)
    desk.start(0)
    assert [desk.score(0, name) for name in desk.identifiers] == [6, 6, Fraction(3, 2), 3]


@pytest.mark.parametrize(
    ("identifier", "weight", "divided"), [("ab", 7, False), ("abc", 3, True), ("b", 10_000, False)]
)
def test_an_identifier_has_the_weight_of_its_name_or_its_prefix_or_one(identifier, weight, divided):
    weights = Weights(FairSharePolicy(weights=(("ab", 7), ("abc*", 3))))
    found, pattern = weights.of(identifier)
    assert (found, pattern is not None) == (weight, divided)
    assert weights.of(identifier)[1] is pattern


def test_an_attempt_in_flight_fades_in_the_model_of_the_cdk_only():
    for model, later in (("finished", [4, 4, 4]), ("cdk", [2, 0, 0])):
        desk = Desk(FairSharePolicy(share_decay_us=60 * SECOND, model=model))
        job = desk.submit(0, "A", 4)
        desk.start(0)
        assert desk.score(0, "A") == 4
        assert [desk.score(second * SECOND, "A") for second in (30, 60, 61)] == later
        desk.end(61 * SECOND, job)
        assert desk.score(61 * SECOND, "A") == 2


def test_a_cancelled_job_is_passed_over_wherever_it_stands():
    desk = Desk()
    jobs = [desk.submit(0, "A") for _ in range(4)]
    for job in (jobs[0], jobs[2]):
        desk.queue.remove(job)
        desk.queue.finished(0, job)
    assert desk.queue.jobs() == [jobs[1], jobs[3]]
    assert desk.queue.size == 2
    assert desk.start(0) == [jobs[1], jobs[3]]
    assert desk.queue.waiting == {}
    assert desk.queue.blocking_need() == NOBODY
    assert not desk.queue._removed


def test_the_default_window_is_ten_minutes():
    assert FairSharePolicy().window_us() == DEFAULT_WINDOW_US == 600 * SECOND


def test_a_share_that_comes_or_goes_changes_the_order_at_once():
    policy = FairSharePolicy(share_decay_us=100, weights=(("user*", 10_000),))
    desk = Desk(policy, ("user1", "user2", "other"))
    desk.submit(0, "user1", 2)
    desk.submit(0, "other", 3)
    desk.start(0)
    user, other = desk.submit(0, "user1"), desk.submit(0, "other")
    assert desk.queue.jobs() == [user, other]
    gone = desk.submit(0, "user2")
    desk.queue.remove(gone)
    desk.queue.finished(0, gone)
    desk.queue.begin_pass(0)
    assert desk.queue.first(0) == other  # 2 x 2 against 3
    assert desk.queue.next_look_us() == 100
    desk.queue.begin_pass(99)
    assert desk.queue.first(0) == other
    desk.queue.begin_pass(100)
    assert desk.queue.first(0) == user
    desk.submit(100, "user2")
    assert desk.queue.jobs()[0] == desk.queue.first(0) == desk.jobs - 1
    desk.queue.remove(desk.jobs - 1)
    assert desk.queue.first(0) == other


def test_when_to_look_again_is_where_the_share_behind_may_have_faded_enough():
    desk = Desk(FairSharePolicy(share_decay_us=1024))
    for name, vcpus in (("A", 10), ("B", 40)):
        desk.submit(0, name, vcpus)
    desk.start(0)
    desk.queue.ended(1024, 1)
    behind, ahead = desk.submit(1024, "B"), desk.submit(1024, "A")
    now, looks = 1024, 0
    desk.queue.begin_pass(now)
    while desk.queue.first(0) == ahead:
        now = desk.queue.next_look_us()
        desk.queue.begin_pass(now)
        looks += 1
    assert desk.queue.first(0) == behind
    assert 20 * (2048 - (now - 1)) ** 2 > 10 * 1024**2 >= 20 * (2048 - now) ** 2
    assert looks < 10


def test_nobody_waits_or_fades_means_no_need_to_look_again():
    desk = Desk()
    desk.queue.begin_pass(0)
    assert desk.queue.next_look_us() == NEVER
    desk.submit(0, "A", 3)
    desk.start(0)
    desk.submit(0, "A")
    desk.submit(0, "B")
    assert desk.queue.next_look_us() == NEVER


def test_nothing_is_kept_of_shares_that_are_not_active():
    names = tuple(f"s{number}" for number in range(50))
    desk = Desk(FairSharePolicy(share_decay_us=100, weights=(("s1*", 5_000), ("s2", 5_000))), names)
    for number in range(2_000):
        desk.submit(number, names[number % 50])
        for job in desk.start(number):
            desk.end(number + number % 3, job)
    desk.queue.begin_pass(3_000)
    queue = desk.queue
    held = (queue._shares, queue._in_flight, queue._young, queue._recent, queue._idle, queue._race._lanes)
    assert not any(held)
    assert not any(pattern.race for pattern in queue._weights._patterns.values())
    assert (queue.size, queue.vcpus_in_flight, queue.waiting) == (0, 0, {})


# ----------------------------------------------------------------------------------------- against the oracle

NAMES = ("a", "ab1", "ab2", "ab3", "b", "c")
CLASSES = [
    (share, vcpus, priority) for share in range(len(NAMES)) for vcpus, priority in ((1, 1), (3, 1), (1, 5))
]


class Instant(NamedTuple):
    """What happens at once, in this order; `ends` and `cancels` are positions among the jobs that can."""

    pause: int
    ends: list[tuple[int, bool]]  # which, and whether another attempt follows
    cancels: list[int]
    submits: list[tuple[int, bool]]  # a class, and whether it is withdrawn before it is RUNNABLE
    capacity: int  # a pass starts jobs while fewer attempts than that are in flight; none if 0


class Twins:
    """A queue and the oracle, told the same."""

    def __init__(self, window: int, weights: dict[str, int], model: str, split: bool, reservation: int):
        stakes = [Stake(vcpus, share, vcpus, priority) for share, vcpus, priority in CLASSES]
        self.class_of = array("i", [0]) * 1000
        self.runnable = array("q", [-1]) * 1000
        policy = FairSharePolicy(window, reservation, tuple(weights.items()), model, split)
        self.queue = FairShareQueue(policy, NAMES, stakes, self.class_of, self.runnable)
        fractions = {name: Fraction(weight, 10_000) for name, weight in weights.items()}
        self.slow = SlowFairShare(NAMES, [], window, reservation, fractions, model, split)
        self.now = 0
        self.waiting: list[int] = []
        self.in_flight: list[int] = []

    def play(self, instant: Instant) -> None:
        self.now += instant.pause
        retried = [self._end(which, retry) for which, retry in instant.ends if self.in_flight]
        for which in instant.cancels:
            if self.waiting:
                self._cancel(which)
        for job in retried:
            if job is not None:
                self._add(job, retried=True)
        for kind, withdrawn in instant.submits:
            self._submit(kind, withdrawn=withdrawn)
        if instant.capacity:
            self._pass(instant.capacity)

    def head(self, now: int) -> int:
        job = self.slow.first(now)
        return NOBODY if job is None else job

    def _end(self, which: int, retry: bool) -> int | None:
        job = self.in_flight.pop(which % len(self.in_flight))
        self.queue.ended(self.now, job)
        self.slow.ended(self.now, job)
        if retry:
            return job
        self._finish(job)
        return None

    def _finish(self, job: int) -> None:
        self.queue.finished(self.now, job)
        self.slow.finished(self.now, job)

    def _cancel(self, which: int) -> None:
        job = self.waiting.pop(which % len(self.waiting))
        self.queue.remove(job)
        self.slow.leave(job)
        self._finish(job)

    def _submit(self, kind: int, *, withdrawn: bool) -> None:
        share, vcpus, priority = CLASSES[kind]
        job = len(self.slow.jobs)
        self.class_of[job] = kind
        self.slow.jobs.append(Job(NAMES[share], vcpus, priority))
        self.queue.submitted(self.now, job)
        self.slow.submitted(self.now, job)
        if withdrawn:
            self._finish(job)
        else:
            self.runnable[job] = self.now
            self._add(job, retried=False)

    def _add(self, job: int, *, retried: bool) -> None:
        self.queue.add(job, retried=retried)
        self.slow.add(job, self.runnable[job], retried=retried)
        self.waiting.append(job)

    def _pass(self, capacity: int) -> None:
        self.queue.begin_pass(self.now)
        while (job := self.queue.first(0)) == self.head(self.now) != NOBODY and len(
            self.in_flight
        ) < capacity:
            self.queue.take(job)
            self.queue.started(self.now, job)
            self.slow.leave(job)
            self.slow.started(self.now, job)
            self.waiting.remove(job)
            self.in_flight.append(job)
        assert job == self.head(self.now)
        self.queue.end_pass()

    def agree(self) -> None:
        """Everything that can be asked at this instant has the same answer."""
        queue, slow, now = self.queue, self.slow, self.now
        usage = {NAMES[each.share]: each for each in queue.usage(now)}
        assert list(usage) == slow.active(now)
        assert queue.n_active(now) == len(usage)
        for name, each in usage.items():
            assert Fraction(each.score, queue.score_unit) == slow.score(now, name)
            assert each.vcpus_in_flight == slow.in_flight(name)
            assert each.jobs_waiting == sum(slow.jobs[job].share == name for job in self.waiting)
        assert all(slow.score(now, name) == 0 for name in NAMES if name not in usage)
        assert [queue.usable_vcpus(now, n) for n in (1, 37, 256)] == [
            slow.usable(now, n) // 1 for n in (1, 37, 256)
        ]
        assert queue.size == len(self.waiting)
        assert queue.vcpus_in_flight == slow.in_flight()
        needs = [slow.jobs[job].vcpus for job in self.waiting]
        assert queue.waiting == {need: needs.count(need) for need in set(needs)}
        assert queue.jobs() == copy.deepcopy(slow).drain(now)

    def quiet_until_next_look(self) -> None:
        """Nobody else comes first before the queue says when to look, at the instants where it would look."""
        self.queue.begin_pass(self.now)
        head, look = self.queue.first(0), self.queue.next_look_us()
        assert look > self.now
        last = self.now + 2 * self.slow.window if look == NEVER else look - 1
        step = max(self.slow.window // 1024, 1)
        instants = range((self.now // step + 1) * step, last + 1, step)
        for instant in [*instants[:3], *instants[-3:]]:
            assert self.head(instant) == head


WINDOWS = st.sampled_from([1, 2, 7, 10, 64, 5_000])
SETUPS = st.fixed_dictionaries(
    {
        "weights": st.fixed_dictionaries(
            {}, optional={name: st.sampled_from([1, 1_250, 5_000, 20_000]) for name in ("a", "ab*", "b")}
        ),
        "model": st.sampled_from(["finished", "finished", "cdk"]),
        "split": st.booleans(),
        "reservation": st.sampled_from([0, 50, 99]),
    }
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[Instant]]:
    """Shares with a backlog, of whose jobs some are in flight and end one after the other, at any pace."""
    window = draw(WINDOWS)
    pauses = st.sampled_from([0, 1, 1, 2, 3, window // 5, window // 2, window, 3 * window])
    kinds = st.integers(0, len(CLASSES) - 1)
    sometimes = st.sampled_from([False, False, False, True])
    which = st.integers(0, 99)
    instants = st.builds(
        Instant,
        pauses,
        st.lists(st.tuples(which, sometimes), max_size=3),
        st.lists(which, max_size=1),
        st.lists(st.tuples(kinds, sometimes), max_size=4),
        st.integers(0, 8),
    )
    backlog = [(kind, False) for kind in draw(st.lists(kinds, min_size=5, max_size=25))]
    first = Instant(0, [], [], backlog, draw(st.integers(0, 8)))
    return window, [first, *draw(st.lists(instants, min_size=3, max_size=20))]


@given(histories(), SETUPS)
def test_it_answers_as_the_oracle_does(history, setup):
    window, instants = history
    twins = Twins(window, **setup)
    for instant in instants:
        twins.play(instant)
    twins.agree()


@given(histories(), SETUPS)
def test_it_agrees_with_the_oracle_at_every_instant(history, setup):
    """As before, but asked so often that nothing is left to be caught up with."""
    window, instants = history
    twins = Twins(window, **setup)
    for instant in instants:
        twins.play(instant)
        twins.agree()
        twins.quiet_until_next_look()


# -------------------------------------------------------------------------------------------- many shares


def saturated(shares: int, slots: int, window: int, weights: tuple[tuple[str, int], ...], seed: int):
    """A desk whose shares all have a backlog while attempts end one by one; yields it after each start."""
    random = Random(seed)
    names = tuple(f"g{number % 5}x{number}" for number in range(shares))
    desk = Desk(FairSharePolicy(share_decay_us=window, weights=weights), names)
    for _ in range(slots + 3 * shares):
        desk.submit(0, random.choice(names), random.randint(1, 3))
    ends = [(random.randrange(2 * window), job) for job in desk.start(0, vcpus=2 * slots)]
    heapify(ends)
    while True:
        now, job = heappop(ends)
        desk.end(now, job)
        desk.submit(now, random.choice(names), random.randint(1, 3))
        for started in desk.start(now, vcpus=2 * slots):
            heappush(ends, (now + 1 + random.randrange(2 * window), started))
        yield now, desk


@pytest.mark.parametrize("weights", [(), (("g0*", 2_500), ("g1x1", 30_000), ("g2*", 7_500))])
def test_under_load_the_first_share_is_the_one_with_the_least_score(weights):
    for number, (now, desk) in enumerate(saturated(40, 120, 10_000, weights, seed=5)):
        head = desk.queue.first(0)
        least = min(
            (each.score, each.share != desk.stakes[desk.class_of[head]].share)
            for each in desk.queue.usage(now)
            if each.jobs_waiting
        )
        assert not least[1]
        if number == 4_000:
            break


@pytest.mark.parametrize(("window_in_runtimes", "most"), [(100, 5), (1, 9), (0.1, 13)])
def test_a_decision_measures_a_handful_of_shares_however_many_there_are(
    window_in_runtimes, most, monkeypatch
):
    measured = 0
    measure = Share.measure

    def counted(share: Share, now: int) -> tuple[int, int, int, int]:
        nonlocal measured
        measured += 1
        return measure(share, now)

    monkeypatch.setattr(Share, "measure", counted)
    random = Random(3)
    names = tuple(f"s{number}" for number in range(400))
    desk = Desk(FairSharePolicy(share_decay_us=round(600 * SECOND * window_in_runtimes)), names)
    for number in range(20_000):
        desk.submit(0, names[number % 400])
    ends = [(random.randrange(1200 * SECOND), job) for job in desk.start(0, vcpus=1_000)]
    heapify(ends)
    for number in range(6_000):
        if number == 3_000:
            measured = 0
        now, job = heappop(ends)
        desk.end(now, job)
        (started,) = desk.start(now, vcpus=1_000)
        heappush(ends, (now + random.randrange(1200 * SECOND), started))
    assert measured < most * 3_000
