from __future__ import annotations

import pytest

from batchsim.catalog.eks import allocatable_mib, allocatable_milli, max_pods


@pytest.mark.parametrize(
    ("vcpus", "milli"), [(1, 940), (2, 1930), (4, 3920), (8, 7910), (16, 15890), (96, 95690)]
)
def test_spec_112_cpu_that_pods_can_use(vcpus, milli):
    assert allocatable_milli(vcpus) == milli


def test_spec_112_memory_that_pods_can_use():
    assert allocatable_mib(7748, 29) == 7074
    assert allocatable_mib(300, 29) == 0


def test_larger_nodes_take_more_pods():
    sizes = {1: 8, 2: 29, 4: 58, 8: 58, 16: 234, 48: 234, 64: 737, 192: 737}
    assert {vcpus: max_pods(vcpus) for vcpus in sizes} == sizes
