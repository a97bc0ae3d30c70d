"""The audit of service jobs notices whatever is changed."""

from __future__ import annotations

import copy

import pandas as pd
import pytest

from batchsim.results.audit import audit_frames
from tests.services.scenarios import TYPE, divided, jobs, share


@pytest.fixture
def result(run):
    """One job that succeeded after a preemption, one that failed after a retry, one that waits."""
    shares = [share("owner", 2, "LEND"), share("guest", 1, "LEND_AND_BORROW")]
    return run(
        divided(
            shares,
            jobs("guest", instances=2, runtime="100s", quotaShareName="guest", capacityFailures={"first": 1}),
            jobs("owner", instances=2, quotaShareName="owner", arrivals={"atOnce": {"at": "40s"}}),
            jobs("bad", runtime="10s", quotaShareName="owner", exitCodes=[1], retryStrategy={"attempts": 2}),
            jobs("large", instances=9, quotaShareName="owner", arrivals={"atOnce": {"at": "200s"}}),
            assumptions={"preset": "ideal", "trainingStop": "10s", "trainingPending": "5s"},
        )
    )


def found(result, frame=None, summary=None):
    frames = result.frames | ({} if frame is None else {"service_jobs": frame})
    return audit_frames(frames, result.summary if summary is None else summary, result.manifest)


PLANTED = {
    "submitted after the end": ("submit_s", 3, 1e6),
    "scheduled before it was submitted": ("scheduled_s", 2, 39.0),
    "started before it was scheduled": ("start_s", 2, 41.0),
    "started without being scheduled": ("start_s", 3, 300.0),
    "ended before it began": ("end_s", 2, 41.0),
    "ended and not terminal": ("end_s", 3, 300.0),
    "terminal without an end": ("end_s", 1, None),
    "terminal without an end, by its state": ("state", 2, "RUNNING"),
    "another terminal state": ("state", 0, "FAILED"),
    "scheduled by its state": ("state", 3, "SCHEDULED"),
    "waiting": ("waiting_s", 0, 11.0),
    "execution": ("execution_s", 1, 1.0),
    "turnaround": ("turnaround_s", 2, None),
    "held": ("held_s", 0, 1000.0),
    "held less than it ran": ("held_s", 1, 1.0),
    "ran for longer": ("running_s", 2, 70.0),
    "preempted without a preemption": ("preempted_s", 1, 1.0),
    "preempted for longer than it ran": ("preempted_s", 0, 1000.0),
    "attempts": ("attempts", 1, 3),
    "no attempt": ("attempts", 2, 0),
    "an attempt of a job that waits": ("attempts", 3, 1),
    "allowed": ("attempts_allowed", 1, 1),
    "retries": ("capacity_retries", 0, 2),
    "preemptions": ("preemptions", 0, 2),
    "instances": ("instances", 2, 3),
    "a failure without a reason": ("status_reason", 1, None),
    "another queue": ("queue", 0, "p"),
    "another share": ("quota_share", 0, "owner"),
    "another name": ("job", 0, "bad-0"),
}


def test_the_result_to_be_broken_is_good(result):
    assert result.service_jobs["state"].tolist() == ["SUCCEEDED", "FAILED", "SUCCEEDED", "RUNNABLE"]
    assert result.service_jobs["preemptions"].tolist() == [1, 0, 0, 0]
    assert found(result) == []


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_cell_is_noticed(result, planted):
    column, row, value = PLANTED[planted]
    frame = result.service_jobs.copy()
    values = frame[column].astype(object).where(frame[column].notna(), None).tolist()
    values[row] = value
    dtype = None if isinstance(frame[column].dtype, pd.CategoricalDtype) else frame[column].dtype
    frame[column] = pd.Categorical(values) if dtype is None else pd.Series(values, dtype=dtype)
    assert {violation.law for violation in found(result, frame)} == {"L22"}


def test_no_cell_of_the_attempts_can_be_changed_without_being_noticed(result):
    attempts = result.service_attempts
    for column in attempts.columns.drop("status_reason"):
        for row in range(len(attempts)):
            values = attempts[column].astype(object).where(attempts[column].notna(), None).tolist()
            old = values[row]
            values[row] = f"{old}x" if isinstance(old, str) else 1e6 if old is None else old + 1
            changed = attempts.copy()
            changed[column] = pd.Series(
                values, dtype=object if isinstance(old, str) else attempts[column].dtype
            )
            assert {each.law for each in attempts_found(result, changed)} == {"L22"}, (column, row)


PLANTED_ATTEMPTS = {
    "no attempts": lambda attempts: attempts.iloc[:0],
    "one attempt is missing": lambda attempts: attempts.drop(index=1),
    "another outcome": lambda attempts: attempts.assign(outcome="FAILED"),
    "no outcome": lambda attempts: attempts.assign(outcome=None),
    "no reason": lambda attempts: attempts.assign(status_reason=None),
    "twice": lambda attempts: pd.concat([attempts, attempts.iloc[-1:]]),
}


@pytest.mark.parametrize("planted", PLANTED_ATTEMPTS)
def test_planted_attempts_are_noticed(result, planted):
    changed = PLANTED_ATTEMPTS[planted](result.service_attempts)
    assert {each.law for each in attempts_found(result, changed)} == {"L22"}


def test_capacity_that_is_exceeded_is_noticed(result):
    manifest = copy.deepcopy(result.manifest)
    manifest["scenario"]["serviceEnvironments"][0]["capacityLimits"][0]["maxCapacity"] = 2
    found = audit_frames(result.frames, result.summary, manifest)
    assert [each.message for each in found if each.law != "L18"] == [
        f"more than maxCapacity of e is held, counted in {TYPE}"
    ]


def attempts_found(result, attempts):
    frames = result.frames | {"service_attempts": attempts}
    return audit_frames(frames, result.summary, result.manifest)


FIGURES = (
    "jobs",
    "jobs_started",
    "states.FAILED",
    "attempts",
    "capacity_retries",
    "preemptions",
    "waiting_mean_s",
    "waiting_max_s",
    "turnaround_mean_s",
    "instance_hours_held",
    "instance_hours_running",
    "instance_hours_preempted",
)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("where", ["", "queues.q.", "queues.q.quotaShares.guest."])
def test_a_planted_figure_is_noticed(result, figure, where):
    summary = copy.deepcopy(result.summary)
    *path, last = f"services.{where}{figure}".split(".")
    part = summary
    for name in path:
        part = part[name]
    part[last] = (part[last] or 0) + 1
    assert {violation.law for violation in found(result, summary=summary)} == {"L22"}


@pytest.mark.parametrize(
    ("key", "value"), [("outcome", "finished"), ("outcome", "lost"), ("ended_at_s", 1.0)]
)
def test_the_end_must_be_as_the_jobs_say(result, key, value):
    summary = copy.deepcopy(result.summary)
    summary["services"][key] = value
    assert {violation.law for violation in found(result, summary=summary)} == {"L22"}


def test_frame_and_summary_come_together(result):
    summary = {key: value for key, value in result.summary.items() if key != "services"}
    assert {violation.law for violation in found(result, summary=summary)} == {"L22"}


def test_both_frames_come_together(result):
    frames = {name: frame for name, frame in result.frames.items() if name != "service_attempts"}
    told = [each.message for each in audit_frames(frames, result.summary, result.manifest)]
    assert told == ["services: a frame or the summary is missing"]
