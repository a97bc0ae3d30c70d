"""L23 the bill: what each instance's money was spent on, and who bears it, told again in floating point.

The times are measured anew: by sweeping over all waits, not by merging them. What must agree to the micro-USD
are sums; a single figure may be a micro-USD away for each attempt that is in it, since each was rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from batchsim.results.audit.facts import said_updates
from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import US_PER_S, UUSD_PER_USD, cost_uusd, usd_to_uusd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts, Ints

_DIRECT: Final = ("busy_usd", "pull_usd", "lost_usd")
_OVERHEAD: Final = ("boot_usd", "idle_usd", "fragmentation_usd", "tail_usd")
_PARTS: Final = (*_DIRECT, *_OVERHEAD)
_KEYS: Final = ("queue", "share", "group", "job_definition")
_HOST_LOST: Final = (  # [spec 1.6]; the last is ours
    "Host EC2",
    "Your Spot Task was interrupted.",
    "Task stopped during instance draining",
    "Task terminated: Fargate",
)
_OF_GPUS: Final = 0.9  # of an instance with GPUs
_FOR_EVER: Final = np.iinfo(np.int64).max


class _Spent(NamedTuple):
    """Micro-USD, a row a part: of each hold the direct parts, of each instance its overhead."""

    of_holds: npt.NDArray[np.float64]
    of_instances: npt.NDArray[np.float64]


def bill(facts: Facts) -> list[Violation]:
    """L23: parts add up to the cost, are what instances did with their time, and are borne by the rule."""
    told = {name: _told(facts.frames[name]) for name in ("instances", "costs")}
    found: list[Violation] = []
    for name, parts in told.items():
        whole = _uusd(facts.frames[name]["cost_usd"])
        found += rows_where((parts < 0).any(axis=0), "L23", name, "a part is negative or missing")
        if name == "costs":
            whole = whole - _uusd(facts.frames[name]["commitment_usd"])
            whole = whole - _uusd(facts.frames[name]["cluster_usd"])
        found += rows_where(parts.sum(axis=0) != whole, "L23", name, "the parts are not cost_usd")
    spent = _spent(facts)
    return [
        *found,
        *_instances(facts, told["instances"], spent),
        *_same_sums(facts, told),
        *_summary(facts, told),
        *_bearers(facts, told["costs"], spent),
    ]


def _told(frame: pd.DataFrame) -> Ints:
    return np.stack([_uusd(frame[name]) for name in _PARTS])


def _uusd(column: pd.Series[Any]) -> Ints:
    values = column.to_numpy(dtype=np.float64) * UUSD_PER_USD
    return np.rint(np.where((values >= 0) & (values < 2**62), values, -1)).astype(np.int64)


# --- what instances did -------------------------------------------------------------------------


def _spent(facts: Facts) -> _Spent:
    rows, holds = facts.instances, facts.holds
    count = len(rows.running)
    until = np.where(rows.ended < 0, facts.ended_at, rows.ended)
    ready = np.where(rows.ready < 0, until, rows.ready)
    ran = rows.running >= 0
    lives = np.where(ran, until - rows.running, 0)
    cost = _uusd(facts.frames["instances"]["cost_usd"])
    per_us = np.where(lives > 0, cost / np.maximum(lives, 1), 0.0)
    at = holds.instance
    held = np.where(at >= 0, _fraction(facts), 0.0)
    last = np.full(count, -1)
    np.maximum.at(last, at[at >= 0], holds.until[at >= 0])
    tail = np.where(last < 0, until, np.maximum(last, ready))
    began = np.where(holds.started < 0, holds.until, holds.started)
    rate = held * per_us[at]
    lost = _lost(facts)
    pull, busy = rate * (began - holds.placed), rate * (holds.until - began)
    of_holds = np.stack((np.where(lost, 0, busy), np.where(lost, 0, pull), np.where(lost, busy + pull, 0)))
    free = tail - ready - _sums(at, held * (holds.until - holds.placed), count)
    clock = _clocks(facts)
    here = facts.frames["instances"]["environment"].astype("str").to_numpy()
    waited = clock(here, tail) - clock(here, ready)
    waited -= _sums(at, held * (clock(here[at], holds.until) - clock(here[at], holds.placed)), count)
    task = (facts.frames["instances"]["billing"] == "fargate").to_numpy(np.bool_)
    fragmented = np.where(task, free, waited)
    overhead = np.stack((ready - rows.running, free - fragmented, fragmented, until - tail)) * per_us
    overhead = np.where(ran, overhead, 0.0)
    overhead[0] += np.where(lives == 0, cost, 0)
    return _Spent(of_holds, overhead)


def _fraction(facts: Facts) -> npt.NDArray[np.float64]:
    """Of its instance, by vCPUs, or by nine tenths of GPUs and one of vCPUs where it has GPUs."""
    holds, whole = facts.holds, facts.instances.amounts
    of_vcpus = holds.amounts["vcpus"] / np.maximum(whole["vcpus"], 1)[holds.instance]
    gpus = whole["gpus"][holds.instance]
    of_gpus = holds.amounts["gpus"] / np.maximum(gpus, 1)
    return np.asarray(np.where(gpus > 0, _OF_GPUS * of_gpus + (1 - _OF_GPUS) * of_vcpus, of_vcpus))


def _lost(facts: Facts) -> npt.NDArray[np.bool_]:
    """Whether the attempt of each hold, that is, its main node, ended with its host."""
    reasons = facts.frames["attempts"]["status_reason"].cat
    of_reason = np.array([name.startswith(_HOST_LOST) for name in reasons.categories] + [False])
    of_row = of_reason[reasons.codes.to_numpy()]
    return np.asarray(np.append(of_row[facts.attempts.row], False)[facts.holds.attempt])


def _clocks(facts: Facts) -> Any:
    """By names of environments and instants: for how long jobs had waited for that environment by then."""
    jobs, attempts = facts.jobs, facts.attempts
    never = np.where(jobs.end < 0, facts.ended_at, jobs.end)
    leaves = np.where(jobs.first_attempt < 0, never, np.append(attempts.placed, -1)[jobs.first_attempt])
    same = np.append(attempts.job[1:] == attempts.job[:-1], False)[: len(attempts.job)]
    comes_back = (attempts.ended >= 0) & (same | (np.append(jobs.end, -1)[attempts.job] != attempts.ended))
    then = np.where(same, np.append(attempts.placed[1:], -1)[: len(same)], np.append(never, -1)[attempts.job])
    waited = jobs.runnable >= 0
    queue = np.concatenate((jobs.queue[waited], np.append(jobs.queue, -1)[attempts.job[comes_back]]))
    since = np.concatenate((jobs.runnable[waited], attempts.ended[comes_back]))
    until = np.concatenate((leaves[waited], then[comes_back]))
    code_of = {name: code for code, name in enumerate(facts.frames["jobs"]["queue"].cat.categories)}
    switches = _switches(facts.manifest["scenario"])
    curves = {}
    for name, uses in _uses(facts.manifest["scenario"]).items():
        parts = []
        for whose, begin, end in uses:
            mine = queue == code_of.get(whose, -2)
            parts.append((np.maximum(since[mine], begin), np.minimum(until[mine], end)))
        begins, ends = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        curves[name] = _curve(begins, ends, switches.get(name, ()))

    def at(environments: npt.NDArray[np.object_], instants: Ints) -> npt.NDArray[np.float64]:
        shown = np.zeros(len(instants))
        for name, (times, values) in curves.items():
            mine = environments == name
            shown[mine] = np.interp(instants[mine], times, values)
        return shown

    return at


def _switches(scenario: Mapping[str, Any]) -> dict[str, list[tuple[int, int]]]:
    """By environment the instants at which it becomes DISABLED (1) or ENABLED (-1)."""
    said = [
        (0, each["computeEnvironmentName"], each.get("state"))
        for each in scenario.get("computeEnvironments", ())
    ]
    said += [
        (at_us, update.get("computeEnvironment"), update.get("state"))
        for at_us, update in said_updates(scenario)
    ]
    is_off: dict[str, int] = {}
    found: dict[str, list[tuple[int, int]]] = {}
    for at_us, name, state in said:
        if state is not None and (off := int(state == "DISABLED")) != is_off.get(name, 0):
            found.setdefault(name, []).append((at_us, 1 if off else -1))
            is_off[name] = off
    return found


def _uses(scenario: Mapping[str, Any]) -> dict[str, list[tuple[str, int, int]]]:
    """By environment the queues that name it in their order, each since when and until when."""
    said = [(0, each["jobQueueName"], each) for each in scenario.get("jobQueues", ())]
    said += [(at_us, each.get("jobQueue", ""), each) for at_us, each in said_updates(scenario)]
    named: dict[str, dict[str, int]] = {}  # by queue and environment, since when
    found: dict[str, list[tuple[str, int, int]]] = {}
    for at_us, arn, each in said:
        queue = arn.rpartition("/")[-1]
        if "computeEnvironmentOrder" in each:
            for name, since in named.pop(queue, {}).items():
                found.setdefault(name, []).append((queue, since, at_us))
            order = [item["computeEnvironment"] for item in each["computeEnvironmentOrder"]]
            named[queue] = {name.rpartition("/")[-1]: at_us for name in order}
    for queue, names in named.items():
        for name, since in names.items():
            found.setdefault(name, []).append((queue, since, _FOR_EVER))
    return found


def _curve(since: Ints, until: Ints, switches: Sequence[tuple[int, int]]) -> tuple[Ints, Ints]:
    """Instants and, at each, for how long somebody had waited, of these waits, while it was ENABLED."""
    mine = until > since
    turned = np.array([at_us for at_us, _ in switches], dtype=np.int64)
    times = np.concatenate(([0], since[mine], until[mine], turned))
    steps = np.concatenate(([0], np.ones(mine.sum()), -np.ones(mine.sum()), np.zeros(len(turned))))
    off = np.concatenate((np.zeros(1 + 2 * mine.sum()), [step for _, step in switches]))
    order = np.argsort(times, kind="stable")
    somebody = (np.cumsum(steps[order]) > 0) & (np.cumsum(off[order]) == 0)
    times = times[order]
    return times, np.append(0, np.cumsum(np.diff(times) * somebody[:-1]))


def _sums(codes: Ints, values: Ints, count: int) -> npt.NDArray[np.float64]:
    known = codes >= 0
    return np.bincount(codes[known], values[known], count)[:count].astype(np.float64)


def _instances(facts: Facts, told: Ints, spent: _Spent) -> list[Violation]:
    at = facts.holds.instance
    count = told.shape[1]
    expected = [_sums(at, part, count) for part in spent.of_holds]
    attempts = _sums(at, np.ones(len(at)), count)
    found: list[Violation] = []
    for name, part, value in zip(_PARTS, told, (*expected, *spent.of_instances), strict=True):
        room = 2 + 1e-6 * np.abs(value) + (attempts if name in _DIRECT else 0)
        found += rows_where(
            np.abs(part - value) > room, "L23", "instances", f"{name} is not what its time cost"
        )
    return found


# --- who bears it -------------------------------------------------------------------------------


def _same_sums(facts: Facts, told: Mapping[str, Ints]) -> list[Violation]:
    """Every environment's parts are the same in both frames."""
    sums = []
    for name in ("instances", "costs"):
        frame = pd.DataFrame(dict(zip(_PARTS, told[name], strict=True)))
        sums.append(frame.groupby(facts.frames[name]["environment"].astype("str").to_numpy()).sum())
    one, other = (each[each.any(axis=1)] for each in sums)
    if one.equals(other):
        return []
    return [Violation("L23", "an environment's parts are not those of its instances", frame="costs")]


def _summary(facts: Facts, told: Mapping[str, Ints]) -> list[Violation]:
    found: list[Violation] = []
    frames = facts.frames
    for where, key, frame in (
        ("environments", "environment", "instances"),
        ("instanceTypes", "instance_type", "instances"),
        ("queues", "queue", "costs"),
    ):
        names = frames[frame][key].astype("object").to_numpy()
        for name, part in facts.summary[where].items():
            found += _agree(f"{where}.{name}: ", part, told[frame][:, names == name].sum(axis=1))
    found += _agree("", facts.summary, told["instances"].sum(axis=1))
    nobody = told["costs"][:, frames["costs"]["queue"].isna().to_numpy()].sum()
    left = round(facts.summary["cost_unattributed_usd"] * UUSD_PER_USD)
    unused = _uusd(frames["costs"]["commitment_usd"]).sum()
    told_unused = round(facts.summary["commitment_unused_usd"] * UUSD_PER_USD)
    return [
        *found,
        *unless(left == nobody, "L23", "cost_unattributed_usd is not what nobody bears"),
        *unless(told_unused == unused, "L23", "commitment_unused_usd is not that of the costs"),
        *_clusters(facts),
    ]


def _clusters(facts: Facts) -> list[Violation]:
    """EKS clusters are paid for from the beginning of the run to its end."""
    assumed, scenario = facts.manifest["assumptions"], facts.manifest["scenario"]
    names = set()
    for each in scenario.get("computeEnvironments", ()):
        configuration = each.get("eksConfiguration")
        if configuration or each.get("containerOrchestrationType") == "EKS":
            names.add((configuration or {}).get("eksClusterArn", each["computeEnvironmentName"]))
    price = usd_to_uusd(assumed.get("eksClusterPrice", 0))
    expected = cost_uusd(-(-facts.ended_at // US_PER_S), len(names) * price)
    told = round(facts.summary["cluster_usd"] * UUSD_PER_USD)
    borne = _uusd(facts.frames["costs"]["cluster_usd"]).sum()
    return [
        *unless(told == expected, "L23", "cluster_usd is not what EKS clusters cost for the run's time"),
        *unless(told == borne, "L23", "cluster_usd is not that of the costs"),
    ]


def _agree(where: str, part: Mapping[str, Any], sums: Ints) -> list[Violation]:
    told = [round(part["cost_parts_usd"][name.removesuffix("_usd")] * UUSD_PER_USD) for name in _PARTS]
    return unless(told == sums.tolist(), "L23", f"{where}cost_parts_usd are not those of the frames")


def _bearers(facts: Facts, told: Ints, spent: _Spent) -> list[Violation]:
    """Each row of costs is what its attempts cost directly, and what the rule gives them beside."""
    frame = facts.frames["costs"]
    rows = _rows_of_holds(facts, frame)
    if (rows < 0).any():
        return [Violation("L23", "an attempt's cost is in no row", frame="costs")]
    allocated, slack = _allocated(facts, spent)
    expected = np.concatenate((spent.of_holds, allocated))
    loose = _sums(rows, slack, len(frame))
    number = _sums(rows, np.ones(len(rows)), len(frame))
    # Each instance's overhead was whole micro-USD before it was shared out.
    there = facts.frames["instances"]["environment"].astype("str").value_counts()
    loose += frame["environment"].astype("str").map(there).fillna(0).to_numpy(dtype=np.float64)
    mine = frame["queue"].notna().to_numpy()
    found: list[Violation] = []
    for name, part, of_holds in zip(_PARTS, told, expected, strict=True):
        value = _sums(rows, of_holds, len(frame))
        room = 2 + 1e-6 * value + number + (0 if name in _DIRECT else loose)
        wrong = mine & (np.abs(part - value) > room)
        found += rows_where(wrong, "L23", "costs", f"{name} is not its part by the rule of idle_cost")
    return found


def _rows_of_holds(facts: Facts, costs: pd.DataFrame) -> Ints:
    """The row of costs that each attempt belongs to; -1 if there is none."""
    jobs, instances = facts.frames["jobs"], facts.frames["instances"]
    known, wanted = np.zeros(len(costs), dtype=np.int64), np.zeros(len(facts.holds.row), dtype=np.int64)
    columns = [(costs[key].cat, jobs[key].cat, facts.holds.job) for key in _KEYS]
    columns.append((costs["environment"].cat, instances["environment"].cat, facts.holds.instance))
    for mine, theirs, row in columns:
        width = len(mine.categories) + 2
        code = np.append(mine.categories.get_indexer(theirs.categories), -1)
        known = known * width + mine.codes.to_numpy() + 1
        of_row = code[theirs.codes.to_numpy()]
        missing = (theirs.codes.to_numpy() >= 0) & (of_row < 0)
        wanted = wanted * width + np.where(missing, width - 1, of_row + 1)[row]
    borne = np.flatnonzero(costs["queue"].notna().to_numpy())  # the others are borne by no attempt
    found = pd.Index(known[borne]).get_indexer(pd.Index(wanted))
    return np.asarray(np.where(found < 0, -1, np.append(borne, -1)[found]))


def _allocated(facts: Facts, spent: _Spent) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What of each overhead each attempt bears, and how much of it rounding may have moved.

    Direct costs, in proportion to which it is borne but by `even`, were whole micro-USD.
    """
    rule, at = facts.manifest["idle_cost"], facts.holds.instance
    environments = facts.frames["instances"]["environment"].cat.codes.to_numpy(np.int64)
    direct = spent.of_holds.sum(axis=0)
    pools = spent.of_instances
    shares, slack = np.zeros((len(_OVERHEAD), len(at))), np.zeros(len(at))
    if rule == "separate":
        return shares, slack
    if rule == "instance":
        shares, slack = _shared_out(pools, at, direct)
        pools = np.where(_sums(at, direct, len(environments)) > 0, 0, pools)
    count = 1 + int(environments.max(initial=-1))
    here = environments[at]
    whole = np.stack([_sums(environments, pool, count) for pool in pools])
    if rule == "even":
        twice = pd.DataFrame({"here": here, "job": facts.holds.job}).duplicated().to_numpy()
        direct = np.where(twice, 0.0, 1.0)
    more, looser = _shared_out(whole, here, direct)
    return shares + more, slack + (0 if rule == "even" else looser)


def _shared_out(
    pools: Any, group: Ints, weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Each row's share of its group's pools, and its slack if each weight may be off by 1."""
    count = pools.shape[1]
    whole = _sums(group, weights, count)
    number = _sums(group, np.ones(len(group)), count)
    part = weights / np.where(whole > 0, whole, 1)[group]
    ratio = (pools.sum(axis=0) / np.maximum(whole - number, 1))[group]
    return pools[:, group] * part, 2 + ratio * (1 + number[group] * part)
