"""What users updated during a run, and what became of the instances that were there, as a frame.

Lowering maxvCpus ends nothing: what is above it then stays until it is idle [spec 3.2]. An infrastructure
update leaves its environment UPDATING until the last instance that it replaces has gone [spec 3.8].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from batchsim.results.arrays import assemble, category, nullable, seconds, strings
from batchsim.results.recorded import QUARTERS

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from batchsim.results.context import RunContext, UpdateRow
    from batchsim.results.exact import Ints
    from batchsim.results.tables import Instances, Tables

_MISSING = -1


class _Told(NamedTuple):
    """Of one update, vCPUs in quarters; -1: does not apply, or has not happened."""

    there: int = _MISSING
    above: int = _MISSING
    above_until: int = _MISSING
    replaced: int = _MISSING
    updating_until: int = _MISSING


def updates_frame(tables: Tables, context: RunContext) -> pd.DataFrame | None:
    """One row an update that was made in the run, in order of time; None if there was none."""
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - seldom needed

    rows = [
        row for row in context.updates if row.at_us <= tables.ended_at and row.at_us != context.horizon_us
    ]
    if not rows:
        return None
    told = [_told(tables.instances, row, _until(rows, number)) for number, row in enumerate(rows)]
    columns = {name: np.array([getattr(each, name) for each in told]) for name in _Told._fields}
    max_vcpus = np.array([row.max_vcpus for row in rows])
    return assemble(
        "updates",
        {
            "t_s": seconds(np.array([row.at_us for row in rows])),
            "environment": category(
                np.array([row.environment for row in rows]), [each.name for each in context.environments]
            ),
            "queue": category(np.array([row.queue for row in rows]), context.queues),
            "kind": category(np.arange(len(rows)), [row.kind for row in rows]),
            "change": strings(pa.array([row.change for row in rows], pa.large_string())),
            "max_vcpus": nullable(max_vcpus, max_vcpus < 0),
            "there_vcpus": _vcpus(columns["there"]),
            "above_max_vcpus": _vcpus(columns["above"]),
            "above_until_s": seconds(columns["above_until"]),
            "replaced": nullable(columns["replaced"], columns["replaced"] < 0),
            "updating_until_s": seconds(columns["updating_until"]),
        },
    )


def _until(rows: list[UpdateRow], number: int) -> int:
    """When the environment is updated again, or -1."""
    row = rows[number]
    return next((each.at_us for each in rows[number + 1 :] if each.environment == row.environment), _MISSING)


def _vcpus(quarters: Ints) -> npt.NDArray[np.float64]:
    return np.where(quarters < 0, np.nan, quarters / QUARTERS)


def _told(instances: Instances, row: UpdateRow, until: int) -> _Told:
    if row.max_vcpus < 0:
        return _Told()
    came = (instances.environment == row.environment) & ((instances.running >= 0) | (instances.ended < 0))
    requested, ended, quarters = (
        column[came] for column in (instances.requested, instances.ended, instances.quarters)
    )
    limit = QUARTERS * row.max_vcpus
    goes = np.where(ended < 0, np.iinfo(np.int64).max, ended)
    there = (requested <= row.at_us) & (goes > row.at_us)
    above = max(int(quarters[there].sum()) - limit, 0)
    replaced, updating_until = _MISSING, _MISSING
    if row.kind == "infrastructure":
        old = goes[(requested < row.at_us) & (goes >= row.at_us)]
        replaced = len(old)
        last = int(old.max(initial=row.at_us))
        updating_until = last if last < np.iinfo(np.int64).max else _MISSING
    return _Told(
        int(quarters[there].sum()),
        above,
        _falls_to(limit, row.at_us, until, (requested, goes, quarters)) if above else _MISSING,
        replaced,
        updating_until,
    )


def _falls_to(limit: int, since: int, until: int, instances: tuple[Ints, Ints, Ints]) -> int:
    """The first instant after `since` at which at most so much is there; -1 if not until `until`."""
    requested, goes, quarters = instances
    at = np.concatenate([requested, goes])
    order = np.argsort(at, kind="stable")
    at, sums = at[order], np.cumsum(np.concatenate([quarters, -quarters])[order])
    last = np.append(at[1:] != at[:-1], True)  # all that happens at an instant counts together
    found = np.flatnonzero(last & (at > since) & (sums <= limit) & (at < np.iinfo(np.int64).max))
    if not len(found):
        return _MISSING
    first = int(at[found[0]])
    return first if until < 0 or first <= until else _MISSING
