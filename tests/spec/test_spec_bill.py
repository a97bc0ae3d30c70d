"""What the seconds of a bill were spent on, in scenarios."""

from __future__ import annotations

import pytest

from tests.spec.scenarios import HOST_RULES, queue, scenario, submit
from tests.spec.test_spec_capacity import cloud
from tests.spec.test_spec_fargate import on_fargate
from tests.spec.test_spec_spot import OFTEN, interrupted_at, spot
from tests.studies.scenarios import definition, unmanaged

HOUR = 3600
PARTS = ("busy", "pull", "lost", "boot", "idle", "fragmentation", "tail")


def seconds_of(result, row: int = 0) -> dict[str, float]:
    """The parts of an instance's cost as seconds of the instance; those that are nothing are left out."""
    instance = result.instances.iloc[row]
    per_s = instance["cost_usd"] / instance["billed_s"]
    seconds = {part: round(instance[f"{part}_usd"] / per_s, 1) for part in PARTS}
    return {part: value for part, value in seconds.items() if value}


def test_an_instance_boots_pulls_works_and_is_kept_for_a_while(run):
    assumptions = {
        "instanceRegistration": "60s",
        "containerStart": "8s",
        "dispatchDelay": "2s",
        "idleScaleIn": "120s",
    }
    result = run(
        scenario(
            submit("job", "10min", definition="pair"),
            environments=[cloud(2, "c6i.large")],
            definitions=[definition("pair", 2, 100)],
            assumptions=assumptions,
        )
    )
    assert seconds_of(result) == {"boot": 60, "pull": 10, "busy": 600, "tail": 120}


def test_what_is_free_is_idle_while_nobody_waits_and_fragmentation_while_somebody_does(run):
    # On 2 vCPUs: one job of 1 vCPU from 0 to 10 min; from 4 min on another waits, which wants both.
    result = run(
        scenario(
            submit("one", "10min"),
            submit("two", "5min", at="4min", definition="pair"),
            environments=[cloud(2, "c6i.large")],
            definitions=[definition("pair", 2, 100)],
        )
    )
    assert seconds_of(result) == {"busy": 600, "idle": 120, "fragmentation": 180}


def test_what_is_lost_to_an_interruption_after_an_hour_is_paid_for(run, monkeypatch):
    interrupted_at(70, monkeypatch)
    result = run(
        scenario(
            submit("long", "65min", definition="pair"),
            submit("late", "10min", at="65min", definition="pair", retryStrategy=HOST_RULES),
            environments=[spot(2, "c6i.large")],
            definitions=[definition("pair", 2, 100)],
            assumptions={**OFTEN, "idleScaleIn": "1min"},
        )
    )
    assert seconds_of(result) == {"busy": 65 * 60, "lost": 5 * 60}
    assert seconds_of(result, 1) == {"busy": 600, "tail": 60}
    lost = result.costs_by("group").set_index("group")["lost_usd"]
    assert lost["long"] == 0
    assert lost["late"] == pytest.approx(result.summary["cost_parts_usd"]["lost"])


def test_what_a_task_has_more_than_its_job_asked_for_is_fragmentation(run, tmp_path):
    (tmp_path / "log.swf").write_text("1 0 -1 3600 3 -1 -1 3 3600 -1 1 1 1 1 1 1 -1 -1\n")
    entry = {"name": "log", "jobQueue": "q", "trace": {"path": "log.swf", "format": "swf"}}
    result = run(on_fargate(entry))
    assert list(result.instances["instance_type"]) == ["fargate.4x8192"]
    assert seconds_of(result) == {"busy": 2700, "fragmentation": 900}


def test_machines_without_a_price_cost_nothing(run):
    result = run(scenario(submit("job", "10min")))
    assert result.costs["cost_usd"].sum() == 0
    assert result.costs["queue"].tolist() == ["q"]


def test_tags_group_the_bill_by_the_entry_and_else_by_its_job_definition(run):
    result = run(
        scenario(
            submit("one", "1h", tags={"team": "red"}),
            submit("two", "1h"),
            submit("three", "2h", definition="plain"),
            environments=[cloud(6, "c6i.large")],
            definitions=[definition("plain", 1, 100)],
            jobDefinitions=[
                {**definition("one", 1, 100), "tags": {"team": "blue"}},
                definition("plain", 1, 100),
            ],
        )
    )
    by = result.costs_by("tag:team")
    assert by["tag:team"].astype(object).where(by["tag:team"].notna(), None).tolist() == ["blue", "red", None]
    assert by["busy_usd"].tolist() == pytest.approx([0.0425, 0.0425, 0.085], abs=2e-6)


def test_a_disabled_environment_is_idle_though_jobs_wait(run):
    place = cloud(2, "c6i.large", minvCpus=2)
    data = scenario(
        submit("job", "1h", count=2, definition="pair"),
        environments=[place],
        definitions=[definition("pair", 2, 100)],
    )
    for at, state in (("30min", "DISABLED"), ("3h", "ENABLED")):
        data["workload"].append({"at": at, "update": {"computeEnvironment": "cloud", "state": state}})
    result = run(data)
    spent = {part: result.instances[f"{part}_usd"].sum() for part in ("busy", "idle", "fragmentation")}
    assert spent == {"busy": 0.17, "idle": 0.17, "fragmentation": 0}
    assert result.costs_by("job", "even")["idle_usd"].sum() == pytest.approx(0.17)
    assert result.audit() == []


def test_who_waits_may_use_an_environment_while_the_order_of_his_queue_names_it(run):
    # Half of `a` is free from 0 to 20 min; the pair, which would need all of it, waits from 5 min on, at
    # first for `a` and from 10 min on for `b`, where another job ends at 15 min.
    machine = {"vcpus": 2, "memory": "16GiB", "usdPerHour": 6}
    to_b = {"jobQueue": "q", "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "b"}]}
    data = scenario(
        submit("one", "20min"),
        submit("other", "15min", queue="r", definition="pair"),
        submit("two", "5min", at="5min", definition="pair"),
        {"at": "10min", "update": to_b},
        environments=[unmanaged("a", machine), unmanaged("b", machine)],
        definitions=[definition("pair", 2, 100)],
    )
    data["jobQueues"] = [queue("q", "a"), queue("r", "b")]
    result = run(data)
    assert seconds_of(result) == {"busy": 600, "idle": 300 + 150, "fragmentation": 150}
    assert seconds_of(result, 1) == {"busy": 1200}
    assert result.audit() == []
    moved = 50 / HOUR * 6
    result.instances.loc[0, "idle_usd"] -= moved
    result.instances.loc[0, "fragmentation_usd"] += moved
    assert "fragmentation_usd is not what its time cost" in " ".join(map(str, result.audit()))
