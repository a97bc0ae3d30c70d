"""Remove what runs have left behind, and only that.

A container or network is ours by its labels, never by its name or age. It is an orphan when its owner is
provably gone, or when its deadline has passed; a run of another host is left alone until then.

    python -m batchsim.drivers.reaper URL RUN    wait for the end of standard input, then remove this run

Every real run starts this as a process of its own, so that also a run that was killed leaves nothing.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from batchsim.drivers.cgroups import CgroupTree
from batchsim.drivers.gateway import DEADLINE, RUN, GatewayLostError, StartFailedError
from batchsim.drivers.ownership import Owner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchsim.drivers.gateway import ContainerGateway

_TRIES: Final = 10
_PAUSE_S: Final = 0.3
_QUIET_SWEEPS: Final = 10
_MOST_SWEEPS: Final = 200
ORDERLY: Final = b"orderly"
"""What a run says that has waited for all that it asked of its engine."""


class Reaped(NamedTuple):
    """Names of what was removed, of what is not orphaned, and of what could not be removed."""

    removed: list[str]
    alive: list[str]
    stuck: list[str]


def reap(gateway: ContainerGateway, *, run: str | None = None) -> Reaped:
    """Remove all orphans, or everything of one run. Raises GatewayLostError."""
    result = Reaped([], [], [])
    labels = {RUN: run or ""}

    def sweep(name: str, its: Mapping[str, str], remove: Callable[[], None]) -> None:
        if run is None and not _orphaned(its):
            result.alive.append(name)
        else:
            (result.removed if _insist(remove) else result.stuck).append(name)

    containers = sorted(gateway.list(labels), key=lambda each: (each.labels.get(DEADLINE, ""), each.name))
    for each in containers:
        sweep(each.name, each.labels, lambda each=each: gateway.remove(each.id))  # type: ignore[misc]
    for name, its in sorted(gateway.networks(labels)):
        sweep(name, its, lambda name=name: gateway.remove_network(name))  # type: ignore[misc]
    for name in CgroupTree.runs():
        if name == run or (run is None and _orphaned({RUN: name})):
            (result.removed if _insist(CgroupTree(name).remove) else result.stuck).append(f"cgroup {name}")
    return result


def _orphaned(labels: Mapping[str, str]) -> bool:
    owner = Owner.of_run(labels[RUN])
    if owner is None:
        return False  # somebody else uses our label
    deadline = labels.get(DEADLINE, "")
    overdue = deadline.isdecimal() and int(deadline) < time.time()
    return overdue or owner.provably_gone()


def _insist(remove: Callable[[], None]) -> bool:
    """Try for a while; whether it was removed."""
    for _ in range(_TRIES):
        try:
            remove()
        except (StartFailedError, GatewayLostError, OSError):
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def main(url: str, run: str) -> None:
    """Outlive the run whose process holds the other end of standard input.

    What was asked of the engine by a run that did not say ORDERLY may still be on its way: a container can
    appear when all have been removed. So it is looked for until nothing has come for a while.
    """
    from batchsim.drivers.docker_gateway import DockerGateway  # noqa: PLC0415 - requests is slow to import

    orderly = sys.stdin.buffer.read() == ORDERLY
    gateway = DockerGateway(url)
    quiet = 0
    for _ in range(_MOST_SWEEPS):
        found = reap(gateway, run=run)
        quiet = 0 if found.removed or found.stuck else quiet + 1
        if orderly or quiet == _QUIET_SWEEPS:
            return
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
