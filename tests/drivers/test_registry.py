"""Pulls of all instances that share the bandwidth of one registry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.plan import EnvironmentPlan, Need
from batchsim.drivers.pulls import Waiter
from batchsim.drivers.registry import Registry
from batchsim.drivers.world import Bandwidth
from batchsim.workload import JobsEvent
from tests.harness import PlanBuilder, machine
from tests.heap_driver import Pull, follow_all


def one_each(*submits: int) -> PlanBuilder:
    """Jobs of a class each, each on a machine of a type of its own: the first on that of row 0."""
    rows = tuple(range(len(submits)))
    builder = PlanBuilder([machine(1 + row) for row in rows], [EnvironmentPlan("e", rows)])
    for number, submit in enumerate(submits):
        builder.machines_of(0, number)
        builder.job(submit, 100, Need(1 + number, 1, 0))
    return builder


def started(builder: PlanBuilder, bandwidth: Bandwidth, pull_us: int = 10, **world: object) -> list[int]:
    count = len(builder.submit_us)
    record = builder.run(images=[(0,)] * count, pull_us=[pull_us] * count, bandwidth=bandwidth, **world)
    return list(record.started_us)


def test_pulls_at_once_get_equal_parts_of_a_registry():
    assert started(one_each(0, 0, 0, 0), Bandwidth(100, registry=200)) == [20] * 4


def test_a_registry_with_room_for_all_slows_nobody():
    assert started(one_each(0, 0, 0), Bandwidth(100, registry=300)) == [10] * 3


def test_what_a_slow_network_leaves_goes_to_the_others():
    # 20 for the first; the others have 50 each until it is the only one left
    assert started(one_each(0, 0, 0), Bandwidth(100, {0: 20}, registry=120)) == [50, 20, 20]


def test_a_pull_that_begins_slows_the_others_and_one_that_ends_lets_them_go_on():
    # alone for 4 at 100, then both at 60 until 600 more are there; then 400 are left of the second
    assert started(one_each(0, 4), Bandwidth(100, registry=120)) == [14, 18]


def test_pulls_of_an_instance_share_its_network_first():
    builder = PlanBuilder([machine(9), machine(1)], [EnvironmentPlan("e", (0, 1))])
    builder.machines_of(0, 0)
    builder.machines_of(0, 1)
    builder.job(0, 100, Need(9, 1, 0))
    builder.job(0, 100, Need(1, 1, 0))
    record = builder.run(
        images=[(0, 1, 2, 3), (0,)], pull_us=[10, 10], bandwidth=Bandwidth(100, {0: 100}, registry=150)
    )
    # 4 at 25 are within a fair part of it, so that one at 50 is left for the other instance
    assert list(record.started_us) == [40, 20]


def test_a_machine_that_shares_a_rate_among_its_pulls_takes_no_more_than_that_rate():
    assert started(one_each(0, 0), Bandwidth(100, shared=True, registry=150), 15) == [20, 20]


def test_a_pull_goes_on_when_nobody_waits_for_it_any_more():
    stop = JobsEvent(3, "terminate", (range(1),), "enough")
    record = one_each(0, 0).run(
        images=[(0,)] * 2, pull_us=[10] * 2, bandwidth=Bandwidth(100, registry=100), requests=[stop]
    )
    assert (record.ended_us[0], record.started_us[1]) == (3, 20)


class World:
    """What a registry wants to know of a world; an image is pulled alone in as many us as its number."""

    def __init__(self, bandwidth: Bandwidth) -> None:
        self.bandwidth = bandwidth

    def pull_time(self, job_class: int, instance: int, image: int) -> int:  # noqa: ARG002
        return image


def ends_of(bandwidth: Bandwidth, pulls: list[tuple[int, int, int]], gone: dict[int, int]) -> list[int]:
    """When pulls end, told by a registry: (since when, instance, how long alone); -1 of those cut off."""
    registry = Registry(World(bandwidth), range(10))
    ends = [-1] * len(pulls)
    instants = sorted({since for since, _, _ in pulls} | set(gone.values()))

    def told(until: int) -> None:
        while registry.due_us <= until:
            registry.turn(registry.due_us)
            for waiter, there in registry.moved():
                ends[waiter.job] = there

    for now in instants:
        told(now)
        for instance, at in gone.items():
            if at == now:
                registry.gone(now, instance)
                for job, pull in enumerate(pulls):
                    if pull[1] == instance and not 0 <= ends[job] <= now:
                        registry.forget(instance, job)
                        ends[job] = -1
        for job, (since, instance, lasting) in enumerate(pulls):
            if since == now and gone.get(instance, since + 1) > now:
                there = registry.images_there(Waiter(job, instance, since, 0), 0, (lasting,), stays=False)
                ends[job] = there
        told(now)
    told(1 << 60)
    return ends


pulls_of_three = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 2), st.integers(0, 12)), min_size=1, max_size=9
).map(sorted)
bandwidths = st.builds(
    Bandwidth,
    of_pull=st.just(10),
    networks=st.dictionaries(st.integers(0, 2), st.sampled_from([3, 10, 25])),
    shared=st.booleans(),
    registry=st.sampled_from([1, 9, 15, 40, 1000]),
    of_types=st.dictionaries(st.integers(0, 2), st.sampled_from([4, 17])),
)


@given(bandwidths, pulls_of_three, st.dictionaries(st.integers(0, 2), st.integers(1, 40)))
def test_pulls_end_as_they_do_when_all_are_followed_from_the_beginning(bandwidth, pulls, gone):
    works = [
        Pull(since, lasting * bandwidth.rate(instance), instance, gone.get(instance, -1))
        for since, instance, lasting in pulls
    ]
    limits = [lambda n, row=instance: bandwidth.limit(row, n) for _, instance, _ in pulls]
    expected = follow_all(works, limits, bandwidth.registry)
    cut = [since >= gone.get(instance, since + 1) for since, instance, _ in pulls]
    found = ends_of(bandwidth, pulls, gone)
    assert found == [-1 if off else end for off, end in zip(cut, expected, strict=True)]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), min_size=1, max_size=9), st.integers(50, 400)
)
def test_no_byte_is_lost_and_the_registry_is_never_idle(pulls, registry):
    """Each on an instance of its own, which could take all that the registry has."""
    each = [(0, instance, lasting) for instance, (_, lasting) in enumerate(pulls)]
    bandwidth = Bandwidth(1000, registry=registry)
    last = max(ends_of(bandwidth, each, {}))
    work = 1000 * sum(lasting for _, lasting in pulls)
    # at most a microsecond of each end, and less than one unit of each rate, goes unused
    lost = registry * len(each) + len(each) * last
    assert work <= registry * last <= work + lost
