"""Pulls that share the bandwidth of their instance, or its network."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.plan import EnvironmentPlan, Need
from batchsim.drivers.pulls import Link
from batchsim.drivers.world import PULL_ERROR, Bandwidth, Outcome
from batchsim.workload import JobsEvent
from tests.harness import PlanBuilder, machine
from tests.heap_driver import follow

SHARED = Bandwidth(shared=True)


def builder_of(*submits: int) -> PlanBuilder:
    """Jobs of a class each, on one machine."""
    builder = PlanBuilder([machine(9)], [EnvironmentPlan("e", (0,))])
    builder.machines_of(0, 0)
    for number, submit in enumerate(submits):
        builder.job(submit, 10, Need(1, 1 + number, 0))
    return builder


def test_two_images_of_an_attempt_take_as_long_as_both_alone():
    record = builder_of(0).run(images=[(0, 1)], pull_us=[5], bandwidth=SHARED)
    assert record.started_us[0] == 10


def test_a_pull_that_begins_puts_off_the_one_that_is_under_way():
    record = builder_of(0, 6, 40).run(images=[(0,), (1,), (0, 1)], pull_us=[10, 10, 10], bandwidth=SHARED)
    assert list(record.started_us) == [14, 20, 40]


def test_who_waits_for_an_image_that_another_pulls_is_put_off_as_well():
    record = builder_of(0, 2, 6).run(images=[(0,), (0,), (1,)], pull_us=[10, 10, 10], bandwidth=SHARED)
    assert list(record.started_us) == [14, 14, 20]


def test_a_pull_in_vain_takes_its_share_and_its_end_is_put_off():
    failing = Outcome(start_failure_rate=1.0, start_failure_reason=PULL_ERROR)
    record = builder_of(0, 6).run(
        images=[(0,), (1,)], pull_us=[10, 10], bandwidth=SHARED, outcomes=[failing, Outcome()]
    )
    assert (record.ended_us[0], record.started_us[1]) == (14, 20)


def test_a_pull_goes_on_when_nobody_waits_for_it_any_more():
    stop = JobsEvent(3, "terminate", (range(1),), "enough")
    record = builder_of(0, 6).run(images=[(0,), (1,)], pull_us=[10, 10], bandwidth=SHARED, requests=[stop])
    assert (record.ended_us[0], record.started_us[1]) == (3, 20)


def test_a_network_that_is_slower_than_a_pull_slows_one_alone():
    record = builder_of(0).run(images=[(0,)], pull_us=[10], bandwidth=Bandwidth(8, {0: 5}))
    assert record.started_us[0] == 16


def test_a_network_slows_as_many_pulls_as_it_has_no_room_for():
    network = Bandwidth(8, {0: 20})  # two and a half at full rate
    two = builder_of(0, 0).run(images=[(0,), (1,)], pull_us=[10] * 2, bandwidth=network)
    assert list(two.started_us) == [10, 10]
    five = builder_of(*[0] * 5).run(images=[(n,) for n in range(5)], pull_us=[10] * 5, bandwidth=network)
    assert list(five.started_us) == [20] * 5


def test_pulls_that_share_a_rate_are_slowed_by_a_network_only_if_it_is_less():
    record = builder_of(0, 0).run(images=[(0,), (1,)], pull_us=[10] * 2, bandwidth=Bandwidth(8, {0: 9}, True))
    assert list(record.started_us) == [20, 20]
    slow = builder_of(0, 0).run(images=[(0,), (1,)], pull_us=[10] * 2, bandwidth=Bandwidth(8, {0: 4}, True))
    assert list(slow.started_us) == [40, 40]


def test_the_network_is_that_of_the_type_of_each_instance():
    builder = PlanBuilder([machine(1), machine(1), machine(1)], [EnvironmentPlan("e", (0, 1, 2))])
    for row in range(3):
        builder.machines_of(0, row)
        builder.job(0, 10, Need(1, 1, 0))
    record = builder.run(images=[(0,)], pull_us=[12], bandwidth=Bandwidth(6, {0: 3, 1: 2}))
    assert sorted(zip(record.instance, record.started_us, strict=True)) == [(0, 24), (1, 36), (2, 12)]


def test_it_is_recorded_when_the_images_were_there():
    record = builder_of(0, 6, 40).run(
        images=[(0,), (1,), (0, 1)],
        pull_us=[10, 10, 10],
        bandwidth=SHARED,
        dispatch_us=1,
        container_start_us=3,
    )
    assert list(record.pulled_us) == [15, 21, 41]  # put off, put off, from the cache
    assert list(record.started_us) == [18, 24, 44]


def test_nothing_is_there_where_nothing_is_pulled_or_it_failed_or_was_stopped_before():
    failing = Outcome(start_failure_rate=1.0, start_failure_reason=PULL_ERROR)
    late = Outcome(start_failure_rate=1.0, start_failure_reason="DockerTimeoutError")
    stop = JobsEvent(9, "terminate", (range(3, 4),), "enough")
    record = builder_of(0, 0, 0, 0).run(
        images=[(), (1,), (2,), (3,)],
        pull_us=[10] * 4,
        outcomes=[Outcome(), failing, late, Outcome()],
        requests=[stop],
    )
    assert list(record.pulled_us) == [-1, -1, 10, -1]
    assert list(record.ended_us) == [10, 10, 10, 9]


def test_an_earlier_attempt_keeps_when_its_images_were_there():
    builder = PlanBuilder([machine(9)], [EnvironmentPlan("e", (0,))])
    builder.machines_of(0, 0)
    builder.job(0, 10, Need(1, 1, 0), attempts=2)
    record = builder.run(images=[(0,)], pull_us=[5], outcomes=[Outcome(((1, ""), (0, "")))])
    assert (list(record.e_pulled_us), list(record.pulled_us)) == ([5], [15])


def test_thirds_of_microseconds_are_not_lost():
    record = builder_of(0, 0, 0).run(images=[(0,), (1,), (2,)], pull_us=[1, 1, 2], bandwidth=SHARED)
    assert list(record.started_us) == [3, 3, 4]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 15)), max_size=8).map(sorted),
    st.sampled_from([None, Fraction(1, 3), Fraction(1), Fraction(5, 2), Fraction(4)]),
)
def test_pulls_end_as_they_do_when_each_is_followed_by_itself(pulls, width):
    link = Link(width)
    for image, (since, alone_us) in enumerate(pulls):
        link.begin(since, {image: alone_us})
    assert [link.there[image] for image in range(len(pulls))] == follow(pulls, width)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_the_bandwidth_is_never_idle_while_something_is_pulled(alone):
    link = Link()
    link.begin(5, dict(enumerate(alone)))
    assert 0 <= max(link.there.values()) - 5 - sum(alone) <= len(alone)
