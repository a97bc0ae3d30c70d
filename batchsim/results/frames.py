"""The jobs, attempts and instances frames, built column by column to the declarations in `columns`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from batchsim.results.arrays import STATES, assemble, category, nullable, rows_in_use, seconds, strings
from batchsim.results.tables import class_column
from batchsim.units import US_PER_S, UUSD_PER_USD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from batchsim.results.context import RunContext
    from batchsim.results.exact import Ints
    from batchsim.results.recording import Recorder
    from batchsim.results.tables import Tables, Text


def build_frames(
    tables: Tables, recorder: Recorder, context: RunContext
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The jobs, attempts and instances frames of one run."""
    names = _job_names(context, tables.jobs.job_class)
    instances = instance_names(recorder)
    jobs = _jobs_frame(tables, context, names, instances)
    attempts = _attempts_frame(tables, context, names, instances)
    return jobs, attempts, _instances_frame(tables, context, instances)


def instance_names(recorder: Recorder) -> list[str]:
    """The given name of each instance, or an id of EC2's form made from its row."""
    named = recorder.i_name
    return [named.get(row) or instance_id(row) for row in range(len(recorder.i_type))]


def instance_id(row: int) -> str:
    return f"i-{row:017x}"


def spans(begin: Ints, end: Ints) -> npt.NDArray[np.float64]:
    """`end - begin` in seconds, NaN unless both have happened."""
    values = (end - begin) / US_PER_S
    for instants in (begin, end):
        if len(instants) and instants.min() < 0:
            values[instants < 0] = np.nan
    return values


def _text(text: Text) -> pd.Categorical:
    return category(text.codes, text.names)


def _job_names(context: RunContext, job_class: Ints) -> pa.Array:
    groups = pa.array([row.group for row in context.classes], pa.large_string())
    numbers = pa.array(context.ordinal[: len(job_class)]).cast(pa.large_string())
    hyphen = pa.scalar("-", pa.large_string())
    return pc.binary_join_element_wise(groups.take(pa.array(job_class)), numbers, hyphen)


def _jobs_frame(
    tables: Tables, context: RunContext, names: pa.Array, instances: Sequence[str]
) -> pd.DataFrame:
    jobs = tables.jobs
    classes = context.classes
    used = rows_in_use(jobs.job_class, len(classes))
    columns = {
        "job": strings(names),
        "queue": category(jobs.job_class, [row.queue for row in classes], used),
        "group": category(jobs.job_class, [row.group for row in classes], used),
        "job_definition": category(jobs.job_class, [row.job_definition for row in classes], used),
        "state": pd.Categorical.from_codes(jobs.state.astype(np.int8), dtype=STATES),
        "submit_s": seconds(jobs.submit),
        "runnable_s": seconds(jobs.runnable),
        "start_s": seconds(jobs.start),
        "end_s": seconds(jobs.end),
        "waiting_s": spans(jobs.submit, jobs.start),
        "execution_s": spans(jobs.start, jobs.end),
        "turnaround_s": spans(jobs.submit, jobs.end),
        "attempts": jobs.attempts.astype(np.int64),
        "attempts_allowed": class_column(context, jobs.job_class, "attempts"),
        "exit_code": nullable(jobs.exit_code, jobs.exit_code < 0),
        "status_reason": _text(jobs.status_reason),
        "reason": _text(jobs.reason),
    }
    columns |= _needs(context, jobs.job_class)
    columns |= _places(tables, context, jobs.instance, instances)
    return assemble("jobs", columns)


def _attempts_frame(
    tables: Tables, context: RunContext, names: pa.Array, instances: Sequence[str]
) -> pd.DataFrame:
    attempts = tables.attempts
    every_job_once = len(attempts.job) == len(names) and (attempts.number == 1).all()
    columns = {
        "job": strings(names if every_job_once else names.take(pa.array(attempts.job))),
        "attempt": attempts.number.astype(np.int64),
        "placed_s": seconds(attempts.placed),
        "starting_s": seconds(attempts.starting),
        "started_s": seconds(attempts.started),
        "ended_s": seconds(attempts.ended),
        "exit_code": nullable(attempts.exit_code, attempts.exit_code < 0),
        "status_reason": _text(attempts.status_reason),
        "reason": _text(attempts.reason),
    }
    columns |= _needs(context, tables.jobs.job_class[attempts.job])
    columns |= _places(tables, context, attempts.instance, instances)
    return assemble("attempts", columns)


def _instances_frame(tables: Tables, context: RunContext, names: Sequence[str]) -> pd.DataFrame:
    rows = tables.instances
    types = context.instance_types
    columns = {
        "instance": strings(pa.array(names, pa.large_string())),
        "environment": category(rows.environment, [row.name for row in context.environments]),
        "instance_type": category(rows.type, [row.name for row in types]),
        "vcpus": rows.vcpus,
        "memory_mib": np.array([row.memory_mib for row in types], dtype=np.int64)[rows.type],
        "gpus": rows.gpus,
        "requested_s": seconds(rows.requested),
        "running_s": seconds(rows.running),
        "ready_s": seconds(rows.ready),
        "ended_s": seconds(rows.ended),
        "end_reason": _text(rows.end_reason),
        "usd_per_hour": rows.price / UUSD_PER_USD,
        "billed_s": rows.billed_s,
        "cost_usd": rows.cost / UUSD_PER_USD,
        "busy_vcpu_s": rows.busy_vcpu_us / US_PER_S,
        "starting_vcpu_s": rows.starting_vcpu_us / US_PER_S,
        "busy_gpu_s": rows.busy_gpu_us / US_PER_S,
    }
    return assemble("instances", columns)


def _needs(context: RunContext, job_class: Ints) -> dict[str, Ints]:
    return {name: class_column(context, job_class, name) for name in ("vcpus", "memory_mib", "gpus")}


def _places(
    tables: Tables, context: RunContext, instance: Ints, names: Sequence[str]
) -> dict[str, pd.Categorical]:
    """The environment, instance and instance type of each row's instance (-1: none)."""
    used = rows_in_use(instance, len(names))
    environments = [context.environments[row].name for row in tables.instances.environment.tolist()]
    types = [context.instance_types[row].name for row in tables.instances.type.tolist()]
    return {
        "environment": category(instance, environments, used),
        "instance": category(instance, names, used),
        "instance_type": category(instance, types, used),
    }
