"""L18: what a scenario fixes is so in the result: names, attempts allowed, delays without a draw.

The scenario and its assumptions are read as the manifest holds them, as plain data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.results.audit.violation import Violation, rows_where
from batchsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts

_SIMULATED = "simulated"


def fixed(facts: Facts) -> list[Violation]:
    """L18: a job's name tells its group; its attempts allowed and its delays are the scenario's."""
    return [
        *rows_where(~_named_by_group(facts), "L18", "jobs", "the name is not of a job of this group"),
        *rows_where(_wrong_attempts(facts), "L18", "jobs", "attempts_allowed are not those of the scenario"),
        *_dispatch(facts),
    ]


def fixed_delay(facts: Facts, assumption: str) -> int | None:
    """A delay of simulated runs in microseconds; None when it was measured, or nothing is said of it."""
    told = facts.manifest["assumptions"].get(assumption)
    if told is None or facts.manifest["driver"] != _SIMULATED:
        return None
    return parse_duration(told)


def _named_by_group(facts: Facts) -> npt.NDArray[np.bool_]:
    """`<group>-<number>`, or `<group>-<number>:<index>` of a child of an array."""
    frame = facts.frames["jobs"]
    good = np.zeros(len(frame), dtype=np.bool_)
    codes = frame["group"].cat.codes.to_numpy()
    for code, group in enumerate(frame["group"].cat.categories):
        rows = np.flatnonzero(codes == code)
        names = frame["job"].iloc[rows]
        ends = names.str.slice(len(group))
        good[rows] = (names.str.startswith(group) & ends.str.fullmatch(r"-\d+(:\d+)?")).to_numpy(np.bool_)
    return good


def _wrong_attempts(facts: Facts) -> npt.NDArray[np.bool_]:
    frame, allowed = facts.frames["jobs"], facts.jobs.allowed
    expected = np.full(len(frame), -1)
    groups, definitions = frame["group"].cat, frame["job_definition"].cat
    width = len(definitions.categories) + 1
    kinds = groups.codes.to_numpy(np.int64) * width + definitions.codes.to_numpy() + 1
    for kind in np.unique(kinds[kinds >= 0]).tolist():
        group, definition = divmod(kind, width)
        expected[kinds == kind] = _attempts_of(
            facts.manifest["scenario"],
            groups.categories[group],
            definitions.categories[definition - 1] if definition else "",
        )
    return np.asarray((expected >= 0) & (allowed != expected))


def _attempts_of(scenario: Mapping[str, Any], group: str, definition: str) -> int:
    """What the scenario says; -1 if it does not have this group."""
    entry = next((each for each in scenario.get("workload", ()) if each.get("name") == group), None)
    if entry is None:
        return -1
    name, _, revision = definition.rpartition("/")[-1].partition(":")
    candidates = [
        each
        for each in scenario.get("jobDefinitions", ())
        if each["jobDefinitionName"] == name and each.get("status", "ACTIVE") == "ACTIVE"
    ]
    chosen = [each for each in candidates if not revision or each.get("revision", 1) == int(revision)]
    newest: Mapping[str, Any] = max(chosen, key=lambda each: each.get("revision", 1), default={})
    strategy = entry.get("retryStrategy") or newest.get("retryStrategy") or {}
    return int(strategy.get("attempts", 1))


def _dispatch(facts: Facts) -> list[Violation]:
    attempts = facts.attempts
    delay = fixed_delay(facts, "dispatchDelay")
    if delay is None:
        return []
    wrong = (attempts.starting >= 0) & (attempts.starting != attempts.placed + delay)
    late = (attempts.starting < 0) & (attempts.placed >= 0) & (attempts.placed + delay < attempts.until)
    return rows_where(
        wrong | late, "L18", "attempts", "starting_s is not dispatchDelay after placed_s", attempts.row
    )
