"""The log of a run: every event the scheduler was told and every command it gave, one JSON value a line.

    {"batchsim": 1}
    {"at":0,"event":"instance_joined","with":[0,0]}
    {"at":1500000,"report":"started","job":7,"attempt":1,"node":0,"happened":1480000}
    {"at":2000000,"commands":["Start(job=8, instance=3)"]}
    {"engine":"create","job":7,"attempt":1,"node":0,"took":35000}

A line is in the file before the scheduler is told, so that the log of a run that was killed ends with what
it was killed at. Reports are for people and for `validate`; the scheduler never hears of them in this
form. What the engine took, in real microseconds, follows at the end of a run, for `calibrate`.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from batchsim.core.commands import START, START_NODES, Command, describe
from batchsim.core.scheduler import ESSENTIAL_CONTAINER_EXITED, Scheduler
from batchsim.errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batchsim.core.plan import Plan
    from batchsim.drivers.containers import Timing
    from batchsim.drivers.reports import Report

_VERSION: Final = {"batchsim": 1}
_EVENTS: Final = {
    "job_submitted",
    "attempt_started",
    "attempt_exited",
    "instance_joined",
    "instance_ready",
    "launch_failed",
    "instance_lost",
    "job_cancelled",
    "job_terminated",
    "consumable_updated",
    "plan_updated",
}


class LoggedScheduler(Scheduler):
    """A scheduler that writes down what it is told and what it answers."""

    __slots__ = ("_log",)

    def __init__(self, plan: Plan, log: TextIO) -> None:
        self._log = log
        self._write(_VERSION)
        super().__init__(plan)

    def job_submitted(self, now: int, job: int) -> None:
        self._event(now, "job_submitted", job)
        super().job_submitted(now, job)

    def attempt_started(self, now: int, job: int) -> None:
        self._event(now, "attempt_started", job)
        super().attempt_started(now, job)

    def attempt_exited(
        self,
        now: int,
        job: int,
        exit_code: int | None,
        status_reason: str = ESSENTIAL_CONTAINER_EXITED,
        reason: str = "",
    ) -> int:
        self._event(now, "attempt_exited", job, exit_code, status_reason, reason)
        return super().attempt_exited(now, job, exit_code, status_reason, reason)

    def instance_joined(self, now: int, environment: int, type_index: int) -> int:
        self._event(now, "instance_joined", environment, type_index)
        return super().instance_joined(now, environment, type_index)

    def instance_ready(self, now: int, index: int) -> None:
        self._event(now, "instance_ready", index)
        super().instance_ready(now, index)

    def launch_failed(self, now: int, index: int, closed: tuple[int, ...] = ()) -> None:
        self._event(now, "launch_failed", index, *([closed] if closed else ()))
        super().launch_failed(now, index, closed)

    def instance_lost(self, now: int, index: int, status_reason: str) -> list[int]:
        self._event(now, "instance_lost", index, status_reason)
        return super().instance_lost(now, index, status_reason)

    def job_cancelled(self, now: int, job: int, reason: str) -> None:
        self._event(now, "job_cancelled", job, reason)
        super().job_cancelled(now, job, reason)

    def job_terminated(self, now: int, job: int, reason: str) -> None:
        self._event(now, "job_terminated", job, reason)
        super().job_terminated(now, job, reason)

    def consumable_updated(self, now: int, resource: int, operation: str, quantity: int) -> None:
        self._event(now, "consumable_updated", resource, operation, quantity)
        super().consumable_updated(now, resource, operation, quantity)

    def plan_updated(self, now: int, update: int) -> None:
        self._event(now, "plan_updated", update)
        super().plan_updated(now, update)

    def decide(self, now: int) -> list[Command]:
        commands = super().decide(now)
        self._write({"at": now, "commands": [describe(command) for command in commands]})
        return commands

    def witness(self, now: int, report: Report) -> None:
        """Note what was reported, and when it happened, before the scheduler is told at `now`."""
        key, ending = report.key, report.ending
        entry: dict[str, Any] = {"at": now, "report": report.what.name.lower()}
        entry |= {"job": key.job, "attempt": key.attempt, "node": key.node}
        entry |= {"known": report.at_us, "happened": report.happened_us}
        if ending is not None:
            entry["exit_code"] = ending.exit_code
        self._write(entry)

    def timings(self, timings: Iterable[Timing]) -> None:
        """Note how long the engine took for what it was asked, in real time."""
        for step, key, took_us in timings:
            entry = {"engine": step, "job": key.job, "attempt": key.attempt, "node": key.node}
            self._write(entry | {"took": took_us})

    def _event(self, now: int, name: str, *arguments: Any) -> None:
        self._write({"at": now, "event": name, "with": arguments})

    def _write(self, entry: dict[str, Any]) -> None:
        self._log.write(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n")


def read_log(lines: Iterable[str], file: str) -> Iterator[dict[str, Any]]:
    """The entries of a log after its first. Raises ResultError, with the line, for what is not one."""
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ResultError(f"is not JSON: {error}", file=file, line=number) from error
        if number == 1:
            if entry != _VERSION:
                raise ResultError(file=file, line=1, expected=json.dumps(_VERSION), found=line)
        elif not isinstance(entry, dict) or entry.get("event", "job_submitted") not in _EVENTS:
            raise ResultError(file=file, line=number, expected="an entry of a decision log", found=line)
        else:
            yield entry


def is_told(entry: dict[str, Any]) -> bool:
    """Whether a fresh scheduler writes this entry, too: an event or a decision."""
    return "event" in entry or "commands" in entry


class Lived(NamedTuple):
    """An attempt as a log tells it, by its main node; instants are -1 for what never came.

    placed_us                    when the scheduler decided
    started_us, ended_us         when it really happened, in the time of the run
    heard_us, over_us            when the scheduler was told of it
    """

    placed_us: int
    instance: int
    started_us: int = -1
    heard_us: int = -1
    ended_us: int = -1
    over_us: int = -1
    exit_code: int | None = None
    status_reason: str = ""
    reason: str = ""


class History:
    """What a fresh scheduler makes of a log: it is told the same events at the same instants.

    log        what it logs itself, without reports: equal to the log's own bytes if it decides alike
    attempts   (job, attempt) -> how it went

    Raises ContractError where the events cannot have happened.
    """

    def __init__(self, plan: Plan, entries: Iterable[dict[str, Any]]) -> None:
        self._log = io.StringIO()
        self._core = LoggedScheduler(plan, self._log)
        self._plan = plan
        self.attempts: dict[tuple[int, int], Lived] = {}
        for entry in entries:
            if "event" in entry:
                self._event(entry["at"], entry["event"], entry["with"])
            elif "commands" in entry:
                self._decide(entry["at"])
            elif "report" in entry:
                self._report(entry)

    @property
    def log(self) -> str:
        return self._log.getvalue()

    def _event(self, at_us: int, name: str, arguments: Sequence[Any]) -> None:
        core = self._core
        if name == "attempt_started":
            self._note(arguments[0], heard_us=at_us)
        elif name == "attempt_exited":
            job, *ending = arguments
            told = dict(zip(("exit_code", "status_reason", "reason"), ending, strict=True))
            self._note(job, over_us=at_us, **told)
        # What JSON has as a list was told as a tuple.
        answer = getattr(core, name)(
            at_us, *(tuple(each) if isinstance(each, list) else each for each in arguments)
        )
        if name == "instance_lost":
            for job in answer:
                self._note(job, ended_us=at_us, over_us=at_us, status_reason=arguments[1])

    def _decide(self, at_us: int) -> None:
        for command in self._core.decide(at_us):
            if command[0] in {START, START_NODES}:
                job = command[1]
                key = (job, self._core.attempt[job])
                self.attempts[key] = Lived(at_us, self._core.instance_of[job])

    def _report(self, entry: dict[str, Any]) -> None:
        key = (entry["job"], entry["attempt"])
        lived = self.attempts.get(key)
        if lived is None or entry["node"] != self._main_of(entry["job"]):
            return
        field = {"started": "started_us", "ended": "ended_us"}.get(entry["report"])
        if field is not None:
            self.attempts[key] = lived._replace(
                **{field: max(entry["happened"], lived.placed_us, lived.started_us)}
            )

    def _note(self, job: int, **told: Any) -> None:
        key = (job, self._core.attempt[job])
        self.attempts[key] = self.attempts[key]._replace(**told)

    def _main_of(self, job: int) -> int:
        plan = self._plan
        gang = plan.gangs[plan.classes[plan.class_of[job]].need] if plan.gangs else None
        return gang.main if gang else 0
