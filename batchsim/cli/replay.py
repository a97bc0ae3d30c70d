"""`batchsim replay`: run a scenario for real, with containers on a Docker engine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchsim.cli.interrupts import held_back
from batchsim.cli.output import Format, note
from batchsim.cli.progress import RunProgress
from batchsim.cli.verbs import FAILED, STALLED, Host, OutputFormat, Overrides, ScenarioPath, Seed, TlsFolder
from batchsim.errors import AuditError

if TYPE_CHECKING:
    from batchsim.scenario import Scenario
    from batchsim.studies.replay import ReplayOptions


class Relax(StrEnum):
    """What containers may do although they normally may not."""

    NETWORK = "network"
    CAPABILITIES = "capabilities"
    PRIVILEGES = "privileges"
    WRITABLE_ROOT = "writable-root"
    IMAGE_USER = "image-user"


Folder = Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Write the result there.")]
Speed = Annotated[float, typer.Option(min=0.01, max=10_000, help="Simulated seconds a real second.")]
StandIn = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE", help="Image with sh and sleep for jobs without a command.", show_default=False
    ),
]
Scalable = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DEFINITION",
        help="Job definition whose command may run at another --speed than 1; again for more.",
        show_default=False,
    ),
]
Mounts = Annotated[
    list[str] | None,
    typer.Option(
        "--mount",
        metavar="FOLDER",
        help="Folder of the host that volumes may name; again for more.",
        show_default=False,
    ),
]
Relaxations = Annotated[
    list[Relax] | None,
    typer.Option(help="What containers may do although they normally may not; again for more."),
]
Deadline = Annotated[
    int, typer.Option(min=1, metavar="SECONDS", help="Life of containers without a time limit.")
]


def replay(
    scenario: ScenarioPath,
    *,
    folder: Folder,
    speed: Speed = 1.0,
    host: Host = None,
    tls: TlsFolder = None,
    stand_in: StandIn = None,
    scalable: Scalable = None,
    oversubscribe: Annotated[
        bool, typer.Option("--oversubscribe", help="Let the fleet be larger than what it runs on.")
    ] = False,
    cgroups: Annotated[
        bool, typer.Option("--cgroups", help="Hold the containers of each instance to its size together.")
    ] = False,
    pull: Annotated[bool, typer.Option(help="Pull images that the engine has not.")] = True,
    deadline: Deadline = 3600,
    mounts: Mounts = None,
    relax: Relaxations = None,
    seed: Seed = 0,
    overrides: Overrides = None,
    output_format: OutputFormat = Format.TABLE,
) -> None:
    """Run a scenario for real: the same scheduler, the wall clock, containers on a Docker engine.

    Jobs whose definition has a command run it; the others sleep for as long as the workload says. Ctrl-C
    stops the containers gently and writes the result so far; a second one kills them.

    Exit code 3 if the run stalls, 1 if the engine is lost or the audit finds a broken law.
    """
    from batchsim.scenario import load_scenario
    from batchsim.studies.replay import ReplayOptions

    options = ReplayOptions(
        hosts=host or (),
        speed=speed,
        stand_in=stand_in,
        scalable=scalable or (),
        oversubscribe=oversubscribe,
        cgroups=cgroups,
        pull=pull,
        lifetime_s=deadline,
        mounts=mounts or (),
        relax=[each.value for each in relax or ()],
        tls=tls,
    )
    _replay(load_scenario(scenario, overrides or ()), folder, options, seed, output_format)


def _replay(loaded: Scenario, folder: str, options: ReplayOptions, seed: int, form: Format) -> None:
    from batchsim.cli.summary import print_result
    from batchsim.results.files import check_folder
    from batchsim.studies.replay import replay as run
    from batchsim.studies.stalled import left_waiting

    check_folder(folder, loaded.name)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with RunProgress(1) as progress:
        result, cut_short = run(
            loaded, folder, options, seed=seed, report=lambda now, ended, jobs: progress(0, now, ended, jobs)
        )
    with held_back():
        result.write(folder)
    violations = [str(each) for each in result.audit()]
    waiting = left_waiting(result) if form is Format.JSON else ()
    print_result(result, violations, waiting, form)
    written = f"the result is in {folder}"
    if cut_short == "interrupted":
        raise KeyboardInterrupt(f"what had happened by then is in {folder}")
    note(f"the engine was lost; what had happened by then is in {folder}" if cut_short else written)
    if violations:
        raise AuditError.about(violations)
    if cut_short:
        raise typer.Exit(FAILED)
    if result.summary["outcome"] == "stalled":
        raise typer.Exit(STALLED)
