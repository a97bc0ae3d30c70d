"""What each verb does and prints, called in this process."""

from __future__ import annotations

import csv
import io
import json
import shlex
import shutil
import signal
from typing import TYPE_CHECKING, get_args

import pytest

from batchsim.catalog import ARCHITECTURES, MEMORY_MODELS, SORT_KEYS, Catalog
from batchsim.cli.columns import Frame
from batchsim.cli.instances import Arch, MemoryModel, SortBy
from batchsim.cli.run import Files, IdleCost
from batchsim.results import COLUMNS, Result, Violation
from batchsim.results.audit import LAWS
from batchsim.results.bill import IDLE_COSTS
from batchsim.results.columns import FRAMES, OPTIONAL_FRAMES
from batchsim.results.files import Format as FileFormat
from batchsim.scenario import json_schema, load_scenario
from batchsim.studies.replications import combine, replicate
from batchsim.studies.run import run
from tests.studies.scenarios import definition, jobs, managed, unmanaged, world

if TYPE_CHECKING:
    from enum import Enum
    from pathlib import Path

BROKEN = Violation("L13", "planted", rows=(0,), frame="instances", count=1)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize(
    ("choices", "known"),
    [
        (SortBy, tuple(SORT_KEYS)),
        (Arch, ARCHITECTURES),
        (MemoryModel, MEMORY_MODELS),
        (Frame, (*FRAMES, *OPTIONAL_FRAMES)),
        (IdleCost, IDLE_COSTS),
        (Files, get_args(FileFormat)),
    ],
)
def test_the_choices_of_an_option_are_those_of_the_library(choices: type[Enum], known):
    assert tuple(each.value for each in choices) == known


# --- run ----------------------------------------------------------------------------------------


def test_run_prints_the_summary_as_json(invoke, good):
    done = invoke("run", good, "--seed", "3", "--format", "json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    expected = run(load_scenario(good), seed=3)
    assert {key: told[key] for key in expected.summary} == expected.summary
    assert told["seed"] == 3
    assert told["violations"] == []
    assert told["never_start"] == []
    assert (told["currency"], told["region"]) == ("USD", "us-east-1")
    assert told["price_date"] == Catalog.load("us-east-1").price_date()


def test_run_prints_a_row_for_each_part_as_csv(invoke, good):
    done = invoke("run", good, "--format", "csv")
    table = rows(done.stdout)
    summary = run(load_scenario(good)).summary
    scopes = [(row["scope"], row["name"]) for row in table]
    assert scopes == [
        ("total", "small"),
        *(("queue", name) for name in summary["queues"]),
        *(("environment", name) for name in summary["environments"]),
        *(("instance_type", name) for name in summary["instanceTypes"]),
    ]
    assert float(table[0]["cost_usd"]) == summary["cost_usd"]
    assert float(table[1]["waiting_p95_s"]) == summary["queues"]["q0"]["waiting_p95_s"]
    assert table[1]["instances"] == ""
    assert {row["region"] for row in table} == {"us-east-1"}


def test_run_prints_tables(invoke, good):
    done = invoke("run", good)
    text = done.stdout
    manifest = run(load_scenario(good)).manifest
    assert f"(us-east-1, On-Demand prices of {manifest['price_date']})" in text
    for line in (
        "bill  ",
        "assumptions  preset aws, unchanged",
        f"audit        {len(LAWS)} laws hold",
        "seed         0",
    ):
        assert line in text
    for header in ("job queue", "environment", "instance type"):
        assert any(line.startswith(header) for line in text.splitlines())
    assert "turnaround" not in text
    assert done.stderr == ""


def test_the_wide_table_has_all_columns_and_rows(invoke, write):
    environments = [unmanaged(f"lab{i}", {"vcpus": 1, "memory": "1GiB"}) for i in range(15)]
    workload = [jobs(f"j{i}", f"q{i}", "d", 1) for i in range(15)]
    scenario = write(world(environments, workload, definition("d", 1, 4)))
    table, wide = (invoke("run", scenario, "--format", each).stdout for each in ("table", "wide"))
    assert "3 of 15 rows were cut; --format wide shows all" in table
    assert "lab11" in table
    assert "lab12" not in table
    assert "lab14" in wide
    assert "rows were cut" not in wide
    assert "turnaround" in wide


def test_changed_assumptions_are_told(invoke, good):
    done = invoke("run", good, "--set", "assumptions.preset=ideal", "--set", "assumptions.idleScaleIn=90s")
    assert "assumptions  preset ideal; idleScaleIn 90s" in done.stdout


def test_what_is_not_modelled_is_told_on_stderr(invoke, good):
    done = invoke("run", good, "--set", "computeEnvironments.cloud.serviceRole=arn:aws:iam::1:role/x")
    assert done.stderr == "note: IAM roles, keys and secrets are not modelled: every call is allowed.\n"


def test_a_trace_tells_what_became_of_its_rows(invoke, write, tmp_path):
    lines = [f"{i} {i} -1 {60 if i else 0} 1 -1 -1 1 -1 -1 1 1 1 1 1 -1 -1 -1" for i in range(4)]
    (tmp_path / "log.swf").write_text("\n".join(lines) + "\n")
    entry = {"name": "log", "jobQueue": "q0", "trace": {"format": "swf", "path": "log.swf"}}
    scenario = write(world([unmanaged("lab", {"vcpus": 1, "memory": "1GiB"})], [entry]))
    text = invoke("run", scenario).stdout
    assert "3 of 4 rows, 1 left out (run time <= 0), 4 MiB per vCPU assumed for 3" in text
    assert "0.00 USD (us-east-1, the scenario's own prices)" in text
    assert "nothing was paid" in text


def test_a_run_stopped_at_its_horizon_is_good(invoke, good):
    done = invoke("run", good, "--set", "horizon=3m")
    assert done.exit_code == 0
    assert done.stdout.startswith("small: stopped at its horizon, 3m 00s, with ")
    assert "not submitted" not in done.stdout


def test_jobs_beyond_the_horizon_are_counted(invoke, good):
    every = {"every": {"interval": "1m"}}
    options = [f"workload.small.arrivals={json.dumps(every)}", "horizon=3m"]
    done = invoke("run", good, *(word for each in options for word in ("--set", each)))
    assert done.stdout.splitlines()[0].endswith(" not ended and 3 not submitted")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_run_writes_its_files(invoke, good, tmp_path, suffix):
    out = tmp_path / "out"
    done = invoke("run", good, "-o", str(out), "--files", suffix)
    assert (done.exit_code, done.stderr) == (0, f"the result is in {out}\n")
    frames = (f"{each}.{suffix}" for each in (*FRAMES, "waits"))
    assert names(out) == sorted([*frames, "manifest.json", "summary.json"])
    assert Result.read(out).summary == run(load_scenario(good)).summary


def test_a_folder_with_other_things_is_refused(invoke, good, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").touch()
    done = invoke("run", good, "-o", str(out))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "found thesis.tex; nothing was written" in done.stderr
    assert names(out) == ["thesis.tex"]


def test_a_stalled_run_tells_whom_why_and_what_to_do(invoke, stuck, tmp_path):
    done = invoke("run", stuck, "-o", str(tmp_path / "out"))
    assert done.exit_code == 3
    assert done.stdout.startswith("small: stalled after ")
    text = done.stdout
    assert "   3  big-0    MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job" in text
    assert "   4  late-0   Waits behind the head of job queue q0: MISCONFIGURATION" in text
    assert "big (big)  ask for at most 7591 MiB, or add r5a.large (0.113 USD/h) to cloud" in text
    assert names(tmp_path / "out") != []


def test_a_stalled_run_as_json(invoke, stuck):
    done = invoke("run", stuck, "--format", "json")
    assert done.exit_code == 3
    told = json.loads(done.stdout)
    assert [(each["jobs"], each["example"]) for each in told["never_start"]] == [(3, "big-0"), (4, "late-0")]


# --- run -n -------------------------------------------------------------------------------------


def test_replications_are_combined(invoke, good, tmp_path):
    out = tmp_path / "out"
    done = invoke("run", good, "-n", "3", "--seed", "2", "-o", str(out), "--format", "json")
    assert (done.exit_code, done.stderr) == (0, f"the result is in {out}\n")
    told = json.loads(done.stdout)
    results = list(replicate(load_scenario(good), 3, seed=2))
    expected = combine([(each.summary, each.manifest) for each in results])
    assert told == {**expected, "violations": []}
    assert json.loads((out / "summary.json").read_text()) == expected
    assert names(out) == [*(f"replication-000{k}" for k in range(3)), "summary.json"]
    assert Result.read(out / "replication-0002").summary == results[2].summary


def test_replications_as_tables(invoke, good):
    text = invoke("run", good, "-n", "3").stdout
    assert text.startswith("small: 3 replications, 3 finished\n")
    assert "95 % interval" in text
    assert "seed         0, replications 0 to 2" in text
    assert f"{len(LAWS)} laws hold" in text
    assert any(line.startswith("waiting P95") and " to " in line for line in text.splitlines())
    assert any(line.startswith("q0") and line.count("±") == 4 for line in text.splitlines())


def test_replications_as_csv(invoke, good):
    table = rows(invoke("run", good, "-n", "2", "--format", "csv").stdout)
    cost = {
        row["scope"]: row for row in table if row["metric"] == "cost_usd" and row["name"] in {"small", "q0"}
    }
    first, second = (each.summary["cost_usd"] for each in replicate(load_scenario(good), 2))
    assert float(cost["total"]["mean"]) == pytest.approx((first + second) / 2)
    assert float(cost["total"]["least"]) == min(first, second)
    assert cost["queue"]["confidence"] == "0.95"


def test_fewer_replications_do_not_mix_with_more(invoke, good, tmp_path):
    out = str(tmp_path / "out")
    assert invoke("run", good, "-n", "3", "-o", out).exit_code == 0
    done = invoke("run", good, "-n", "2", "-o", out)
    assert done.exit_code == 2
    assert "found replication-0002; nothing was written" in done.stderr
    assert invoke("run", good, "-n", "3", "-o", out).exit_code == 0


def test_a_stalled_replication_is_told(invoke, stuck):
    done = invoke("run", stuck, "-n", "2")
    assert done.exit_code == 3
    assert done.stdout.startswith("small: 2 replications, 2 stalled\n")
    assert done.stderr == "batchsim check tells which jobs can never start, and what to do about it\n"


# --- audit --------------------------------------------------------------------------------------


def test_a_broken_law_fails_the_run(invoke, good, monkeypatch):
    monkeypatch.setattr(Result, "audit", lambda _: [BROKEN])
    done = invoke("run", good)
    assert done.exit_code == 1
    assert "audit        FAILED: 1 broken laws" in done.stdout
    assert done.stderr == f"error: the result breaks a law, which is a bug in batchsim:\n{BROKEN}\n"
    assert invoke("run", good, "-n", "2").stderr.count("planted") == 2
    assert json.loads(invoke("run", good, "--format", "json").stdout)["violations"] == [str(BROKEN)]


def test_a_broken_law_outweighs_a_stall(invoke, stuck, monkeypatch):
    monkeypatch.setattr(Result, "audit", lambda _: [BROKEN])
    assert invoke("run", stuck).exit_code == 1


def test_no_audit_where_none_is_wanted(invoke, good, monkeypatch):
    monkeypatch.setattr(Result, "audit", lambda _: [BROKEN])
    done = invoke("run", good, "--no-audit")
    assert done.exit_code == 0
    assert "audit        not made (--no-audit)" in done.stdout
    assert json.loads(invoke("run", good, "--no-audit", "--format", "json").stdout)["violations"] is None


@pytest.mark.parametrize("replications", ["1", "2"])
def test_audit_of_a_folder(invoke, good, tmp_path, replications):
    out = tmp_path / "out"
    invoke("run", good, "-n", replications, "-o", str(out))
    done = invoke("audit", str(out))
    which = "the result" if replications == "1" else "all 2 results"
    assert (done.exit_code, done.stdout) == (0, f"{len(LAWS)} laws hold for {which} in {out}\n")
    guilty = out if replications == "1" else out / "replication-0001"
    summary = json.loads((guilty / "summary.json").read_text())
    summary["cost_usd"] += 1
    (guilty / "summary.json").write_text(json.dumps(summary))
    done = invoke("audit", str(out))
    assert done.exit_code == 1
    assert done.stdout.startswith(
        f"{guilty}: L13 (cost = sum over instances of billed time x price): summary: "
    )
    told = json.loads(invoke("audit", str(out), "--format", "json").stdout)
    # The summary above replications no longer follows from them.
    expected = {"L13": str(guilty)} | ({} if replications == "1" else {"L20": str(out)})
    assert {each["law"]: each["folder"] for each in told["violations"]} == expected
    listed = rows(invoke("audit", str(out), "--format", "csv").stdout)
    assert {row["law"]: row["folder"] for row in listed} == expected


def test_an_audit_says_that_the_replications_were_broken_off(invoke, good, tmp_path):
    out = tmp_path / "out"
    invoke("run", good, "-n", "2", "-o", str(out))
    assert "partial" not in invoke("audit", str(out)).stderr
    (out / "summary.json").unlink()
    done = invoke("audit", str(out))
    assert done.exit_code == 0
    assert f"note: {out} is partial: it holds replications (2) but no summary.json" in done.stderr
    assert json.loads(invoke("audit", str(out), "--format", "json").stdout)["partial"] is True
    shutil.rmtree(out / "replication-0000")
    done = invoke("audit", str(out))
    assert done.exit_code == 0
    assert "after the last one; replication-0000 should be there too" in " ".join(done.stderr.split())
    assert json.loads(invoke("audit", str(out), "--format", "json").stdout)["missing"] == ["replication-0000"]


def test_an_audit_finds_a_scenario_that_was_changed_after_the_run(invoke, good, tmp_path):
    out = tmp_path / "out"
    invoke("run", good, "-o", str(out))
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["scenario"]["computeEnvironments"][0]["computeResources"]["maxvCpus"] += 100
    (out / "manifest.json").write_text(json.dumps(manifest))
    done = invoke("audit", str(out))
    assert done.exit_code == 1
    assert done.stdout == (
        f"{out}: L18 (what the scenario fixes is so: names, attempts allowed, fixed delays): manifest:"
        " scenario_sha256 is not that of the scenario beside it: one of them was changed after the run\n"
    )


# --- interrupts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        (KeyboardInterrupt, 130, "interrupted: nothing was written"),
        (
            MemoryError,
            1,
            "error: there is not enough memory for this; fewer jobs need less, and a million take one GB",
        ),
    ],
)
def test_a_run_that_is_broken_off_writes_nothing(invoke, good, tmp_path, monkeypatch, case):
    broken_off, code, said = case

    def simulate(*_, **__):
        raise broken_off

    monkeypatch.setattr("batchsim.studies.run.simulate", simulate)
    done = invoke("run", good, "-o", str(tmp_path / "out"))
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr == f"{said}\n"
    assert not (tmp_path / "out").exists()


def test_an_interrupt_while_writing_waits_for_the_files(invoke, good, tmp_path, monkeypatch):
    written = Result.write

    def write(self, *arguments):
        signal.raise_signal(signal.SIGINT)
        written(self, *arguments)

    monkeypatch.setattr(Result, "write", write)
    out = tmp_path / "out"
    done = invoke("run", good, "-o", str(out))
    assert (done.exit_code, done.stdout) == (130, "")
    assert done.stderr == f"interrupted: the result is in {out}\n"
    assert Result.read(out).summary["jobs"] == 18


def test_interrupted_replications_tell_how_many_are_there(invoke, good, tmp_path, monkeypatch):
    calls = []
    audit = Result.audit

    def interrupt_the_second(self):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return audit(self)

    monkeypatch.setattr(Result, "audit", interrupt_the_second)
    out = tmp_path / "out"
    done = invoke("run", good, "-n", "3", "-o", str(out))
    assert done.exit_code == 130
    assert done.stderr == f"interrupted: 2 of 3 replications were written to {out}\n"
    assert names(out) == ["replication-0000", "replication-0001"]


# --- check --------------------------------------------------------------------------------------


def test_check_of_a_good_scenario(invoke, good):
    done = invoke("check", good)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.endswith("Each of the 18 jobs can start.\n")
    assert "cloud (10 of 10 types)" in done.stdout


def test_check_names_the_reason_and_the_change(invoke, stuck):
    done = invoke("check", stuck)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == "3 of the 9 jobs can never start."
    assert "NEVER, see 1" in done.stdout
    assert "1. big (big): 3 jobs in job queue q0, such as big-0" in done.stdout
    assert "to mend it: ask for at most 7591 MiB" in done.stdout
    assert "or: add r5a.large (0.113 USD/h) to cloud" in done.stdout
    assert "On-Demand prices in USD, us-east-1, of " in done.stdout
    assert "Job queue q0: 4 jobs that could start come after one that never can" in done.stdout


def test_the_printed_options_mend_the_scenario(invoke, stuck):
    lines = invoke("check", stuck).stdout.splitlines()
    options = [shlex.split(line) for line in lines if line.strip().startswith("--set")]
    assert len(options) == 2
    for each in options:
        assert invoke("check", stuck, *each).exit_code == 0


def test_the_printed_command_mends_everything(invoke, write):
    scenario = write(
        world(
            [managed("m", 8, "c6i.large"), unmanaged("lab", {"vcpus": 2, "memory": "1GiB"})],
            [jobs("gpu", "q0", "gpu"), jobs("wide", "q0", "wide"), jobs("lab", "q1", "wide")],
            definition("gpu", 2, 8192, 1),
            definition("wide", 16, 1024),
        )
    )
    lines = invoke("check", scenario).stdout.splitlines()
    (command,) = [shlex.split(line) for line in lines if line.strip().startswith("batchsim check ")]
    assert invoke(*command[1:]).exit_code == 0


def test_check_as_json_and_csv(invoke, stuck):
    done = invoke("check", stuck, "--format", "json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["can_all_start"] is False
    big = next(each for each in told["findings"] if each["workload"] == "big")
    assert big["status_reason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ")
    assert big["changes"][0]["text"] == "ask for at most 7591 MiB"
    assert big["most"] == {"vcpus": 2, "memory_mib": 8192, "gpus": 0}
    table = rows(invoke("check", stuck, "--format", "csv").stdout)
    assert [row["can_start"] for row in table] == ["True", "False", "True"]
    assert table[1]["memory_mib"] == "8192"


def test_check_of_many_kinds_shows_those_that_never_start_first(invoke, write):
    definitions = [definition(f"d{i}", 1, 4) for i in range(60)]
    workload = [jobs(f"j{i}", "q0", f"d{i}") for i in range(60)]
    scenario = write(
        world(
            [unmanaged("lab", {"vcpus": 1, "memory": "1GiB"})],
            [*workload, jobs("never", "q0", "wide")],
            *definitions,
            definition("wide", 2, 4),
        )
    )
    lines = invoke("check", scenario).stdout.splitlines()
    assert lines[2].startswith("never ")
    assert "21 of 61 rows were cut; --format wide shows all" in lines
    assert len(rows(invoke("check", scenario, "--format", "csv").stdout)) == 61


# --- instances ----------------------------------------------------------------------------------


def test_instances_are_ranked_and_cut_rows_are_counted(invoke):
    done = invoke("instances", "--vcpus", "4", "--memory", "31000MiB", "--limit", "3")
    lines = done.stdout.splitlines()
    assert lines[0] == "Instance types for jobs of 4 vCPU, 31000 MiB, by price"
    assert lines[4].split()[:4] == ["r6g.xlarge", "arm64", "4", "31,061"]
    assert lines[-1].startswith("On-Demand prices (Linux) in USD, us-east-1, of ")
    every = rows(
        invoke("instances", "--vcpus", "4", "--memory", "31000", "--limit", "0", "--format", "csv").stdout
    )
    assert done.stderr == f"{len(every) - 3:,} of {len(every):,} rows were cut; --limit 0 shows all\n"
    prices = [float(row["usd_per_hour"]) for row in every]
    assert prices == sorted(prices)
    assert all(int(row["usable_memory_mib"]) >= 31_000 for row in every)


def test_instances_of_some_families_only(invoke):
    done = invoke("instances", "c6i", "m6i.large", "--memory", "7GiB", "--format", "json")
    told = json.loads(done.stdout)
    assert {each["instance_type"].partition(".")[0] for each in told} == {"c6i", "m6i"}
    by_job = json.loads(
        invoke("instances", "c6i", "--memory", "7GiB", "--sort-by", "jobs", "--format", "json").stdout
    )
    assert by_job[0]["jobs"] == max(each["jobs"] for each in by_job)


def test_instances_of_a_catalogue_of_ones_own(invoke, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text(
        "instance_type,vcpus,memory_mib,usable_memory_mib,usd_per_hour,gpus\nlab.big,64,262144,,0.001,2\n"
    )
    done = invoke("instances", "--gpus", "2", "--catalog", str(own), "--limit", "1", "--format", "json")
    (first,) = json.loads(done.stdout)
    assert (first["instance_type"], first["usd_per_hour"], first["gpus"]) == ("lab.big", 0.001, 2)


def test_instances_on_the_spot_market_tell_price_share_and_interruptions(invoke):
    asked = ("instances", "c6i.4xlarge", "m6i.4xlarge", "c8a.4xlarge", "--vcpus", "4", "--spot")
    done = invoke(*asked)
    told = {row["instance_type"]: row for row in json.loads(invoke(*asked, "--format", "json").stdout)}
    assert {*told} == {"c6i.4xlarge", "m6i.4xlarge"}
    for name, row in told.items():
        price = row["on_demand_usd_per_hour"] * row["spot_share"]
        assert row["usd_per_hour"] == pytest.approx(price, abs=1e-6)
        line = next(line for line in done.stdout.splitlines() if line.startswith(name))
        assert line.endswith(f"  {row['spot_share']:.0%}".replace("%", " %") + f"  {row['interruption']:>7}")
    assert "Spot Instance Advisor of 2025-06-28" in done.stdout
    assert "do not have them: 1 more that can hold such a job" in done.stderr
    assert "c8a: nothing is known of the Spot market\n" in invoke("instances", "c8a", "--spot").stderr


def test_instances_where_none_fits(invoke):
    done = invoke("instances", "--gpus", "1000")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith(
        "no instance type in us-east-1 can hold such a job: 1,000 GPUs, the most is "
    )


def test_a_query_that_contradicts_itself_is_told_what_contradicts_what(invoke):
    done = invoke("instances", "m7g", "--arch", "x86_64")
    none = "no instance type in us-east-1 can hold such a job"
    assert done.stderr == f"{none}: m7g: arm64 only, not x86_64\n"
    done = invoke("instances", "c6i.large", "r6i.large", "--vcpus", "4", "--memory", "15000MiB")
    assert done.stderr == f"{none}: 4 vCPUs, the most is 2\n"
    done = invoke("instances", "c6i.xlarge", "r6i.large", "--vcpus", "4", "--memory", "15000MiB")
    assert done.stderr == f"{none}: each of its needs is met by some type, but not all of them by one\n"


# --- schema and columns -------------------------------------------------------------------------


def test_schema(invoke):
    assert json.loads(invoke("schema").stdout) == json_schema()


def test_columns(invoke):
    assert json.loads(invoke("columns", "--format", "json").stdout) == [each._asdict() for each in COLUMNS]
    only = rows(invoke("columns", "--frame", "attempts", "--format", "csv").stdout)
    assert [row["name"] for row in only] == [each.name for each in COLUMNS if each.frame == "attempts"]
    text = invoke("columns").stdout
    assert all(each.name in text for each in COLUMNS)
