from __future__ import annotations

import csv
import dataclasses
import json
import os
import stat
from pathlib import Path

import pandas as pd
import pytest

from batchsim.errors import ResultError, UsageError
from batchsim.results import Result, build_result, files
from batchsim.results.files import check_folder, write_beside
from tests.results.worlds import told_by_hand

NAMES = ("jobs", "attempts", "instances", "timeseries", "costs")


@pytest.fixture
def result() -> Result:
    return build_result(*told_by_hand())


def assert_same(one: Result, other: Result) -> None:
    for name in NAMES:
        pd.testing.assert_frame_equal(one.frames[name], other.frames[name], check_exact=True)
    assert one.summary == other.summary
    assert one.manifest == other.manifest


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_result_read_back_equals_the_one_that_was_written(result, tmp_path, suffix):
    result.write(tmp_path / "run", suffix)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *(f"{name}.{suffix}" for name in NAMES),
        "summary.json",
        "manifest.json",
    }
    assert_same(Result.read(tmp_path / "run"), result)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_equal_runs_write_equal_bytes(tmp_path, suffix):
    for name in ("one", "other"):
        build_result(*told_by_hand()).write(tmp_path / name, suffix)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_a_later_result_replaces_an_earlier_one_of_either_format(result, tmp_path):
    result.write(tmp_path, "csv")
    (tmp_path / "report.html").write_text("made from this result")
    result.summary["jobs_not_submitted"] = 99
    result.write(tmp_path, "parquet")
    assert not list(tmp_path.glob("*.csv"))
    assert (tmp_path / "report.html").exists()
    assert Result.read(tmp_path).summary["jobs_not_submitted"] == 99


def test_pandas_reads_the_parquet_files_without_us(result, tmp_path):
    result.write(tmp_path)
    jobs = pd.read_parquet(tmp_path / "jobs.parquet")
    assert jobs["job"].tolist() == result.jobs["job"].tolist()
    assert jobs["waiting_s"].mean() == result.summary["waiting_mean_s"]
    assert jobs["queue"].dtype == "category"


# --- CSV ---------------------------------------------------------------------------------------

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\n=x",
    "'=1",
    "''=1",
    "'plain",
    "plain",
    'a "quoted", word',
    "two\nlines",
    "naïve ☃",
]


def test_no_cell_of_a_csv_file_is_a_formula_and_reading_gives_the_text_back(tmp_path):
    recorder, context = told_by_hand()
    for job, text in enumerate(HOSTILE[:7]):
        recorder.status_reason[job], recorder.reason[job] = text, HOSTILE[7 + job]
    recorder.i_name[0], recorder.i_name[2] = "=cmd()", "@evil"
    result = build_result(recorder, context)
    result.write(tmp_path, "csv")
    cells = pd.read_csv(tmp_path / "jobs.csv", keep_default_na=False).astype(str).to_numpy().ravel()
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r", "\n"))]
    assert "'=1+1" in cells
    assert "'-1" in cells
    names = pd.read_csv(tmp_path / "instances.csv")["instance"].tolist()
    assert names == ["'=cmd()", "box-7", "'@evil"]
    assert_same(Result.read(tmp_path), result)


def test_csv_seconds_are_written_so_that_they_come_back_exactly(tmp_path):
    recorder, context = told_by_hand()
    context.submit_us[:3] = [1_000_001, 5_400_003, 19_999_999]
    result = build_result(recorder, context)
    result.write(tmp_path, "csv")
    with (tmp_path / "jobs.csv").open() as file:
        told = [float(row["submit_s"]) for row in csv.DictReader(file)]
    assert told[:3] == [1.000001, 5.400003, 19.999999]


# --- crashes -----------------------------------------------------------------------------------


class Crash(BaseException):
    """Stands for a process that dies: nothing catches it but the test."""


@pytest.mark.parametrize("number", range(6))
def test_a_crash_while_writing_leaves_the_earlier_result_whole(result, tmp_path, monkeypatch, number):
    result.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(files.os, "fsync", _dies_at(number))
    result.summary["jobs"] = -1
    with pytest.raises(Crash):
        result.write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("number", range(6))
def test_a_crash_between_renames_leaves_no_manifest_so_nothing_is_taken_for_a_result(
    result, tmp_path, monkeypatch, number
):
    result.write(tmp_path)
    real, calls = files.Path.replace, iter(range(100))

    def replace(self, target):
        if next(calls) == number:
            raise Crash
        return real(self, target)

    monkeypatch.setattr(files.Path, "replace", replace)
    with pytest.raises(Crash):
        result.write(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ResultError, match=r"manifest\.json"):
        Result.read(tmp_path)
    result.write(tmp_path)
    assert_same(Result.read(tmp_path), result)


def test_temporary_files_of_a_killed_writer_are_swept_away(result, tmp_path):
    (tmp_path / ".jobs.parquet.12345.tmp").write_bytes(b"half")
    result.write(tmp_path)
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*"))


def _dies_at(number: int):
    calls = iter(range(100))

    def fsync(descriptor: int) -> None:
        if next(calls) == number:
            raise Crash

    return fsync


# --- what a user can get wrong ------------------------------------------------------------------


def test_a_folder_with_other_things_is_left_alone(result, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultError, match=r"found thesis\.tex; nothing was written"):
        result.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_manifest_of_something_else_does_not_make_a_folder_ours(result, tmp_path):
    (tmp_path / "manifest.json").write_text('{"short_name": "web app"}')
    (tmp_path / "index.html").write_text("")
    with pytest.raises(ResultError, match=r"found index\.html"):
        result.write(tmp_path)


def test_a_file_is_not_a_folder(result, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ResultError, match="expected a folder"):
        result.write(tmp_path / "out")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_to(result, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ResultError, match="cannot write the result: Permission denied"):
        result.write(tmp_path / "run")
    tmp_path.chmod(stat.S_IRWXU)


def test_a_folder_that_cannot_be_made(result, tmp_path, monkeypatch):
    def denied(self, *arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.Path, "mkdir", denied)
    with pytest.raises(ResultError, match="cannot write the result: Permission denied; give a folder"):
        result.write(tmp_path / "run")


def test_a_full_disk_is_told_in_one_line_and_leaves_no_file(result, tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ResultError, match="No space left on device") as told:
        result.write(tmp_path / "run")
    assert "\n" not in str(told.value)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_format_that_does_not_exist(result, tmp_path):
    with pytest.raises(UsageError, match="expected parquet or csv, found 'xlsx'"):
        result.write(tmp_path / "run", "xlsx")
    assert not (tmp_path / "run").exists()


def test_reading_what_is_not_there(tmp_path):
    with pytest.raises(ResultError, match="no such folder"):
        Result.read(tmp_path / "nowhere")
    with pytest.raises(ResultError, match="a folder without it"):
        Result.read(tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("damage", [b"", b"PAR1 rubbish PAR1", b"\xff\xfe\x00"])
def test_a_damaged_frame_is_named(result, tmp_path, suffix, damage):
    result.write(tmp_path, suffix)
    (tmp_path / f"attempts.{suffix}").write_bytes(damage)
    with pytest.raises(ResultError, match=rf"attempts\.{suffix}: cannot be read as the attempts frame"):
        Result.read(tmp_path)


def test_a_truncated_parquet_file_is_named(result, tmp_path):
    result.write(tmp_path)
    path = tmp_path / "jobs.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ResultError, match=r"jobs\.parquet"):
        Result.read(tmp_path)


def test_a_missing_column_a_missing_frame_and_a_hole_in_a_column_are_named(result, tmp_path):
    result.write(tmp_path)
    result.jobs.drop(columns="gpus").to_parquet(tmp_path / "jobs.parquet")
    with pytest.raises(ResultError, match=r"jobs\.parquet.*gpus"):
        Result.read(tmp_path)
    result.jobs.astype({"memory_mib": "Int64"}).replace({"memory_mib": {100: pd.NA}}).to_parquet(
        tmp_path / "jobs.parquet"
    )
    with pytest.raises(ResultError, match="column memory_mib has a missing value in row 5"):
        Result.read(tmp_path)
    (tmp_path / "jobs.parquet").unlink()
    with pytest.raises(ResultError, match=r"jobs\.parquet or jobs\.csv"):
        Result.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is not JSON"), ("[1]", "a JSON object"), ("\xff", "is not JSON")]
)
def test_a_damaged_summary_is_named(result, tmp_path, text, said):
    result.write(tmp_path)
    (tmp_path / "summary.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ResultError, match=said):
        Result.read(tmp_path)


def test_a_summary_that_cannot_be_opened_is_named(result, tmp_path):
    result.write(tmp_path)
    (tmp_path / "summary.json").unlink()
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(ResultError, match=r"summary\.json: cannot be read"):
        Result.read(tmp_path)


def test_json_files_are_for_people_too(result, tmp_path):
    result.write(tmp_path)
    text = (tmp_path / "summary.json").read_text()
    assert text.startswith('{\n  "outcome": "horizon",\n')
    assert text.endswith("}\n")
    assert json.loads(text) == result.summary


def test_files_have_the_permissions_that_the_user_gives_new_files(result, tmp_path):
    (tmp_path / "plain").write_text("")
    result.write(tmp_path / "run")
    plain = (tmp_path / "plain").stat().st_mode
    assert all(path.stat().st_mode == plain for path in (tmp_path / "run").iterdir())


def test_a_result_shows_itself_in_a_notebook_and_at_a_prompt(result):
    result.manifest["name"] = "<night>"
    html = result._repr_html_()
    assert "&lt;night&gt;" in html
    assert "<night>" not in html
    assert "2 SUCCEEDED" in html
    assert "0.20 USD (us-east-1, prices of 2026-01-31)" in html
    assert repr(result).startswith("<Result <night>: jobs 1 SUBMITTED, 2 RUNNABLE")
    assert "\n" not in repr(result)


def test_a_result_without_a_finished_job_shows_itself(result):
    for key in ("makespan_s", "waiting_mean_s", "waiting_p95_s", "utilization"):
        result.summary[key] = None
    assert "makespan -" in repr(result)


def test_a_folder_is_checked_without_creating_anything(tmp_path):
    check_folder(tmp_path / "new" / "deep", "x")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ResultError, match=r"notes\.txt"):
        check_folder(tmp_path, "x")
    with pytest.raises(ResultError, match="a file"):
        check_folder(tmp_path / "notes.txt", "x")
    with pytest.raises(ResultError, match="no right to write"):
        check_folder(tmp_path / "notes.txt" / "below", "x")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_folder_that_takes_no_files_is_refused_whatever_its_rights_say():
    with pytest.raises(ResultError, match=r"no right to write in /proc|where no file can be made"):
        check_folder("/proc/new", "x")


def test_what_a_study_writes_beside_a_result_is_whole_or_absent(result, tmp_path):
    result.write(tmp_path)
    (tmp_path / ".validation.json.12345.tmp").write_bytes(b"half")
    write_beside(tmp_path, {"validation.json": {"log": 1}, "validation.svg": b"<svg/>"})
    assert (tmp_path / "validation.svg").read_bytes() == b"<svg/>"
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_beside(tmp_path, {"validation.svg": b"new", "validation.json": {"log": float("nan")}})
    assert (tmp_path / "validation.svg").read_bytes() == b"<svg/>"
    result.write(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_beside_what_is_no_folder_nothing_is_written(tmp_path):
    with pytest.raises(ResultError, match="cannot write the result"):
        write_beside(tmp_path / "nothing", {"validation.json": {}})


def test_the_result_of_another_scenario_is_not_replaced(result, tmp_path):
    result.write(tmp_path)
    before = (tmp_path / "manifest.json").read_bytes()
    other = dataclasses.replace(result, manifest={**result.manifest, "name": "other"})
    with pytest.raises(ResultError, match="of other, found a result of small; give another"):
        other.write(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_a_folder_of_results_is_not_a_result_but_names_one(result, tmp_path):
    result.write(tmp_path / "b")
    result.write(tmp_path / "a")
    with pytest.raises(ResultError, match=r"give one that is in it, such as .*/a$"):
        Result.read(tmp_path)


def test_a_folder_that_holds_none_of_a_run_names_none(result, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "manifest.json").write_text('{"study": "compare"}')
    with pytest.raises(ResultError, match=r"batchsim run -o FOLDER writes one$"):
        Result.read(tmp_path)
    result.write(tmp_path / "b")
    with pytest.raises(ResultError, match=r"such as .*/b$"):
        Result.read(tmp_path)


def test_what_a_study_of_several_runs_wrote_is_not_the_result_of_one(result, tmp_path):
    result.write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "study": "compare"}))
    with pytest.raises(ResultError, match="found what batchsim compare wrote"):
        Result.read(tmp_path)
