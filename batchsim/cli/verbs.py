"""What all verbs share: their common arguments, and how errors become exit codes."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from batchsim.cli.output import Format, error_line, note, report
from batchsim.errors import AuditError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")

FAILED = 1
MISTAKEN = 2
STALLED = 3
INTERRUPTED = 130

ScenarioPath = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="Scenario file (YAML or JSON).", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change the scenario, for example jobQueues.bulk.priority=5 or horizon=24h; again for more.",
        show_default=False,
    ),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="How to print; wide: all rows and columns.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of everything random.")]

Host = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="URL",
        help="Engine, unix://, ssh:// or tcp://; again for more. Default: DOCKER_HOST, or the local one.",
        show_default=False,
    ),
]
TlsFolder = Annotated[
    Path | None,
    typer.Option("--tls", metavar="DIR", help="ca.pem, cert.pem and key.pem for tcp://.", show_default=False),
]


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """A verb that ends with an exit code and one line for each mistake of the user."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except InputError as error:
            report(error)
            raise typer.Exit(MISTAKEN) from None
        except AuditError as error:
            error_line(str(error))
            raise typer.Exit(FAILED) from None
        except MemoryError:
            error_line("there is not enough memory for this; fewer jobs need less, and a million take one GB")
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt as interrupt:
            said = str(interrupt)
            note(f"interrupted: {said}" if said else "interrupted")
            raise typer.Exit(INTERRUPTED) from None

    return guarded
