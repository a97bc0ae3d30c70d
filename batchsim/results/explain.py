"""Where a job's time went, and why it waited [spec 3.10].

In a queue that does not let jobs pass its head, everybody waits for the head, and the head for one reason at
a time. So a wait is told by who was ahead, and by what the head waited for: that is the `waits` frame. All of
it is derived from the frames of a result, for one job at a time, so that a run of a million jobs records no
more than the changes of these reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from batchsim.errors import UsageError
from batchsim.results.queue_waits import FOR_EVER, QueueWaits, microseconds
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsim.results.exact import Ints

AWAITS_A_TURN = "the next pass of the scheduler is awaited"
_NO_ROOM = {
    "greedy": "there is no room for it, and others may pass it",
    "easy": "there is no room for it beside what EASY backfilling keeps for the head of the queue",
}
_NOT_LAUNCHED = "instances could not be launched"
_EC2_SAYS = {
    "InsufficientInstanceCapacity": "insufficient capacity",
    "VcpuLimitExceeded": "the account's On-Demand quota is used up",
    "MaxSpotInstanceCountExceeded": "the account's Spot quota is used up",
    "SpotMaxPriceTooLow": "the Spot price is not below the bid",
}
"""Why EC2 refused a launch, by its error code, which is the end reason of the instance."""
_SUGGESTIONS = 3


class Interval(NamedTuple):
    """A part of a job's life; instants in microseconds, `head` "" where nobody else is in the way."""

    begin: int
    end: int
    state: str
    reason: str
    head: str = ""
    ahead: int = 0
    others: int = 0


def explain(frames: Mapping[str, pd.DataFrame], manifest: Mapping[str, Any], job: str) -> pd.DataFrame:
    """The life of a job as intervals without gaps, from its submission to its end or that of the run.

    from_s, to_s, duration_s
    state     SUBMITTED, PENDING, RUNNABLE, STARTING or RUNNING. A job between its placement and STARTING is
              RUNNABLE
    reason    why it did not go on: while others are ahead, why the head of its queue did not
    head      the job at the head of the queue when the interval began; missing when it was the job itself,
              or where jobs pass each other
    ahead     jobs ahead of it in the queue when the interval began
    others    attempts of jobs in other queues that started meanwhile in the environments of its queue, while
              this job was at the head: by whom it was starved

    An array job is SUBMITTED, then PENDING until its last child has ended [spec 1.2].

    Raises UsageError if there is no such job.
    """
    found = np.flatnonzero((frames["jobs"]["job"] == job).to_numpy(np.bool_))
    array = array_of(frames, job)
    if len(found):
        story = _Story(frames, manifest, int(found[0])).intervals()
    elif array is not None:
        story = _of_array(frames["jobs"], array, round(manifest["ended_at_s"] * US_PER_S))
    else:
        raise _unknown(frames, job)
    rows = [each for each in story if each.end > each.begin]
    return pd.DataFrame(
        {
            "from_s": [each.begin / US_PER_S for each in rows],
            "to_s": [each.end / US_PER_S for each in rows],
            "duration_s": [(each.end - each.begin) / US_PER_S for each in rows],
            "state": [each.state for each in rows],
            "reason": [each.reason for each in rows],
            "head": [each.head or None for each in rows],
            "ahead": np.array([each.ahead for each in rows], dtype=np.int64),
            "others": np.array([each.others for each in rows], dtype=np.int64),
        }
    )


def array_of(frames: Mapping[str, pd.DataFrame], job: str) -> pd.Series[Any] | None:
    """The row of an array job of that name, if there is one."""
    arrays = frames.get("arrays")
    found = None if arrays is None else arrays[(arrays["job"] == job).to_numpy(np.bool_)]
    return None if found is None or not len(found) else found.iloc[0]


def _of_array(jobs: pd.DataFrame, array: pd.Series[Any], run_end: int) -> Iterator[Interval]:
    children = jobs[jobs["job"].str.startswith(f"{array['job']}:").to_numpy(np.bool_)]
    submit, last = _one(array["submit_s"]), _or(array["end_s"], run_end)
    runnable = _or(children["runnable_s"].min(), last)
    yield Interval(submit, runnable, "SUBMITTED", "none of its children is RUNNABLE yet")
    open_ = children[children["end_s"].isna()]
    ends = children.sort_values("end_s", kind="stable")["job"]
    told = (
        f"{len(open_):,} have not ended, such as {open_['job'].iloc[0]}"
        if len(open_)
        else f"the last to end is {ends.iloc[-1]}"
    )
    if len(open_) and open_["status_reason"].notna().iloc[0]:
        told += f" ({open_['state'].iloc[0]}: {open_['status_reason'].iloc[0]})"
    elif len(open_):
        told += f" ({open_['state'].iloc[0]})"
    yield Interval(runnable, last, "PENDING", f"it waits for its {array['size']:,} children; {told}")


class _Story:
    """One job of a result."""

    def __init__(self, frames: Mapping[str, pd.DataFrame], manifest: Mapping[str, Any], row: int) -> None:
        self._frames = frames
        self._jobs = frames["jobs"]
        self._row = row
        self._job = self._jobs.iloc[row]
        self._queue = str(self._job["queue"])
        self._run_end = round(manifest["ended_at_s"] * US_PER_S)
        queues = {each["jobQueueName"]: each for each in manifest["scenario"].get("jobQueues", ())}
        queue = queues.get(self._queue, {})
        order = queue.get("computeEnvironmentOrder") or ()
        self._environments = [each["computeEnvironment"].rpartition("/")[-1] for each in order]
        self._is_fair = bool(queue.get("schedulingPolicyArn"))
        backfill = "none" if self._is_fair else manifest["assumptions"].get("backfill", "none")
        self._no_room = _NO_ROOM.get(backfill, "")
        self._passes = bool(self._no_room)

    def intervals(self) -> Iterator[Interval]:
        submit = _one(self._job["submit_s"])
        runnable = _one(self._job["runnable_s"])
        end = _one(self._job["end_s"])
        last = end if end >= 0 else self._run_end
        yield from self._before_runnable(submit, runnable if runnable >= 0 else last)
        attempts = self._frames["attempts"]
        mine = attempts[(attempts["job"] == self._job["job"]).to_numpy() & attempts["is_main"].to_numpy()]
        served = self._served(attempts)
        waits = QueueWaits.of(self._jobs, served, self._queue) if runnable >= 0 else None
        since = runnable
        for _, attempt in mine.iterrows():
            assert waits is not None
            placed = _one(attempt["placed_s"])
            ended = _or(attempt["ended_s"], last)
            starting = min(_or(attempt["starting_s"], ended), ended)
            running = min(_or(attempt["started_s"], ended), ended)
            launched = _one(served["placed_s"].loc[attempt.name])
            yield from self._queued(waits, since, launched)
            if launched < placed:
                yield Interval(launched, placed, "RUNNABLE", f"its task {attempt['instance']} is provisioned")
            yield Interval(placed, starting, "RUNNABLE", f"it was told to start on {attempt['instance']}")
            yield from self._starting(starting, _one(attempt["pulled_s"]), running)
            yield Interval(
                running, ended, "RUNNING", f"attempt {attempt['attempt']} on {attempt['instance']}"
            )
            since = ended
        if waits is not None and since < last:
            yield from self._queued(waits, since, last)

    def _served(self, attempts: pd.DataFrame) -> pd.DataFrame:
        """The attempts as if placed when their queue served them: on Fargate as their task is launched."""
        instances = self._frames["instances"]
        tasks = instances[(instances["billing"] == "fargate").to_numpy(np.bool_)]
        if not len(tasks):
            return attempts
        launched = tasks.set_index(tasks["instance"].astype(str))["requested_s"]
        found = attempts["instance"].astype(str).map(launched)
        return attempts.assign(placed_s=found.fillna(attempts["placed_s"]))

    def _starting(self, since: int, pulled: int, until: int) -> Iterator[Interval]:
        if pulled < 0:
            yield Interval(since, until, "STARTING", "its image is pulled and its container started")
            return
        yield Interval(since, pulled, "STARTING", "its image is pulled")
        yield Interval(pulled, until, "STARTING", "its image is there, and its container is started")

    def _before_runnable(self, submit: int, until: int) -> Iterator[Interval]:
        names = self._predecessors()
        pending = _or(self._job["pending_s"], 0)
        evaluated = until - pending if names else until
        yield Interval(submit, evaluated, "SUBMITTED", "the scheduler has yet to evaluate it")
        if names:
            yield Interval(evaluated, until, "PENDING", self._last_of(names))

    def _predecessors(self) -> list[str]:
        """The jobs that it waits for, through barriers."""
        edges = self._frames.get("dependencies")
        if edges is None:
            return []
        waits_for: dict[str, list[str]] = {}
        for name, other in zip(edges["job"], edges["depends_on"], strict=True):
            waits_for.setdefault(name, []).append(other)
        names: dict[str, None] = {}
        open_, seen = list(waits_for.get(self._job["job"], ())), set()
        while open_:
            name = open_.pop()
            if not isinstance(name, str) or name in seen:
                continue
            seen.add(name)
            if name.startswith("#"):
                open_ += waits_for.get(name, ())
            else:
                names[name] = None
        return list(names)

    def _last_of(self, names: list[str]) -> str:
        those = self._jobs[self._jobs["job"].isin(names)]
        failed = those[those["state"] == "FAILED"]
        open_ = those[those["end_s"].isna()]
        count = f"{len(names):,} job{'s' if len(names) > 1 else ''}"
        if str(self._job["status_reason"]) == "Dependent Job failed" and len(failed):
            return f"it waits for {count}; {failed.sort_values('end_s')['job'].iloc[0]} FAILED"
        if len(open_):
            return f"it waits for {count}; {len(open_):,} have not ended, such as {open_['job'].iloc[0]}"
        last = those.sort_values("end_s", kind="stable")["job"].iloc[-1] if len(those) else "?"
        return f"it waits for {count}; the last to end is {last}"

    # --- in the queue -------------------------------------------------------------------------

    def _queued(self, waits: QueueWaits, since: int, until: int) -> Iterator[Interval]:
        """A wait in RUNNABLE, cut where the reason changes and where the job comes to the head."""
        ahead = self._ahead(waits, since, until)
        at_head = max([since, *waits.until[ahead][waits.until[ahead] < FOR_EVER].tolist()])
        if (waits.until[ahead] == FOR_EVER).any():
            at_head = until
        instants, reasons = self._log()
        cuts = [since, min(at_head, until), until, *(each for each in instants if since < each < until)]
        previous: Interval | None = None
        for begin, end in zip(sorted(cuts), sorted(cuts)[1:], strict=False):
            interval = self._part(waits, ahead, begin, end, first=begin >= at_head)
            position = int(np.searchsorted(instants, begin, side="right")) - 1
            reason = reasons[position] if position >= 0 else AWAITS_A_TURN
            if reason == _NOT_LAUNCHED:
                reason = self._refused(begin, end)
            interval = interval._replace(reason=self._no_room if self._passes and interval.ahead else reason)
            if previous is not None and _alike(previous, interval):
                previous = previous._replace(end=end, others=previous.others + interval.others)
                continue
            if previous is not None:
                yield previous
            previous = interval
        if previous is not None:
            yield previous

    def _ahead(self, waits: QueueWaits, since: int, until: int) -> Ints:
        """Waits of others that were served before this one: in FIFO by order, else who started meanwhile."""
        own = np.flatnonzero((waits.job == self._row) & (waits.since == since))
        if not len(own):
            return np.zeros(0, dtype=np.int64)
        this = int(own[0])
        here = (waits.since < until) & (waits.until > since) & (waits.job != self._row)
        if self._is_fair:
            return np.flatnonzero(here & (waits.until <= until))
        alike = waits.is_retry == waits.is_retry[this]
        return np.flatnonzero(here & np.where(alike, waits.rank < waits.rank[this], waits.is_retry))

    def _part(self, waits: QueueWaits, ahead: Ints, begin: int, end: int, *, first: bool) -> Interval:
        if first:
            return Interval(
                begin, end, "RUNNABLE", "", others=0 if self._passes else self._others(begin, end)
            )
        here = ahead[(waits.since[ahead] <= begin) & (waits.until[ahead] > begin)]
        if not len(here):
            return Interval(begin, end, "RUNNABLE", "")
        if self._passes:
            return Interval(begin, end, "RUNNABLE", "", ahead=len(here))
        head = here[np.lexsort((waits.rank[here], ~waits.is_retry[here], waits.until[here]))[0]]
        name = str(self._jobs["job"].iloc[int(waits.job[head])])
        return Interval(begin, end, "RUNNABLE", "", head=name, ahead=len(here))

    def _log(self) -> tuple[Ints, list[str]]:
        waits = self._frames.get("waits")
        if waits is None:
            return np.zeros(0, dtype=np.int64), []
        mine = waits[(waits["queue"] == self._queue).to_numpy()]
        reasons = [
            AWAITS_A_TURN
            if not isinstance(reason, str)
            else f"{reason} ({detail})"
            if isinstance(detail, str)
            else reason
            for reason, detail in zip(mine["reason"], mine["detail"], strict=True)
        ]
        return microseconds(mine["t_s"]), reasons

    def _refused(self, begin: int, end: int) -> str:
        """What EC2 said of the launches for the queue meanwhile, or last if there were none."""
        instances = self._frames["instances"]
        here = instances["environment"].isin(self._environments) & instances["end_reason"].isin(_EC2_SAYS)
        refused = instances[here.to_numpy(np.bool_)]
        at = microseconds(refused["ended_s"])
        meanwhile = (at >= begin) & (at < end)
        if not meanwhile.any():
            before = at[at < begin]
            meanwhile = at == (before.max() if len(before) else -1)
        said = " or ".join(_EC2_SAYS[each] for each in refused["end_reason"][meanwhile].astype(str).unique())
        return f"{_NOT_LAUNCHED}: {said}" if said else _NOT_LAUNCHED

    def _others(self, begin: int, end: int) -> int:
        attempts = self._frames["attempts"]
        placed = microseconds(attempts["placed_s"])
        inside = np.flatnonzero((placed >= begin) & (placed < end) & attempts["is_main"].to_numpy())
        started = attempts.iloc[inside]
        started = started[started["environment"].isin(self._environments)]
        queues = self._jobs.set_index("job")["queue"].reindex(started["job"])
        return int((queues.astype(str) != self._queue).sum())


def _alike(one: Interval, other: Interval) -> bool:
    return (one.state, one.reason, bool(one.head)) == (other.state, other.reason, bool(other.head))


def _one(seconds: float) -> int:
    return -1 if pd.isna(seconds) else round(seconds * US_PER_S)


def _or(seconds: float, otherwise: int) -> int:
    return otherwise if pd.isna(seconds) else round(seconds * US_PER_S)


def _unknown(frames: Mapping[str, pd.DataFrame], job: str) -> UsageError:
    from difflib import get_close_matches  # noqa: PLC0415 - for a mistake only

    names = frames["jobs"]["job"]
    if "arrays" in frames:
        names = pd.concat([frames["arrays"]["job"], names], ignore_index=True)
    group = job.rpartition("-")[0]
    near = (
        [str(name) for name in names[names.str.startswith(f"{group}-")].head(_SUGGESTIONS)] if group else []
    )
    near = near or get_close_matches(job, [str(name) for name in names.head(10_000)], n=_SUGGESTIONS)
    hint = f"there are {', '.join(near)}" if near else f"such as {names.iloc[0]}" if len(names) else None
    return UsageError(path="job", expected="a job of this result", found=job, hint=hint)
