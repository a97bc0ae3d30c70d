"""Specification 9.2, numbers 32-37: fair-share scheduling."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.scenarios import definition, each_job, lab, managed, queue, scenario, submit

SIZES = [definition(f"vcpus{number}", number, 100) for number in (4, 5, 32, 64)]


def fair(
    *workload: dict[str, Any],
    vcpus: int = 1,
    weights: dict[str, float] | None = None,
    queues: tuple[dict[str, Any], ...] = (),
    **more: Any,
) -> dict[str, Any]:
    """One machine of so many vCPUs; queue `q` divides it among shares."""
    shares = [{"shareIdentifier": name, "weightFactor": weight} for name, weight in (weights or {}).items()]
    policy = {"shareDecaySeconds": 0, "shareDistribution": shares, **more.pop("policy", {})}
    places = more.pop("environments", [lab(vcpus)])
    names = [each["computeEnvironmentName"] for each in places]
    return scenario(
        *workload,
        environments=places,
        definitions=SIZES,
        schedulingPolicies=[{"name": "shares", "fairsharePolicy": policy}],
        jobQueues=[{**queue("q", *names), "schedulingPolicyArn": "shares"}, *queues],
        **more,
    )


def of_share(share: str, name: str, runtime: str, **more: Any) -> dict[str, Any]:
    return submit(name, runtime, shareIdentifier=share, **more)


def started_at(result: Any, instant: float) -> dict[str, int]:
    """How many jobs of each workload entry started at an instant."""
    rows = result.jobs[result.jobs["start_s"] == instant]
    return {name: count for name, count in rows["group"].value_counts().items() if count}


def test_spec_32_equal_weights_give_equal_vcpus(run):
    result = run(
        fair(
            of_share("A", "a", "60s", count=20, definition="vcpus32"),
            of_share("B", "b", "60s", count=20, definition="vcpus64"),
            vcpus=256,
            weights={"A": 1, "B": 1},
        )
    )
    assert started_at(result, 0) == {"a": 4, "b": 2}


def test_spec_33_an_eighth_of_the_weight_gives_eight_times_the_vcpus(run):
    result = run(
        fair(
            of_share("A", "a", "60s", count=200),
            of_share("B", "b", "60s", count=200),
            vcpus=90,
            weights={"A": 0.125, "B": 1},
        )
    )
    assert started_at(result, 0) == {"a": 80, "b": 10}


@pytest.mark.parametrize(
    "place",
    [
        {**lab(300), "unmanagedvCpus": 256},
        managed("cloud", 256, "c6i.large"),
    ],
)
def test_spec_34_vcpus_are_kept_for_shares_that_may_come(run, place):
    result = run(
        fair(
            of_share("A", "a", "1000s", count=1000),
            of_share("B", "b", "1000s", at="100s"),
            environments=[place],
            policy={"computeReservation": 50},
            horizon="500s",
        )
    )
    assert started_at(result, 0) == {"a": 128}
    assert started_at(result, 100) == {"a": 63, "b": 1}  # 192 in all
    assert result.jobs["start_s"].notna().sum() == 192


@pytest.mark.parametrize(
    ("idle", "weight_of_a", "weight_of_b", "first"),
    [
        pytest.param(300, 1, 0.4999, "b", id="300 s ago: no less than 299.94 vCPU-s"),
        pytest.param(300, 1, 0.5001, "a", id="300 s ago: no more than 300.06 vCPU-s"),
        pytest.param(599, 999.9999, 0.0001, "b", id="599 s ago: something"),
        pytest.param(601, 999.9999, 0.0001, "a", id="601 s ago: nothing"),
    ],
)
def test_spec_35_usage_counts_less_as_it_ages(run, idle, weight_of_a, weight_of_b, first):
    """A has used 4 vCPUs from 0 to 300 s and B uses 1; which share is next tells how much A's usage counts.

    Meanwhile a job of another queue keeps the machine, so that the decision falls `idle` seconds later.
    """
    used = of_share("A", "used", "300s", definition="vcpus4")
    uses = of_share("B", "uses", "2000s")
    keeps = submit("keeps", f"{idle}s", at="300s", queue="other", definition="vcpus5")
    a, b = (of_share(name.upper(), name, "60s", at="301s", definition="vcpus5") for name in "ab")
    result = run(
        fair(
            used,
            uses,
            keeps,
            *((b, a) if first == "a" else (a, b)),
            vcpus=6,
            weights={"A": weight_of_a, "B": weight_of_b},
            queues=({**queue("other", "lab"), "priority": 10},),
        )
    )
    assert started_at(result, 300 + idle) == {first: 1}


def test_spec_36_priority_counts_inside_a_share_only(run):
    result = run(
        fair(
            of_share("A", "running", "60s"),
            of_share("A", "low", "60s", at="10s", schedulingPriorityOverride=1),
            of_share("A", "high", "60s", at="20s", schedulingPriorityOverride=100),
            of_share("B", "other", "60s", at="30s", schedulingPriorityOverride=1),
        )
    )
    assert each_job(result, "start_s") == {"running-0": 0, "low-0": 180, "high-0": 120, "other-0": 60}


def test_spec_37_a_share_identifier_is_for_fair_share_queues_and_needed_there(problems_of):
    (line,) = problems_of(fair(submit("a", "60s")))
    assert "workload.a: q is a fair-share queue: expected a shareIdentifier, found nothing" in line
    (line,) = problems_of(scenario(of_share("A", "a", "60s")))
    assert "workload.a.shareIdentifier: q has no fair-share policy" in line


def test_spec_37_a_queue_has_at_most_500_active_shares(run):
    """The submission that would make one more fails: whatever becomes of it, it never starts."""
    jobs = [of_share(f"S{number}", f"j{number}", "60s") for number in range(501)]
    result = run(fair(*jobs, vcpus=1000))
    starts = each_job(result, "start_s")
    assert [job for job in (f"j{number}-0" for number in range(501)) if starts.get(job) is None] == ["j500-0"]
