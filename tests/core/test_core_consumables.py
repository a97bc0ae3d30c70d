"""Consumable resources: locked, given back, used up, and changed while in use."""

from __future__ import annotations

import pytest

from batchsim.core.consumables import ConsumablePlan, Consumables
from batchsim.errors import ContractError


def licences(total: int = 10, *, replenishable: bool = True) -> Consumables:
    return Consumables([ConsumablePlan("licence", total, replenishable)])


def test_only_so_many_fit_together():
    counters = licences(10)
    for _ in range(3):
        assert counters.missing(((0, 3),)) == -1
        counters.lock(((0, 3),))
    assert counters.missing(((0, 3),)) == 0
    assert counters.missing(((0, 1),)) == -1
    counters.unlock(((0, 3),))
    assert counters.missing(((0, 3),)) == -1


def test_what_cannot_be_replenished_is_used_up():
    counters = licences(5, replenishable=False)
    for _ in range(2):
        counters.lock(((0, 2),))
        counters.unlock(((0, 2),))
    assert (counters.total, counters.in_use) == ([1], [0])
    assert counters.missing(((0, 2),)) == 0


def test_lowering_a_total_in_use_takes_nothing_from_running_jobs():
    counters = licences(10)
    counters.lock(((0, 8),))
    counters.update(0, "SET", 4)
    assert counters.missing(((0, 1),)) == 0
    counters.unlock(((0, 8),))
    assert counters.missing(((0, 4),)) == -1
    assert counters.missing(((0, 5),)) == 0


@pytest.mark.parametrize(
    ("operation", "quantity", "total"), [("SET", 3, 3), ("ADD", 3, 13), ("REMOVE", 3, 7), ("REMOVE", 30, 0)]
)
def test_updates(operation, quantity, total):
    counters = licences(10)
    counters.update(0, operation, quantity)
    assert counters.total == [total]


def test_an_unknown_update_is_refused():
    with pytest.raises(ContractError, match="MULTIPLY"):
        licences().update(0, "MULTIPLY", 2)


def test_a_job_asks_for_several_at_once():
    counters = Consumables([ConsumablePlan("a", 1), ConsumablePlan("b", 1)])
    counters.lock(((1, 1),))
    assert counters.missing(((0, 1), (1, 1))) == 1
    assert counters.missing(((0, 1),)) == -1
