"""The memory that jobs can use on an instance.

An instance registers with ECS what its kernel reports, which is less than the nominal size, and the
Batch AMI keeps 32 MiB of that for the agent [UG: memory-management]. AWS publishes no table, so the
rest is a named assumption, `memoryModel` [spec 3.6].
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from batchsim.catalog.tables import read_table
from batchsim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsim.catalog.instance_types import Architecture, InstanceType

MemoryModel = Literal["registered", "fitted", "nominal"]
MEMORY_MODELS: Final[tuple[MemoryModel, ...]] = ("registered", "fitted", "nominal")

ECS_RESERVED_MIB: Final = 32

# Slope in ten-thousandths and intercept in MiB of the memory that a kernel reports, fitted to public
# measurements of some 1,300 types (method and error: `data/README.md`).
_FIT_VIRTUAL: Final[Mapping[Architecture, tuple[int, int]]] = {"x86_64": (9689, 157), "arm64": (9667, 156)}
_FIT_METAL: Final[Mapping[Architecture, tuple[int, int]]] = {"x86_64": (9835, 0), "arm64": (9815, 0)}


class Observed(NamedTuple):
    """Memory that an instance was seen to register, before the Batch reserve."""

    memory_mib: int
    registered_mib: int


def model_memory_mib(instance_type: InstanceType, model: MemoryModel) -> int:
    """MiB that jobs can use on one instance of the type, never negative.

    registered  an observed figure less 32 MiB where `observed_memory()` has the type at this nominal
                size, else `fallback_mib`: cautious, it promises less than any observed type offers
    fitted      `fitted_mib`: close on average, too much for about half of the types
    nominal     the nominal memory: for theory and for traces without a real instance
    """
    if model == "nominal":
        return instance_type.memory_mib
    if model == "fitted":
        return fitted_mib(instance_type.memory_mib, instance_type.architecture, instance_type.bare_metal)
    if model == "registered":
        seen = observed_memory().get(instance_type.name)
        if seen is not None and seen.memory_mib == instance_type.memory_mib:
            return seen.registered_mib - ECS_RESERVED_MIB
        return fallback_mib(instance_type.memory_mib)
    raise UsageError("memory model", expected=f"one of {', '.join(MEMORY_MODELS)}", found=str(model))


def fallback_mib(memory_mib: int) -> int:
    """floor(0.955 x nominal) - 232: kernel and firmware 200 MiB, reserve 32 MiB [spec 3.6]."""
    return max(0, 955 * memory_mib // 1000 - 232)


def fitted_mib(memory_mib: int, architecture: Architecture, bare_metal: bool) -> int:  # noqa: FBT001 - a column
    """The fitted kernel figure less the reserve: 0.9689 x nominal - 157 - 32 on a virtual x86_64 machine."""
    slope, intercept = (_FIT_METAL if bare_metal else _FIT_VIRTUAL)[architecture]
    return max(0, slope * memory_mib // 10_000 - intercept - ECS_RESERVED_MIB)


@cache
def observed_memory() -> Mapping[str, Observed]:
    """Registered memory by instance type, as observers reported it (`data/registered_memory.csv`)."""
    return MappingProxyType(
        {
            row["instance_type"]: Observed(int(row["memory_mib"]), int(row["registered_mib"]))
            for row in read_table("registered_memory.csv")
        }
    )
