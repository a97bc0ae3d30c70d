"""Law L8 against its definition: an O(n^2) loop over waits."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.results import Recorder, Result, build_result
from batchsim.results.audit.facts import gather
from batchsim.results.audit.order import fifo
from batchsim.results.recording import FAILED, SUCCEEDED
from tests.results.worlds import JobClass, context_of, write_attempt

END = 1000
NEVER = 10**9


class Story:
    """A job: RUNNABLE at `runnable`, then (placed, ended) attempts, then perhaps an end without one."""

    def __init__(self, runnable: int, *attempts: tuple[int, int], queue: int = 0, gave_up: int | None = None):
        self.runnable = runnable
        self.attempts = attempts
        self.queue = queue
        self.gave_up = gave_up

    def waits(self) -> list[tuple[int, int, bool]]:
        """(since, until, placed): the first wait, then one after each attempt unless it was the last."""
        begins = [self.runnable, *(ended for _, ended in self.attempts)]
        if self.gave_up is None:
            begins = begins[: max(1, len(self.attempts))]
        ends = [(placed, True) for placed, _ in self.attempts]
        ends += [(self.gave_up if self.gave_up is not None else NEVER, False)] * (len(begins) - len(ends))
        return [(begin, *end) for begin, end in zip(begins, ends, strict=True)]


def guilty_by_definition(stories: list[Story], interval: int = 1) -> set[int]:
    # What the end of an attempt without length brings about comes after who was placed at that instant.
    rounds = {placed for story in stories for placed, ended in story.attempts if placed == ended}
    waits = []
    for job, story in enumerate(stories):
        for number, (since, until, placed) in enumerate(story.waits()):
            after = since
            if number and story.attempts[number - 1][0] == since:
                after = since + 1  # the wait begins after that instant's placements
            rank = (0, job) if number else (1, -(-story.runnable // interval) * interval, job)
            waits.append((job, story.queue, rank, after, until, placed))

    def may_have_been_first(
        rank: tuple[int, ...], placed_at: int, other: tuple[int, ...], since: int
    ) -> bool:
        at_once = rank[0] == 1 and rank[1] == placed_at and placed_at in rounds
        return at_once and other[0] == 1 and since == placed_at

    return {
        job
        for job, queue, rank, _, placed_at, placed in waits
        for _, other_queue, other_rank, since, until, _ in waits
        if placed and queue == other_queue and other_rank < rank and since <= placed_at < until
        if not may_have_been_first(rank, placed_at, other_rank, since)
    }


def result_of(stories: list[Story], backfill: str = "none", interval: int = 0) -> Result:
    classes = [JobClass("a", "q0", attempts=10), JobClass("b", "q1", attempts=10)]
    recorder = Recorder(len(stories))
    recorder.add_instance(0, 0, 0)
    for job, story in enumerate(stories):
        recorder.runnable_us[job] = story.runnable
        for attempt, following in pairwise([*story.attempts, None]):
            write_attempt(recorder, job, 0, attempt[0], attempt[0], attempt[0], attempt[1], 1)
            if following or story.gave_up is not None:
                recorder.keep_attempt(job)
        if story.gave_up is not None:
            recorder.ended_us[job] = story.gave_up
            recorder.state[job] = FAILED
        elif story.attempts:
            recorder.state[job] = SUCCEEDED
            recorder.exit_code[job] = 0
    recorder.finish(END, "horizon")
    jobs = [(0, story.queue) for story in stories]
    assumptions = {"backfill": backfill, "schedulingInterval": interval / 1_000_000}
    return build_result(recorder, context_of(classes, jobs, assumptions=assumptions))


def guilty(stories: list[Story], backfill: str = "none", interval: int = 0) -> set[int]:
    result = result_of(stories, backfill, interval)
    facts, _ = gather(result.frames, result.summary, result.manifest)
    return {row for violation in fifo(facts) for row in violation.rows}


CASES = {
    "in order": ([Story(0, (5, 6)), Story(1, (7, 8))], set()),
    "together": ([Story(0, (5, 6)), Story(1, (5, 8))], set()),
    "the younger first": ([Story(0, (5, 6)), Story(1, (4, 8))], {1}),
    "past one that waits for ever": ([Story(0), Story(1, (4, 8))], {1}),
    "past one that becomes RUNNABLE at that instant": ([Story(4, (6, 7)), Story(4, (4, 8))], {1}),
    "before it was RUNNABLE": ([Story(5, (6, 7)), Story(2, (4, 8))], set()),
    "after the older gave up": ([Story(0, gave_up=4), Story(1, (4, 8))], set()),
    "before the older gave up": ([Story(0, gave_up=4), Story(1, (3, 8))], {1}),
    "another queue": ([Story(0, queue=1), Story(1, (4, 8))], set()),
    "past a retry": ([Story(0, (1, 3), (6, 9)), Story(1, (4, 5))], {1}),
    "past a retry that became RUNNABLE at that instant": ([Story(0, (1, 3), (6, 9)), Story(1, (3, 5))], {1}),
    "as the retry is placed": ([Story(0, (1, 3), (6, 9)), Story(1, (6, 7))], set()),
    "past a retry that waits for ever": ([Story(0, (1, 3), gave_up=900), Story(1, (4, 5))], {1}),
    "the retry itself passes": ([Story(0), Story(1, (1, 3), (4, 5))], {1}),
    "a retry goes first": ([Story(0, (1, 3), (4, 8)), Story(2, (5, 7))], set()),
    "a younger retry before an older one": (
        [Story(0, (0, 3), (7, 9)), Story(0, (0, 4), (5, 8))],
        {1},
    ),
    "an older retry before a younger one": (
        [Story(0, (0, 4), (5, 9)), Story(0, (0, 3), (7, 8))],
        set(),
    ),
    "an attempt without length": ([Story(0, (2, 2), (6, 9)), Story(1, (2, 5))], set()),
    "placed before one came at that instant": (
        [Story(4, (6, 7)), Story(4, (4, 8)), Story(0, (4, 4))],
        set(),
    ),
    "after an attempt without length": ([Story(0, (2, 2), (6, 9)), Story(1, (3, 5))], {1}),
}


@pytest.mark.parametrize("case", CASES)
def test_who_passes_whom(case):
    stories, expected = CASES[case]
    assert guilty(stories) == guilty_by_definition(stories) == expected


def test_nobody_passes_where_nobody_became_runnable():
    assert guilty([Story(END + 1), Story(END + 1)]) == set()


def test_a_greedy_queue_may_pass():
    stories, expected = CASES["the younger first"]
    assert expected
    assert guilty(stories, backfill="greedy") == set()


@st.composite
def stories(draw: st.DrawFn) -> Story:
    instants = sorted(draw(st.lists(st.integers(0, 12), min_size=1, max_size=8)))
    runnable, *rest = instants
    attempts = list(zip(rest[::2], rest[1::2], strict=False))
    left = rest[-1] if len(rest) % 2 else instants[-1]
    # To give up at the end of an attempt is not to wait for another.
    may_give_up = not attempts or left > attempts[-1][1]
    gave_up = left if may_give_up and draw(st.booleans()) else None
    return Story(runnable, *attempts, queue=draw(st.integers(0, 1)), gave_up=gave_up)


@given(st.lists(stories(), max_size=5))
def test_the_guilty_are_those_of_the_definition(told):
    assert guilty(told) == guilty_by_definition(told)


def between_passes(story: Story, interval: int) -> Story:
    """The same with each placement put off to the next pass, and what follows with it."""
    attempts, left = [], story.runnable
    for placed, ended in story.attempts:
        at = -(-max(placed, left) // interval) * interval
        left = max(at, ended)
        attempts.append((at, left))
    gave_up = None if story.gave_up is None else max(story.gave_up, left + 1)
    return Story(story.runnable, *attempts, queue=story.queue, gave_up=gave_up)


@given(st.lists(stories(), max_size=5), st.sampled_from([2, 3, 4]))
def test_the_guilty_are_those_of_the_definition_between_passes_too(told, interval):
    told = [between_passes(story, interval) for story in told]
    assert guilty(told, interval=interval) == guilty_by_definition(told, interval)


AT_ONE_PASS = {
    "before one that became RUNNABLE at that pass, as one without length ended": (
        [Story(2, (4, 4)), Story(4, (6, 7)), Story(3, (4, 8))],
        set(),
    ),
    "past one that was there when the pass began": (
        [Story(2, (4, 4)), Story(3, (6, 7)), Story(3, (4, 8))],
        {2},
    ),
    "past one that a pass before has seen": (
        [Story(2, (4, 4)), Story(0, (6, 7)), Story(3, (4, 8))],
        {0, 2},
    ),
    "past one that became RUNNABLE at that pass, where none is without length": (
        [Story(4, (6, 7)), Story(3, (4, 8))],
        {1},
    ),
}


@pytest.mark.parametrize("case", AT_ONE_PASS)
def test_who_passes_whom_between_passes(case):
    stories, expected = AT_ONE_PASS[case]
    assert guilty(stories, interval=4) == guilty_by_definition(stories, 4) == expected


@given(st.lists(stories(), max_size=5))
def test_jobs_are_counted_right_however_they_ended(told):
    assert "L6" not in {violation.law for violation in result_of(told).audit()}
