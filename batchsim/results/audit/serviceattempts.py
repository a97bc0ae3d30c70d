"""L22 of the attempts of service jobs: their order, what they hold, and what jobs tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import pandas as pd

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_FRAME: Final = "service_attempts"
_IN_ALL: Final = "NUM_INSTANCES"
_COUNTED: Final = {"capacity_retries": "REFUSED", "preemptions": "PREEMPTED"}
_OUTCOMES: Final = ("", "SUCCEEDED", "FAILED", "PREEMPTED", "REFUSED")
_HOLDING: Final = ("SCHEDULED", "STARTING", "RUNNING")


def microseconds(frame: pd.DataFrame, name: str) -> Ints:
    """A column of seconds as integers; -1 for missing."""
    seconds: npt.NDArray[np.float64] = frame[name].fillna(-1 / US_PER_S).to_numpy()
    return np.rint(seconds * US_PER_S).astype(np.int64)


def service_attempts(
    frame: pd.DataFrame, jobs: pd.DataFrame, ended_at: int, scenario: Mapping[str, Any]
) -> list[Violation]:
    """L22 for each attempt, for each job by its attempts, and for each limit of a service environment."""
    row_of = {name: row for row, name in enumerate(jobs["job"])}
    of = np.array([row_of.get(name, -1) for name in frame["job"]], dtype=np.int64)
    if (of < 0).any():
        return rows_where(of < 0, "L22", _FRAME, "no such service job")
    order = np.lexsort((microseconds(frame, "scheduled_s"), of))
    attempts = _Attempts(frame.iloc[order], of[order], jobs, ended_at)
    found = [
        violation
        for message, guilty in attempts.faults()
        for violation in rows_where(guilty, "L22", _FRAME, message, order)
    ]
    for message, guilty in attempts.faults_of_jobs():
        found += rows_where(guilty, "L22", "service_jobs", message)
    return found + attempts.beyond_limits(scenario)


class _Attempts:
    """The frame as integers, by job, then by time; `of` is each attempt's job, a row of `jobs`."""

    def __init__(self, frame: pd.DataFrame, of: Ints, jobs: pd.DataFrame, ended_at: int) -> None:
        self.frame, self.of, self.jobs, self.ended_at = frame, of, jobs, ended_at
        self.scheduled, self.starting, self.started, self.ended = (
            microseconds(frame, name) for name in ("scheduled_s", "starting_s", "started_s", "ended_s")
        )
        self.until = np.where(self.ended < 0, ended_at, self.ended)
        self.outcome = frame["outcome"].astype(object).where(frame["outcome"].notna(), "").to_numpy()
        self.is_first = np.append(True, of[1:] != of[:-1])[: len(of)]
        self.is_last = np.append(of[1:] != of[:-1], True)[: len(of)]

    def faults(self) -> Iterator[tuple[str, Flags]]:
        """What can be wrong with an attempt, and with which it is."""
        frame, follows = self.frame, ~self.is_first
        open_, failed = self.ended < 0, self.outcome == "FAILED"
        yield "SCHEDULED before its job was submitted", self.scheduled < self._of_job("submit_s")
        yield "STARTING before it was SCHEDULED", (self.starting >= 0) & (self.starting < self.scheduled)
        runs = self.started >= 0
        yield "RUNNING before it was STARTING", runs & ((self.starting < 0) | (self.started < self.starting))
        begun = np.maximum(self.scheduled, np.maximum(self.starting, self.started))
        yield "ended before it began", ~open_ & (self.ended < begun)
        yield "after the run's end", np.maximum(begun, self.ended) > self.ended_at
        yield "an outcome that attempts do not have", ~np.isin(self.outcome, _OUTCOMES)
        yield "ended without an outcome, or the reverse", open_ != (self.outcome == "")
        yield "an outcome without a reason, or the reverse", open_ != frame["status_reason"].isna().to_numpy()
        yield "SUCCEEDED without having run", (self.outcome == "SUCCEEDED") & ~runs
        yield "REFUSED and STARTING", (self.outcome == "REFUSED") & (self.starting >= 0)
        before = np.append(-1, self.until[:-1])[: len(self.of)]
        yield "SCHEDULED before the attempt before it ended", follows & (self.scheduled < before)
        yield "not the last of its job, and goes on", ~self.is_last & open_
        yield "not the last of its job, and SUCCEEDED", ~self.is_last & (self.outcome == "SUCCEEDED")
        failures = np.append(0, np.cumsum(failed))[: len(self.of)]
        since = np.maximum.accumulate(np.where(self.is_first, failures, 0))
        yield (
            "its number does not count the failures before it",
            (frame["attempt"].to_numpy() != 1 + failures - since),
        )
        for name in ("instances", "instance_type"):
            told, of_job = frame[name].astype(object), self.jobs[name].astype(object)
            yield f"{name} are not those of its job", told.to_numpy() != of_job.to_numpy()[self.of]

    def faults_of_jobs(self) -> Iterator[tuple[str, Flags]]:
        """What a job can tell otherwise than its attempts do."""
        jobs = self.jobs
        uses_one = ~np.isin(self.outcome, list(_COUNTED.values()))
        yield "attempts are not its attempts", jobs["attempts"].to_numpy() != self._sum(uses_one)
        for name, outcome in _COUNTED.items():
            yield (
                f"{name} are not its attempts {outcome}",
                (jobs[name].to_numpy() != self._sum(self.outcome == outcome)),
            )
        running = np.where(self.started < 0, 0, self.until - self.started)
        for name, us in (
            ("held_s", self.until - self.scheduled),
            ("running_s", running),
            ("preempted_s", np.where(self.outcome == "PREEMPTED", running, 0)),
        ):
            yield f"{name} is not that of its attempts", microseconds(jobs, name) != self._sum(us)
        for name, instant in (("scheduled_s", self.scheduled), ("start_s", self.started)):
            yield f"{name} is not the first of its attempts", microseconds(jobs, name) != self._first(instant)
        state, end = jobs["state"].astype(str).to_numpy(), microseconds(jobs, "end_s")
        succeeded = self._sum(self.outcome == "SUCCEEDED") > 0
        yield "SUCCEEDED, and no attempt did, or the reverse", succeeded != (state == "SUCCEEDED")
        last = np.zeros(len(jobs), dtype=np.int64)
        np.maximum.at(last, self.of, self.until)
        yield "ended before its attempts", (end >= 0) & (end < last)
        yield "SUCCEEDED after its last attempt ended", succeeded & (end != last)
        expected = np.full(len(jobs), "", dtype=object)
        open_ = self.ended < 0
        for name, reached in zip(_HOLDING, (self.scheduled, self.starting, self.started), strict=True):
            expected[self.of[open_ & (reached >= 0)]] = name
        yield "its state is not that of its attempt", np.isin(state, _HOLDING) != (expected != "")
        yield "its state is another than its attempt's", (expected != "") & (state != expected)

    def beyond_limits(self, scenario: Mapping[str, Any]) -> list[Violation]:
        """The instances that are held at once never exceed the capacity of a service environment."""
        found: list[Violation] = []
        environment_of = {
            queue["jobQueueName"]: queue["serviceEnvironmentOrder"][0]["serviceEnvironment"].rpartition("/")[
                -1
            ]
            for queue in scenario.get("jobQueues", ())
            if queue.get("serviceEnvironmentOrder")
        }
        environment = np.array([environment_of.get(name, "") for name in self.jobs["queue"]], dtype=object)
        types = self.frame["instance_type"].astype(object).to_numpy()
        for row in scenario.get("serviceEnvironments", ()):
            mine = environment[self.of] == row["serviceEnvironmentName"]
            for limit in row["capacityLimits"]:
                unit = limit.get("capacityUnit", _IN_ALL)
                counted = mine if unit == _IN_ALL else mine & (types == unit)
                found += unless(
                    self._most_at_once(counted) <= int(limit["maxCapacity"]),
                    "L22",
                    f"more than maxCapacity of {row['serviceEnvironmentName']} is held, counted in {unit}",
                    _FRAME,
                )
        return found

    def _most_at_once(self, counted: Flags) -> int:
        """Instances; at one instant those that are given back come first."""
        ended = counted & (self.ended >= 0)
        instances = self.frame["instances"].to_numpy()
        instants = np.concatenate((self.ended[ended], self.scheduled[counted]))
        changes = np.concatenate((-instances[ended], instances[counted]))
        return int(changes[np.argsort(instants, kind="stable")].cumsum().max(initial=0))

    def _of_job(self, name: str) -> Ints:
        return microseconds(self.jobs, name)[self.of]

    def _sum(self, values: npt.NDArray[Any]) -> Ints:
        sums = np.zeros(len(self.jobs), dtype=np.int64)
        np.add.at(sums, self.of, values)
        return sums

    def _first(self, instants: Ints) -> Ints:
        """Of each job the earliest of these instants; -1 without any."""
        never = np.iinfo(np.int64).max
        first = np.full(len(self.jobs), never)
        np.minimum.at(first, self.of, np.where(instants < 0, never, instants))
        return np.where(first == never, -1, first)
