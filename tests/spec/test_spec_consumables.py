"""Specification 9.2, numbers 25 and 26: consumable resources."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.scenarios import definition, each_job, lab, managed, queue, scenario, submit


def limited(count: int, quantity: int, **resource: Any) -> dict[str, Any]:
    """`count` jobs of 60 s that each take so much of one resource."""
    asked = {"consumableResourceList": [{"consumableResource": "licences", "quantity": quantity}]}
    licensed = {**definition("licensed", 1, 100), "consumableResourceProperties": asked}
    return scenario(
        submit("a", "60s", count=count, definition="licensed"),
        definitions=[licensed],
        consumableResources=[{"consumableResourceName": "licences", **resource}],
    )


def test_spec_25_no_more_jobs_run_together_than_the_resource_allows(run):
    result = run(limited(5, quantity=3, totalQuantity=10))
    assert list(each_job(result, "start_s").values()) == [0, 0, 0, 60, 60]
    assert result.summary["makespan_s"] == 120


@pytest.mark.parametrize("place", [lab(1000), managed("cloud", 8, "c6i.large")])
def test_spec_26_what_is_not_replenishable_is_used_up(run, place):
    jobs = limited(4, quantity=2, totalQuantity=5, resourceType="NON_REPLENISHABLE")
    name = place["computeEnvironmentName"]
    result = run({**jobs, "computeEnvironments": [place], "jobQueues": [queue("q", name)]})
    assert list(each_job(result, "state").values()) == ["SUCCEEDED"] * 2 + ["RUNNABLE"] * 2
    assert result.summary["outcome"] == "stalled"
