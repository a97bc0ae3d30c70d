"""L18 images: `pulled_s` is the same story as STARTING, RUNNING and the assumptions tell; L16 their counts.

That it lies between STARTING and RUNNING is L1's, so that the part "pull" of the bill, which goes from the
placement to RUNNING, holds it.
"""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batchsim.results.audit.violation import Violation, rows_where, unless
from batchsim.units import US_PER_S, parse_duration

if TYPE_CHECKING:
    import numpy.typing as npt

    from batchsim.results.audit.facts import Facts, Ints


def images(facts: Facts) -> list[Violation]:
    """An instance keeps its images; who runs has had them; the container takes as long as it is told to."""
    holds = facts.holds
    pulled = holds.pulled >= 0
    found = _told(facts)
    if not pulled.any():
        return found
    found += rows_where(
        pulled & (holds.starting < 0), "L18", "attempts", "pulled_s without STARTING", holds.row
    )
    alike = _alike(facts)
    for wrong, text in (
        (_not_kept(facts, alike), "pulled_s is not when its instance had the images"),
        (_never_pulled(facts, alike), "RUNNING without pulled_s, which others like it have"),
        (_not_started(facts), "started_s is not containerStart after pulled_s"),
    ):
        found += rows_where(wrong, "L18", "attempts", text, holds.row)
    return found


def _told(facts: Facts) -> list[Violation]:
    """The summary tells of the waits for images, where there are any."""
    frame, told = facts.frames["attempts"], facts.summary.get("images")
    wait = (frame["pulled_s"] - frame["starting_s"]).dropna().round(6)
    waited = wait[wait > 0]
    if told is None or waited.empty:
        return unless(
            told is None and waited.empty, "L16", "images are told of, or not, against the attempts"
        )
    until = frame["started_s"].fillna(frame["ended_s"]).fillna(facts.ended_at / US_PER_S)
    expected: dict[str, float] = {
        "waited": len(waited),
        "found": len(wait) - len(waited),
        "wait_p50_s": float(waited.quantile(0.5)),
        "wait_p95_s": float(waited.quantile(0.95)),
        "part_of_starting": waited.sum() / (until - frame["starting_s"]).sum(),
    }
    agree = told.keys() == expected.keys() and all(isclose(told[key] or 0, expected[key]) for key in expected)
    return unless(agree, "L16", "images are not what the attempts waited for them")


def _alike(facts: Facts) -> Ints:
    """The same number for attempts that pull the same images; -1 where the frames do not tell."""
    jobs, holds = facts.frames["jobs"], facts.holds
    group, definition = (jobs[name].cat.codes.to_numpy(np.int64) for name in ("group", "job_definition"))
    codes = _pairs(_pairs(np.append(group, -1)[holds.job], np.append(definition, -1)[holds.job]), holds.node)
    several = {
        each["name"]
        for each in facts.manifest["scenario"].get("workload", ())
        if any("imageSize" in kind for kind in each.get("mix", ()))
    }
    unclear = np.append(jobs["group"].isin(several).to_numpy(np.bool_), True)
    return np.where(unclear[holds.job], -1, codes)


def _pairs(one: Ints, other: Ints) -> Ints:
    """A number for each pair of numbers from -1 on."""
    return (one + 1) * (int(other.max(initial=-1)) + 2) + other + 1


def _not_kept(facts: Facts, alike: Ints) -> npt.NDArray[np.bool_]:
    """What comes to an instance first is there for all who are like it."""
    holds = facts.holds
    mine = np.flatnonzero((holds.pulled >= 0) & (alike >= 0) & (holds.instance >= 0))
    place = pd.factorize(_pairs(holds.instance[mine], alike[mine]))[0]
    first = np.full(int(place.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, place, holds.pulled[mine])
    wrong = np.zeros(len(holds.row), dtype=np.bool_)
    wrong[mine] = holds.pulled[mine] != np.maximum(first[place], holds.starting[mine])
    return wrong


def _never_pulled(facts: Facts, alike: Ints) -> npt.NDArray[np.bool_]:
    holds = facts.holds
    pulls = np.isin(alike, alike[(holds.pulled >= 0) & (alike >= 0)])
    return np.asarray(pulls & (holds.started >= 0) & (holds.pulled < 0))


def _not_started(facts: Facts) -> npt.NDArray[np.bool_]:
    """A job of one container, whose start is not drawn, is RUNNING so long after its image is there."""
    told = facts.manifest["assumptions"].get("containerStart", {}).get("constant")
    if told is None:
        return np.zeros(len(facts.holds.row), dtype=np.bool_)
    ones = {
        each["jobDefinitionName"]
        for each in facts.manifest["scenario"].get("jobDefinitions", ())
        if "containerProperties" in each
    }
    names = facts.frames["jobs"]["job_definition"].cat
    of_name = [str(name).rpartition("/")[-1].partition(":")[0] in ones for name in names.categories]
    of_job = np.append(np.array([*of_name, False])[names.codes.to_numpy()], False)
    holds = facts.holds
    ran = (holds.started >= 0) & (holds.pulled >= 0) & of_job[holds.job]
    return np.asarray(ran & (holds.started - holds.pulled != parse_duration(told)))
