"""Service jobs at the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from batchsim.cli.app import app
from tests.services.scenarios import divided, jobs, share, training


@pytest.fixture
def invoke(tmp_path):
    """Run a verb on a scenario's data in this process."""

    def call(verb, data, *more):
        path = tmp_path / "s.json"
        path.write_text(json.dumps(data))
        return CliRunner().invoke(app, [verb, str(path), *more])

    return call


SHARES = [share("mine", 2, "LEND_AND_BORROW", sharing={"borrowLimit": 100}), share("other", 8, "LEND")]
GOOD = divided(SHARES, jobs("four", 2, instances=4, quotaShareName="mine"))
STUCK = divided(
    SHARES, jobs("four", instances=4, quotaShareName="mine"), jobs("five", instances=5, quotaShareName="mine")
)


def test_a_run_shows_a_table_of_queues_and_shares(invoke):
    done = invoke("run", GOOD)
    assert done.exit_code == 0
    assert "finished after 2m" in done.stdout
    assert "service jobs  2: 2 SUCCEEDED" in done.stdout
    for name in ("service queue", "q/mine", "q/other"):
        assert name in done.stdout
    assert "vCPU-h" not in done.stdout


def test_a_stalled_run_says_why_and_what_to_do(invoke):
    done = invoke("run", STUCK)
    assert done.exit_code == 3
    assert "stalled" in done.stdout
    assert "MISCONFIGURATION:QUOTA_MANAGEMENT_LIMIT_EXCEEDED" in done.stdout
    assert "ask for at most 4 instances" in done.stdout
    assert invoke("run", STUCK, "-n", "2").exit_code == 3


def test_json_has_the_services_and_csv_a_row_for_each_part(invoke):
    data = json.loads(invoke("run", GOOD, "--format", "json").stdout)
    assert data["services"]["queues"]["q"]["quotaShares"]["mine"]["jobs"] == 2
    rows = list(csv.DictReader(io.StringIO(invoke("run", GOOD, "--format", "csv").stdout)))
    assert [(row["scope"], row["name"]) for row in rows] == [
        ("total", "training"),
        ("services", "training"),
        ("service_queue", "q"),
        ("quota_share", "q/mine"),
        ("quota_share", "q/other"),
    ]
    assert rows[3]["instance_hours_held"] == str(2 * 4 * 60 / 3600)


def test_replications_have_intervals(invoke):
    drawn = training(jobs("a", 20, runtime={"exponential": {"mean": "5m"}}), limit=2)
    done = invoke("run", drawn, "-n", "3")
    assert done.exit_code == 0
    assert "3 finished" in done.stdout
    assert "±" in done.stdout
    combined = json.loads(invoke("run", drawn, "-n", "3", "--format", "json").stdout)
    assert combined["services"]["queues"]["q"]["jobs"]["mean"] == 20
    assert combined["violations"] == []


def test_a_check_tells_what_never_runs(invoke):
    done = invoke("check", GOOD)
    assert (done.exit_code, "Each of the 2 jobs can start." in done.stdout) == (0, True)
    done = invoke("check", STUCK)
    assert done.exit_code == 1
    assert "NEVER, see 1" in done.stdout
    assert "--set quotaShares.0.capacityLimits.0.maxCapacity=3" in done.stdout
    assert "1 of the 2 jobs can never start." in done.stdout


def test_a_check_as_data(invoke):
    data = json.loads(invoke("check", STUCK, "--format", "json").stdout)
    assert data["can_all_start"] is False
    assert [each["can_run"] for each in data["services"]] == [True, False]
    rows = list(csv.DictReader(io.StringIO(invoke("check", STUCK, "--format", "csv").stdout)))
    assert [row["workload"] for row in rows] == ["four", "five"]
    assert "ask for at most 4 instances" in rows[1]["changes"]


def test_the_columns_of_the_frame_are_described(invoke):
    done = CliRunner().invoke(app, ["columns", "--frame", "service_jobs"])
    assert done.exit_code == 0
    assert "capacity_retries" in done.stdout
