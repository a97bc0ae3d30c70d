"""`batchsim columns`: what the columns of a result's frames hold."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from batchsim.cli.output import Column, Format, Table, print_csv, print_json, print_table, print_text
from batchsim.cli.verbs import OutputFormat  # noqa: TC001 - typer reads it


class Frame(StrEnum):
    """The frames of a result: `Result.jobs` and so on, and the files of its folder."""

    JOBS = "jobs"
    ATTEMPTS = "attempts"
    INSTANCES = "instances"
    TIMESERIES = "timeseries"
    COSTS = "costs"
    ARRAYS = "arrays"
    DEPENDENCIES = "dependencies"
    WAITS = "waits"
    UPDATES = "updates"
    SERVICE_JOBS = "service_jobs"
    SERVICE_ATTEMPTS = "service_attempts"


def columns(
    frame: Annotated[
        Frame | None, typer.Option(help="Only this frame; all by default.", show_default=False)
    ] = None,
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Describe the columns of a result's frames and files."""
    from batchsim.results.columns import COLUMNS, columns_of

    chosen = COLUMNS if frame is None else columns_of(frame)
    if output_format is Format.JSON:
        print_json([column._asdict() for column in chosen])
    elif output_format is Format.CSV:
        print_csv(column._asdict() for column in chosen)
    else:
        wide = output_format is Format.WIDE
        for number, name in enumerate(dict.fromkeys(column.frame for column in chosen)):
            if number:
                print_text()
            rows = [
                (each.name, each.dtype, each.unit or "-", each.meaning)
                for each in chosen
                if each.frame == name
            ]
            headers = [Column("column", True), Column("dtype", True, spare=2), Column("unit", True, spare=1)]
            print_table(Table(name, [*headers, Column("meaning", True)], rows), wide=wide)
