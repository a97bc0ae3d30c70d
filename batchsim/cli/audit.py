"""`batchsim audit`: derive the laws of a result again, from its files alone."""

from __future__ import annotations

from typing import Annotated

import typer

from batchsim.cli.output import Format, note, print_csv, print_json, print_text
from batchsim.cli.verbs import FAILED, OutputFormat


def audit(
    folder: Annotated[
        str,
        typer.Argument(metavar="DIR", help="Folder that `batchsim run -o DIR` wrote.", show_default=False),
    ],
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Derive the laws of a result again, from its files alone.

    Exit code 1 if one is broken. A folder of replications is audited one by one, and then as a whole; it is
    said when it is only a part, because the run was broken off.
    """
    from batchsim.results.audit import LAWS, audit_folder, audit_replication_folder
    from batchsim.studies.replications import gaps, is_partial, replication_folders

    folders = [str(each) for each in replication_folders(folder)] or [folder]
    partial, missing = is_partial(folder), gaps(folder)
    found = [(each, violation) for each in folders for violation in audit_folder(each)]
    found += [(folder, violation) for violation in audit_replication_folder(folder)]
    rows = [
        {
            "folder": each,
            "law": violation.law,
            "meaning": LAWS[violation.law],
            "frame": violation.frame,
            "message": violation.message,
            "count": violation.count,
            "rows": list(violation.rows),
        }
        for each, violation in found
    ]
    if output_format is Format.JSON:
        print_json(
            {
                "folders": folders,
                "partial": partial,
                "missing": missing,
                "laws": list(LAWS),
                "violations": rows,
            }
        )
    elif output_format is Format.CSV:
        print_csv(
            {**row, "rows": " ".join(map(str, violation.rows))}
            for row, (_, violation) in zip(rows, found, strict=True)
        )
    else:
        for each, violation in found:
            print_text(f"{each}: {violation}", style="red")
        if not found:
            results = "the result" if len(folders) == 1 else f"all {len(folders)} results"
            print_text(f"{len(LAWS)} laws hold for {results} in {folder}")
    if partial:
        _say_partial(folder, len(folders), missing)
    if found:
        raise typer.Exit(FAILED)


def _say_partial(folder: str, count: int, missing: list[str]) -> None:
    from batchsim.cli.figures import several

    lacking = f"; {several(missing)} should be there too" if missing else ""
    note(
        f"note: {folder} is partial: it holds replications ({count}) but no summary.json, which"
        f" batchsim run -n writes after the last one{lacking}"
    )
