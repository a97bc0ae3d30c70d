"""The tick model by hand: placement, queues, environments, what happens within one unit of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import (
    NEVER,
    NOWHERE,
    TickInstance,
    TickJob,
    TickQueue,
    kiefer_wolfowitz,
    tick_model,
)


def starts(placements):
    return [placement.start for placement in placements]


def instances(placements):
    return [placement.instance for placement in placements]


def test_best_fit_leaves_gpus_alone_then_takes_the_fewest_free_vcpus_then_the_least_free_memory():
    fleet = [
        TickInstance(2, 8, 1),
        TickInstance(8, 8),
        TickInstance(4, 9),
        TickInstance(4, 8),
        TickInstance(4, 8),
    ]
    jobs = [TickJob(0, 9, 2, 4) for _ in range(6)]
    assert instances(tick_model(jobs, fleet)) == [3, 3, 4, 4, 2, 2]
    assert starts(tick_model(jobs, fleet)) == [0] * 6


def test_a_gpu_job_waits_for_a_gpu_that_a_job_without_one_kept_busy():
    fleet = [TickInstance(4, 8, 1)]
    jobs = [TickJob(0, 3, 4, 1), TickJob(0, 2, 1, 1, gpus=1), TickJob(1, 2, 1, 1, gpus=1)]
    assert starts(tick_model(jobs, fleet)) == [0, 3, 5]


@pytest.mark.parametrize(("vcpus", "memory", "gpus"), [(2, 1, 1), (1, 2, 1), (1, 1, 2)])
def test_running_jobs_hold_each_resource_until_they_end(vcpus, memory, gpus):
    jobs = [TickJob(0, 3, vcpus, memory, gpus), TickJob(1, 1, vcpus, memory, gpus)]
    assert starts(tick_model(jobs, [TickInstance(3, 3, 3)])) == [0, 3]
    assert starts(tick_model(jobs, [TickInstance(4, 4, 4)])) == [0, 1]


def test_free_capacity_split_over_instances_does_not_fit_one_job():
    jobs = [TickJob(0, 4, 1), TickJob(0, 2, 2), TickJob(1, 1, 2)]
    assert tick_model(jobs, [TickInstance(2), TickInstance(2)]) == [(0, 0), (0, 1), (2, 1)]


@pytest.mark.parametrize(("short", "expected"), [("vcpus", NOWHERE), ("memory", NOWHERE), ("gpus", NOWHERE)])
def test_each_resource_alone_can_keep_a_job_out_for_ever(short, expected):
    room = {"vcpus": 2, "memory": 3, "gpus": 1}
    job = TickJob(0, 1, **room)
    assert tick_model([job], [TickInstance(**room)]) == [(0, 0)]
    assert tick_model([job], [TickInstance(**{**room, short: room[short] - 1})]) == [expected]


def test_a_job_that_fits_nowhere_blocks_its_queue_only_and_not_with_backfill():
    jobs = [TickJob(0, 1, 3), TickJob(0, 1, 1), TickJob(0, 1, 1, queue=1)]
    queues = [TickQueue(5), TickQueue(1)]
    assert starts(tick_model(jobs, [TickInstance(2)], queues)) == [NEVER, NEVER, 0]
    assert starts(tick_model(jobs, [TickInstance(2)], queues, backfill=True)) == [NEVER, 0, 0]


def test_priority_is_not_strict_small_jobs_of_a_low_queue_starve_a_large_one_of_a_high_queue():
    low = [TickJob(0, 2, 1), TickJob(0, 3, 1), TickJob(0, 3, 1), TickJob(0, 3, 1)]
    high = TickJob(1, 1, 2, queue=1)
    assert starts(tick_model([*low, high], [TickInstance(2)], [TickQueue(1), TickQueue(9)])) == [
        0,
        0,
        2,
        3,
        6,
    ]


def test_a_higher_queue_goes_first_whatever_was_submitted_earlier():
    jobs = [TickJob(0, 5, 1), TickJob(1, 1, 1), TickJob(2, 1, 1, queue=1), TickJob(3, 1, 1, queue=1)]
    assert starts(tick_model(jobs, [TickInstance(1)], [TickQueue(1), TickQueue(2)])) == [0, 7, 5, 6]


def test_equal_queues_take_turns_and_only_passes_that_start_something_count():
    slot = [TickInstance(1)]
    jobs = [TickJob(at, 3, 1, queue=queue) for at, queue in [(0, 0), (0, 0), (1, 0), (0, 1), (2, 1), (0, 2)]]
    # Starts at 0, 3, 6, ...; the passes between find no room and must not turn the wheel.
    assert starts(tick_model(jobs, slot, [TickQueue(), TickQueue(), TickQueue()])) == [0, 9, 15, 3, 12, 6]


def test_a_pass_that_starts_several_jobs_turns_the_wheel_once():
    jobs = [TickJob(0, 2, 1, queue=queue) for queue in (0, 0, 0, 1, 1, 1)]
    placed = tick_model(jobs, [TickInstance(2)], [TickQueue(), TickQueue()])
    assert starts(placed) == [0, 0, 4, 2, 2, 4]
    assert instances(placed) == [0] * 6


def test_only_queues_of_equal_priority_take_turns():
    jobs = [TickJob(0, 1, 1, queue=queue) for queue in (0, 0, 1, 1, 2, 2)]
    queues = [TickQueue(1), TickQueue(7), TickQueue(1)]
    assert starts(tick_model(jobs, [TickInstance(1)], queues)) == [2, 4, 0, 1, 3, 5]


def test_environments_are_tried_in_the_order_of_the_queue():
    fleet = [TickInstance(1), TickInstance(4, environment=1)]
    jobs = [TickJob(0, 2, 1) for _ in range(5)]
    assert instances(tick_model(jobs, fleet, [TickQueue(environments=(0, 1))])) == [0, 1, 1, 1, 1]
    assert instances(tick_model(jobs, fleet, [TickQueue(environments=(1, 0))])) == [1, 1, 1, 1, 0]
    assert starts(tick_model(jobs, fleet, [TickQueue(environments=(0,))])) == [0, 2, 4, 6, 8]


def test_a_job_of_no_length_holds_its_place_to_the_end_of_the_pass():
    jobs = [TickJob(2, 0, 1), TickJob(2, 3, 1), TickJob(2, 1, 1, queue=1)]
    slot = [TickInstance(1)]
    # The first pass at 2 starts job 0 and turns the wheel, so the second serves the other queue first.
    assert starts(tick_model(jobs, slot, [TickQueue(), TickQueue()])) == [2, 3, 2]
    assert starts(tick_model(jobs[:2], slot)) == [2, 2]


def test_completions_come_before_arrivals_of_the_same_unit():
    assert starts(tick_model([TickJob(0, 4, 1), TickJob(4, 1, 1)], [TickInstance(1)])) == [0, 4]


def test_no_jobs_no_placements():
    assert tick_model([], [TickInstance(1)]) == []


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=10),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_equal_requests_on_equal_instances_are_slots(jobs, count, slots_each):
    queue = sorted(submit for submit, _ in jobs)
    runs = [run for _, run in jobs]
    tick_jobs = [TickJob(submit, run, 3, 5) for submit, run in zip(queue, runs, strict=True)]
    fleet = [TickInstance(3 * slots_each + 2, 99)] * count
    assert starts(tick_model(tick_jobs, fleet)) == kiefer_wolfowitz(queue, runs, count * slots_each)
