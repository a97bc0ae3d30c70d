"""What an EC2 instance type is: the specification, and whether AWS Batch can launch it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, cast

from batchsim.catalog.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Mapping

Architecture = Literal["x86_64", "arm64"]
BatchAllowed = Literal["yes", "no", "retired", "unverified"]

ARCHITECTURES: Final[tuple[Architecture, ...]] = ("x86_64", "arm64")


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One EC2 instance type, or one that a user's catalogue describes.

    memory_mib      nominal; what jobs can use is less, see `Catalog.usable_memory_mib`
    gpus            NVIDIA GPUs, the only ones a Batch GPU requirement can reserve [spec 3.7];
                    a slice of a GPU (g6f: "L4 (1/8)") counts as one of `gpu_memory_mib`
    gpu_memory_mib  of each GPU; 0 without GPUs
    accelerators    every other device (Neuron, AMD, Gaudi, FPGA, media): Batch does not count them
    network         AWS's own words; `network_gbps` is the peak and `network_baseline_gbps` what an
                    instance can keep up, over all its cards; None where unknown
    current_generation, spot   AWS's own flags: no longer the newest; sold on the Spot market
    local_disk_gb   total of the instance store, decimal gigabytes
    batch_allowed   "yes"; "unverified": no evidence either way, accepted; "no" and "retired": a managed
                    compute environment refuses it, for the reason in `batch_note`
    """

    name: str
    family: str
    size: str
    vcpus: int
    memory_mib: int
    architecture: Architecture = "x86_64"
    processor: str = ""
    clock_ghz: float | None = None
    gpus: int = 0
    gpu_model: str = ""
    gpu_memory_mib: int = 0
    accelerators: int = 0
    accelerator_model: str = ""
    network: str = ""
    network_gbps: float | None = None
    network_baseline_gbps: float | None = None
    efa: bool = False
    bare_metal: bool = False
    burstable: bool = False
    current_generation: bool = True
    spot: bool = True
    local_disk_gb: int = 0
    batch_allowed: BatchAllowed = "yes"
    batch_note: str = ""

    @property
    def launchable(self) -> bool:
        """Whether a managed compute environment may list it."""
        return self.batch_allowed in {"yes", "unverified"}


def split_name(name: str) -> tuple[str, str]:
    """Family and size of a type's name: `m5.xlarge` -> ("m5", "xlarge")."""
    family, _, size = name.partition(".")
    return family, size


@cache
def builtin_types() -> Mapping[str, InstanceType]:
    """Every instance type shipped, by name; families in alphabetical order, small sizes first."""
    return MappingProxyType({row["instance_type"]: _parse(row) for row in read_table("instance_types.csv")})


def _parse(row: Mapping[str, str]) -> InstanceType:
    family, size = split_name(row["instance_type"])
    return InstanceType(
        name=row["instance_type"],
        family=family,
        size=size,
        vcpus=int(row["vcpus"]),
        memory_mib=int(row["memory_mib"]),
        architecture=cast("Architecture", row["architecture"]),
        processor=row["processor"],
        clock_ghz=_optional_float(row["clock_ghz"]),
        gpus=int(row["gpus"]),
        gpu_model=row["gpu_model"],
        gpu_memory_mib=int(row["gpu_memory_mib"]),
        accelerators=int(row["accelerators"]),
        accelerator_model=row["accelerator_model"],
        network=row["network"],
        network_gbps=_optional_float(row["network_gbps"]),
        network_baseline_gbps=_optional_float(row["network_baseline_gbps"]),
        efa=row["efa"] == "1",
        bare_metal=row["bare_metal"] == "1",
        burstable=row["burstable"] == "1",
        current_generation=row["current_generation"] == "1",
        spot=row["spot"] == "1",
        local_disk_gb=int(row["local_disk_gb"]),
        batch_allowed=cast("BatchAllowed", row["batch_allowed"]),
        batch_note=row["batch_note"],
    )


def _optional_float(text: str) -> float | None:
    return float(text) if text else None
