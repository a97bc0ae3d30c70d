from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from batchsim.results import InstanceTypeRow, Recorder, Result, audit_frames, build_result
from batchsim.results.sharing import MAX_SHARES
from batchsim.results.timeseries import MAX_STEPS, Grid, grid_step
from tests.results.worlds import JobClass, S, context_of, told_by_hand, told_of_everything


def series(name: str) -> pd.DataFrame:
    frame = build_result(*told_by_hand()).timeseries
    return frame[frame["name"] == name].set_index("t_s")


def test_each_queue_and_each_environment_has_one_row_an_instant_from_zero_to_the_end():
    frame = build_result(*told_by_hand()).timeseries
    blocks = frame[["kind", "name"]].astype(object).drop_duplicates()
    names = [("queue", name) for name in ("gpu", "bulk", "own", "empty")]
    assert list(blocks.itertuples(index=False, name=None)) == [
        *names,
        ("environment", "cloud"),
        ("environment", "lab"),
    ]
    for _, block in frame.groupby(["kind", "name"], observed=True):
        assert block["t_s"].tolist() == [step / 5 for step in range(1001)]


@pytest.mark.parametrize(
    "row",
    [
        (0, 0, 0, 0, 0, 0, 0, 0),
        (0.8, 0, 0, 0, 0, 0, 0, 0),
        (1, 1, 0, 0, 0, 0, 0, 0),
        (2, 1, 1, 0, 0, 0, 0, 0),
        (40, 2, 2, 0, 0, 0, 2, 0),  # placed, not yet STARTING
        (41, 2, 1, 1, 0, 0, 2, 0),
        (45, 2, 1, 0, 1, 0, 2, 2),
        (75, 2, 2, 0, 0, 0, 2, 0),  # a retry: RUNNABLE again, placed at once
        (78, 2, 1, 0, 1, 0, 2, 2),
        (98, 2, 1, 0, 0, 1, 2, 0),
        (99, 2, 0, 1, 0, 1, 2, 0),
        (100, 2, 1, 0, 0, 1, 0, 0),  # the instance is lost before the container ran
        (199.6, 3, 1, 0, 0, 1, 0, 0),
        (200, 3, 1, 0, 0, 1, 0, 0),
    ],
)
def test_jobs_of_a_queue_are_counted_after_everything_at_the_instant(row):
    names = ["submitted", "runnable", "starting", "running", "succeeded", "reserved_vcpus", "used_vcpus"]
    told = series("bulk").loc[row[0]]
    assert tuple(told[name] for name in names) == row[1:]
    assert told["failed"] == 0
    assert pd.isna(told["instances"])
    assert pd.isna(told["cost_usd"])


def test_failed_jobs_are_counted():
    failed = series("own")["failed"]
    assert (failed.loc[174.8], failed.loc[175], failed.loc[200]) == (0, 1, 1)


@pytest.mark.parametrize(
    "row",
    [
        (0, 0, 2, 0, 0, 0),
        (10, 1, 2, 2, 0, 0),
        (39.8, 1, 2, 2, 0, 827),  # 29.8 s of 100,000 micro-USD an hour
        (40, 1, 0, 2, 0, 833),
        (60, 1, 2, 2, 2, 1388),
        (80, 1, 0, 2, 2, 1944),
        (100, 0, 0, 0, 0, 2500),
        (200, 0, 0, 0, 0, 2500),
    ],
)
def test_vcpus_and_cost_of_an_environment(row):
    names = ["instances", "booting_vcpus", "provisioned_vcpus", "used_vcpus"]
    told = series("cloud").loc[row[0]]
    assert tuple(told[name] for name in names) == row[1:5]
    assert told["cost_usd"] == row[5] / 1e6
    assert pd.isna(told["submitted"])


def test_the_cost_so_far_ends_at_the_cost_to_the_micro_usd():
    recorder = Recorder(0)
    rng = np.random.default_rng(5)
    for begin, lasts in rng.integers(0, 10**12, (50, 2)).tolist():
        row = recorder.add_instance(0, 0, 0)
        recorder.i_running_us[row] = begin
        recorder.i_ended_us[row] = begin + lasts if lasts % 3 else -1
    recorder.finish(3 * 10**12, "finished")
    context = context_of([], [], queues=["q"], instance_types=[InstanceTypeRow("t", 8, 1, 0, 123_457)])
    result = build_result(recorder, context)
    cost = result.timeseries.query("kind == 'environment'")["cost_usd"]
    assert cost.iloc[-1] == result.summary["cost_usd"] > 0
    assert cost.is_monotonic_increasing


@pytest.mark.parametrize(
    "end", [0, 1, 999, 1000, 1001, 5 * S, 200 * S, 1000 * S, 1000 * S + 1, 10**14, 3 * 10**14]
)
def test_the_grid_is_even_ends_with_the_run_and_has_at_most_a_thousand_steps(end):
    grid = Grid.until(end)
    assert grid.instants[0] == 0
    assert grid.instants[-1] == end
    steps = np.diff(grid.instants)
    assert (steps[:-1] == grid.step_us).all()
    assert not len(steps) or 0 < steps[-1] <= grid.step_us
    assert len(steps) <= MAX_STEPS


def test_steps_are_those_people_count_in():
    assert grid_step(0) == 1
    assert grid_step(1000 * S) == S
    assert grid_step(1000 * S + 1) == 2 * S
    assert grid_step(24 * 3600 * S) == 120 * S
    assert grid_step(365 * 86_400 * S) == 12 * 3600 * S
    assert grid_step(3650 * 86_400 * S) == 4 * 86_400 * S


# --- shares, and jobs that wait for others ------------------------------------------------------


@pytest.fixture(scope="module")
def everything() -> Result:
    return build_result(*told_of_everything())


@pytest.mark.parametrize(
    ("name", "at", "told"),
    [  # submitted, runnable, starting, running, succeeded, failed, reserved, used
        ("pods/red", 2, (1, 1, 0, 0, 0, 0, 0, 0)),
        ("pods/red", 6, (1, 0, 1, 0, 0, 0, 0.25, 0)),
        ("pods/red", 55, (2, 1, 0, 1, 0, 0, 0.25, 0.25)),
        ("pods/red", 57, (2, 0, 0, 0, 1, 1, 0, 0)),
        ("pods/blue", 58, (2, 0, 1, 1, 0, 0, 1.5, 0.75)),
        ("pods/blue", 120, (2, 0, 0, 0, 1, 1, 0, 0)),
    ],
)
def test_a_share_has_a_series_of_its_own(everything, name, at, told):
    series = everything.timeseries
    row = series[(series["kind"] == "share") & (series["name"] == name) & (series["t_s"] == at)].iloc[0]
    names = ["submitted", "runnable", "starting", "running", "succeeded", "failed"]
    assert tuple(row[[*names, "reserved_vcpus", "used_vcpus"]]) == told
    assert pd.isna(row["instances"])


def test_a_queue_is_the_sum_of_its_shares(everything):
    series = everything.timeseries.set_index("t_s")
    shares = series[series["kind"] == "share"].groupby("t_s")[["runnable", "running", "reserved_vcpus"]].sum()
    queue = series[series["name"] == "pods"][["runnable", "running", "reserved_vcpus"]]
    assert (shares == queue).all(axis=None)


@pytest.mark.parametrize(
    ("at", "pending"),
    [(10.8, 0), (11, 2), (21, 3), (53, 2), (61, 3), (75, 2), (80, 1), (120, 1)],
)
def test_a_queue_counts_jobs_that_wait_for_others(everything, at, pending):
    series = everything.timeseries
    row = series[(series["name"] == "bulk") & (series["t_s"] == at)].iloc[0]
    assert row["pending"] == pending


def test_of_very_many_shares_those_with_the_most_jobs_have_series():
    classes = [JobClass("a", "q", share=f"s{number:03d}") for number in range(MAX_SHARES + 20)]
    jobs = [(0, row) for row in range(len(classes))] + [(0, row) for row in range(0, len(classes), 2)]
    recorder = Recorder(len(jobs))
    recorder.finish(1, "horizon")
    scenario = {"workload": [{"name": "a", "shareIdentifier": {row.share: 1.0 for row in classes}}]}
    result = build_result(recorder, context_of(classes, jobs, scenario=scenario, horizon_us=1))
    names = result.timeseries.query("kind == 'share'")["name"].unique().tolist()
    assert len(names) == MAX_SHARES
    assert f"q/{classes[-2].share}" in names  # two jobs
    assert f"q/{classes[-1].share}" not in names  # one job
    assert result.audit() == []
    one = result.timeseries.query("name != 'q/s000'")
    found = audit_frames(result.frames | {"timeseries": one}, result.summary, result.manifest)
    assert {violation.law for violation in found} == {"L6"}
