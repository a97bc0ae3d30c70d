"""What `batchsim run` says of the bill."""

from __future__ import annotations

import json
import re

import pytest

import batchsim
from batchsim.results.purchases import purchases
from tests.spec.scenarios import scenario, submit
from tests.spec.test_spec_fargate import fargate, on_fargate, task
from tests.spec.test_spec_managed_instances import ecs, world
from tests.spec.test_spec_spot import OFTEN, interrupted_at, spot
from tests.studies.scenarios import managed, unmanaged


def test_the_bill_is_told_by_what_it_was_spent_on_and_what_is_not_in_it(invoke, good):
    text = invoke("run", good).stdout
    first = [line.split()[0] for line in text[text.index("\nbill  ") + 1 :].splitlines()[2:9]]
    assert first == ["busy", "pull", "boot", "idle", "fragmentation", "tail", "lost"]
    assert "Not in it: EBS volumes, data transfer, " in text
    assert "tail are borne in proportion to what their jobs cost directly (--idle-cost)" in text


def test_idle_cost_that_is_kept_separate_is_borne_by_no_queue(invoke, good):
    summary = json.loads(invoke("run", good, "--idle-cost", "separate", "--format", "json").stdout)
    parts = summary["cost_parts_usd"]
    overhead = sum(parts[part] for part in ("boot", "idle", "fragmentation", "tail"))
    assert summary["cost_unattributed_usd"] == pytest.approx(overhead)
    text = invoke("run", good, "--idle-cost", "separate").stdout
    assert "USD, are borne by no queue" in text


def test_replications_share_idle_cost_by_the_same_rule_and_tell_the_parts(invoke, good):
    text = invoke("run", good, "-n", "2", "--idle-cost", "even").stdout
    assert "of it busy" in text
    assert "of it lost" not in text
    combined = json.loads(
        invoke("run", good, "-n", "2", "--idle-cost", "separate", "--format", "json").stdout
    )
    assert combined["cost_unattributed_usd"]["mean"] > 0


def test_an_unknown_rule_is_a_usage_error(invoke, good):
    assert invoke("run", good, "--idle-cost", "fair").exit_code == 2


@pytest.mark.parametrize(
    ("environments", "words"),
    [
        ([managed("cloud", 4, "c6i.large")], "On-Demand prices of 2"),
        ([spot(4, "c6i.large")], "us-east-1, Spot prices of 2"),
        ([managed("first", 4, "c6i.large"), spot(4, "c6i.large")], "On-Demand and Spot prices of 2"),
    ],
)
def test_the_prices_are_called_what_they_are(invoke, write, environments, words):
    text = invoke("run", write(scenario(submit("job", "1h"), environments=environments))).stdout
    assert words in text


def test_fargate_prices_are_called_so(invoke, write):
    data = on_fargate(
        submit("job", "1h", definition="task"), environments=[fargate(8), fargate(8, "FARGATE_SPOT")]
    )
    assert "(us-east-1, Fargate and Fargate Spot prices of 2" in invoke("run", write(data)).stdout


def test_what_ran_is_told_beside_what_was_paid_where_a_minute_is_paid_for_seconds(invoke, write):
    data = on_fargate(submit("job", "3s", definition="task"), environments=[fargate(8)])
    text = invoke("run", write(data | {"assumptions": {"preset": "ideal"}})).stdout
    (line,) = [line for line in text.splitlines() if line.startswith("utilization")]
    share, ran, paid = re.search(r"([\d.]+) %: [\d.]+ .* of ([\d.]+) that ran; ([\d.]+) paid", line).groups()
    assert float(share) > 0
    assert float(paid) == pytest.approx(20 * float(ran), rel=0.1)  # 60 s are paid, 3 s run


def test_hours_that_were_used_but_not_paid_are_called_free(invoke, write, monkeypatch):
    interrupted_at(30, monkeypatch)
    data = scenario(submit("job", "2h", retryStrategy={"attempts": 2}), environments=[spot(2, "c6i.large")])
    text = invoke("run", write(data | {"assumptions": {"preset": "ideal", **OFTEN}})).stdout
    assert (
        "1.00 vCPU-hours used, those of lost work included, of 0.00 paid and 2.00 free"
        " (Spot instances taken back within an hour)" in text
    )


def test_a_spot_environment_is_offered_types_at_spot_prices(invoke, write):
    from batchsim.catalog import Catalog

    environment = spot(64, "c6i.large")
    data = scenario(submit("job", "1h", definition="big"), environments=[environment])
    big = {"jobDefinitionName": "big", "type": "container"}
    big["containerProperties"] = {
        "image": "busybox",
        "resourceRequirements": [{"type": "VCPU", "value": "3"}, {"type": "MEMORY", "value": "20000"}],
    }
    data["jobDefinitions"].append(big)
    text = invoke("check", write(data)).stdout
    line = next(line for line in text.splitlines() if "Spot)" in line)
    name, price = line.split("add ")[1].split()[:2]
    catalog = Catalog.load("us-east-1")
    pool = catalog.spot(name)
    assert pool is not None
    assert float(price[1:]) == pytest.approx(catalog.price_uusd(name) * pool.price_factor / 1e6, rel=1e-5)
    assert "On-Demand prices, but where Spot is said, in USD" in text


def test_volumes_discounts_and_unused_commitments_are_told(invoke, write):
    data = scenario(
        submit("job", "1h"),
        environments=[managed("cloud", 2, "c6i.large")],
        assumptions={"instanceVolume": "73GiB"},
        commitments={"savingsPlan": {"commitment": 0.1, "discount": 0.28}},
    )
    for more, words in (
        ((), ("volumes ", "USD of it for EBS volumes", "USD taken off by", "commitment ", "used by nobody")),
        (("-n", "2"), ("of it unused commitment", "of it volumes", "taken off by commitments")),
    ):
        text = invoke("run", write(data), *more).stdout
        assert [each for each in words if each not in text] == []
        assert "Not in it: EBS" not in text


def purchase_rows(text: str) -> dict[str, list[str]]:
    """The table of purchase options: the cells of each row."""
    if "\npurchase option" not in text:
        return {}
    lines = text[text.index("\npurchase option") + 1 :].splitlines()[2:]
    table = lines[: lines.index("")] if "" in lines else lines
    return {cells[0]: cells[1:] for line in table if len(cells := re.split(r"  +", line)) > 1}


def test_the_bill_is_told_by_purchase_option_and_adds_up(invoke, write):
    lab = unmanaged("lab", {"instanceType": "c6i.large", "usdPerHour": 0.05})
    cheap = spot(2, "c6i.large") | {"computeEnvironmentName": "spot"}
    data = scenario(
        submit("job", "1h", count=6),
        submit("tasks", "1h", count=2, definition="task", queue="serverless"),
        environments=[lab, managed("cloud", 2, "c6i.large"), cheap],
        definitions=[task(1, 2048)],
        commitments={"savingsPlan": {"commitment": 0.5, "discount": 0.28}},
    )
    data["computeEnvironments"] += [fargate(1), fargate(1, "FARGATE_SPOT")]
    order = [
        {"order": 1, "computeEnvironment": "fargate"},
        {"order": 2, "computeEnvironment": "fargate_spot"},
    ]
    data["jobQueues"].append({"jobQueueName": "serverless", "priority": 1, "computeEnvironmentOrder": order})
    path = write(data)
    told = purchase_rows(invoke("run", path).stdout)
    options = ["own machines", "On-Demand", "Spot", "Fargate", "Fargate Spot", "commitments unused"]
    assert sorted(told) == sorted(options)
    result = batchsim.run(batchsim.load_scenario(path))
    found = {each.option: each for each in purchases(result.frames, result.manifest)}
    assert sum(each.cost_usd for each in found.values()) == pytest.approx(
        result.summary["cost_usd"], abs=1e-9
    )
    assert sum(each.instances for each in found.values()) == result.summary["instances"]
    for option in options:
        cost = result.instances["cost_usd"]
        assert float(told[option][3]) == pytest.approx(found[option].cost_usd, abs=5e-3)
        if option != "commitments unused":
            mine = result.instances["environment"] == ENVIRONMENTS[option]
            assert found[option].cost_usd == pytest.approx(cost[mine].sum(), abs=1e-9)


ENVIRONMENTS = {
    "own machines": "lab",
    "On-Demand": "cloud",
    "Spot": "spot",
    "Fargate": "fargate",
    "Fargate Spot": "fargate_spot",
}


def test_there_is_no_table_of_purchase_options_where_there_is_one(invoke, write):
    one = scenario(submit("job", "1h"), environments=[managed("cloud", 2, "c6i.large")])
    assert purchase_rows(invoke("run", write(one)).stdout) == {}


def test_amounts_of_one_column_have_one_number_of_decimals(invoke, write):
    data = scenario(
        submit("job", "100h"),
        environments=[managed("cloud", 2, "c6i.large")],
        commitments={"savingsPlan": {"commitment": 0.1, "discount": 0.28}},
    )
    text = invoke("run", write(data)).stdout
    table = text[text.index("\nbill  ") + 1 :].split("Not in it")[0].splitlines()[2:]
    amounts = {line.split()[0]: line.split()[1] for line in table}
    assert {"busy", "commitment"} <= set(amounts)
    assert {len(each.partition(".")[2]) for each in amounts.values()} == {2}


@pytest.mark.parametrize("price", [0, 1])
def test_work_that_was_lost_is_told_whatever_it_cost(invoke, write, price):
    box = {"vcpus": 1, "memory": "8GiB", "usdPerHour": price}
    lab = unmanaged("lab", box | {"leavesAfter": "30m"}, box | {"joinsAfter": "1h"})
    job = submit("job", "1h", retryStrategy={"attempts": 2})
    text = invoke("run", write(scenario(job, environments=[lab]))).stdout
    had = "of 1.50 paid" if price else "of 1.50 provided"
    assert f"1.50 vCPU-hours used, those of lost work included, {had}" in text
    text = invoke("run", write(scenario(submit("job", "5m"), environments=[lab]))).stdout
    assert "lost work" not in text


@pytest.mark.parametrize("after", [-1, 300])
def test_instances_that_stay_for_ever_beyond_the_end_of_the_bill_are_told(invoke, write, after):
    fleet = ecs(4, "c6i.large", infrastructureOptimization={"scaleInAfter": after})
    text = invoke("run", write(world(submit("job", "1h"), environments=[fleet]))).stdout
    told = "though instances of mi stay for ever (scaleInAfter -1)"
    assert (told in text) == (after == -1)


def test_jobs_that_lost_their_hosts_failed_for_one_reason_whichever_these_were(invoke, write):
    box = {"vcpus": 1, "memory": "8GiB", "usdPerHour": 1, "leavesAfter": "30m"}
    jobs = submit("job", "1h", count=3), submit("broken", "5m", at="1m", failure={"rate": 1})
    data = scenario(*jobs, environments=[unmanaged("lab", box, box, box, {"vcpus": 1, "memory": "8GiB"})])
    text = invoke("run", write(data)).stdout
    assert "FAILED       3: Host EC2 terminated.; 1: Essential container in task exited" in text
    assert "audit        21 laws hold" in text
