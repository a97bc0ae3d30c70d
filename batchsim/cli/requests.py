"""What users asked for during a run that had no effect: jobs cancelled or terminated when they were over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsim.cli.figures import duration, jobs
from batchsim.units import US_PER_S, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from batchsim.results import Result

_ACTIONS = {"cancel": "Canceled by the user", "terminate": "Terminated by the user"}


def in_vain(result: Result) -> Iterator[tuple[str, str]]:
    """Each event of the scenario that ended no job, with what its jobs were doing then."""
    from batchsim.scenario import parse_target

    workload = result.manifest["scenario"].get("workload", ())
    asked = [(each, action) for each in workload for action in _ACTIONS if action in each]
    if not asked:
        return
    entries = {each["name"] for each in workload if "name" in each}
    whole = result.jobs.set_index("job")
    for event, action in asked:
        target = parse_target(event[action], entries)
        if target is None:
            continue
        of_entry = whole[whole["group"] == target.entry]
        if len(of_entry) and (told := _told(_meant(of_entry, event[action], target.entry), event, action)):
            yield action, f"{event[action]} at {duration(parse_duration(event['at']) / US_PER_S)}: {told}"


def _meant(of_entry: pd.DataFrame, text: str, entry: str) -> pd.DataFrame:
    """All jobs of an entry, one of them, or all children of an array."""
    if text == entry:
        return of_entry
    if text in of_entry.index:
        return of_entry.loc[[text]]
    return of_entry[of_entry.index.str.startswith(f"{text}:")]


def _told(mine: pd.DataFrame, event: Mapping[str, Any], action: str) -> str:
    """Why none of these jobs was ended, "" if any was."""
    at_s = parse_duration(event["at"]) / US_PER_S
    reason = event.get("reason", _ACTIONS[action])
    ended = mine["end_s"]
    waits_for_others = (mine["is_cancelled"] | mine["is_terminated"]) & (mine["state"] == "PENDING")
    if ((ended >= at_s) & (mine["status_reason"] == reason)).any() or waits_for_others.any():
        return ""
    unborn = int((mine["submit_s"] > at_s).sum())
    over = int((ended <= at_s).sum())
    there = len(mine) - unborn - over
    counted = ((over, "had ended"), (there, "STARTING or RUNNING"), (unborn, "not submitted yet"))
    return "of no effect; " + ", ".join(f"{jobs(number)} {words}" for number, words in counted if number)
