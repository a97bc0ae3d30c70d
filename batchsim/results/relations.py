"""How jobs hang together: the arrays frame, and the dependencies frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from batchsim.results.arrays import STATES, assemble, category, seconds, strings
from batchsim.results.recording import FAILED, PENDING, STATE_NAMES, SUBMITTED, SUCCEEDED

if TYPE_CHECKING:
    from batchsim.results.context import RunContext
    from batchsim.results.exact import Ints
    from batchsim.results.tables import Tables

CHILD_FAILED = "Array Child Job failed"  # [spec 1.2]
BARRIER = "#"


def arrays_frame(tables: Tables, context: RunContext, names: pa.Array) -> pd.DataFrame | None:
    """One row an array job; None if there is none.

    The parent is SUBMITTED until a child becomes RUNNABLE, then PENDING until all have ended; FAILED then if
    one of them is [spec 1.2, 1.10].
    """
    jobs, arrays = tables.jobs, context.arrays
    if arrays is None:
        return None
    first = arrays.first[arrays.first < len(jobs.submit)]
    if not len(first):
        return None
    count = len(first)
    of_child = np.flatnonzero(arrays.array[: len(jobs.submit)] >= 0)
    array = arrays.array[of_child].astype(np.int64)
    states = len(STATE_NAMES)
    summary = np.bincount(array * states + jobs.state[of_child], minlength=count * states).reshape(-1, states)
    ended = summary[:, SUCCEEDED] + summary[:, FAILED] == arrays.size[:count]
    seen = np.bincount(array[jobs.runnable[of_child] >= 0], minlength=count) > 0
    end = np.full(count, -1)
    np.maximum.at(end, array, jobs.end[of_child])
    state = np.where(seen, PENDING, SUBMITTED)
    state[ended] = np.where(summary[ended, FAILED] > 0, FAILED, SUCCEEDED)
    return assemble(
        "arrays",
        {
            "job": strings(_without_index(names.take(pa.array(first)))),
            "queue": category(jobs.queue[first], context.queues),
            "group": category(jobs.job_class[first], [row.group for row in context.classes]),
            "state": pd.Categorical.from_codes(state.astype(np.int8), dtype=STATES),
            "submit_s": seconds(jobs.submit[first]),
            "end_s": seconds(np.where(ended, end, -1)),
            "size": arrays.size[:count].astype(np.int64),
            "status_reason": category(np.where(state == FAILED, 0, -1), [CHILD_FAILED]),
            **{name.lower(): summary[:, number] for number, name in enumerate(STATE_NAMES)},
        },
    )


def dependencies_frame(tables: Tables, context: RunContext, names: pa.Array) -> pd.DataFrame | None:
    """One row an edge, by the job that waits, then by what it waits for; None if nobody waits for anybody.

    Barriers are called #0, #1, ... A job that waits for others which are submitted after the run's end has
    one row more, in which `depends_on` is missing.
    """
    edges = context.edges
    if edges is None:
        return None
    jobs, submitted = len(context.submit_us), len(tables.jobs.submit)
    before = np.repeat(np.arange(len(edges.waits_for)), np.diff(edges.successor_start))
    after = edges.successors.astype(np.int64)
    there = np.ones(len(edges.waits_for), dtype=np.bool_)
    there[submitted:jobs] = False
    both = there[before] & there[after]
    before, after = before[both], after[both]
    lacks = np.flatnonzero(there & (np.bincount(after, minlength=len(there)) < edges.waits_for))
    before = np.concatenate((before, np.full(len(lacks), len(there))))
    after = np.concatenate((after, lacks))
    if not len(after):
        return None
    order = np.lexsort((before, after))
    before, after = before[order], after[order]
    barriers = len(there) - jobs
    row = np.where(np.arange(len(there) + 1) < jobs, np.arange(len(there) + 1), 0)
    row[jobs:] = submitted + np.arange(barriers + 1)
    called = pa.concat_arrays([names, _barrier_names(barriers), pa.nulls(1, pa.large_string())])
    patient = np.concatenate((np.zeros(jobs, dtype=np.bool_), edges.patient))
    return assemble(
        "dependencies",
        {
            "job": strings(called.take(pa.array(row[after]))),
            "depends_on": strings(called.take(pa.array(row[before]))),
            "is_patient": patient[after],
        },
    )


def _without_index(names: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(names, r":\d+$", "")


def _barrier_names(count: int) -> Any:
    numbers: Ints = np.arange(count)
    return pc.binary_join_element_wise(
        pa.scalar(BARRIER, pa.large_string()),
        pa.array(numbers).cast(pa.large_string()),
        pa.scalar("", pa.large_string()),
    )
