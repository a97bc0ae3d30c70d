"""What users asked for during a run that had no effect, and what the jobs were doing at that instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from batchsim.cli.figures import duration, jobs
from batchsim.units import US_PER_S, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import pandas as pd

    from batchsim.results import Result

    Words = npt.NDArray[np.object_]

_ACTIONS = {"cancel": "Canceled by the user", "terminate": "Terminated by the user"}
_OVER: Final = "had ended"
_UNBORN: Final = "not submitted yet"
_ENDING: Final = ", which a request was ending already"
_DOOMED: Final = ", which failed with a job that it depends on"
_FAILED_BY: Final = "Dependent Job failed"


def in_vain(result: Result) -> Iterator[tuple[str, str]]:
    """Each event of the scenario that ended no job, with what its jobs were doing then."""
    from batchsim.scenario import parse_target

    workload = result.manifest["scenario"].get("workload", ())
    asked = [(each, action) for each in workload for action in _ACTIONS if action in each]
    if not asked:
        return
    entries = {each["name"] for each in workload if "name" in each}
    whole = result.jobs.set_index("job")
    ending: set[str] = set()
    told: dict[int, tuple[str, str]] = {}
    for row, (event, action) in sorted(enumerate(asked), key=lambda each: parse_duration(each[1][0]["at"])):
        target = parse_target(event[action], entries)
        if target is None:
            continue
        mine = _meant(whole[whole["group"] == target.entry], event[action], target.entry)
        states = _states(mine, result.attempts, parse_duration(event["at"]) / US_PER_S)
        if len(mine) and not _was_heard(mine, event, action):
            at = duration(parse_duration(event["at"]) / US_PER_S)
            told[row] = (action, f"{event[action]} at {at}: {_words(mine, states, action, ending)}")
        stopped = ("PENDING", "STARTING", "RUNNING") if action == "terminate" else ("PENDING",)
        ending.update(mine.index[np.isin(states, stopped)])
    yield from (told[row] for row in sorted(told))


def _meant(of_entry: pd.DataFrame, text: str, entry: str) -> pd.DataFrame:
    """All jobs of an entry, one of them, or all children of an array."""
    if text == entry:
        return of_entry
    if text in of_entry.index:
        return of_entry.loc[[text]]
    return of_entry[of_entry.index.str.startswith(f"{text}:")]


def _was_heard(mine: pd.DataFrame, event: Mapping[str, Any], action: str) -> bool:
    """Whether it ended any of these jobs, or will when what they depend on has ended."""
    at_s = parse_duration(event["at"]) / US_PER_S
    ended = (mine["end_s"] >= at_s) & (mine["status_reason"] == event.get("reason", _ACTIONS[action]))
    waits_for_others = (mine["is_cancelled"] | mine["is_terminated"]) & (mine["state"] == "PENDING")
    return bool(ended.any() or waits_for_others.any())


def _states(mine: pd.DataFrame, attempts: pd.DataFrame, at_s: float) -> Words:
    """What each of these jobs was doing at an instant."""
    own = attempts[(attempts["is_main"] & attempts["job"].isin(mine.index)).to_numpy(np.bool_)]
    own = own[~(own["ended_s"] <= at_s).to_numpy(np.bool_)]
    placed = mine.index.isin(own.loc[own["placed_s"] <= at_s, "job"])
    running = mine.index.isin(own.loc[own["started_s"] <= at_s, "job"])
    runnable = (mine["runnable_s"] <= at_s).to_numpy(np.bool_)
    # How long a job was PENDING is not known while it lasts.
    left = mine["runnable_s"].fillna(mine["end_s"])
    evaluated = (left - mine["pending_s"].fillna(0) <= at_s) | (mine["state"] == "PENDING")
    over = (mine["end_s"] <= at_s).to_numpy(np.bool_)
    cases = [over, (mine["submit_s"] > at_s).to_numpy(np.bool_), running, placed, runnable]
    cases.append(evaluated.to_numpy(np.bool_))
    words = [_OVER, _UNBORN, "RUNNING", "STARTING", "RUNNABLE", "PENDING"]
    return np.select(cases, words, "SUBMITTED").astype(object)


def _words(mine: pd.DataFrame, states: Words, action: str, ending: set[str]) -> str:
    """Why none of these jobs was ended."""
    counted: dict[str, int] = {}
    for job, state, reason in zip(mine.index, states, mine["status_reason"], strict=True):
        waits = state == "PENDING"
        why = ""
        if job in ending and state not in {_OVER, _UNBORN} and (waits or action == "terminate"):
            why = _ENDING
        elif waits and reason == _FAILED_BY:
            why = _DOOMED
        counted[state + why] = counted.get(state + why, 0) + 1
    return "of no effect; " + ", ".join(f"{jobs(number)} {words}" for words, number in counted.items())
