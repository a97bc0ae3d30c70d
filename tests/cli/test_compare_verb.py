"""`batchsim compare`: what it prints, in which form, and what it says of mistakes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from batchsim.cli.prices import prices
from batchsim.scenario import load_scenario
from batchsim.studies.compare import compare

MOST = "computeEnvironments.cloud.computeResources.maxvCpus"
TYPES = "computeEnvironments.cloud.computeResources.instanceTypes"


def test_a_comparison(invoke, good, tmp_path):
    done = invoke("compare", good, "--vary", f"{MOST}=8,16", "-n", "2", "-o", str(tmp_path / "out"))
    assert done.exit_code == 0
    assert done.stdout.startswith("small: 2 variants, 2 replications each, with the same draws\n")
    assert "Difference to 8\n" in done.stdout
    assert done.stdout.count("✓") == 2
    assert f"the comparison is in {tmp_path / 'out'}" in done.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_a_grid_as_json_and_csv(invoke, good):
    given = ["compare", good, "--vary", f"{MOST}=8,16", "--vary", "horizon=1h,10h,20h", "-n", "2"]
    data = json.loads(invoke(*given, "--format", "json").stdout)
    assert len(data["variants"]) == 6
    assert data["replications"] == 2
    rows = list(csv.DictReader(io.StringIO(invoke(*given, "--format", "csv").stdout)))
    assert [row["variant"] for row in rows] == [each["name"] for each in data["variants"]]
    assert {row["maxvCpus"] for row in rows} == {"8", "16"}
    assert float(rows[0]["cost_usd"]) == data["variants"][0]["measures"]["cost_usd"]["mean"]
    assert rows[0]["price_date"]


def test_no_variant_that_meets_the_targets_is_exit_code_one(invoke, good):
    given = ["compare", good, "--vary", f"{MOST}=8,16", "-n", "1"]
    assert invoke(*given, "--subject-to", "cost<=100", "--subject-to", "p95_wait<=9d").exit_code == 0
    done = invoke(*given, "--subject-to", "cost<=0")
    assert done.exit_code == 1
    assert "no variant does the whole work and meets all targets" in done.stdout


def test_a_type_with_too_little_memory_is_never_placed(invoke, stuck):
    done = invoke("compare", stuck, "--vary", f"{TYPES}=[c6i.large],[r6i.large]", "-n", "1")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    (row,) = [line for line in lines if "NEVER PLACED: 7 jobs" in line]
    assert row.startswith("-") and "c6i.large" in row  # noqa: PT018 - one row
    assert any(
        line.startswith("c6i.large never places 7 of 9 jobs: big (big): asks for 8192 MiB") for line in lines
    )


def test_an_output_without_ticks(batchsim, good):
    done = batchsim("compare", good, "--vary", f"{MOST}=8,16", "-n", "1", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "* the cheapest of these variants: " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vary", f"{MOST}=8"], "expected at least two values"),
        (["--vary", "queues.q0.priority=1,2"], "queues"),
        (["--vary", "computeEnvironments.nowhere.state=ENABLED,DISABLED"], "'nowhere'"),
        (["--vary", f"{MOST}=8,lots"], f'--vary {MOST}="lots"'),
        (["--vary", f"{TYPES}=[c6i],[c6y]"], "'c6y' is not an instance type"),
        (["--vary", f"{MOST}=8,16", "--subject-to", "wait<=1h"], "expected a measure, found 'wait'"),
        (["--vary", f"{MOST}=8,16", "--subject-to", "p95_wait<=1x"], "expected a duration"),
        (["--vary", f"{MOST}=8,16", "--speed-factor", "m7i"], "expected NAME=FACTOR or a CSV file"),
        (["--vary", f"{MOST}=8,16", "--speed-factor", "m7x=2"], "speedFactors.m7x"),
        (["--vary", f"{MOST}=8,16", "--speed-factor", "m7i=0"], "a value of at least 0.01"),
        (["--vary", f"{MOST}=8,16", "--speed-factor", "none.csv"], "none.csv: cannot be read"),
    ],
)
def test_a_mistake_is_one_line(invoke, good, arguments, said):
    done = invoke("compare", good, "-n", "1", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_used_is_told_before_anything_is_run(invoke, good, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    done = invoke("compare", good, "--vary", f"{MOST}=8,16", "-o", str(tmp_path))
    assert done.exit_code == 2
    assert "expected a new folder" in done.stderr


def test_speeds_of_a_table_are_said_to_be_assumed(invoke, good, tmp_path):
    table = tmp_path / "speeds.csv"
    table.write_text("instance_type,speed_factor\nm6i,2\n")
    given = ["compare", good, "--vary", f"{TYPES}=[c6i],[m6i]", "-n", "1", "--speed-factor", str(table)]
    done = invoke(*given, "--speed-factor", "c6i=1.1")
    assert done.exit_code == 0
    assert "assumptions  preset aws; speedFactors {m6i: 2.0, c6i: 1.1}" in done.stdout


def test_what_is_varied_cannot_be_set(invoke, good):
    done = invoke("compare", good, "--vary", f"{MOST}=8,16", "--set", f"{MOST}=12", "-n", "1")
    assert done.exit_code == 2
    assert done.stderr == f"error: --set {MOST}=12: {MOST} is varied, too; leave one of them out\n"


def test_a_part_of_what_is_varied_cannot_be_set(invoke, good):
    whole = MOST.rpartition(".")[0]
    values = "{type: EC2, maxvCpus: 8},{type: EC2, maxvCpus: 16}"
    done = invoke("compare", good, "--vary", f"{whole}={values}", "--set", f"{MOST}=12", "-n", "1")
    assert done.exit_code == 2
    assert done.stderr == f"error: --set {MOST}=12: {whole} is varied, too; leave one of them out\n"


@pytest.mark.parametrize(
    ("scenarios", "date", "said"),
    [
        ([{"computeEnvironments": [{"computeResources": {"type": "EC2"}}]}], "D", "On-Demand prices of D"),
        (
            [
                {
                    "computeEnvironments": [{"computeResources": {"type": "EC2"}}],
                    "workload": [{"name": "w"}, {"at": "1h", "update": {"type": "SPOT"}}],
                }
            ],
            "D",
            "On-Demand and Spot prices of D",
        ),
        (
            [
                {"computeEnvironments": [{"computeResources": {"type": kind}}]}
                for kind in ("SPOT", "EC2", "FARGATE")
            ],
            "D",
            "On-Demand, Spot and Fargate prices of D",
        ),
        (
            [
                {
                    "computeEnvironments": [{"computeResources": {"type": "SPOT"}}],
                    "assumptions": {"spotPrices": [{}]},
                }
            ],
            "D",
            "Spot prices of D; Spot as recorded where spotPrices has the type",
        ),
        ([{"computeEnvironments": [{"instances": [{}]}]}], "", "the scenario's own prices"),
    ],
)
def test_prices_are_told_of_all_that_was_run_and_of_what_updates_make_of_it(scenarios, date, said):
    manifest = {"scenario": scenarios[0], "price_date": date, "currency": "USD", "region": "r"}
    assert prices(manifest, scenarios if scenarios[1:] else ()) == f"USD (r, {said})"


def test_where_nothing_was_run_there_are_no_prices(invoke, stuck):
    done = invoke("compare", stuck, "--vary", f"{MOST}=8,16", "-n", "1")
    assert "prices       none: no variant was run" in done.stdout


def test_prices_are_those_of_the_regions_that_were_compared(invoke, good, tmp_path):
    out = tmp_path / "out"
    vary = f"{{{MOST},region}}=[8,us-east-2],[16,eu-west-1]"
    text = invoke("compare", good, "--vary", vary, "-n", "1", "-o", str(out)).stdout
    (line,) = [line for line in text.splitlines() if line.startswith("prices")]
    assert "USD (us-east-2, eu-west-1, On-Demand prices of 20" in line
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["region"] == "us-east-2, eu-west-1"
    assert f"prices of {manifest['price_date']})" in line
    found = compare(load_scenario(good), {"region": ["us-east-2", "eu-west-1"]}, replications=1, workers=1)
    assert list(found.price_dates) == ["us-east-2", "eu-west-1"]
    found = replace(found, price_dates={"here": "2026-01-02", "there": "2025-01-01 to 2026-01-02"})
    assert found.manifest["price_date"] == "2026-01-02 in here, 2025-01-01 to 2026-01-02 in there"
    one = invoke("compare", good, "--set", "region=eu-west-1", "--vary", f"{MOST}=8,16", "-n", "1").stdout
    assert "prices       USD (eu-west-1, On-Demand prices of 20" in one
    assert "us-east" not in one
