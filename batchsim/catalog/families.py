"""Names in `computeResources.instanceTypes` that stand for several instance families [spec 3.3]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_X86_64: Final = ("m6i", "c6i", "r6i", "c7i")
_DEFAULT_ARM64: Final = ("m6g", "c6g", "r6g", "c7g")

# [UG: instance-type-compute-table]; `optimal` means the same as `default_x86_64` since 2025-11-01
# [API-2026: ComputeResource.instanceTypes]. AWS renews the lists from time to time.
BUNDLES: Final[Mapping[str, tuple[str, ...]]] = {
    "optimal": _DEFAULT_X86_64,
    "default_x86_64": _DEFAULT_X86_64,
    "default_arm64": _DEFAULT_ARM64,
}
