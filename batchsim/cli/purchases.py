"""The table of the bill by purchase option."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsim.cli.figures import NOTHING, column, percent, usd
from batchsim.cli.output import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.results import Result


def table_of_purchases(result: Result) -> Table | None:
    """None where all was bought in one way, and nothing taken off."""
    from batchsim.results.purchases import purchases

    found = purchases(result.frames, result.manifest)
    discounts = usd([each.discount_usd or None for each in found])
    reduced = any(each != NOTHING for each in discounts)
    if len(found) < 2 and not reduced:
        return None
    total = sum(each.cost_usd for each in found)
    columns = [
        Column("purchase option", words=True),
        Column("instances", spare=1),
        Column("vCPU-h\npaid", spare=2),
    ]
    columns += [Column("taken off by\ncommitments", spare=3)] if reduced else []
    columns += [Column("cost\nUSD"), Column("of it")]
    hours = column([each.vcpu_hours if each.instances else None for each in found])
    costs = usd([each.cost_usd for each in found])
    rows = [
        [
            each.option,
            f"{each.instances:,}" if each.instances else NOTHING,
            paid,
            *([discount] if reduced else []),
            cost,
            percent(each.cost_usd / total if total else None),
        ]
        for each, paid, discount, cost in zip(found, hours, discounts, costs, strict=True)
    ]
    return Table("", columns, rows)


def committed_to(scenario: Mapping[str, Any]) -> str:
    """What may take something off, in words."""
    given = scenario.get("commitments") or {}
    named = {"reservedInstances": "Reserved Instances", "savingsPlan": "the Savings Plan"}
    return " and ".join(words for key, words in named.items() if given.get(key))
