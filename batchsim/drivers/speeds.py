"""How fast jobs run on which instance types: `assumptions.speedFactors` by row of a plan's types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchsim.drivers.world import UNIT_SPEED
from batchsim.errors import at_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchsim.drivers.machines import MachineTypes
    from batchsim.scenario import Assumptions

FARGATE: Final = "fargate"
_TASKS: Final = {
    "fargate-spot": (),
    "fargate-arm": (),
    "fargate-spot-arm": ("fargate-arm", "fargate-spot"),
}
"""By families of tasks, what else they are called, beside `FARGATE`."""


def speeds(assumptions: Assumptions, types: MachineTypes) -> dict[int, int]:
    """By row, in millionths, the factors that are not 1.

    What is said of a type goes before what is said of its family. Raises CatalogError for a name that is
    no type, no family and no machine of the scenario: a factor without effect would be taken for one.
    """
    given = assumptions.speedFactors
    names = [machine.name for machine in types.rows]
    known = {FARGATE, *_TASKS, *(each for name in names for each in _names(name))}
    for name in given:
        if name not in known:
            with at_path(f"assumptions.speedFactors.{name}"):
                types.catalog.check_known(name)
    factors = {
        row: next((given[each] for each in _names(name) if each in given), 1.0)
        for row, name in enumerate(names)
    }
    return {row: round(factor * UNIT_SPEED) for row, factor in factors.items() if factor != 1}


def named_by(factor: str, types: Iterable[str]) -> bool:
    """Whether a name in `assumptions.speedFactors` is that of one of the types, or of its family."""
    return any(factor in _names(each) for each in types)


def _names(name: str) -> Iterator[str]:
    """By which a type is called, the most special first."""
    family = name.partition(".")[0]
    yield name
    yield family
    if family in _TASKS:
        yield from _TASKS[family]
        yield FARGATE
