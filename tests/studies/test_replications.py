"""Replications, their intervals and their folder."""

from __future__ import annotations

import json
import math

import pytest

from batchsim.errors import ResultError
from batchsim.results import Result
from batchsim.studies.replications import (
    Interval,
    ReplicationFolder,
    combine,
    interval,
    replicate,
    replication_folders,
)
from batchsim.studies.run import run
from tests.studies.scenarios import definition, jobs, unmanaged, world


@pytest.fixture
def scenario(load):
    runtime = {"exponential": {"mean": "60s"}}
    return load(
        world(
            [unmanaged("lab", {"vcpus": 2, "memory": "4GiB"})],
            [jobs("j", "q0", "d", 20, runtime=runtime)],
            definition("d", 1, 1024),
        )
    )


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_student_interval_of_known_numbers():
    """s = sqrt(2.5), t(4, 0.975) = 2.776445105 (tables)."""
    found = interval([1, 2, 3, 4, 5])
    assert found.half_width == pytest.approx(2.776445105 * math.sqrt(2.5) / math.sqrt(5), rel=1e-9)
    assert (found.mean, found.least, found.most, found.replications) == (3, 1, 5, 5)
    assert found.low == pytest.approx(3 - found.half_width)
    assert found.high == pytest.approx(3 + found.half_width)


def test_one_value_has_no_interval():
    assert interval([7]) == Interval(7, None, None, None, 7, 7, 1)


def test_equal_values_have_an_interval_of_no_width():
    assert interval([2.5, 2.5, 2.5]) == Interval(2.5, 2.5, 2.5, 0, 2.5, 2.5, 3)


def told(**summary):
    manifest = dict.fromkeys(
        ("batchsim", "name", "scenario_sha256", "seed", "region", "currency", "price_date"), "x"
    )
    return summary, manifest


def test_combining_keeps_the_keys_of_the_summary():
    combined = combine(
        [
            told(outcome="finished", waiting_mean_s=1.0, queues={"q": {"jobs": 3}}),
            told(outcome="stalled", waiting_mean_s=None, queues={"q": {"jobs": 5}}),
            told(outcome="finished", waiting_mean_s=3.0, queues={"q": {"jobs": 4}}),
        ]
    )
    assert combined["replications"] == 3
    assert combined["outcome"] == {"finished": 2, "stalled": 1}
    assert combined["waiting_mean_s"]["mean"] == 2
    assert combined["waiting_mean_s"]["replications"] == 2
    assert combined["queues"]["q"]["jobs"] == interval([3, 5, 4])._asdict()


def test_a_value_that_no_replication_has_is_none():
    combined = combine([told(waiting_mean_s=None), told(waiting_mean_s=None)])
    assert combined["waiting_mean_s"] is None


def test_a_type_that_a_replication_did_not_launch_counts_as_zero_without_a_utilization():
    used = {"cost_usd": 4.0, "utilization": 0.5, "cost_parts_usd": {"busy": 2.0}}
    combined = combine([told(instanceTypes={"c6i.large": used}), told(instanceTypes={})])
    row = combined["instanceTypes"]["c6i.large"]
    assert row["cost_usd"]["mean"] == 2
    assert row["cost_parts_usd"]["busy"]["mean"] == 1
    assert row["utilization"] == interval([0.5])._asdict()


def test_replication_k_is_the_run_of_that_number(scenario):
    summaries = [each.summary for each in replicate(scenario, 3, seed=5)]
    assert summaries == [run(scenario, seed=5, replication=k).summary for k in range(3)]
    assert summaries[0] != summaries[1]


def test_progress_names_the_replication_and_the_jobs(scenario, monkeypatch):
    monkeypatch.setattr("batchsim.drivers.simulated._ROUNDS_PER_REPORT", 1)
    calls = []
    list(replicate(scenario, 2, report=lambda *call: calls.append(call)))
    assert {replication for replication, *_ in calls} == {0, 1}
    assert {jobs_in_all for *_, jobs_in_all in calls} == {20}
    assert max(ended for _, _, ended, _ in calls) == 20


def test_the_folder_holds_each_result_and_last_the_summary(scenario, tmp_path):
    target = tmp_path / "out"
    folder = ReplicationFolder(target, "r", 2)
    results = list(replicate(scenario, 2))
    for number, result in enumerate(results):
        folder.write(number, result)
        assert not (target / "summary.json").exists()
    combined = combine([(each.summary, each.manifest) for each in results])
    folder.finish(combined)
    assert json.loads((target / "summary.json").read_text()) == combined
    assert names(target) == ["replication-0000", "replication-0001", "summary.json"]
    assert [Result.read(each).summary for each in replication_folders(target)] == [
        each.summary for each in results
    ]


def test_earlier_replications_are_replaced_and_their_summary_does_not_outlive_them(scenario, tmp_path):
    (result,) = replicate(scenario, 1)
    combined = combine([(result.summary, result.manifest)])
    for _ in range(2):
        folder = ReplicationFolder(tmp_path / "out", "small", 1)
        folder.write(0, result)
        assert names(tmp_path / "out") == ["replication-0000"]
        folder.finish(combined)


@pytest.mark.parametrize("name", ["replication-0002", "notes.txt", "summary.json", "manifest.json"])
def test_a_folder_with_anything_else_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ResultError, match=rf"found {name}; nothing was written"):
        ReplicationFolder(tmp_path, "r", 2)
    assert names(tmp_path) == [name]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ResultError, match="found a file"):
        ReplicationFolder(tmp_path / "out", "r", 2)
    assert replication_folders(tmp_path / "out") == []


def test_a_summary_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(ResultError, match="cannot write the result"):
        ReplicationFolder(tmp_path / "absent", "r", 1).finish({"a": 1})
    assert names(tmp_path) == []
