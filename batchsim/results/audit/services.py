"""L22: what is told of service jobs agrees with itself, and the summary follows from it [spec 1.16]."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.audit.serviceattempts import microseconds, service_attempts
from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import S_PER_HOUR, US_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import pandas as pd

    from batchsim.results.audit.facts import Facts

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_FRAME = "service_jobs"
_TERMINAL = ("SUCCEEDED", "FAILED")
_SENT = ("SCHEDULED", "STARTING", "RUNNING", "SUCCEEDED")
_COUNTS = ("attempts", "capacity_retries", "preemptions")


def services(facts: Facts) -> list[Violation]:
    """L22: instants in their order, states that fit them, times that add up, and a summary that follows."""
    frame, summary = facts.frames.get(_FRAME), facts.summary.get("services")
    attempts = facts.frames.get("service_attempts")
    if frame is None or summary is None or attempts is None:
        nothing = frame is None and summary is None and attempts is None
        return unless(nothing, "L22", "services: a frame or the summary is missing")
    rows = _Rows(frame, round(summary["ended_at_s"] * US_PER_S))
    found = [
        violation
        for message, guilty in rows.faults()
        for violation in rows_where(guilty, "L22", _FRAME, message)
    ]
    every = np.ones(len(frame), dtype=np.bool_)
    ended = bool(rows.is_in(_TERMINAL).all())
    outcome = summary["outcome"]
    fits = {"finished": ended, "stalled": not ended, "horizon": True}.get(outcome, False)
    found += unless(fits, "L22", f"services: outcome {outcome} though {'all' if ended else 'not all'} ended")
    latest = int(rows.end.max(initial=0))
    found += unless(latest <= rows.ended_at, "L22", "services: ended_at_s is before the end of a job")
    found += _figures("services", summary, rows, every)
    queues = summary["queues"]
    found += unless(
        set(frame["queue"].dropna()) <= set(queues), "L22", "services: a job in a queue that is not told of"
    )
    for name, queue in queues.items():
        mine = (frame["queue"] == name).to_numpy()
        found += _figures(f"services.queues.{name}", queue, rows, mine)
        for share, part in queue.get("quotaShares", {}).items():
            in_share = mine & (frame["quota_share"] == share).to_numpy()
            found += _figures(f"services.queues.{name}.quotaShares.{share}", part, rows, in_share)
    return found + service_attempts(attempts, frame, rows.ended_at, facts.manifest["scenario"])


class _Rows:
    """The frame as integers: instants and times in microseconds, -1 for "never"."""

    def __init__(self, frame: pd.DataFrame, ended_at: int) -> None:
        self.frame = frame
        self.ended_at = ended_at
        self.submit, self.scheduled, self.start, self.end = (
            self.us(name) for name in ("submit_s", "scheduled_s", "start_s", "end_s")
        )
        self.held, self.running, self.preempted = (
            self.us(name) for name in ("held_s", "running_s", "preempted_s")
        )
        self.until = np.where(self.end < 0, ended_at, self.end)

    def us(self, name: str) -> Ints:
        return microseconds(self.frame, name)

    def is_in(self, states: tuple[str, ...]) -> Flags:
        return self.frame["state"].isin(states).to_numpy()

    def faults(self) -> Iterator[tuple[str, Flags]]:
        """What can be wrong with a row, and with which it is."""
        frame, sent, started = self.frame, self.scheduled >= 0, self.start >= 0
        yield "the name of another job", frame["job"].duplicated().to_numpy()
        yield "submitted after the run's end", self.submit > self.ended_at
        yield "SCHEDULED before it was submitted", sent & (self.scheduled < self.submit)
        yield "RUNNING before it was SCHEDULED", started & ((self.start < self.scheduled) | ~sent)
        yield "ended before it began", (self.end >= 0) & (self.end < np.maximum(self.start, self.submit))
        yield "ended and not terminal, or terminal without an end", (self.end >= 0) != self.is_in(_TERMINAL)
        yield "its state needs what has not happened", self.is_in(_SENT) & ~sent
        yield "it runs or SUCCEEDED without a start", self.is_in(("RUNNING", "SUCCEEDED")) & ~started
        counts = [frame[name].to_numpy() for name in _COUNTS]
        yield "was SCHEDULED and not counted, or the reverse", (np.sum(counts, axis=0) > 0) != sent
        yield "more attempts than allowed", counts[0] > frame["attempts_allowed"].to_numpy()
        yield "preempted time without a preemption", (self.preempted > 0) & (counts[2] == 0)
        yield "ran longer than it held its instances", self.running > self.held
        yield "was preempted for longer than it ran", self.preempted > self.running
        longest = np.where(sent, self.until - self.scheduled, 0)
        yield "held its instances for longer than since it was SCHEDULED", self.held > longest
        yield "no reason for its failure", self.is_in(("FAILED",)) & frame["status_reason"].isna().to_numpy()
        for name, begin, end in (
            ("waiting_s", self.submit, self.start),
            ("execution_s", self.start, self.end),
            ("turnaround_s", self.submit, self.end),
        ):
            expected = np.where((begin < 0) | (end < 0), -1, end - begin)
            yield f"{name} is not the difference of its instants", self.us(name) != expected


def _figures(where: str, told: Mapping[str, Any], rows: _Rows, mine: Flags) -> list[Violation]:
    """The figures of the summary that are computed again from the rows."""
    waiting = (rows.start - rows.submit)[mine & (rows.start >= 0)]
    turnaround = (rows.end - rows.submit)[mine & (rows.end >= 0)]
    expected: dict[str, float | None] = {
        "jobs": int(mine.sum()),
        "jobs_started": len(waiting),
        "waiting_mean_s": _mean(waiting),
        "waiting_max_s": float(waiting.max()) / US_PER_S if len(waiting) else None,
        "turnaround_mean_s": _mean(turnaround),
        **{name: int(rows.frame[name].to_numpy()[mine].sum()) for name in _COUNTS},
    }
    instances = rows.frame["instances"].to_numpy()[mine].astype(np.float64)
    for name in ("held", "running", "preempted"):
        time_us = getattr(rows, name)[mine].astype(np.float64)
        expected[f"instance_hours_{name}"] = math.fsum(instances * time_us) / (S_PER_HOUR * US_PER_S)
    found = []
    for name, value in expected.items():
        found += unless(_same(told[name], value), "L22", f"{where}.{name} is {told[name]}, not {value}")
    for state, number in told["states"].items():
        count = int((mine & rows.is_in((state,))).sum())
        found += unless(number == count, "L22", f"{where}.states.{state} is {number}, not {count}")
    return found


def _mean(us: Ints) -> float | None:
    return float(us.astype(np.float64).mean()) / US_PER_S if len(us) else None


def _same(told: float | None, expected: float | None) -> bool:
    if told is None or expected is None:
        return told is expected
    return math.isclose(told, expected, rel_tol=1e-9, abs_tol=1e-9)
