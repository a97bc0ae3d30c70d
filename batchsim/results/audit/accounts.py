"""L13 cost and L15 work: every figure of frames and summary is added up again, on integers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.audit.facts import (
    MOST_SHARES,
    QUARTERS,
    Ints,
    holders,
    instances_of,
    kind_of,
    said_updates,
    series,
    total,
)
from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import (
    MIB_PER_GIB,
    S_PER_HOUR,
    US_PER_S,
    UUSD_PER_USD,
    billed_seconds,
    cost_uusd,
    parse_size,
    usd_to_uusd,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts

_INTERRUPTED = "interrupted: Spot"
_OF_NOBODY = ("commitment_unused_usd", "cluster_usd")
_BILLINGS = {"SPOT": "spot", "FARGATE": "fargate", "FARGATE_SPOT": "fargate"}
_HOUR_US = S_PER_HOUR * US_PER_S
HOURS_A_MONTH = 730
MINIMUM_BILLED_S = 60  # EC2's and Fargate's [spec 8.1]


def cost(facts: Facts) -> list[Violation]:
    """L13: per instance billed time x price; all else that is called cost adds up to it."""
    frame, rows = facts.frames["instances"], facts.instances
    lasted = (np.where(rows.ended < 0, facts.ended_at, rows.ended) - rows.running).tolist()
    price = _whole(frame["usd_per_hour"], UUSD_PER_USD)
    taken = (frame["billing"] == "spot") & (frame["end_reason"] == _INTERRUPTED)
    free = (rows.running < 0) | (taken.to_numpy(np.bool_) & (np.array(lasted) < _HOUR_US))
    least = np.where(instances_of(facts, _is_owned), 0, MINIMUM_BILLED_S).tolist()
    billed = [
        0 if nothing else billed_seconds(us, minimum)
        for us, nothing, minimum in zip(lasted, free.tolist(), least, strict=True)
    ]
    costs = np.array(
        [cost_uusd(seconds, uusd) for seconds, uusd in zip(billed, price.tolist(), strict=True)], np.int64
    )
    costs, more = _with_volume_and_discount(facts, lasted, costs)
    fees, wrong = _fees(facts, lasted, price)
    costs, more = costs + fees, more + wrong
    told = _whole(frame["cost_usd"], UUSD_PER_USD)
    return [
        *more,
        *rows_where(price < 0, "L13", "instances", "usd_per_hour is negative or missing"),
        *rows_where(
            frame["billed_s"].to_numpy() != np.array(billed, np.int64),
            "L13",
            "instances",
            "billed_s is not the time it ran in whole seconds, at least 60 of EC2's, or 0 where free",
        ),
        *rows_where(
            (frame["end_reason"] == _INTERRUPTED).to_numpy(np.bool_) & ~taken.to_numpy(np.bool_),
            "L13",
            "instances",
            "only Spot instances are interrupted",
        ),
        *rows_where(
            frame["billing"].astype("str").to_numpy() != _billing(facts),
            "L13",
            "instances",
            "billing is not that of the environment's type",
        ),
        *rows_where(
            told != costs, "L13", "instances", "cost_usd is not what was billed, with its volume and fee"
        ),
        *_cost_sums(facts, costs),
        *_cost_so_far(facts, costs),
    ]


def _is_owned(environment: Mapping[str, Any]) -> bool:
    return environment.get("type") == "UNMANAGED"


def _is_of_ecs(environment: Mapping[str, Any]) -> bool:
    return kind_of(environment) == "ECS_MANAGED_INSTANCES"


def _with_volume_and_discount(facts: Facts, lasted: list[int], costs: Ints) -> tuple[Ints, list[Violation]]:
    """What instances cost with their volumes and without discounts, and volumes at another price."""
    frame, ran = facts.frames["instances"], facts.instances.running >= 0
    scenario, assumed = facts.manifest["scenario"], facts.manifest["assumptions"]
    price = dict.fromkeys(frame["environment"].cat.categories, 0)
    for each in scenario.get("computeEnvironments", ()):
        resources = each.get("computeResources") or {}
        kind = resources.get("type", "FARGATE")
        size = each.get("instanceVolume", _storage(resources) or assumed.get("instanceVolume", 0))
        if not kind.startswith("FARGATE"):
            gib = parse_size(size) / MIB_PER_GIB
            price[each["computeEnvironmentName"]] = usd_to_uusd(gib * assumed["volumePrice"] / HOURS_A_MONTH)
    rates = [price[name] for name in frame["environment"].astype("str").tolist()]
    volumes = np.array(
        [
            cost_uusd(billed_seconds(us), rate) if runs else 0
            for us, rate, runs in zip(lasted, rates, ran.tolist(), strict=True)
        ],
        np.int64,
    )
    told, discount = (_whole(frame[name], UUSD_PER_USD) for name in ("volume_usd", "discount_usd"))
    wrong = rows_where(told != volumes, "L13", "instances", "volume_usd is not what its volume costs")
    wrong += rows_where(
        (discount < 0) | (discount > costs), "L13", "instances", "discount_usd is not a part of the cost"
    )
    return costs + volumes - discount, wrong


def _template(resources: Mapping[str, Any]) -> Mapping[str, Any]:
    """What ECS Managed Instances are launched with; empty for others."""
    found: Mapping[str, Any] = (resources.get("managedInstancesProvider") or {}).get(
        "instanceLaunchTemplate"
    ) or {}
    return found


def _storage(resources: Mapping[str, Any]) -> str:
    gib = (_template(resources).get("storageConfiguration") or {}).get("storageSizeGiB")
    return f"{gib}GiB" if gib else ""


def _fees(facts: Facts, lasted: list[int], price: Ints) -> tuple[Ints, list[Violation]]:
    """What ECS takes for its Managed Instances, and where that is not its part of the On-Demand price."""
    frame, part = facts.frames["instances"], facts.manifest["assumptions"].get("managedInstancesFee", 0)
    of_ecs = instances_of(facts, _is_of_ecs) & (facts.instances.running >= 0)
    spot = (frame["billing"] == "spot").to_numpy(np.bool_)
    known = facts.manifest.get("on_demand_usd_per_hour", {})
    listed = [usd_to_uusd(known.get(name, 0)) for name in frame["instance_type"].tolist()]
    seconds = [billed_seconds(us) if runs else 0 for us, runs in zip(lasted, of_ecs.tolist(), strict=True)]
    rates = [round(part * uusd) for uusd in np.where(spot, listed, price).tolist()]
    fees = np.array([cost_uusd(each, rate) for each, rate in zip(seconds, rates, strict=True)], np.int64)
    told = _whole(frame["fee_usd"], UUSD_PER_USD)
    text = "fee_usd is not that part of the On-Demand price"
    return told, rows_where(told != fees, "L13", "instances", text)


def _billing(facts: Facts) -> npt.NDArray[np.object_]:
    """How the instances of each row's environment are paid for, by what the scenario said at their launch."""
    scenario = facts.manifest["scenario"]
    types = {
        each["computeEnvironmentName"]: [(-1, _kind(each.get("computeResources") or {}))]
        for each in scenario.get("computeEnvironments", ())
    }
    for at_us, update in said_updates(scenario):
        if update.get("type"):
            types[update["computeEnvironment"]].append((at_us, update["type"]))
    names = facts.frames["instances"]["environment"].astype("str").tolist()
    found = []
    for name, requested in zip(names, facts.instances.requested.tolist(), strict=True):
        kinds = [kind for at_us, kind in types.get(name, ()) if at_us <= requested]
        found.append(_BILLINGS.get(str(kinds[-1] if kinds else None), "ec2"))
    return np.array(found, dtype=object)


def _kind(resources: Mapping[str, Any]) -> Any:
    on_spot = _template(resources).get("capacityOptionType") == "SPOT"
    return "SPOT" if on_spot else resources.get("type")


def _cost_sums(facts: Facts, costs: Ints) -> list[Violation]:
    found: list[Violation] = []
    for where, part, mine in _parts(facts):
        own = 0 if where else sum(_uusd(facts.summary[key]) for key in _OF_NOBODY)
        spent = total(costs[mine]) + own
        found += unless(
            _uusd(part["cost_usd"]) == spent, "L13", f"{where}cost_usd is not the sum over its instances"
        )
        for key in ("volume_usd", "fee_usd", "discount_usd"):
            spent = total(_whole(facts.frames["instances"][key], UUSD_PER_USD)[mine])
            found += unless(_uusd(part[key]) == spent, "L13", f"{where}{key} is not that of its instances")
    by_queue = sum(_uusd(queue["cost_usd"]) for queue in facts.summary["queues"].values())
    by_queue += _uusd(facts.summary["cost_unattributed_usd"])
    found += unless(
        by_queue == total(costs),
        "L13",
        "the queues' cost_usd and cost_unattributed_usd are not the whole cost",
    )
    return found + _costs_of_shares(facts)


def _costs_of_shares(facts: Facts) -> list[Violation]:
    """The shares of a queue cost together what the queue does."""
    by_queue: dict[str, list[int]] = {}
    for name, part in facts.summary.get("shares", {}).items():
        by_queue.setdefault(name.rpartition("/")[0], []).append(_uusd(part["cost_usd"]))
    found: list[Violation] = []
    for queue, costs in by_queue.items():
        rest = _uusd(facts.summary["queues"][queue]["cost_usd"]) - sum(costs)
        # Not all of too many shares are told.
        complete = len(facts.summary["shares"]) < MOST_SHARES
        found += unless(
            rest == 0 or (rest > 0 and not complete),
            "L13",
            f"shares of {queue}: their cost_usd is not that of the queue",
        )
    return found


def _cost_so_far(facts: Facts, costs: Ints) -> list[Violation]:
    told = _whole(facts.frames["timeseries"]["cost_usd"], UUSD_PER_USD)
    falls = np.zeros(len(told), dtype=np.bool_)
    found: list[Violation] = []
    for kind, name, rows in series(facts):
        if kind != "environment":
            continue
        falls[rows[1:]] = np.diff(told[rows]) < 0
        spent = total(costs[_with(facts, "environment", name)])
        found += unless(
            int(told[rows[-1]]) == spent, "L13", f"cost_usd of {name} does not end at its cost", "timeseries"
        )
    return found + rows_where(falls, "L13", "timeseries", "cost_usd falls")


def work(facts: Facts) -> list[Violation]:
    """L15: the vCPU-time and GPU-time of instances and of the summary is that of the attempts."""
    attempts, instances = facts.holds, facts.instances
    frame = facts.frames["instances"]
    ran = attempts.started >= 0
    known = attempts.instance >= 0
    ran_us = np.where(ran, attempts.until - attempts.started, 0)
    quarters, gpus = instances.amounts["vcpus"], instances.amounts["gpus"]
    busy_us, gpus_us = attempts.amounts["vcpus"] * ran_us, attempts.amounts["gpus"] * ran_us
    starting_us = attempts.amounts["vcpus"] * (
        np.where(ran, attempts.started, attempts.until) - attempts.placed
    )
    used = {}
    found: list[Violation] = []
    for column, us, parts in (
        ("busy_vcpu_s", busy_us, QUARTERS),
        ("starting_vcpu_s", starting_us, QUARTERS),
        ("busy_gpu_s", gpus_us, 1),
    ):
        used[column] = np.zeros(len(frame), dtype=np.int64)
        np.add.at(used[column], attempts.instance[known], us[known])
        wrong = _whole(frame[column], parts * US_PER_S) != used[column]
        found += rows_where(wrong, "L15", "instances", f"{column} is not the sum over its attempts")
    lives = np.where(instances.running < 0, 0, _until(facts, instances.ended) - instances.running)
    boots = np.where(instances.running < 0, 0, _booted(facts) - instances.running)
    provisioned, booting = quarters * lives, quarters * boots
    gpus_provisioned = gpus * lives
    billed_us = frame["billed_s"].to_numpy() * US_PER_S
    for where, part, mine in _parts(facts):
        busy, starting = total(used["busy_vcpu_s"][mine]), total(used["starting_vcpu_s"][mine])
        whole, boot = total(provisioned[mine]), total(booting[mine])
        sums = {
            "used": busy,
            "starting": starting,
            "provisioned": whole,
            "booting": boot,
            "unused": whole - boot - starting - busy,
            "paid": total(billed_us[mine] * quarters[mine]),
            "free": total(np.where(billed_us == 0, provisioned, 0)[mine]),
        }
        found += _hours(where, part, "vcpu_", sums, whole)
        gpu_sums = {
            "used": total(used["busy_gpu_s"][mine]),
            "provisioned": total(gpus_provisioned[mine]),
            "paid": total(billed_us[mine] * gpus[mine]),
        }
        found += _hours(where, part, "gpu_", gpu_sums, gpu_sums["provisioned"])
    for where, part, mine in holders(facts, attempts.job):
        for kind, us, whole in (("vcpu_", busy_us, provisioned), ("gpu_", gpus_us, gpus_provisioned)):
            found += _hours(where, part, kind, {"used": total(us[mine])}, total(whole))
    return found


def _hours(
    where: str, part: Mapping[str, Any], kind: str, sums_us: Mapping[str, int], whole: int
) -> list[Violation]:
    found: list[Violation] = []
    for name, us in sums_us.items():
        key = f"{kind}hours_{name}"
        hour = _HOUR_US * (QUARTERS if kind == "vcpu_" else 1)
        found += unless(_close(part[key], us / hour), "L15", f"{where}{key} is not what was worked")
    expected = sums_us["used"] / whole if whole else None
    key = "gpu_utilization" if kind == "gpu_" else "utilization"
    return found + unless(_close(part[key], expected), "L15", f"{where}{key} is not used / provisioned")


def _parts(facts: Facts) -> Iterator[tuple[str, Mapping[str, Any], npt.NDArray[np.bool_]]]:
    """The summary as a whole, of each environment and of each instance type, with its instances."""
    yield "", facts.summary, np.ones(len(facts.instances.ended), dtype=np.bool_)
    for key, column in (("environments", "environment"), ("instanceTypes", "instance_type")):
        for name, part in facts.summary[key].items():
            yield f"{key}.{name}: ", part, _with(facts, column, name)


def _with(facts: Facts, column: str, name: str) -> npt.NDArray[np.bool_]:
    return np.asarray((facts.frames["instances"][column] == name).to_numpy(dtype=np.bool_))


def _until(facts: Facts, ended: Ints) -> Ints:
    return np.where(ended < 0, facts.ended_at, ended)


def _booted(facts: Facts) -> Ints:
    instances = facts.instances
    return np.where(instances.ready < 0, _until(facts, instances.ended), instances.ready)


def _whole(column: Any, per_unit: int) -> npt.NDArray[np.int64]:
    """A float column as whole micro-units; -1 for missing, negative and absurd values."""
    values = column.to_numpy(dtype=np.float64) * per_unit
    possible = (values >= 0) & (values < 2**62)
    return np.rint(np.where(possible, values, -1)).astype(np.int64)


def _uusd(usd: float) -> int:
    return round(usd * UUSD_PER_USD)


def _close(told: float | None, expected: float | None) -> bool:
    if told is None or expected is None:
        return told is expected
    return math.isclose(told, expected, rel_tol=1e-9, abs_tol=1e-9)
