"""`batchsim reap`: remove what real runs have left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from batchsim.cli.output import Format, print_csv, print_json, print_text
from batchsim.cli.verbs import FAILED, Host, OutputFormat, TlsFolder


def reap(
    *,
    host: Host = None,
    tls: TlsFolder = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Everything of this run, whoever owns it.", show_default=False),
    ] = None,
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Remove containers, networks and cgroups of real runs whose owner is gone or whose deadline has passed.

    Only what carries batchsim's labels is looked at. What belongs to a run that still lives, or to one of
    another host that is not overdue, is left alone.

    Exit code 1 if something could not be removed.
    """
    from batchsim.studies.replay import reap_hosts

    rows = [
        {"host": url, "name": name, "outcome": outcome}
        for url, found in reap_hosts(host or (), tls, run).items()
        for outcome, names in zip(("removed", "left alone", "stuck"), found, strict=True)
        for name in names
    ]
    if output_format is Format.JSON:
        print_json(rows)
    elif output_format is Format.CSV:
        print_csv(rows)
    else:
        for row in rows:
            print_text(f"{row['outcome']}: {row['name']}")
        if not rows:
            print_text("there is nothing of ours")
    if any(row["outcome"] == "stuck" for row in rows):
        raise typer.Exit(FAILED)
