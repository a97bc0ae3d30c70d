"""`batchsim explain`: where a job's time went, and why it waited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from batchsim.cli import figures, updates
from batchsim.cli.figures import duration
from batchsim.cli.output import (
    Column,
    Format,
    Table,
    note,
    print_csv,
    print_facts,
    print_json,
    print_table,
    print_text,
)
from batchsim.cli.prices import of_ecs
from batchsim.cli.verbs import OutputFormat  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    import pandas as pd

    from batchsim.results import Result

_MOST_ROWS: Final = 30
_FIRST: Final = 14
_LAST: Final = 14


def explain(
    folder: Annotated[
        str,
        typer.Argument(metavar="DIR", help="Folder that `batchsim run -o DIR` wrote.", show_default=False),
    ],
    job: Annotated[str, typer.Argument(metavar="JOB", help="Name of a job.", show_default=False)],
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Tell where a job's time went: who was ahead in its queue, and what the head of the queue waited for."""
    from batchsim.results import Result
    from batchsim.scenario.managedinstances import NOT_MODELLED as MOVES_NOT_MODELLED

    result = Result.read(folder)
    life = result.explain(job)
    rows = [{str(key): _plain(value) for key, value in row.items()} for row in life.to_dict("records")]
    if output_format is Format.JSON:
        print_json({"job": job, "intervals": rows})
    elif output_format is Format.CSV:
        print_csv(rows)
    else:
        wide = output_format is Format.WIDE
        first, last = (rows, []) if wide or len(rows) <= _MOST_ROWS else (rows[:_FIRST], rows[-_LAST:])
        cut = len(rows) - len(first) - len(last)
        between = [["", "", "", f"... {cut:,} more intervals: --format wide shows them"]] if cut else []
        row = _row(result, job)
        print_table(
            Table(
                _title(row, job),
                [Column("from"), Column("for"), Column("state", words=True), Column("why", words=True)],
                [*_told(first), *between, *_told(last)],
            ),
            wide=wide,
        )
        print_text(_end(row))
        if row.get("environment") in of_ecs(result.manifest["scenario"]):
            note(f"note: {MOVES_NOT_MODELLED}")
        if told := [*updates.facts(updates.of_job(result, job))]:
            print_text()
            print_text("Updates of its queue and environments meanwhile", "bold")
            print_facts(told)


def _told(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [[duration(r["from_s"]), duration(r["duration_s"]), r["state"], _why(r)] for r in rows]


def _plain(value: Any) -> Any:
    """Without numpy's types and with None for what is missing."""
    if isinstance(value, str) or value is None:
        return value
    number = value.item() if hasattr(value, "item") else value
    return None if number != number else number  # noqa: PLR0124 - NaN


def _title(row: pd.Series[Any], job: str) -> str:
    if "size" in row:
        return f"{job}: {row['state']}, an array of {row['size']:,} jobs, in job queue {row['queue']}"
    asks = f"{row['vcpus']:g} vCPU, {row['memory_mib']:,} MiB" + (
        f", {row['gpus']} GPU" if row["gpus"] else ""
    )
    return f"{job}: {row['state']}, in job queue {row['queue']}, {asks}"


def _why(row: dict[str, Any]) -> str:
    if row["state"] != "RUNNABLE" or row["reason"].startswith("it was told"):
        return str(row["reason"])
    jobs = f"{figures.jobs(row['ahead'])} ahead at first"
    if row["head"]:
        return f"{jobs}, the head {row['head']}, for which {row['reason']}"
    if row["ahead"]:
        return f"{jobs}: {row['reason']}"
    return f"at the head of its queue: {row['reason']}{_starved_by(row['others'])}"


def _starved_by(others: int) -> str:
    whose = "another queue" if others == 1 else "other queues"
    return f"; {figures.jobs(others)} of {whose} started meanwhile" if others else ""


def _row(result: Result, job: str) -> pd.Series[Any]:
    """What the result tells of a job, or of an array job."""
    from batchsim.results.explain import array_of

    array = array_of(result.frames, job)
    return result.jobs[result.jobs["job"] == job].iloc[0] if array is None else array


def _end(row: pd.Series[Any]) -> str:
    if "size" in row:
        return _end_of_array(row)
    reason = row["status_reason"]
    if row["state"] not in {"SUCCEEDED", "FAILED"}:
        return f"The run ended while it was {row['state']}" + (
            f": {reason}" if isinstance(reason, str) else "."
        )
    waited = "" if row["start_s"] != row["start_s"] else f", {duration(row['waiting_s'])} until it first ran"
    return f"{row['state']} after {duration(row['turnaround_s'])}{waited}: {reason}"


def _end_of_array(row: pd.Series[Any]) -> str:
    from batchsim.results.recording import STATE_NAMES

    children = ", ".join(f"{row[state.lower()]:,} {state}" for state in STATE_NAMES if row[state.lower()])
    if row["state"] not in {"SUCCEEDED", "FAILED"}:
        return f"The run ended while it was {row['state']}; of its children {children}"
    after = duration(row["end_s"] - row["submit_s"])
    why = f": {row['status_reason']}" if isinstance(row["status_reason"], str) else ""
    return f"{row['state']} after {after}{why}; of its children {children}"
