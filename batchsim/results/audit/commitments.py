"""L13 of commitments: the discount of every instance, and what nobody used, hour by hour and one by one."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import S_PER_HOUR, US_PER_S, UUSD_PER_USD

if TYPE_CHECKING:
    from batchsim.results.audit.facts import Facts

_HOUR_US: Final = S_PER_HOUR * US_PER_S


def commitments(facts: Facts) -> list[Violation]:
    """L13: Reserved Instances cover their type first, then the Savings Plan all that is left."""
    frame = facts.frames["instances"]
    told = np.rint(frame["discount_usd"].to_numpy() * UUSD_PER_USD)
    unused = round(facts.summary["commitment_unused_usd"] * UUSD_PER_USD)
    given = facts.manifest["scenario"].get("commitments")
    if given is None:
        return [
            *rows_where(told != 0, "L13", "instances", "a discount, but nothing was committed to"),
            *unless(unused == 0, "L13", "commitment_unused_usd, but nothing was committed to"),
        ]
    expected, left = _discounts(facts, given)
    return [
        *rows_where(
            np.abs(told - expected) > 2 + 1e-6 * expected,
            "L13",
            "instances",
            "discount_usd is not what the commitments cover",
        ),
        *unless(not abs(unused - left) > 1 + 1e-6 * left, "L13", "commitment_unused_usd is not what is left"),
    ]


def _discounts(facts: Facts, given: Any) -> tuple[Any, float]:
    plan = given.get("savingsPlan") or {}
    parts = {"EC2": plan.get("discount", 0.0), "FARGATE": plan.get("fargateDiscount", 0.0)}
    reserved: dict[str, tuple[int, float]] = {}
    for each in given.get("reservedInstances", ()):
        count, _ = reserved.get(each["instanceType"], (0, 0.0))
        reserved[each["instanceType"]] = count + each.get("instanceCount", 1), each["discount"]
    rows = _eligible(facts, parts)
    hours: dict[tuple[str, int], float] = defaultdict(float)
    prices: dict[str, float] = {}
    plan_of: dict[str, float] = {}
    for _, name, part, price, spans in rows:
        prices[name], plan_of[name] = price, part
        for hour, us in spans:
            hours[name, hour] += us / _HOUR_US
    last = max(1, -(-facts.ended_at // _HOUR_US))
    covered = {key: min(1.0, reserved.get(key[0], (0, 0.0))[0] / used) for key, used in hours.items()}
    to_pay: dict[int, float] = defaultdict(float)
    for (name, hour), used in hours.items():
        if plan_of[name]:
            to_pay[hour] += used * (1 - covered[name, hour]) * prices[name] * (1 - plan_of[name])
    committed = plan.get("commitment", 0.0) * UUSD_PER_USD
    left = sum(max(0.0, committed - to_pay[hour]) for hour in range(last))
    for name, (count, discount) in reserved.items():
        idle = sum(max(0.0, count - hours.get((name, hour), 0.0)) for hour in range(last))
        # The frames do not tell the price of a type that nobody ran.
        left = left + idle * prices[name] * (1 - discount) if name in prices else math.nan
    expected = np.zeros(len(facts.instances.running))
    for row, name, part, _, spans in rows:
        cost = _list_cost(facts, row)
        whole = sum(us for _, us in spans)
        for hour, us in spans:
            by_plan = part * min(1.0, committed / to_pay[hour]) if to_pay[hour] else 0.0
            of_hour = covered[name, hour]
            rate = of_hour * reserved.get(name, (0, 0.0))[1] + (1 - of_hour) * by_plan
            expected[row] += cost * rate * us / whole
    return expected, left


def _list_cost(facts: Facts, row: int) -> float:
    frame = facts.frames["instances"]
    return float(frame["billed_s"].iloc[row] * frame["usd_per_hour"].iloc[row] / S_PER_HOUR * UUSD_PER_USD)


def _eligible(facts: Facts, parts: dict[str, float]) -> list[tuple[int, str, float, float, Any]]:
    """Row, type, the plan's discount, price and time in each hour of the instances that may be covered."""
    frame, rows = facts.frames["instances"], facts.instances
    kinds = {
        each["computeEnvironmentName"]: (each.get("computeResources") or {}).get("type")
        for each in facts.manifest["scenario"].get("computeEnvironments", ())
    }
    found = []
    texts = (frame[key].astype("str") for key in ("environment", "instance_type", "billing"))
    for row, (environment, name, billing, price) in enumerate(
        zip(*texts, frame["usd_per_hour"], strict=True)
    ):
        kind = kinds.get(environment)
        # An update may have made Spot of On-Demand: L13 derives the billing of each instance again.
        kind = {"ec2": kind and "EC2", "fargate": kind}.get(billing)
        if kind not in parts or rows.running[row] < 0:
            continue
        begin = int(rows.running[row])
        end = int(facts.ended_at if rows.ended[row] < 0 else rows.ended[row])
        spans = [
            (hour, min(end, (hour + 1) * _HOUR_US) - max(begin, hour * _HOUR_US))
            for hour in range(begin // _HOUR_US, -(-end // _HOUR_US))
        ]
        found.append((row, name, parts[kind], price * UUSD_PER_USD, spans))
    return found
