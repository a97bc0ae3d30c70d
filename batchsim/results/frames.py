"""The jobs, attempts and instances frames, built column by column to the declarations in `columns`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from batchsim.results.arrays import STATES, assemble, category, nullable, rows_in_use, seconds, strings
from batchsim.results.costs import in_usd
from batchsim.results.recorded import QUARTERS, class_column
from batchsim.results.recording import instance_id
from batchsim.units import US_PER_S, UUSD_PER_USD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from batchsim.results.context import RunContext
    from batchsim.results.exact import Ints
    from batchsim.results.recorded import Text
    from batchsim.results.recording import Recorder
    from batchsim.results.tables import Tables


def build_frames(
    tables: Tables, recorder: Recorder, context: RunContext, names: pa.Array, parts: Ints
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The jobs, attempts and instances frames of one run.

    names   of the jobs
    parts   micro-USD of each part of the bill and instance, as in `bill.Bill.of_instances`
    """
    instances = instance_names(recorder)
    jobs = _jobs_frame(tables, recorder, names, instances, context)
    attempts = _attempts_frame(tables, context, names, instances)
    return jobs, attempts, _instances_frame(tables, context, instances, parts)


def instance_names(recorder: Recorder) -> list[str]:
    """The given name of each instance, or an id of EC2's form made from its row."""
    named = recorder.i_name
    return [named.get(row) or instance_id(row) for row in range(len(recorder.i_type))]


def spans(begin: Ints, end: Ints) -> npt.NDArray[np.float64]:
    """`end - begin` in seconds, NaN unless both have happened."""
    values = (end - begin) / US_PER_S
    for instants in (begin, end):
        if len(instants) and instants.min() < 0:
            values[instants < 0] = np.nan
    return values


def _text(text: Text) -> pd.Categorical:
    return category(text.codes, text.names)


def job_names(context: RunContext, job_class: Ints) -> pa.Array:
    """`<group>-<ordinal>` of each job, of a child of an array with `:<index>` behind."""
    groups = pa.array([row.group for row in context.classes], pa.large_string())
    numbers = pa.array(context.ordinal[: len(job_class)]).cast(pa.large_string())
    hyphen = pa.scalar("-", pa.large_string())
    names = pc.binary_join_element_wise(groups.take(pa.array(job_class)), numbers, hyphen)
    if context.arrays is None:
        return names
    index = context.arrays.index[: len(job_class)]
    colon = pa.scalar(":", pa.large_string())
    children = pc.binary_join_element_wise(names, pa.array(index).cast(pa.large_string()), colon)
    return pc.if_else(pa.array(index >= 0), children, names)


def _array_index(context: RunContext, jobs: int) -> Any:
    index = np.full(jobs, -1) if context.arrays is None else context.arrays.index[:jobs]
    return nullable(index, index < 0)


def _requested(recorder: Recorder, jobs: int, what: str) -> npt.NDArray[np.bool_]:
    flags = np.zeros(recorder.jobs, dtype=np.bool_)
    flags[[job for job, request in recorder.requested.items() if request == what]] = True
    return flags[:jobs]


def _gpu_indices(masks: Ints) -> pd.Categorical:
    """The bits of each mask as text, such as 0,1."""
    found, codes = np.unique(masks, return_inverse=True)
    texts = [
        ",".join(str(bit) for bit in range(mask.bit_length()) if mask >> bit & 1) for mask in found.tolist()
    ]
    return category(codes, [text or None for text in texts])


def _jobs_frame(
    tables: Tables, recorder: Recorder, names: pa.Array, instances: Sequence[str], context: RunContext
) -> pd.DataFrame:
    jobs = tables.jobs
    classes = context.classes
    used = rows_in_use(jobs.job_class, len(classes))
    columns = {
        "job": strings(names),
        "queue": category(jobs.job_class, [row.queue for row in classes], used),
        "group": category(jobs.job_class, [row.group for row in classes], used),
        "array_index": _array_index(context, len(jobs.submit)),
        "job_definition": category(jobs.job_class, [row.job_definition for row in classes], used),
        "share": category(jobs.job_class, [row.share for row in classes], used),
        "priority": class_column(context, jobs.job_class, "priority"),
        "state": pd.Categorical.from_codes(jobs.state.astype(np.int8), dtype=STATES),
        "submit_s": seconds(jobs.submit),
        "runnable_s": seconds(jobs.runnable),
        "start_s": seconds(jobs.start),
        "end_s": seconds(jobs.end),
        "pending_s": seconds(jobs.pending),
        "waiting_s": spans(jobs.submit, jobs.start),
        "execution_s": spans(jobs.start, jobs.end),
        "turnaround_s": spans(jobs.submit, jobs.end),
        "attempts": jobs.attempts.astype(np.int64),
        "attempts_allowed": class_column(context, jobs.job_class, "attempts"),
        "exit_code": nullable(jobs.exit_code, jobs.exit_code < 0),
        "status_reason": _text(jobs.status_reason),
        "reason": _text(jobs.reason),
        "is_cancelled": _requested(recorder, len(jobs.submit), "cancelled"),
        "is_terminated": _requested(recorder, len(jobs.submit), "terminated"),
        "nodes": _nodes(context, jobs.job_class),
        "vcpus": class_column(context, jobs.job_class, "vcpu_quarters") / QUARTERS,
        "memory_mib": class_column(context, jobs.job_class, "memory_mib"),
        "gpus": class_column(context, jobs.job_class, "gpus"),
    }
    columns |= _places(tables, context, jobs.instance, instances)
    return assemble("jobs", columns)


def _attempts_frame(
    tables: Tables, context: RunContext, names: pa.Array, instances: Sequence[str]
) -> pd.DataFrame:
    attempts = tables.holds
    every_job_once = np.array_equal(attempts.job, np.arange(len(names)))
    columns = {
        "job": strings(names if every_job_once else names.take(pa.array(attempts.job))),
        "attempt": attempts.number.astype(np.int64),
        "node": nullable(attempts.node, attempts.node < 0),
        "is_main": _is_main(context, tables.jobs.job_class[attempts.job], attempts.node),
        "placed_s": seconds(attempts.placed),
        "starting_s": seconds(attempts.starting),
        "pulled_s": seconds(attempts.pulled),
        "started_s": seconds(attempts.started),
        "ended_s": seconds(attempts.ended),
        "exit_code": nullable(attempts.exit_code, attempts.exit_code < 0),
        "status_reason": _text(attempts.status_reason),
        "reason": _text(attempts.reason),
        "vcpus": attempts.quarters / QUARTERS,
        "memory_mib": attempts.memory_mib,
        "gpus": attempts.gpus,
        "gpu_indices": _gpu_indices(attempts.gpu_mask),
    }
    columns |= _places(tables, context, attempts.instance, instances)
    return assemble("attempts", columns)


def _instances_frame(tables: Tables, context: RunContext, names: Sequence[str], parts: Ints) -> pd.DataFrame:
    rows = tables.instances
    types = context.instance_types
    columns = {
        "instance": strings(pa.array(names, pa.large_string())),
        "environment": category(rows.environment, [row.name for row in context.environments]),
        "instance_type": category(rows.type, [row.name for row in types]),
        "zone": category(rows.zone, context.zones),
        "vcpus": rows.quarters / QUARTERS,
        "memory_mib": np.array([row.memory_mib for row in types], dtype=np.int64)[rows.type],
        "gpus": rows.gpus,
        "requested_s": seconds(rows.requested),
        "running_s": seconds(rows.running),
        "ready_s": seconds(rows.ready),
        "ended_s": seconds(rows.ended),
        "end_reason": _text(rows.end_reason),
        "billing": category(rows.type, [row.billing for row in types]),
        "usd_per_hour": rows.price / UUSD_PER_USD,
        "billed_s": rows.billed_s,
        "volume_usd": rows.volume / UUSD_PER_USD,
        "fee_usd": rows.fee / UUSD_PER_USD,
        "discount_usd": rows.discount / UUSD_PER_USD,
        **in_usd(parts),
        "busy_vcpu_s": rows.busy_quarter_us / (QUARTERS * US_PER_S),
        "starting_vcpu_s": rows.starting_quarter_us / (QUARTERS * US_PER_S),
        "busy_gpu_s": rows.busy_gpu_us / US_PER_S,
    }
    return assemble("instances", columns)


def _nodes(context: RunContext, job_class: Ints) -> Ints:
    numbers = [1 if row.nodes is None else len(row.nodes.group_of) for row in context.classes]
    return np.array(numbers, dtype=np.int64)[job_class]


def _is_main(context: RunContext, job_class: Ints, node: Ints) -> npt.NDArray[np.bool_]:
    main = np.array([-1 if row.nodes is None else row.nodes.main for row in context.classes], dtype=np.int64)
    return np.asarray(main[job_class] == node)


def _places(
    tables: Tables, context: RunContext, instance: Ints, names: Sequence[str]
) -> dict[str, pd.Categorical]:
    """The environment, instance and instance type of each row's instance (-1: none)."""
    used = rows_in_use(instance, len(names))

    def what_it_is(values: Sequence[str], rows: Ints) -> pd.Categorical:
        return category(instance, values, rows_in_use(rows[used], len(values)), rows)

    return {
        "environment": what_it_is([row.name for row in context.environments], tables.instances.environment),
        "instance": category(instance, names, used),
        "instance_type": what_it_is([row.name for row in context.instance_types], tables.instances.type),
    }
