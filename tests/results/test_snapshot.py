"""GetJobQueueSnapshot from frames: by hand, and against the scheduler's own order of a fair-share queue."""

from __future__ import annotations

from array import array
from heapq import heapify, heappop, heappush
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.core.fairshare import FairShareQueue
from batchsim.core.shares import FairSharePolicy, Stake
from batchsim.errors import UsageError
from batchsim.results import Result, build_result
from tests.results.worlds import JobClass, Recorder, S, context_of, told_of_everything, write_attempt

FIFO = {"jobQueues": [{"jobQueueName": "q"}]}


def fifo() -> Result:
    """One job at a time: 0 runs from 2 to 10 and is retried until 30; 1 runs then; 2, 3, 4 wait behind."""
    recorder = Recorder(5)
    recorder.add_instance(0, 0, 0)
    for job, us in enumerate((2, 3, 9, 4, 31)):
        recorder.runnable_us[job] = us * S
    write_attempt(recorder, 0, 0, 2 * S, 2 * S, 2 * S, 10 * S, 1)
    recorder.keep_attempt(0)
    write_attempt(recorder, 0, 0, 20 * S, 20 * S, 20 * S, 30 * S, 1)
    recorder.keep_attempt(0)
    write_attempt(recorder, 0, 0, 50 * S, 50 * S, 50 * S, -1, -1)
    write_attempt(recorder, 1, 0, 35 * S, 35 * S, 35 * S, 45 * S, 0)
    recorder.state[1] = 5
    recorder.finish(60 * S, "horizon")
    context = context_of(
        [JobClass("a", "q", attempts=3)],
        [(0, 0), (1 * S, 0), (2 * S, 0), (3 * S, 0), (30 * S, 0)],
        scenario=FIFO,
    )
    return build_result(recorder, context)


@pytest.mark.parametrize(
    ("at", "jobs", "earliest"),
    [
        (1, [], []),
        (2, [], []),  # placed at once
        ("4s", ["a-1", "a-3"], [3, 4]),
        (9, ["a-1", "a-3", "a-2"], [3, 4, 9]),  # by the instant they became RUNNABLE
        (10, ["a-0", "a-1", "a-3", "a-2"], [10, 10, 10, 10]),  # the retry stands in front of all
        ("19s", ["a-0", "a-1", "a-3", "a-2"], [10, 10, 10, 10]),
        (20, ["a-1", "a-3", "a-2"], [20, 20, 20]),
        ("0.5m", ["a-0", "a-1", "a-3", "a-2"], [30, 30, 30, 30]),
        (40, ["a-0", "a-3", "a-2", "a-4"], [30, 35, 35, 35]),
        (60, ["a-3", "a-2", "a-4"], [50, 50, 50]),
    ],
)
def test_spec_1_18_a_fifo_queue_shows_retries_first_then_by_the_instant_they_became_runnable(
    at, jobs, earliest
):
    shown = fifo().snapshot("q", at=at)
    assert shown["job"].tolist() == jobs
    assert shown["position"].tolist() == list(range(1, len(jobs) + 1))
    assert shown["earliest_at_position_s"].tolist() == earliest
    assert shown["score"].isna().all()


def test_a_snapshot_tells_for_how_long_each_job_has_waited():
    shown = fifo().snapshot("q", 40)
    assert shown["waiting_s"].tolist() == [40, 37, 38, 10]
    assert shown["runnable_since_s"].tolist() == [30, 4, 9, 31]
    assert shown["vcpus"].tolist() == [1] * 4


def test_a_snapshot_has_a_hundred_jobs_at_most():
    recorder = Recorder(150)
    for job in range(150):
        recorder.runnable_us[job] = 149 - job
    recorder.finish(S, "horizon")
    result = build_result(recorder, context_of([JobClass("a", "q")], [(0, 0)] * 150, scenario=FIFO))
    shown = result.snapshot("q", 1)
    assert shown["job"].tolist() == [f"a-{job}" for job in range(149, 49, -1)]


def test_a_queue_with_shares_shows_the_share_of_the_least_score_first():
    shown = build_result(*told_of_everything()).snapshot("pods", at="55s")
    assert shown["job"].tolist() == ["pod-1", "big-1"]
    assert shown["share"].tolist() == ["red", "blue"]
    assert shown["priority"].tolist() == [3, 0]
    assert shown["score"].tolist() == [0.25, 0.75]  # what is in flight counts in full
    assert shown["earliest_at_position_s"].isna().all()


def test_spec_2_4_usage_decays_as_the_examples_say():
    """4 vCPUs from 0 to 300 s, D = 600 s: 300 vCPU-s at 600 s, nothing at 900 s."""
    recorder = Recorder(2)
    recorder.add_instance(0, 0, 0)
    recorder.runnable_us[0] = recorder.runnable_us[1] = 0
    write_attempt(recorder, 0, 0, 0, 0, 0, 300 * S, 0)
    recorder.state[0] = 5
    recorder.finish(1000 * S, "horizon")
    scenario = scenario_of({"name": "fair"})
    classes = [JobClass("a", "q", vcpus=4, share="red")]
    result = build_result(recorder, context_of(classes, [(0, 0)] * 2, scenario=scenario))
    assert [result.snapshot("q", at)["score"].item() for at in (299, 600, 900)] == [4, 300 / 600, 0]


@pytest.mark.parametrize(
    ("queue", "at", "said"),
    [
        ("r", "1s", "queue: expected q, found 'r'"),
        ("q", "61s", "at: expected an instant of the run, which ended after 1m 00s, found '61s'"),
        ("q", "soon", "at: expected a duration such as '90s', '12m' or '1h30m', found 'soon'"),
        ("q", -1, "at: expected a duration of 0 or more seconds, found -1"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(queue, at, said):
    with pytest.raises(UsageError) as told:
        fifo().snapshot(queue, at)
    assert told.value.one_line() == said


# --- against the scheduler ----------------------------------------------------------------------

D = 100
SHARES = ("ann1", "ann2", "blue", "bob", "red")  # by name: so are equal scores told apart
WEIGHTS = (("ann*", 20_000), ("red", 5_000))


def scenario_of(policy: dict) -> dict:
    return {
        "jobQueues": [{"jobQueueName": "q", "schedulingPolicyArn": policy["name"]}],
        "schedulingPolicies": [policy],
    }


class Submission(NamedTuple):
    at: int
    share: int
    priority: int


class Start(NamedTuple):
    """The head starts; `lasts` -1 for longer than the run, `retried` whether it waits again then."""

    at: int
    lasts: int
    retried: bool


KINDS = [(share, priority) for share in range(len(SHARES)) for priority in (0, 1)]
INSTANTS = st.integers(0, 150)
SUBMISSIONS = st.builds(Submission, INSTANTS, st.integers(0, len(SHARES) - 1), st.integers(0, 1))
STARTS = st.builds(Start, INSTANTS, st.sampled_from([-1, 1, 30, 90, 120]), st.booleans())
RETRY, END, SUBMIT, START = range(4)


class History:
    """A fair-share queue of the scheduler and a record that see the same things happen until `at`."""

    def __init__(
        self, policy: FairSharePolicy, submissions: list[Submission], starts: list[Start], at: int
    ) -> None:
        self.class_of = [KINDS.index(each[1:]) for each in submissions]
        self.runnable = array("q", [-1]) * len(submissions)
        stakes = [Stake(0, share, 1 + share % 3, priority) for share, priority in KINDS]
        self.queue = FairShareQueue(policy, SHARES, stakes, self.class_of, self.runnable)
        self.recorder = Recorder(len(submissions))
        self.recorder.add_instance(0, 0, 0)
        self.due = [(each.at, SUBMIT, job, None) for job, each in enumerate(submissions)]
        self.due += [(each.at, START, number, each) for number, each in enumerate(starts)]
        heapify(self.due)
        while self.due and self.due[0][0] <= at:
            self.happen(*heappop(self.due))
        self.queue.begin_pass(at)
        self.recorder.finish(1000, "horizon")

    def happen(self, now: int, kind: int, job: int, start: Start | None) -> None:
        queue, recorder = self.queue, self.recorder
        queue.begin_pass(now)
        if kind == SUBMIT:
            self.runnable[job] = recorder.runnable_us[job] = now
            queue.submitted(now, job)
            queue.add(job)
        elif kind == START and queue.size:
            job = queue.first(0)
            queue.take(job)
            queue.started(now, job)
            write_attempt(recorder, job, 0, now, now, now, -1, -1)
            if start.lasts >= 0:
                heappush(self.due, (now + start.lasts, RETRY if start.retried else END, job, None))
        elif kind in {RETRY, END}:
            queue.ended(now, job)
            recorder.ended_us[job], recorder.exit_code[job] = now, 1
            if kind == RETRY:
                recorder.keep_attempt(job)
                queue.add(job, retried=True)
            else:
                recorder.state[job] = 6
                queue.finished(now, job)


@given(
    st.lists(SUBMISSIONS, min_size=1, max_size=12).map(sorted),
    st.lists(STARTS, max_size=12),
    st.sampled_from(["finished", "cdk"]),
    st.booleans(),
    st.integers(1, 300),
)
def test_a_fair_share_queue_is_shown_in_the_order_of_the_scheduler(submissions, starts, model, splits, at):
    history = History(FairSharePolicy(D, 0, WEIGHTS, model, splits), submissions, starts, at)
    distribution = [{"shareIdentifier": name, "weightFactor": weight / 10_000} for name, weight in WEIGHTS]
    rules = {"shareDecaySeconds": D / S, "shareDistribution": distribution}
    context = context_of(
        [
            JobClass("a", "q", 1 + share % 3, attempts=2, share=SHARES[share], priority=priority)
            for share, priority in KINDS
        ],
        [(each.at, row) for each, row in zip(submissions, history.class_of, strict=True)],
        scenario=scenario_of({"name": "fair", "fairsharePolicy": rules}),
        assumptions={"fairShareModel": model, "wildcardSplit": splits},
    )
    shown = build_result(history.recorder, context).snapshot("q", at=at / S)
    assert shown["job"].tolist() == [f"a-{job}" for job in history.queue.jobs()]
    for share, _, waiting, score in history.queue.usage(at):
        if waiting:
            first = shown[shown["share"] == SHARES[share]].iloc[0]
            assert first["score"] == pytest.approx(score / history.queue.score_unit, rel=1e-12)
