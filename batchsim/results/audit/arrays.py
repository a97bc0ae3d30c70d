"""L21: an array job is what its children are [spec 1.2, 1.10]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchsim.results.audit.facts import FAILED, PENDING, STATES, SUBMITTED, SUCCEEDED
from batchsim.results.audit.violation import Violation, rows_where
from batchsim.units import US_PER_S

if TYPE_CHECKING:
    import pandas as pd

    from batchsim.results.audit.facts import Facts, Ints

_CHILD_FAILED = "Array Child Job failed"


def arrays(facts: Facts) -> list[Violation]:
    """L21: each array's state, instants, size and counts follow from the children in the jobs frame."""
    jobs, frame = facts.frames["jobs"], facts.frames.get("arrays")
    children = np.flatnonzero(jobs["array_index"].notna().to_numpy())
    if frame is None:
        missing = np.zeros(len(jobs), dtype=np.bool_)
        missing[children] = True
        return rows_where(missing, "L21", "jobs", "a child of an array that is missing")
    parents = jobs["job"].iloc[children].str.replace(r":\d+$", "", regex=True).reset_index(drop=True)
    names = frame["job"].drop_duplicates()
    rows = names.index.to_numpy()
    parent = names.reset_index(drop=True).reset_index(name="name").set_index("name")["index"].reindex(parents)
    orphan = np.zeros(len(jobs), dtype=np.bool_)
    orphan[children] = parent.isna().to_numpy()
    known = parent.notna().to_numpy()
    of = rows[parent.to_numpy(dtype=np.float64, na_value=0).astype(np.int64)[known]]
    doubled = frame["job"].duplicated().to_numpy()
    return [
        *rows_where(orphan, "L21", "jobs", "a child of an array that is missing"),
        *rows_where(doubled, "L21", "arrays", "the name of another array"),
        *_follows(facts, frame, children[known], of),
    ]


def _follows(facts: Facts, frame: pd.DataFrame, children: Ints, of: Ints) -> list[Violation]:
    jobs, count = facts.jobs, len(frame)
    summary = np.zeros((count, len(STATES)), dtype=np.int64)
    known = jobs.state[children] >= 0
    np.add.at(summary, (of[known], jobs.state[children][known]), 1)
    size = np.bincount(of, minlength=count)
    index = facts.frames["jobs"]["array_index"].to_numpy(dtype=np.int64, na_value=-1)[children]
    order = np.lexsort((index, of))
    position = np.arange(len(of)) - np.append(0, np.cumsum(size))[of[order]]
    gaps = np.zeros(count, dtype=np.bool_)
    gaps[of[order][index[order] != position]] = True
    ended = (summary[:, SUCCEEDED] + summary[:, FAILED] == size) & (size > 0)
    seen = np.bincount(of[jobs.runnable[children] >= 0], minlength=count) > 0
    state = np.where(seen, PENDING, SUBMITTED)
    state = np.where(ended, np.where(summary[:, FAILED] > 0, FAILED, SUCCEEDED), state)
    end = np.full(count, -1)
    np.maximum.at(end, of, jobs.end[children])
    names = np.array([*STATES, ""], dtype=object)
    wrong = {
        "size": gaps | (frame["size"].to_numpy() != size),
        "state": frame["state"].astype("object").to_numpy() != names[state],
        "end_s": _instants(frame, "end_s") != np.where(ended, end, -1),
        "status_reason": (frame["status_reason"] == _CHILD_FAILED).to_numpy(np.bool_) != (state == FAILED),
        "submit_s": _differs(_instants(frame, "submit_s"), jobs.submit[children], of),
    }
    wrong["status_reason"] |= frame["status_reason"].notna().to_numpy() != (state == FAILED)
    for name in ("queue", "group"):
        told = frame[name].astype("object").to_numpy()
        wrong[name] = _differs(told, facts.frames["jobs"][name].astype("object").to_numpy()[children], of)
    for number, name in enumerate(STATES):
        wrong[name.lower()] = frame[name.lower()].to_numpy() != summary[:, number]
    return [
        violation
        for name, guilty in wrong.items()
        for violation in rows_where(guilty, "L21", "arrays", f"{name} is not what its children say")
    ]


def _differs(told: Ints, of_children: Ints, of: Ints) -> Ints:
    guilty = np.zeros(len(told), dtype=np.bool_)
    guilty[of[told[of] != of_children]] = True
    return guilty


def _instants(frame: pd.DataFrame, column: str) -> Ints:
    us = frame[column].to_numpy(dtype=np.float64) * US_PER_S
    return np.rint(np.where(np.isnan(us), -1, us)).astype(np.int64)
