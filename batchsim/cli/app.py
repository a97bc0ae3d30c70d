"""All verbs, in the order in which `batchsim --help` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from batchsim.cli.audit import audit
from batchsim.cli.check import check
from batchsim.cli.columns import columns
from batchsim.cli.compare import compare
from batchsim.cli.explain import explain
from batchsim.cli.instances import instances
from batchsim.cli.reap import reap
from batchsim.cli.replay import replay
from batchsim.cli.run import run
from batchsim.cli.schema import schema
from batchsim.cli.validate import calibrate, validate
from batchsim.cli.verbs import verb

app = typer.Typer(
    name="batchsim",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help starts three times as fast, and can be piped
    pretty_exceptions_enable=False,
)

for _verb in (
    run,
    compare,
    replay,
    validate,
    calibrate,
    reap,
    check,
    instances,
    explain,
    schema,
    columns,
    audit,
):
    app.command()(verb(_verb))


def _print_version(asked: bool) -> None:
    if asked:
        from batchsim import __version__

        typer.echo(f"batchsim {__version__}, {'' if _is_compiled() else 'not '}compiled")
        raise typer.Exit


def _is_compiled() -> bool:
    from importlib.util import find_spec

    scheduler = find_spec("batchsim.core.scheduler")
    return scheduler is not None and not str(scheduler.origin).endswith(".py")


@app.callback()
def batchsim(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A discrete-event simulator of AWS Batch for capacity planning.

    What will this workload cost, and when will it finish? Will this job ever start? Which instance
    types should a compute environment list? Ask before you spend.

    Exit codes: 0 good; 1 a check or an audit failed; 2 bad scenario or usage; 3 the run stalled with
    jobs that can never start; 130 interrupted.
    """
