"""What users updated during a run, and what became of the instances that were there, as a frame.

Lowering maxvCpus ends nothing: what is above it then stays until it is idle [spec 3.2]. An infrastructure
update leaves its environment UPDATING until the last instance that it replaces has gone [spec 3.8]. A lower
desiredvCpus than what is there is refused [spec 3.2]; here that part of the update is without effect.
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
TOO_LATE = "the run had ended"


class _Told(NamedTuple):
    """Of one update, vCPUs in quarters; -1: does not apply, or has not happened."""

    there: int = _MISSING
    above: int = _MISSING
    above_until: int = _MISSING
    replaced: int = _MISSING
    updating_until: int = _MISSING
    refused: int = _MISSING  # what was there before, where desiredvCpus is below it


def updates_frame(tables: Tables, context: RunContext) -> pd.DataFrame | None:
    """One row an update, in order of time; None if there was none."""
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - seldom needed

    rows = context.updates
    if not rows:
        return None
    made = [row for row in rows if row.at_us <= tables.ended_at and row.at_us != context.horizon_us]
    told = [_told(tables.instances, row, _until(made, number)) for number, row in enumerate(made)]
    told += [_Told()] * (len(rows) - len(made))
    not_made = [_refusal(row, each) for row, each in zip(made, told, strict=False)]
    not_made += [TOO_LATE] * (len(rows) - len(made))
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
            "not_made": strings(pa.array(not_made, pa.large_string())),
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


def _refusal(row: UpdateRow, told: _Told) -> str | None:
    if told.refused == _MISSING:
        return None
    there = f"{told.refused / QUARTERS:g} vCPUs that are there"
    return f"AWS refuses it: desiredvCpus {row.desired_vcpus} is below the {there}, and can only be raised"


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
    before = int(quarters[there & (requested < row.at_us)].sum())
    refused = 0 <= QUARTERS * row.desired_vcpus < before
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
        before if refused else _MISSING,
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
