"""L6 counts: the time series say at each instant what the rows say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchsim.results.audit.facts import FAILED, QUARTERS, SUCCEEDED, Ints, series
from batchsim.results.audit.fixed import fixed_delay
from batchsim.results.audit.violation import Violation, rows_where
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from batchsim.results.audit.facts import AttemptFacts, Facts

    Flags = npt.NDArray[np.bool_]


_MOST_SHARES = 500
_OF_BOTH = ("starting", "running", "reserved_vcpus", "used_vcpus")


def counts(facts: Facts) -> list[Violation]:
    """L6: every count of the timeseries frame, counted again at its instants."""
    frame = facts.frames["timeseries"]
    rows_of = {(kind, name): rows for kind, name, rows in series(facts)}
    if not rows_of:
        if not (facts.summary["queues"] or facts.summary["environments"]):
            return []  # there are service jobs only
        return [Violation("L6", "no series at all", frame="timeseries")]
    if not (known := np.isfinite(frame["t_s"].to_numpy())).all():
        return rows_where(~known, "L6", "timeseries", "without an instant")
    at = np.rint(frame["t_s"].to_numpy() * US_PER_S).astype(np.int64)
    grid = at[next(iter(rows_of.values()))]
    other = np.ones(len(frame), dtype=np.bool_)
    for rows in rows_of.values():
        other[rows] = len(rows) != len(grid) or at[rows] != grid
    if other.any() or (np.diff(grid) <= 0).any():
        other |= not other.any()
        return rows_where(other, "L6", "timeseries", "t_s does not rise alike in all series")
    instants = _Instants(grid)
    positions = _positions(facts.attempts, instants)
    held = positions if facts.holds is facts.attempts else _positions(facts.holds, instants)
    expected = _of_environments(facts, instants, positions, held)
    for groups in _groups_of_jobs(facts):
        kind, names = groups[:2]
        listed = [name for name in names if (kind, name) in rows_of]
        if kind == "queue" or len(listed) < min(len(names), _MOST_SHARES):
            listed = names
        expected |= _of_jobs(facts, instants, (positions, held), groups, listed)
    missing = [
        Violation("L6", f"no series of {kind} {name}", frame="timeseries")
        for kind, name in expected
        if (kind, name) not in rows_of
    ]
    nothing = dict.fromkeys(_OF_BOTH, np.zeros(len(grid), dtype=np.int64))
    wrong: dict[str, Flags] = {}
    for key, rows in rows_of.items():
        for column, values in expected.get(key, nothing).items():
            told = frame[column].fillna(-1).to_numpy(dtype=np.float64)[rows]
            wrong.setdefault(column, np.zeros(len(frame), dtype=np.bool_))[rows] = told != values
    return missing + [
        violation
        for column, guilty in wrong.items()
        for violation in rows_where(guilty, "L6", "timeseries", f"{column} is not what the rows count")
    ]


class _Instants:
    """Counts events up to each of the ascending instants of the time series."""

    def __init__(self, grid: Ints) -> None:
        self.grid = grid

    def first_after(self, events: Ints) -> Ints:
        """The position of the first instant at or after each event; beyond the last one for "never"."""
        return np.where(events < 0, len(self.grid), np.searchsorted(self.grid, events, side="left"))

    def so_far(self, positions: Ints, weights: Ints | None = None) -> Ints:
        counted = np.bincount(positions, weights=weights, minlength=len(self.grid) + 1)[:-1]
        return np.cumsum(counted).astype(np.int64)

    def level(self, begin: Ints, end: Ints, weights: Ints | None = None) -> Ints:
        """What has begun and not ended, given the positions of beginnings and ends."""
        ended = np.where(begin < len(self.grid), end, len(self.grid))
        return self.so_far(begin, weights) - self.so_far(ended, weights)


def _groups_of_jobs(facts: Facts) -> Iterator[tuple[str, list[str], Ints]]:
    """Queues, and shares of queues: their names, and for each job its position among them, or -1."""
    frame = facts.frames["jobs"]
    queue, share = frame["queue"].cat, frame["share"].cat
    yield "queue", list(queue.categories), facts.jobs.queue
    width = len(share.categories)
    if not width:
        return
    codes = share.codes.to_numpy(dtype=np.int64)
    cells = np.where((codes < 0) | (facts.jobs.queue < 0), -1, facts.jobs.queue * np.int64(width) + codes)
    used, position = np.unique(cells, return_inverse=True)
    names = [f"{queue.categories[cell // width]}/{share.categories[cell % width]}" for cell in used.tolist()]
    without = int(bool(len(used)) and used[0] < 0)
    yield "share", names[without:], position - without


def _of_jobs(
    facts: Facts,
    instants: _Instants,
    positions: tuple[dict[str, Ints], dict[str, Ints]],
    groups: tuple[str, list[str], Ints],
    told: list[str],
) -> dict[tuple[str, str], dict[str, Ints]]:
    """The series of some groups of jobs; `positions` are of attempts and of what they hold."""
    jobs = facts.jobs
    of_attempts, held = positions
    kind, names, code = groups
    submit, runnable, end = map(instants.first_after, (jobs.submit, jobs.runnable, jobs.end))
    entered, left = map(instants.first_after, _pending(facts))
    owner, holder = (np.append(code, -1)[rows.job] for rows in (facts.attempts, facts.holds))
    expected = {}
    for name in told:
        number = names.index(name)
        mine = code == number
        counted = _of_attempts(instants, of_attempts, owner == number)
        # From RUNNABLE to its end, a job is RUNNABLE, STARTING or RUNNING.
        alive = instants.level(runnable[mine], end[mine])
        expected[kind, name] = (
            counted
            | _of_holds(instants, held, holder == number)
            | {
                "submitted": instants.so_far(submit[mine]),
                "pending": instants.level(entered[mine], left[mine]),
                "runnable": alive - counted["starting"] - counted["running"],
                "succeeded": instants.so_far(end[mine & (jobs.state == SUCCEEDED)]),
                "failed": instants.so_far(end[mine & (jobs.state == FAILED)]),
            }
        )
    return expected


def _pending(facts: Facts) -> tuple[Ints, Ints]:
    """When each job became PENDING and when it ceased to be, by the time it says it was; -1: never."""
    jobs = facts.jobs
    waited = facts.frames["jobs"]["pending_s"].to_numpy() * US_PER_S
    left = np.where(jobs.runnable >= 0, jobs.runnable, jobs.end)
    evaluated = np.minimum(jobs.submit + (fixed_delay(facts, "submitEvaluation") or 0), facts.ended_at)
    lasting = np.isnan(waited)
    entered = np.where(lasting, evaluated, left - np.rint(np.where(lasting, 0, waited)).astype(np.int64))
    return np.where(waited == 0, -1, entered), np.where(lasting, -1, left)


def _of_environments(
    facts: Facts, instants: _Instants, of_attempts: dict[str, Ints], held: dict[str, Ints]
) -> dict[tuple[str, str], dict[str, Ints]]:
    rows = facts.instances
    environment = facts.frames["instances"]["environment"].cat
    codes = environment.codes.to_numpy()
    requested, running, ended = map(instants.first_after, (rows.requested, rows.running, rows.ended))
    ready = instants.first_after(np.where(rows.ready < 0, rows.ended, rows.ready))
    owner, holder = (np.append(codes, -1)[each.instance] for each in (facts.attempts, facts.holds))
    expected = {}
    for code, name in enumerate(environment.categories):
        mine = codes == code
        quarters = rows.amounts["vcpus"][mine]
        counted = _of_attempts(instants, of_attempts, owner == code)
        expected["environment", name] = (
            counted
            | _of_holds(instants, held, holder == code)
            | {
                "instances": instants.level(running[mine], ended[mine]),
                "provisioned_vcpus": instants.level(running[mine], ended[mine], quarters) / QUARTERS,
                "booting_vcpus": instants.level(requested[mine], ready[mine], quarters) / QUARTERS,
            }
        )
    return expected


def _positions(attempts: AttemptFacts, instants: _Instants) -> dict[str, Ints]:
    of = {
        name: instants.first_after(getattr(attempts, name))
        for name in ("placed", "starting", "started", "ended")
    }
    left_starting = np.where(attempts.started < 0, of["ended"], of["started"])
    return of | {"left_starting": left_starting, "quarters": attempts.amounts["vcpus"]}


def _of_attempts(instants: _Instants, of: dict[str, Ints], mine: Flags) -> dict[str, Ints]:
    if not mine.all():
        of = {name: column[mine] for name, column in of.items()}
    return {
        "starting": instants.level(of["starting"], of["left_starting"]),
        "running": instants.level(of["started"], of["ended"]),
    }


def _of_holds(instants: _Instants, of: dict[str, Ints], mine: Flags) -> dict[str, Ints]:
    if not mine.all():
        of = {name: column[mine] for name, column in of.items()}
    return {
        "reserved_vcpus": instants.level(of["placed"], of["ended"], of["quarters"]) / QUARTERS,
        "used_vcpus": instants.level(of["started"], of["ended"], of["quarters"]) / QUARTERS,
    }
