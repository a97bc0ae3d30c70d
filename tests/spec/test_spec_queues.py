"""Specification 9.2, numbers 29-31 and 38: which queue, which of its jobs, which environment."""

from __future__ import annotations

import pytest

from tests.spec.scenarios import definition, each_job, lab, managed, queue, scenario, submit

WIDE = [definition(f"vcpus{number}", number, 100) for number in (2, 4, 8)]
HIGH_AND_LOW = [{**queue("high", "lab"), "priority": 10}, {**queue("low", "lab"), "priority": 1}]


def test_spec_29_the_queue_of_higher_priority_is_served_first(run):
    busy = submit("busy", "100s", queue="low", definition="vcpus4")
    low, high = (
        submit("l", "60s", at="10s", count=4, queue="low"),
        submit("h", "60s", at="10s", count=4, queue="high"),
    )
    result = run(scenario(busy, low, high, environments=[lab(8)], definitions=WIDE, jobQueues=HIGH_AND_LOW))
    starts = each_job(result, "start_s")
    assert [starts[f"h-{number}"] for number in range(4)] == [10] * 4
    assert [starts[f"l-{number}"] for number in range(4)] == [70] * 4


def test_spec_30_what_a_high_head_cannot_use_goes_to_the_lower_queue(run):
    first = submit("first", "600s", count=8, queue="low")
    first["arrivals"] = {"every": {"interval": "75s"}}
    waiting = submit("l", "600s", at="550s", count=16, queue="low")
    head = submit("h", "60s", at="560s", queue="high", definition="vcpus8")
    result = run(
        scenario(first, waiting, head, environments=[lab(8)], definitions=WIDE, jobQueues=HIGH_AND_LOW)
    )
    starts = each_job(result, "start_s")
    assert [starts[f"l-{number}"] for number in range(16)] == [600 + 75 * number for number in range(16)]
    assert starts["h-0"] == 600 + 75 * 15 + 600  # once the lower queue has drained


@pytest.mark.parametrize(("backfill", "small_starts"), [("none", 160), ("greedy", 10)])
def test_spec_31_a_blocked_head_blocks_its_queue_unless_backfilling_is_on(run, backfill, small_starts):
    busy = submit("busy", "100s", definition="vcpus2")
    head, small = submit("head", "60s", at="10s", definition="vcpus4"), submit("small", "60s", at="10s")
    result = run(
        scenario(
            busy,
            head,
            small,
            environments=[lab(4)],
            definitions=WIDE,
            assumptions={"backfill": backfill},
        )
    )
    assert each_job(result, "start_s") == {"busy-0": 0, "head-0": 100, "small-0": small_starts}


def test_spec_38_jobs_spill_to_the_next_environment_when_the_first_is_at_its_maximum(run):
    places = [managed("ce1", 4, "c6i.large"), managed("ce2", 100, "c6i.large")]
    result = run(
        scenario(submit("a", "60s", count=5, definition="vcpus2"), environments=places, definitions=WIDE)
    )
    assert list(each_job(result, "environment").values()) == ["ce1"] * 2 + ["ce2"] * 3
    assert set(each_job(result, "start_s").values()) == {0}
