"""Every shipped scenario loads, checks, runs in seconds, audits clean, and shows what its header says."""

from __future__ import annotations

import re
import time

import pytest

import batchsim
from batchsim.studies.check import check
from tests.shipped import readme
from tests.shipped.readme import ROOT

FILES = sorted((ROOT / "scenarios").glob("*.yaml"))
STUCK = "stuck"
SECONDS = 5.0


def header(path):
    """The comment at the top of a scenario, without its marks."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return lines


def commands(path):
    """The commands of a scenario's header; what stands far to the right of one is a remark."""
    return [re.split(r"\s{4,}", line)[0] for line in header(path) if line.startswith("batchsim ")]


def load(name, *overrides):
    return batchsim.load_scenario(ROOT / "scenarios" / f"{name}.yaml", overrides)


def summary(name, *overrides):
    return batchsim.run(load(name, *overrides)).summary


def test_there_are_scenarios_of_each_kind():
    assert {path.stem for path in FILES} == {
        "quickstart",
        "fair-share",
        "gpu-fragmentation",
        "own-machines",
        "philly-2017",
        "pipeline",
        "real-jobs",
        "spot-market",
        "training-shares",
        STUCK,
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
class TestEveryScenario:
    def test_its_header_says_what_it_shows_and_how_to_run_it(self, path):
        lines = header(path)
        assert len(lines[0]) > 40
        assert f"batchsim run scenarios/{path.name}" in commands(path)
        assert load(path.stem).name == path.stem

    def test_check_tells_whether_its_jobs_can_start(self, path):
        never = check(load(path.stem)).never
        assert bool(never) == (path.stem == STUCK)

    def test_it_runs_in_seconds_and_every_law_holds(self, path):
        begun = time.perf_counter()
        result = batchsim.run(load(path.stem))
        assert result.audit() == []
        assert time.perf_counter() - begun < SECONDS
        assert result.summary["outcome"] == ("stalled" if path.stem == STUCK else "finished")
        says_more = result.service_jobs is not None or path.stem == "real-jobs"  # than can be simulated
        assert bool(result.manifest["not_modelled"]) == says_more

    def test_the_commands_of_its_header_work(self, path, tmp_path):
        for command in commands(path):
            code, said = readme.run(command, tmp_path)
            expected = {"check": 1, "run": 3}[command.split()[1]] if path.stem == STUCK else 0
            assert code == expected, f"{command}\n{said}"


# -------------------------------------------------------------------------------- what the headers claim


def test_half_of_the_quickstarts_bill_is_unused_and_two_thirds_would_do():
    result = batchsim.run(load("quickstart"))
    told = result.summary
    assert told["queues"]["clinical"]["waiting_p95_s"] < 600
    assert told["queues"]["research"]["waiting_p95_s"] > 6 * 3600
    assert 0.45 < told["utilization"] < 0.55
    assert len(told["instanceTypes"]) >= 4
    assert {kind.split(".")[0] for kind in result.instances["instance_type"]} == {"c6i"}
    cheaper = summary("quickstart", "computeEnvironments.genomics.computeResources.instanceTypes=[m6i, r6i]")
    assert cheaper["cost_usd"] == pytest.approx(told["cost_usd"] * 2 / 3, rel=0.05)


def test_gpus_are_free_while_training_waits_and_one_kept_instance_ends_that():
    told = summary("gpu-fragmentation")["queues"]
    assert told["training"]["waiting_p95_s"] > 6 * 3600
    assert told["tuning"]["waiting_p95_s"] < 3600
    kept = summary(
        "gpu-fragmentation",
        "jobQueues.training.computeEnvironmentOrder.0.computeEnvironment=whole",
        "computeEnvironments.shared.computeResources.maxvCpus=576",
    )["queues"]
    assert kept["training"]["waiting_max_s"] < 600


def test_of_the_sizes_of_g5_the_one_with_the_dearest_gpu_is_launched():
    listed = "computeEnvironments.shared.computeResources.instanceTypes=[g5.xlarge, g5.12xlarge, g5.48xlarge]"
    result = batchsim.run(load("gpu-fragmentation", listed))
    assert set(result.instances["instance_type"]) == {"g5.48xlarge"}


def test_free_gpus_add_up_to_what_the_waiting_job_asks_for():
    """Fragmentation itself: while a job of 8 GPUs waits, 8 are free, but never on one instance."""
    result = batchsim.run(load("gpu-fragmentation"))
    jobs = result.jobs
    longest = jobs[jobs["queue"] == "training"].sort_values("waiting_s").iloc[-1]
    ready = result.instances[result.instances["ready_s"] <= longest["runnable_s"]]
    free_in_all = []
    for instant in range(int(longest["runnable_s"]) + 60, int(longest["start_s"]) - 60, 300):
        up = ready[ready["ended_s"].isna() | (ready["ended_s"] > instant)]
        busy = result.attempts[
            (result.attempts["placed_s"] <= instant) & (result.attempts["ended_s"] > instant)
        ]
        used = busy.groupby("instance", observed=True)["gpus"].sum()
        free = up.set_index("instance")["gpus"].sub(used, fill_value=0)
        assert free.max() < 8
        free_in_all.append(free.sum())
    assert max(free_in_all) >= 8


def test_the_cloud_takes_what_the_lab_cannot():
    told = summary("own-machines")
    assert told["environments"]["lab"]["cost_usd"] == 0
    assert told["environments"]["cloud"]["cost_usd"] == pytest.approx(told["cost_usd"])
    assert told["cost_usd"] > 10
    alone = summary("own-machines", "computeEnvironments.cloud.computeResources.maxvCpus=0")
    assert alone["cost_usd"] == 0
    assert alone["waiting_p95_s"] > 10 * told["waiting_p95_s"]
    larger = summary(
        "own-machines",
        "computeEnvironments.cloud.computeResources.maxvCpus=0",
        "computeEnvironments.lab.instances.0.count=6",
    )
    assert told["waiting_p95_s"] < larger["waiting_p95_s"] < alone["waiting_p95_s"]


def test_a_quota_and_not_the_market_keeps_jobs_waiting_when_spot_capacity_is_gone():
    result = batchsim.run(load("spot-market"))
    told = result.summary
    refused = set(result.instances["end_reason"].astype(str))
    assert {"InsufficientInstanceCapacity", "MaxSpotInstanceCountExceeded", "VcpuLimitExceeded"} <= refused
    (record,) = result.manifest["spot_prices"]["traces"]
    assert (record["rows_read"], record["prices"], record["dropped"]["not Linux/UNIX"]) == (26, 24, 2)
    assert (record["begins_at"], record["late_pools"]) == ("2024-06-10T00:00:00Z", 0)
    assert told["waiting_p95_s"] > 45 * 60
    without = {
        each: summary("spot-market", f"assumptions.{each}={nothing}")
        for each, nothing in (("accountQuotas", "{}"), ("spotAvailability", "[]"), ("spotPrices", "[]"))
    }
    assert without["accountQuotas"]["waiting_p95_s"] < 240
    assert without["accountQuotas"]["cost_usd"] == pytest.approx(told["cost_usd"] * 1.05, rel=0.01)
    assert without["spotAvailability"]["waiting_p95_s"] < 180
    assert without["spotPrices"]["cost_usd"] < told["cost_usd"]


def test_who_reserves_doubles_the_waits_of_others_and_gains_nothing():
    lent, kept = (
        summary("training-shares", f"quotaShares.vision.resourceSharingConfiguration.strategy={strategy}")
        for strategy in ("LEND", "RESERVE")
    )
    one, two = (told["services"]["queues"]["training"]["quotaShares"] for told in (lent, kept))
    assert two["research"]["preemptions"] < one["research"]["preemptions"]
    assert 1.7 < two["research"]["waiting_mean_s"] / one["research"]["waiting_mean_s"] < 2.3
    assert two["vision"]["waiting_mean_s"] == pytest.approx(one["vision"]["waiting_mean_s"], rel=0.05)
    assert one["vision"]["preemptions"] > 0
    assert one["speech"]["capacity_retries"] > 0


def waits_of_groups(name, *overrides):
    """Mean waiting of each workload entry, in minutes, and the cost."""
    result = batchsim.run(load(name, *overrides))
    means = result.jobs.groupby("group", observed=True)["waiting_s"].mean() / 60
    return means.to_dict(), result.summary["cost_usd"]


def test_who_asks_for_less_than_its_share_hardly_waits():
    entries = ("backtest", "price", "explore", "urgent")
    shares, cost = waits_of_groups("fair-share")
    assert shares["explore"] < 1
    assert shares["price"] < 5
    assert shares["backtest"] > 300
    line, _ = waits_of_groups("fair-share", *(f"workload.{each}.shareIdentifier=all" for each in entries))
    assert line["explore"] == pytest.approx(line["price"], rel=0.02)
    assert 320 < line["price"] < 360
    assert line["backtest"] < shares["backtest"]
    policy = "schedulingPolicies.teams.fairsharePolicy"
    heavier, _ = waits_of_groups("fair-share", f"{policy}.shareDistribution.0.weightFactor=1")
    assert 3 < heavier["price"] / shares["price"] < 5
    reserved, more = waits_of_groups("fair-share", f"{policy}.computeReservation=30")
    assert reserved["price"] == pytest.approx(shares["price"], rel=0.15)
    assert reserved["backtest"] > shares["backtest"] + 10
    assert more > cost


def published(result):
    """When the forecast was published, in hours; NaN where it was not."""
    jobs = result.jobs.set_index("job")
    assert (jobs.loc["publish-0", "state"] == "SUCCEEDED") == jobs["end_s"].notna()["publish-0"]
    return jobs.loc["publish-0", "end_s"] / 3600


def test_a_multi_node_job_is_starved_by_small_ones_and_an_environment_of_its_own_ends_that():
    result = batchsim.run(load("pipeline"))
    assert 7.5 < published(result) < 8.5
    assert (result.jobs["state"] == "SUCCEEDED").all()
    retried = result.attempts[result.attempts["exit_code"] == 75]["job"].str.partition(":")[0]
    assert set(retried) == {"observations-0"}
    life = result.explain("analysis-0")
    starved = life[life["reason"].str.startswith("too few instances")]
    assert starved["duration_s"].sum() > 4 * 3600
    assert starved["others"].sum() > 200
    own = "jobQueues.analysis.computeEnvironmentOrder.0.computeEnvironment=nodes"
    alone = batchsim.run(load("pipeline", own))
    assert 3.5 < published(alone) < 4.5
    assert alone.summary["cost_usd"] < result.summary["cost_usd"]
    assert (alone.instances["environment"] == "nodes").sum() == 4


def test_members_that_run_into_their_time_limit_take_the_forecast_with_them():
    result = batchsim.run(load("pipeline", "jobDefinitions.member.timeout.attemptDurationSeconds=3600"))
    jobs = result.jobs.set_index("job")
    stopped = jobs[jobs["status_reason"] == "Job attempt duration exceeded timeout"]
    assert len(stopped) > 0
    assert set(stopped["group"]) == {"members"}
    assert (stopped["attempts"] == 1).all()
    doomed = {name.replace("members", "products") for name in stopped.index} | {"publish-0"}
    assert set(jobs.index[jobs["status_reason"] == "Dependent Job failed"]) == doomed


def test_the_stuck_job_holds_up_those_behind_it():
    result = batchsim.run(load(STUCK))
    waiting = result.jobs[result.jobs["state"] == "RUNNABLE"]
    behind = waiting[waiting["job"] != "genome-0"]
    assert len(behind) == len(waiting) - 1
    assert len(behind) > 1
    assert all(reason.startswith("Waits behind the head") for reason in behind["status_reason"])
    mended = summary(
        STUCK, "jobDefinitions.assemble.containerProperties.resourceRequirements.MEMORY.value=31061"
    )
    assert mended["outcome"] == "finished"
