"""L18 of updates: they are those of the scenario, and what they found is what instances did, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.audit.facts import said_updates
from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    from batchsim.results.audit.facts import Facts, Ints


_TOO_LATE = "the run had ended"
_REFUSED = "AWS refuses it"


def updates(facts: Facts) -> list[Violation]:
    """L18: each update has a row, with the vCPUs that were there after it, or why it was not made."""
    said = said_updates(facts.manifest["scenario"])
    frame = facts.frames.get("updates")
    rows = [] if frame is None else frame.fillna({"max_vcpus": -1}).to_dict("records")
    if len(rows) != len(said):
        return unless(False, "L18", f"{len(rows)} updates are told of, but {len(said)} were said")
    wrong = [not _is_so(facts, row, *update) for row, update in zip(rows, said, strict=True)]
    until = [
        not wrong[row] and each["above_max_vcpus"] > 0 and not _lasts_so(facts, rows, row)
        for row, each in enumerate(rows)
    ]
    return [
        *rows_where(np.array(wrong, dtype=np.bool_), "L18", "updates", "the update is not so"),
        *rows_where(
            np.array(until, dtype=np.bool_),
            "L18",
            "updates",
            "above_until_s is not when vCPUs fell to maxvCpus",
        ),
    ]


def _lasts_so(facts: Facts, rows: list[dict[Any, Any]], row: int) -> bool:
    """Whether it says when the vCPUs above maxvCpus had gone, if before the environment's next update."""
    each = rows[row]
    name, at_us = each["environment"], round(each["t_s"] * US_PER_S)
    instances, frame = facts.instances, facts.frames["instances"]
    mine = (frame["environment"] == name).to_numpy() & ((instances.running >= 0) | (instances.ended < 0))
    left = mine & (instances.ended >= 0)
    instants = np.unique(instances.ended[left & (instances.ended > at_us)])
    vcpus = frame["vcpus"].to_numpy()
    came = _sums_by(instants, instances.requested[mine], vcpus[mine])
    gone = _sums_by(instants, instances.ended[left], vcpus[left])
    low = instants[came - gone <= each["max_vcpus"]]
    following = next(
        (
            round(later["t_s"] * US_PER_S)
            for later in rows[row + 1 :]
            if later["environment"] == name and later["not_made"] != _TOO_LATE
        ),
        facts.ended_at,
    )
    expected = int(low[0]) if len(low) and low[0] <= following else -1
    told = each["above_until_s"]
    return (-1 if np.isnan(told) else round(told * US_PER_S)) == expected


def _sums_by(instants: Ints, when: Ints, values: Ints) -> Ints:
    """What has been added up of the values by each of these instants, each being added at its own."""
    order = np.argsort(when, kind="stable")
    sums = np.append(0, np.cumsum(values[order]))
    return np.asarray(sums[np.searchsorted(when[order], instants, side="right")])


def _is_so(facts: Facts, row: dict[Any, Any], at_us: int, update: dict[str, Any]) -> bool:
    name = update.get("computeEnvironment")
    same = round(row["t_s"] * US_PER_S) == at_us and (row["environment"] if name else row["queue"]) == (
        name or update.get("jobQueue")
    )
    too_late = at_us > facts.ended_at or at_us / US_PER_S == facts.manifest["horizon_s"]
    reason = row["not_made"] if isinstance(row["not_made"], str) else ""
    if not same or too_late != (reason == _TOO_LATE):
        return False
    if too_late or row["max_vcpus"] < 0:
        return bool(too_late or not reason)
    instances, where = facts.instances, facts.frames["instances"]["environment"]
    gone = (instances.ended >= 0) & ((instances.ended <= at_us) | (instances.running < 0))
    mine = (where == name).to_numpy() & (instances.requested <= at_us) & ~gone
    there = float(facts.frames["instances"]["vcpus"].to_numpy()[mine].sum())
    earlier = mine & (instances.requested < at_us)
    before = float(facts.frames["instances"]["vcpus"].to_numpy()[earlier].sum())
    refused = update.get("desiredvCpus", before) < before
    limit = update.get("maxvCpus", row["max_vcpus"])
    return bool(
        row["max_vcpus"] == limit
        and refused == reason.startswith(_REFUSED)
        and refused == bool(reason)
        and row["there_vcpus"] == there
        and row["above_max_vcpus"] == max(there - limit, 0)
    )
