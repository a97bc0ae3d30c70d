"""L18: what a scenario fixes is so in the result: names, attempts allowed, delays without a draw.

The scenario and its assumptions are read as the manifest holds them, as plain data.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from batchsim.results.audit.facts import instances_of
from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts

_SIMULATED = "simulated"


def fixed(facts: Facts) -> list[Violation]:
    """L18: a job's name tells its group; its attempts allowed and its delays are the scenario's.

    And the scenario is the one that was run, by its digest.
    """
    return [
        *unless(
            facts.manifest["scenario_sha256"] == _digest(facts.manifest["scenario"]),
            "L18",
            "scenario_sha256 is not that of the scenario beside it: one of them was changed after the run",
            "manifest",
        ),
        *rows_where(~_named_by_group(facts), "L18", "jobs", "the name is not of a job of this group"),
        *_as_submitted(facts),
        *_dispatch(facts),
        *_zones(facts),
        *_memory(facts),
    ]


def _memory(facts: Facts) -> list[Violation]:
    """All instances of a type have the same memory in an environment whose instances AWS Batch launches."""
    frame = facts.frames["instances"]
    managed = instances_of(facts, lambda each: each.get("type") == "MANAGED")
    mine = frame[managed]
    alike = mine.groupby([mine["environment"].astype("str"), mine["instance_type"].astype("str")])
    wrong = np.zeros(len(frame), dtype=np.bool_)
    odd = (mine["memory_mib"] != alike["memory_mib"].transform("median")).to_numpy(np.bool_)
    wrong[np.flatnonzero(managed)[odd]] = True
    return rows_where(wrong, "L18", "instances", "memory_mib is not that of its type")


def fixed_delay(facts: Facts, assumption: str) -> int | None:
    """A delay of simulated runs in microseconds; None when it was measured, or nothing is said of it."""
    told = facts.manifest["assumptions"].get(assumption)
    return None if told is None or not is_simulated(facts) else parse_duration(told)


def is_simulated(facts: Facts) -> bool:
    """Whether what happened when is as it was said, and not measured."""
    return bool(facts.manifest["driver"] == _SIMULATED)


def _digest(scenario: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON."""
    canonical = json.dumps(scenario, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _named_by_group(facts: Facts) -> npt.NDArray[np.bool_]:
    """`<group>-<number>`, or `<group>-<number>:<index>` of a child of an array."""
    frame = facts.frames["jobs"]
    names = pa.array(frame["job"], pa.large_string(), from_pandas=True)
    parts = pc.extract_regex(names, r"^(?P<group>.*)-\d+(?::(?P<index>\d{1,9}))?$")
    group = pa.array(frame["group"].astype("str"), pa.large_string(), from_pandas=True)
    same = pc.fill_null(pc.equal(pc.struct_field(parts, "group"), group), False)
    told = pc.struct_field(parts, "index")
    index = pc.if_else(pc.equal(told, ""), pa.scalar("-1", told.type), told).cast(pa.int64())
    expected = frame["array_index"].to_numpy(dtype=np.int64, na_value=-1)
    return np.asarray(same.to_numpy(zero_copy_only=False) & (pc.fill_null(index, -2).to_numpy() == expected))


class _Submitted(NamedTuple):
    """What a workload entry, and the job definition it names, say of their jobs."""

    attempts: int
    priority: int
    shares: frozenset[str]


def _as_submitted(facts: Facts) -> list[Violation]:
    frame, allowed = facts.frames["jobs"], facts.jobs.allowed
    groups, definitions, shares = (frame[name].cat for name in ("group", "job_definition", "share"))
    width = len(definitions.categories) + 1
    kinds = groups.codes.to_numpy(np.int64) * width + definitions.codes.to_numpy() + 1
    priority, share = frame["priority"].to_numpy(), shares.codes.to_numpy()
    wrong = {name: np.zeros(len(frame), dtype=np.bool_) for name in ("attempts_allowed", "priority", "share")}
    for kind in np.unique(kinds[kinds >= 0]).tolist():
        group, definition = divmod(kind, width)
        told = _submitted(
            facts.manifest["scenario"],
            groups.categories[group],
            definitions.categories[definition - 1] if definition else "",
        )
        if told is None:
            continue
        mine = kinds == kind
        known = [code for code, name in enumerate(shares.categories) if name in told.shares]
        wrong["attempts_allowed"] |= mine & (allowed != told.attempts)
        wrong["priority"] |= mine & (priority != told.priority)
        wrong["share"] |= mine & ~np.isin(share, known if told.shares else [-1])
    return [
        violation
        for name, guilty in wrong.items()
        for violation in rows_where(guilty, "L18", "jobs", f"{name} is not that of the scenario")
    ]


def _submitted(scenario: Mapping[str, Any], group: str, definition: str) -> _Submitted | None:
    """None if the scenario does not have this group."""
    entry = next((each for each in scenario.get("workload", ()) if each.get("name") == group), None)
    if entry is None:
        return None
    name, _, revision = definition.rpartition("/")[-1].partition(":")
    candidates = [
        each
        for each in scenario.get("jobDefinitions", ())
        if each["jobDefinitionName"] == name and each.get("status", "ACTIVE") == "ACTIVE"
    ]
    chosen = [each for each in candidates if not revision or each.get("revision", 1) == int(revision)]
    newest: Mapping[str, Any] = max(chosen, key=lambda each: each.get("revision", 1), default={})
    strategy = entry.get("retryStrategy") or newest.get("retryStrategy") or {}
    own = entry.get("schedulingPriorityOverride", entry.get("schedulingPriority"))
    # Of a trace's job definition only retries, timeout and images are taken.
    inherited = 0 if "trace" in entry else newest.get("schedulingPriority", 0)
    share = entry.get("shareIdentifier") or {}
    return _Submitted(
        int(strategy.get("attempts", 1)),
        inherited if own is None else own,
        frozenset([share] if isinstance(share, str) else share),
    )


def _zones(facts: Facts) -> list[Violation]:
    """Instances stand in the zones of the scenario; with fewer than two there is nothing to tell."""
    zones = facts.manifest["assumptions"].get("availabilityZones", ())
    told = facts.frames["instances"]["zone"]
    known = told.isin(zones if len(zones) > 1 else ()).to_numpy(np.bool_)
    wrong = told.notna().to_numpy(np.bool_) & ~known
    return rows_where(wrong, "L18", "instances", "zone is none of the scenario's several zones")


def _dispatch(facts: Facts) -> list[Violation]:
    """STARTING comes `dispatchDelay` after the placement; of a node, after its main node is RUNNING.

    A Fargate task is placed when it is provisioned, and its images are pulled from then on.
    """
    holds = facts.holds
    delay = fixed_delay(facts, "dispatchDelay")
    if delay is None:
        return []
    child = (
        ~np.isin(holds.row, facts.attempts.row) if holds is not facts.attempts else np.zeros_like(holds.row)
    )
    main_started = np.append(facts.attempts.started, -1)[holds.attempt]
    of_tasks = np.append((facts.frames["instances"]["billing"] == "fargate").to_numpy(np.bool_), False)
    due = np.where(child, np.maximum(holds.placed, main_started), holds.placed)
    due = due + np.where(of_tasks[holds.instance], 0, delay)
    wrong = (holds.starting >= 0) & (holds.starting != due)
    late = (holds.starting < 0) & (holds.placed >= 0) & (due < holds.until)
    text = "starting_s is not dispatchDelay after placed_s"
    return rows_where(wrong | late, "L18", "attempts", text, holds.row)
