"""L20: no figure of the summary above replications can be changed without being noticed."""

from __future__ import annotations

import copy
import json
import shutil

import pytest

from batchsim.errors import ResultError
from batchsim.results.audit import LAWS, audit_replication_folder, audit_replications
from batchsim.studies.replications import combine


def manifest(replication: int) -> dict:
    return {
        "batchsim": "0.1.0",
        "name": "night",
        "scenario_sha256": "0" * 64,
        "seed": 7,
        "replication": replication,
        "region": "us-east-1",
        "currency": "USD",
        "price_date": "",
    }


def summary(jobs: int, wait: float | None, types: dict[str, float]) -> dict:
    return {
        "outcome": "finished" if wait else "stalled",
        "jobs": jobs,
        "waiting_mean_s": wait,
        "never": None,
        "instanceTypes": {
            name: {"cost_usd": cost, "utilization": 0.5, "cost_parts_usd": {"used": cost / 2}}
            for name, cost in types.items()
        },
    }


PARTS = [
    (summary(10, 3.5, {"m5.large": 1.25}), manifest(0)),
    (summary(12, None, {"m5.large": 2.5, "c6i.large": 3.0}), manifest(1)),
    (summary(17, 9.0, {}), manifest(2)),
]


def leaves(value: dict, *path: str):
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from leaves(inner, *path, key)
        else:
            yield (*path, key)


def changed(value: dict, path: tuple[str, ...]) -> dict:
    copied = copy.deepcopy(value)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    old = inner[path[-1]]
    inner[path[-1]] = f"{old}x" if isinstance(old, str) else 1.0 if old is None else old * 1.0001 + 1e-5
    return copied


@pytest.mark.parametrize("parts", [PARTS, PARTS[:1], PARTS[:2]])
def test_what_is_combined_rightly_breaks_no_law(parts):
    assert audit_replications(combine(parts), parts) == []


def test_no_figure_can_be_changed_without_being_noticed():
    combined = combine(PARTS)
    paths = list(leaves(combined))
    assert len(paths) > 50
    for path in paths:
        found = audit_replications(changed(combined, path), PARTS)
        assert {violation.law for violation in found} == {"L20"}, path


def test_a_figure_that_is_missing_or_too_many_is_named():
    combined = combine(PARTS)
    del combined["jobs"]
    combined["instanceTypes"]["x1.large"] = {}
    told = [violation.message for violation in audit_replications(combined, PARTS)]
    assert told == ["jobs is on one side only", "instanceTypes.x1.large is on one side only"]


def said(combined, parts):
    return [violation.message for violation in audit_replications(combined, parts)]


def test_a_replication_that_was_left_out_is_noticed_in_one_line():
    assert said(combine(PARTS), PARTS[:2]) == [
        "replications is 3, and 2 are there; missing: replication-0002"
    ]


def test_replications_of_another_scenario_or_number_are_noticed_in_a_line_each():
    other = {"name": "day", "scenario_sha256": "1" * 64}
    parts = [*PARTS[:2], (PARTS[2][0], manifest(2) | other)]
    assert said(combine(PARTS), parts) == [
        "not what all replications share: name, scenario_sha256 of replication-0002"
    ]
    assert said(combine(PARTS), [PARTS[0], PARTS[0], PARTS[2]]) == [
        "replication-0001 has a manifest of replication 0"
    ]


def test_a_share_without_jobs_in_a_replication_has_no_waiting_there():
    told = summary(10, 3.5, {})
    with_share = told | {"shares": {"q/red": {"jobs": 4, "waiting_mean_s": 6.0, "cost_usd": 2.0}}}
    parts = [(with_share, manifest(0)), (told, manifest(1))]
    red = combine(parts)["shares"]["q/red"]
    assert (red["jobs"]["mean"], red["cost_usd"]["mean"]) == (2, 1)
    assert (red["waiting_mean_s"]["mean"], red["waiting_mean_s"]["replications"]) == (6, 1)
    assert audit_replications(combine(parts), parts) == []


def write(folder, parts, combined):
    for number, (figures, told) in enumerate(parts):
        part = folder / f"replication-{number:04d}"
        part.mkdir()
        (part / "summary.json").write_text(json.dumps(figures))
        (part / "manifest.json").write_text(json.dumps(told))
    if combined is not None:
        (folder / "summary.json").write_text(json.dumps(combined))


def test_a_folder_of_replications_is_judged_by_its_files(tmp_path):
    combined = combine(PARTS)
    write(tmp_path, PARTS, combined)
    assert audit_replication_folder(tmp_path) == []
    combined["jobs"]["mean"] += 1
    (tmp_path / "summary.json").write_text(json.dumps(combined))
    assert [str(violation) for violation in audit_replication_folder(tmp_path)] == [
        f"L20 ({LAWS['L20']}): summary: jobs is not that of the replications"
    ]
    (tmp_path / "summary.json").write_text("[1]")
    with pytest.raises(ResultError, match="expected a JSON object, found list"):
        audit_replication_folder(tmp_path)
    (tmp_path / "replication-0001" / "summary.json").write_text("{")
    with pytest.raises(ResultError, match=r"replication-0001/summary\.json: cannot be read as JSON"):
        audit_replication_folder(tmp_path)


def test_replications_that_were_broken_off_must_belong_together(tmp_path):
    strangers = [PARTS[0], (PARTS[1][0], manifest(0)), (PARTS[2][0], manifest(2) | {"seed": 8})]
    write(tmp_path, strangers, None)
    assert [violation.message for violation in audit_replication_folder(tmp_path)] == [
        "replication-0001 has a manifest of replication 0",
        "not what all replications share: seed of replication-0002",
    ]


def test_a_gap_in_a_whole_folder_is_named(tmp_path):
    write(tmp_path, PARTS, combine(PARTS))
    shutil.rmtree(tmp_path / "replication-0001")
    assert [violation.message for violation in audit_replication_folder(tmp_path)] == [
        "replications is 3, and 2 are there; missing: replication-0001"
    ]


def test_replications_that_were_broken_off_and_single_results_have_no_summary_to_judge(tmp_path):
    write(tmp_path, PARTS, None)
    assert audit_replication_folder(tmp_path) == []
    assert audit_replication_folder(tmp_path / "replication-0000") == []
    assert audit_replication_folder(tmp_path / "nowhere") == []
