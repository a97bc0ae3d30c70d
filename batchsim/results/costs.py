"""The bill as frames: from a record for the `costs` frame, from a result's frames for any other grouping."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from batchsim.errors import UsageError
from batchsim.results.arrays import assemble, category, rows_in_use
from batchsim.results.bill import IDLE_COSTS, PARTS, Bill, Fleet, Holds, Use, Users, Waits, bill
from batchsim.results.queue_waits import FOR_EVER, microseconds
from batchsim.results.recorded import QUARTERS
from batchsim.units import UUSD_PER_USD, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchsim.results.context import IdleCost, RunContext
    from batchsim.results.exact import Ints
    from batchsim.results.tables import Tables

COLUMNS: Final = tuple(f"{part}_usd" for part in PARTS)
COMMITMENT: Final = "commitment_usd"
CLUSTER: Final = "cluster_usd"
OF_NOBODY: Final = (COMMITMENT, CLUSTER)
"""What is paid in rows of its own, whatever instances there are."""
OF_JOBS: Final = ("environment", "queue", "share", "group", "job_definition")
OF_INSTANCES: Final = ("environment", "instance_type", "billing", "instance")
OF_BEARERS: Final = (*OF_JOBS, "job", "tag:NAME")
LOST: Final = (
    "Host EC2",
    "Your Spot Task was interrupted.",
    "Task stopped during instance draining",
    "Task terminated: Fargate",
)
"""How the status reasons of attempts begin that ended with their host [spec 1.6]; the last is ours."""

_TAG = "tag:"


# --- from a record ------------------------------------------------------------------------------


def bill_of(tables: Tables, context: RunContext) -> Bill:
    """The bill of a run by instance and by hold, shared out by the run's idle-cost rule."""
    rows, holds, jobs = tables.instances, tables.holds, tables.jobs
    billing = np.array([row.billing == "fargate" for row in context.instance_types], dtype=np.bool_)
    fleet = Fleet(
        rows.cost,
        rows.running,
        rows.ready,
        rows.until,
        rows.environment,
        rows.quarters,
        rows.gpus,
        billing[rows.type] if len(rows.type) else np.zeros(0, dtype=np.bool_),
    )
    attempts = tables.attempts
    lost = _is_lost(attempts.status_reason.names)[attempts.status_reason.codes]
    held = Holds(
        holds.job,
        holds.instance,
        holds.placed,
        np.where(holds.started < 0, holds.until, holds.started),
        holds.until,
        holds.quarters,
        holds.gpus,
        lost
        if holds is attempts
        else lost[_attempt_of(attempts.job, attempts.number, holds.job, holds.number)],
    )
    waits = waits_of(
        jobs.queue, jobs.runnable, jobs.end, (attempts.job, attempts.placed, attempts.ended), tables.ended_at
    )
    queues = users_of(context.scenario, [row.name for row in context.environments], context.queues)
    return bill(fleet, held, waits, queues, context.idle_cost)


def _is_lost(reasons: Sequence[str | None]) -> Ints:
    """For each reason, and at the end for none, whether it says that the host was lost."""
    return np.array([(each or "").startswith(LOST) for each in (*reasons, None)], dtype=np.bool_)


def has_lost_work(attempts: pd.DataFrame) -> bool:
    """Whether any attempt of this frame was RUNNING for some time when its host was lost."""
    ran = (attempts["ended_s"] > attempts["started_s"]).to_numpy(np.bool_)
    reasons = attempts["status_reason"].cat
    lost = _is_lost(list(reasons.categories))[reasons.codes.to_numpy()]
    return bool((ran & lost).any())


def _attempt_of(jobs: Ints, numbers: Ints, job: Ints, number: Ints) -> Ints:
    """The row of each hold's attempt; attempts are by job and number."""
    most = 1 + int(numbers.max(initial=0))
    return np.searchsorted(jobs * most + numbers, job * most + number)


def waits_of(
    queue: Ints, runnable: Ints, end: Ints, attempts: tuple[Ints, Ints, Ints], ended_at: int
) -> Waits:
    """When jobs were RUNNABLE: before their first attempt, and between two.

    queue, runnable, end   one value a job
    attempts               job, placed and ended of each attempt, by job and number
    """
    job, placed, ended = attempts
    gave_up = np.where(end < 0, ended_at, end)
    first = gave_up.copy()
    first[job[::-1]] = placed[::-1]
    last = np.append(job[1:] != job[:-1], True)[: len(job)]
    again = np.flatnonzero((ended >= 0) & (~last | (end[job] != ended)))
    following = np.append(placed[1:], -1)[again]
    waited = runnable >= 0
    return Waits(
        np.concatenate((queue[waited], queue[job[again]])),
        np.concatenate((runnable[waited], ended[again])),
        np.concatenate((first[waited], np.where(last[again], gave_up[job[again]], following))),
    )


def users_of(scenario: Mapping[str, Any], environments: Sequence[str], queues: Sequence[str]) -> list[Users]:
    """For each environment the queues whose `computeEnvironmentOrder` names it, and when it is DISABLED."""
    uses: dict[str, list[Use]] = {name: [] for name in environments}
    for row, queue in enumerate(queues):
        orders = list(_orders(scenario, queue))
        for (since, names), (until, _) in pairwise([*orders, (FOR_EVER, ())]):
            for name in names:
                uses.get(name, []).append(Use(row, since, until))
    return [Users(tuple(uses[name]), tuple(_closed(scenario, name))) for name in environments]


def _orders(scenario: Mapping[str, Any], queue: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """From when on a queue's order names which environments."""
    said = [(0, each) for each in scenario.get("jobQueues", ()) if each["jobQueueName"] == queue]
    said += [(at_us, each) for at_us, each in _updates(scenario) if _plain(each.get("jobQueue", "")) == queue]
    for at_us, each in said:
        order = each.get("computeEnvironmentOrder")
        if order is not None:
            yield at_us, tuple(_plain(item["computeEnvironment"]) for item in order)


def _plain(name: str) -> str:
    """A name, also of an ARN."""
    return name.rpartition("/")[-1]


def _updates(scenario: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """In order of time."""
    updates = [
        (parse_duration(each["at"]), each["update"])
        for each in scenario.get("workload", ())
        if "update" in each
    ]
    return sorted(updates, key=lambda each: each[0])


def _closed(scenario: Mapping[str, Any], environment: str) -> Iterator[tuple[int, int]]:
    """From when until when an environment is DISABLED."""
    states = [
        (-1, each.get("state", "ENABLED"))
        for each in scenario.get("computeEnvironments", ())
        if each["computeEnvironmentName"] == environment
    ]
    states += [
        (at_us, update["state"])
        for at_us, update in _updates(scenario)
        if update.get("computeEnvironment") == environment and "state" in update
    ]
    since = None
    for at_us, state in states:
        if state == "DISABLED" and since is None:
            since = at_us
        elif state == "ENABLED" and since is not None:
            yield since, at_us
            since = None
    if since is not None:
        yield since, FOR_EVER


def costs_frame(tables: Tables, context: RunContext, parts: Bill) -> pd.DataFrame:
    """The `costs` frame: who bears what, a row an environment, queue, share, group and job definition."""
    classes = [(row.queue, row.share, row.group, row.job_definition) for row in context.classes]
    kinds = {key: row for row, key in enumerate(dict.fromkeys(classes))}
    kind_of_class = np.array([kinds[key] for key in classes], dtype=np.int64)
    environments = [row.name for row in context.environments]
    kind = kind_of_class[tables.jobs.job_class[tables.holds.job]]
    cell = tables.instances.environment[tables.holds.instance] * max(1, len(kinds)) + kind
    used = rows_in_use(cell, len(environments) * len(kinds))
    found, names = np.flatnonzero(used), list(kinds)
    keys = [(environments[code // len(kinds)], *names[code % len(kinds)]) for code in found.tolist()]
    borne = _summed(parts.of_holds, (np.cumsum(used) - 1)[cell], len(found))
    return assemble(
        "costs", _cells(keys, borne, environments, parts, (tables.unused_commitment, tables.clusters))
    )


def _cells(
    keys: Sequence[tuple[str | None, ...]],
    borne: Ints,
    environments: Sequence[str],
    parts: Bill,
    of_nobody: Sequence[int],
) -> dict[str, Any]:
    """Columns: the cells, then what nobody bears of each environment, then what `OF_NOBODY` names."""
    nobody = np.flatnonzero(parts.unallocated.any(axis=0))
    rows = [*keys, *((environments[row], None, None, None, None) for row in nobody.tolist())]
    amounts = np.concatenate((borne, parts.unallocated[:, nobody]), axis=1)
    paid = [(which, amount) for which, amount in enumerate(of_nobody) if amount]
    own = np.zeros((len(OF_NOBODY), len(rows) + len(paid)), dtype=np.int64)
    for which, amount in paid:
        own[which, len(rows)] = amount
        rows.append((None,) * len(OF_JOBS))
    amounts = np.append(amounts, np.zeros((len(PARTS), len(paid)), dtype=np.int64), axis=1)
    columns: dict[str, Any] = {
        name: category(np.arange(len(rows)), [row[number] for row in rows])
        for number, name in enumerate(OF_JOBS)
    }
    return columns | in_usd(amounts, own)


def _summed(amounts: Ints, at: Ints, groups: int) -> Ints:
    """The sum of each part by group."""
    sums = np.zeros((len(PARTS), groups), dtype=np.int64)
    for part, values in enumerate(amounts):
        np.add.at(sums[part], at, values)
    return sums


def in_usd(amounts: Ints, own: Ints | None = None) -> dict[str, Ints]:
    """A column in USD for each part, and their sum; of the `costs` frame with those of `OF_NOBODY`."""
    columns = {name: values / UUSD_PER_USD for name, values in zip(COLUMNS, amounts, strict=True)}
    whole = amounts.sum(axis=0)
    if own is not None:
        columns |= {name: values / UUSD_PER_USD for name, values in zip(OF_NOBODY, own, strict=True)}
        whole = whole + own.sum(axis=0)
    return {**columns, "cost_usd": whole / UUSD_PER_USD}


# --- from frames --------------------------------------------------------------------------------


def costs(
    frames: Mapping[str, pd.DataFrame],
    manifest: Mapping[str, Any],
    by: str | Sequence[str],
    idle_cost: IdleCost | None = None,
) -> pd.DataFrame:
    """The bill by what it was spent on, a row a group; see `Result.costs`."""
    keys = [by] if isinstance(by, str) else list(by)
    rule = _rule(manifest, idle_cost)
    own = [key for key in keys if key in OF_INSTANCES and key not in OF_JOBS]
    if own or keys == ["environment"]:
        _check(keys, OF_INSTANCES, f"{own[0]} is of instances" if own else "")
        frame = _with_own_rows(frames["costs"], frames["instances"])
        return _grouped(frame, keys, {key: frame[key] for key in keys})
    _check([key for key in keys if not key.startswith(_TAG)], OF_BEARERS, "")
    frame = frames["costs"]
    if "job" in keys or rule != manifest["idle_cost"]:
        frame = costs_by_job(frames, manifest, rule)
    return _grouped(frame, keys, {key: _key(frame, manifest, key) for key in keys})


def _rule(manifest: Mapping[str, Any], idle_cost: str | None) -> IdleCost:
    rule = manifest["idle_cost"] if idle_cost is None else idle_cost
    if rule not in IDLE_COSTS:
        raise UsageError(path="idle_cost", expected=" or ".join(IDLE_COSTS), found=repr(rule))
    return rule


def _check(keys: Sequence[str], known: Sequence[str], why: str) -> None:
    unknown = [key for key in keys if key not in known]
    if unknown or len(set(keys)) < len(keys):
        either = f"{', '.join(OF_BEARERS)}; or of {', '.join(OF_INSTANCES)}"
        raise UsageError(
            path="by",
            expected="each once of " + (f"{', '.join(known)}, since {why}" if why else either),
            found=", ".join(keys),
        )


def _key(frame: pd.DataFrame, manifest: Mapping[str, Any], key: str) -> Any:
    if not key.startswith(_TAG):
        return frame[key]
    tags = _tags(manifest["scenario"], key.removeprefix(_TAG))
    names = zip(frame["group"].astype(object), frame["job_definition"].astype(object), strict=True)
    return pd.Series([tags(*each) for each in names], dtype="object").astype("category")


def _tags(scenario: Mapping[str, Any], name: str) -> Any:
    """From a group and a job definition to the value of a tag: the group's own, else the definition's."""

    def value(thing: Mapping[str, Any]) -> str | None:
        tags = thing.get("tags")
        found = tags.get(name) if isinstance(tags, dict) else None
        return None if found is None else str(found)

    of_group = {each["name"]: value(each) for each in scenario.get("workload", ()) if "name" in each}
    of_definition = {each["jobDefinitionName"]: value(each) for each in scenario.get("jobDefinitions", ())}

    def tag(group: str | float, definition: str | float) -> str | None:
        base = str(definition).rpartition("/")[-1].partition(":")[0]
        return of_group.get(str(group)) or of_definition.get(base)

    return tag


def _grouped(frame: pd.DataFrame, keys: Sequence[str], columns: Mapping[str, Any]) -> pd.DataFrame:
    """Sums in whole micro-USD by the keys, missing ones too; sorted by them, jobs as they were submitted."""
    names = [name for name in (*COLUMNS, *OF_NOBODY) if name in frame.columns]
    amounts = pd.DataFrame({name: np.rint(frame[name].to_numpy() * UUSD_PER_USD) for name in names})
    groups = [pd.Series(np.asarray(columns[key], dtype=object), name=key) for key in keys]
    whole = amounts.astype(np.int64).groupby(groups, dropna=False, sort="job" not in keys).sum()
    whole["cost_usd"] = whole.sum(axis=1)
    return (whole / UUSD_PER_USD).reset_index()


def costs_by_job(
    frames: Mapping[str, pd.DataFrame], manifest: Mapping[str, Any], rule: IdleCost
) -> pd.DataFrame:
    """A row an attempt or node of one, then what nobody bears; the columns of `costs`, and `job`."""
    jobs, instances, attempts = frames["jobs"], frames["instances"], frames["attempts"]
    ended_at = round(manifest["ended_at_s"] * UUSD_PER_USD)
    environments = list(instances["environment"].cat.categories)
    queues = list(jobs["queue"].cat.categories)
    held, main = _holds(jobs, instances, attempts, ended_at)
    waits = waits_of(
        jobs["queue"].cat.codes.to_numpy(np.int64),
        microseconds(jobs["runnable_s"]),
        microseconds(jobs["end_s"]),
        main,
        ended_at,
    )
    users = users_of(manifest["scenario"], environments, queues)
    parts = bill(_fleet(instances, ended_at), held, waits, users, rule)
    of_jobs = {name: jobs[name].astype(object).to_numpy()[held.job] for name in (*OF_JOBS[1:], "job")}
    here = attempts["environment"].astype(object).to_numpy()
    borne = pd.DataFrame({"environment": here, **of_jobs, **in_usd(parts.of_holds)})
    nobody = np.flatnonzero(parts.unallocated.any(axis=0))
    left = pd.DataFrame(
        {"environment": [environments[row] for row in nobody], **in_usd(parts.unallocated[:, nobody])}
    )
    return _with_own_rows(frames["costs"], borne, left)


def _with_own_rows(costs: pd.DataFrame, first: pd.DataFrame, *more: pd.DataFrame) -> pd.DataFrame:
    """Frames, and below them the rows of `costs` that `OF_NOBODY` names, in the columns of the first."""
    own = costs[(costs[list(OF_NOBODY)] > 0).any(axis=1)]
    several = [each for each in (first, *more, own) if len(each)]
    whole = pd.concat(several, ignore_index=True) if several else first
    return whole.reindex(columns=[*first.columns, *OF_NOBODY]).fillna(dict.fromkeys(OF_NOBODY, 0.0))


def _fleet(instances: pd.DataFrame, ended_at: int) -> Fleet:
    ended = microseconds(instances["ended_s"])
    return Fleet(
        np.rint(instances["cost_usd"].to_numpy() * UUSD_PER_USD).astype(np.int64),
        microseconds(instances["running_s"]),
        microseconds(instances["ready_s"]),
        np.where(ended < 0, ended_at, ended),
        instances["environment"].cat.codes.to_numpy(np.int64),
        np.rint(QUARTERS * instances["vcpus"].to_numpy()).astype(np.int64),
        instances["gpus"].to_numpy(),
        (instances["billing"] == "fargate").to_numpy(np.bool_),
    )


def _holds(
    jobs: pd.DataFrame, instances: pd.DataFrame, attempts: pd.DataFrame, ended_at: int
) -> tuple[Holds, tuple[Ints, Ints, Ints]]:
    """All rows of the attempts frame, and job, placed and ended of those of main nodes."""
    job = pd.Index(jobs["job"]).get_indexer(attempts["job"])
    row_of = pd.Index(instances["instance"]).get_indexer(attempts["instance"].cat.categories)
    placed, started, ended = (microseconds(attempts[name]) for name in ("placed_s", "started_s", "ended_s"))
    until = np.where(ended < 0, ended_at, ended)
    main = attempts["is_main"].to_numpy()
    reasons = attempts["status_reason"].cat
    lost = _is_lost(list(reasons.categories))[reasons.codes.to_numpy()]
    number = attempts["attempt"].to_numpy()
    of = np.arange(len(job)) if main.all() else _attempt_of(job[main], number[main], job, number)
    held = Holds(
        job,
        row_of[attempts["instance"].cat.codes.to_numpy()],
        placed,
        np.where(started < 0, until, started),
        until,
        np.rint(attempts["vcpus"].to_numpy() * QUARTERS).astype(np.int64),
        attempts["gpus"].to_numpy(),
        lost[main][of],
    )
    return held, (job[main], placed[main], ended[main])
