"""Folders whose frames contradict each other: told in one line, by the audit and by explain."""

from __future__ import annotations

from pathlib import Path

import pytest

import batchsim
from batchsim.errors import ResultError, UsageError
from batchsim.results import Result

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "scenarios"


@pytest.fixture(scope="module")
def stuck():
    return batchsim.run(batchsim.load_scenario(SCENARIOS / "stuck.yaml"))


def damages(frame):
    rows = len(frame)
    yield "no rows", frame.iloc[:0]
    yield "the first row is gone", frame.iloc[1:]
    yield "every second row is gone", frame.iloc[::2]
    yield "rows come twice", frame.iloc[[*range(rows), *range(min(rows, 3))]]
    for column in frame.columns:
        yield f"no {column}", frame.drop(columns=column)
        yield f"{column} in reverse", frame.assign(**{column: frame[column].iloc[::-1].to_numpy()})
        yield f"{column} is empty", frame.assign(**{column: [None] * rows})
        if frame[column].dtype.kind in "fi":
            yield f"{column} is negative", frame.assign(**{column: -frame[column] - 5})


@pytest.mark.parametrize("name", ["jobs", "attempts", "instances", "timeseries", "costs", "waits"])
def test_whatever_is_damaged_is_told_and_nothing_else_is_raised(stuck, name, tmp_path):
    stuck.write(tmp_path)
    job, file = str(stuck.jobs["job"].iloc[-1]), tmp_path / f"{name}.parquet"
    told = []
    for _, frame in damages(stuck.frames[name]):
        frame.reset_index(drop=True).to_parquet(file)
        try:
            result = Result.read(tmp_path)
            result.audit()
            result.explain(job)
        except (ResultError, UsageError) as error:
            told.append(str(error))
    assert len(told) >= len(stuck.frames[name].columns)
    assert not [each for each in told if "\n" in each]


def test_a_job_without_a_place_in_its_queue_is_not_explained_but_told(stuck, tmp_path):
    stuck.write(tmp_path)
    stuck.attempts.iloc[:0].to_parquet(tmp_path / "attempts.parquet")
    violations = Result.read(tmp_path).audit()
    assert {each.frame for each in violations} & {"jobs", "attempts"}


def test_flags_that_are_missing_are_told_by_row(stuck, tmp_path):
    stuck.write(tmp_path)
    stuck.jobs.assign(is_cancelled=[None] * len(stuck.jobs)).to_parquet(tmp_path / "jobs.parquet")
    with pytest.raises(ResultError, match="column is_cancelled has a missing value in row 0"):
        Result.read(tmp_path)
