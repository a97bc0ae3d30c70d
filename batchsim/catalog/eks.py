"""What an EKS node keeps for itself and its pods, so that jobs can use less of it [spec 1.12].

[UG-2023: memory-cpu-batch-eks]
"""

from __future__ import annotations

from typing import Final

# (vCPUs up to this number, thousandths of ten of a vCPU that each of them gives up): 60 m, 10 m, 5 m, 2.5 m.
_RESERVED_TENTHS: Final = ((1, 600), (2, 100), (4, 50))
_RESERVED_TENTHS_BEYOND: Final = 25

_MIB_PER_POD: Final = 11
_KUBELET_MIB: Final = 255
_HARD_EVICTION_MIB: Final = 100

DAEMON_SETS_MILLI: Final = 500
DAEMON_SETS_MIB: Final = 500
"""What AWS Batch sets aside for DaemonSets as long as it has seen no node of an environment."""

# Pods by vCPUs: what the network interfaces of most families' sizes have addresses for.
_PODS_BY_VCPUS: Final = ((1, 8), (2, 29), (8, 58), (48, 234))
_MOST_PODS: Final = 737


def allocatable_milli(vcpus: int) -> int:
    """Thousandths of a vCPU that pods can use on a node, rounded down: 1930 of 2 vCPUs."""
    reserved = counted = 0
    for bound, each in _RESERVED_TENTHS:
        reserved += each * (min(vcpus, bound) - counted)
        counted = min(vcpus, bound)
    reserved += _RESERVED_TENTHS_BEYOND * (vcpus - counted)
    return (10_000 * vcpus - reserved) // 10


def allocatable_mib(capacity_mib: int, max_pods: int) -> int:
    """MiB that pods can use on a node whose kernel reports `capacity_mib`, never negative."""
    return max(0, capacity_mib - _MIB_PER_POD * max_pods - _KUBELET_MIB - _HARD_EVICTION_MIB)


def max_pods(vcpus: int) -> int:
    """Pods that a node of that size takes, where nobody has configured another number."""
    return next((pods for bound, pods in _PODS_BY_VCPUS if vcpus <= bound), _MOST_PODS)
