"""The pool policies against the tick model, their definitions, theorems and known anomalies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import (
    NEVER,
    PoolJob,
    TickInstance,
    TickJob,
    TickQueue,
    pool_easy,
    pool_fifo,
    pool_greedy,
    small_worlds,
    tick_model,
)

POLICIES = [pool_fifo, pool_greedy, pool_easy]
SUBMISSIONS, SIZES = st.integers(0, 8), st.integers(1, 4)
JOBS = st.lists(st.builds(PoolJob, SUBMISSIONS, st.integers(1, 6), SIZES), min_size=1, max_size=8)
JOBS_THAT_MAY_RUN_0 = st.lists(
    st.builds(PoolJob, SUBMISSIONS, st.integers(0, 4), SIZES), min_size=1, max_size=8
)
CAPACITY = st.integers(4, 7)


def jobs_of(*rows):
    return [PoolJob(*row) for row in rows]


def tick_starts(jobs, processors, *, backfill):
    placements = tick_model([TickJob(*job) for job in jobs], [TickInstance(processors)], backfill=backfill)
    return [placement.start for placement in placements]


def easy_by_definition(jobs, processors, estimates):
    """EASY from its promise alone: a job may overtake if the blocked head's expected start does not move."""
    starts = [NEVER] * len(jobs)

    def expected_free(at, now):
        running = [n for n, job in enumerate(jobs) if starts[n] != NEVER and starts[n] + job.run > now]
        return processors - sum(jobs[n].processors for n in running if starts[n] + estimates[n] > at)

    def expected_start(number, now):
        return next(at for at in range(now, 1000) if jobs[number].processors <= expected_free(at, now))

    for now in range(max(job.submit for job in jobs) + sum(job.run for job in jobs) + 1):
        waiting = [n for n, job in enumerate(jobs) if job.submit <= now and starts[n] == NEVER]
        queue = sorted(waiting, key=lambda number: (jobs[number].submit, number))
        while queue and expected_start(queue[0], now) == now:
            starts[queue.pop(0)] = now
        for number in queue[1:]:
            promised = expected_start(queue[0], now)
            if expected_start(number, now) == now:
                starts[number] = now
                if expected_start(queue[0], now) > promised:
                    starts[number] = NEVER
    return starts


# ------------------------------------------------------------------------------ one model against another


@pytest.mark.parametrize(("policy", "backfill"), [(pool_fifo, False), (pool_greedy, True)])
def test_pool_and_tick_model_agree_on_all_small_worlds(policy, backfill):
    worlds = 0
    for jobs, processors in small_worlds():
        assert policy(jobs, processors) == tick_starts(jobs, processors, backfill=backfill), (
            jobs,
            processors,
        )
        worlds += 1
    assert worlds == 11_664


@given(JOBS_THAT_MAY_RUN_0, CAPACITY)
def test_pool_and_tick_model_agree_on_bigger_worlds(jobs, processors):
    assert pool_fifo(jobs, processors) == tick_starts(jobs, processors, backfill=False)
    assert pool_greedy(jobs, processors) == tick_starts(jobs, processors, backfill=True)


def test_easy_keeps_its_promise_on_all_small_worlds():
    for jobs, processors in small_worlds():
        exact = [job.run for job in jobs]
        assert pool_easy(jobs, processors) == easy_by_definition(jobs, processors, exact), (jobs, processors)


@given(JOBS, CAPACITY, st.lists(st.integers(0, 4), min_size=8, max_size=8))
def test_easy_keeps_its_promise_when_estimates_are_too_long(jobs, processors, too_long):
    estimates = [job.run + excess for job, excess in zip(jobs, too_long, strict=False)]
    assert pool_easy(jobs, processors, estimates) == easy_by_definition(jobs, processors, estimates)


# ------------------------------------------------------------------------------------------------ by hand


def test_a_blocked_head_blocks_everybody_under_fifo_only():
    jobs = jobs_of((0, 4, 2), (1, 1, 3), (2, 1, 1))
    assert pool_fifo(jobs, 3) == [0, 4, 5]
    assert pool_greedy(jobs, 3) == [0, 4, 2]
    assert pool_easy(jobs, 3) == [0, 4, 2]


def test_a_job_larger_than_the_pool_never_starts_and_blocks_fifo_for_ever():
    jobs = jobs_of((0, 1, 4), (0, 1, 1))
    assert pool_fifo(jobs, 3) == [NEVER, NEVER]
    assert pool_greedy(jobs, 3) == [NEVER, 0]


def test_ties_go_by_number_and_completions_come_before_arrivals():
    assert pool_fifo(jobs_of((3, 2, 1), (0, 3, 1), (3, 1, 1)), 1) == [3, 0, 5]


def test_easy_spends_its_extra_processors_once_and_only_on_jobs_that_outlast_the_shadow():
    running, head = (0, 10, 6), (1, 10, 8)  # shadow 10, extra 12 - 8 = 4
    takes_3, too_wide_for_1, ends_in_time, takes_1 = (2, 20, 3), (2, 20, 2), (2, 7, 2), (2, 20, 1)
    jobs = jobs_of(running, head, takes_3, too_wide_for_1, ends_in_time, takes_1)
    assert pool_easy(jobs, 12) == [0, 10, 2, 20, 2, 2]


def test_easy_believes_estimates_but_jobs_end_when_they_end():
    jobs = jobs_of((0, 2, 1), (1, 5, 2), (1, 3, 1))
    assert pool_easy(jobs, 2) == [0, 2, 7]
    assert pool_easy(jobs, 2, [10, 5, 3]) == [0, 4, 1]


# --------------------------------------------------------- theorems (strict FIFO, one pool, no skipping)


def delayed(before, after):
    return [n for n, (early, late) in enumerate(zip(before, after, strict=True)) if late > early]


def test_a_processor_more_never_delays_a_job_under_fifo():
    for jobs, processors in small_worlds():
        assert not delayed(pool_fifo(jobs, processors), pool_fifo(jobs, processors + 1)), (jobs, processors)


@given(JOBS, CAPACITY, st.data())
def test_removing_or_shortening_a_job_never_delays_another_under_fifo(jobs, processors, data):
    chosen = data.draw(st.integers(0, len(jobs) - 1))
    before = pool_fifo(jobs, processors)
    shorter = [job._replace(run=job.run // 2) if n == chosen else job for n, job in enumerate(jobs)]
    assert not delayed(before, pool_fifo(shorter, processors))
    others = [n for n in range(len(jobs)) if n != chosen]
    assert not delayed([before[n] for n in others], pool_fifo([jobs[n] for n in others], processors))


@given(JOBS, CAPACITY, st.integers(0, 8))
def test_a_prefix_of_the_queue_does_not_depend_on_the_rest_under_fifo(jobs, processors, length):
    queue = sorted(jobs, key=lambda job: job.submit)
    assert pool_fifo(queue, processors)[:length] == pool_fifo(queue[:length], processors)


@pytest.mark.parametrize("policy", POLICIES)
@given(jobs=JOBS, processors=CAPACITY, factor=st.integers(2, 5))
def test_shifting_and_scaling_change_nothing_else(policy, jobs, processors, factor):
    starts = policy(jobs, processors)
    later = [job._replace(submit=job.submit + factor) for job in jobs]
    slower = [PoolJob(factor * job.submit, factor * job.run, job.processors) for job in jobs]
    larger = [job._replace(processors=factor * job.processors) for job in jobs]
    assert policy(later, processors) == [start + factor for start in starts]
    assert policy(slower, processors) == [start * factor for start in starts]
    assert policy(larger, processors * factor) == starts


# ------------------------------------------- where "more is never worse" is false: starts before and after


@pytest.mark.parametrize(
    ("policy", "jobs", "processors", "before", "after"),
    [
        pytest.param(
            pool_greedy, jobs_of((0, 6, 1), (2, 6, 4), (3, 5, 1)), 4, [0, 8, 3], [0, 2, 6], id="greedy"
        ),
        pytest.param(pool_easy, jobs_of((2, 6, 2), (3, 6, 1), (2, 2, 3)), 4, [2, 3, 8], [2, 4, 2], id="easy"),
    ],
)
def test_anomaly_a_processor_more_delays_a_job(policy, jobs, processors, before, after):
    assert policy(jobs, processors) == before
    assert policy(jobs, processors + 1) == after
    assert delayed(before, after)


@pytest.mark.parametrize("policy", [pool_greedy, pool_easy])
def test_anomaly_removing_the_first_job_delays_the_third(policy):
    jobs = jobs_of((0, 5, 1), (0, 1, 2), (0, 5, 1))
    assert policy(jobs, 2) == [0, 5, 0]
    assert policy(jobs[1:], 2) == [0, 1]


@pytest.mark.parametrize(
    ("jobs", "vcpus", "before", "after"),
    [
        pytest.param(
            [((2, 6, 2), 3), ((1, 6, 2), 1), ((1, 4, 1), 3)], 2, [5, 11, 1], [7, 1, 1], id="blocking head"
        ),
        pytest.param(
            [((1, 6, 1), 1), ((0, 2, 1), 2), ((0, 2, 1), 2), ((0, 6, 1), 1), ((3, 1, 1), 2)],
            1,
            [11, 0, 2, 5, 4],
            [2, 0, 0, 2, 8],
            id="one-slot jobs",
        ),
    ],
)
def test_anomaly_a_vcpu_more_delays_a_job_of_high_priority(jobs, vcpus, before, after):
    priorities = sorted({priority for _, priority in jobs})
    queues = [TickQueue(priority) for priority in priorities]
    tick_jobs = [TickJob(*job, queue=priorities.index(priority)) for job, priority in jobs]
    for capacity, expected in ((vcpus, before), (vcpus + 1, after)):
        placements = tick_model(tick_jobs, [TickInstance(capacity)], queues)
        assert [placement.start for placement in placements] == expected


def test_anomaly_an_instance_more_delays_a_job_under_fifo():
    rows = [(0, 4, 1), (4, 4, 2), (2, 3, 1), (2, 1, 4), (0, 3, 3), (1, 2, 3), (1, 4, 2)]
    jobs = [TickJob(*row) for row in rows]
    two, three = (tick_model(jobs, [TickInstance(4)] * count) for count in (2, 3))
    assert [placement.start for placement in two] == [0, 4, 3, 3, 0, 1, 3]
    assert [placement.start for placement in three] == [0, 4, 2, 4, 0, 1, 1]
