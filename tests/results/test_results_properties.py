"""Random worlds of the tick-by-tick generator: they audit clean, and every total is that of a plain loop."""

from __future__ import annotations

import itertools
import math
import tempfile

import pandas as pd
from hypothesis import Phase, given, settings

from batchsim import units
from batchsim.results import Result, build_result
from tests.results.strategies import worlds
from tests.results.worlds import World, record, result_of


@given(worlds())
def test_good_results_audit_clean(world: World):
    assert [str(violation) for violation in result_of(world).audit()] == []


@given(worlds())
def test_cost_is_that_of_a_loop_over_instances(world: World):
    recorder, context = record(world)
    cost = 0
    for row, kind in enumerate(recorder.i_type):
        if recorder.i_running_us[row] < 0:
            continue
        until = recorder.ended_at_us if recorder.i_ended_us[row] < 0 else recorder.i_ended_us[row]
        seconds = units.billed_seconds(until - recorder.i_running_us[row])
        cost += units.cost_uusd(seconds, context.instance_types[kind].uusd_per_hour)
    assert round(build_result(recorder, context).summary["cost_usd"] * 1e6) == cost


def attempts_on(recorder, row):
    """(job, placed, started, ended) of every attempt on an instance."""
    for number, job in enumerate(recorder.e_job):
        if recorder.e_instance[number] == row:
            yield (
                job,
                recorder.e_placed_us[number],
                recorder.e_started_us[number],
                recorder.e_ended_us[number],
            )
    for job, instance in enumerate(recorder.instance):
        if instance == row and recorder.placed_us[job] >= 0:
            yield job, recorder.placed_us[job], recorder.started_us[job], recorder.ended_us[job]


@given(worlds())
def test_littles_identity_holds_exactly(world: World):
    result = result_of(world)
    to_us = lambda column: [None if math.isnan(s) else round(s * 1e6) for s in column]
    submit, end = to_us(result.jobs["submit_s"]), to_us(result.jobs["end_s"])
    horizon = round(result.summary["ended_at_s"] * 1e6)
    until = [horizon if instant is None else instant for instant in end]
    instants = sorted({*submit, *until})
    integral = 0
    for now, following in itertools.pairwise(instants):
        there = sum(arrived <= now < left for arrived, left in zip(submit, until, strict=True))
        integral += there * (following - now)
    turnaround = sum(us for us in to_us(result.jobs["turnaround_s"]) if us is not None)
    open_ = sum(horizon - arrived for arrived, left in zip(submit, end, strict=True) if left is None)
    assert integral == turnaround + open_


@given(worlds())
def test_the_summary_agrees_with_what_a_user_computes_from_the_frames(world: World):
    result = result_of(world)
    jobs, summary = result.jobs, result.summary
    pairs = {
        "waiting_mean_s": jobs["waiting_s"].mean(),
        "waiting_p50_s": jobs["waiting_s"].quantile(0.5),
        "waiting_p95_s": jobs["waiting_s"].quantile(0.95),
        "waiting_max_s": jobs["waiting_s"].max(),
        "turnaround_mean_s": jobs["turnaround_s"].mean(),
        "makespan_s": jobs["end_s"].max() - jobs["submit_s"].min(),
        "cost_usd": result.instances["cost_usd"].sum(),
        "vcpu_hours_used": result.instances["busy_vcpu_s"].sum() / 3600,
    }
    for key, value in pairs.items():
        assert (summary[key] is None and math.isnan(value)) or math.isclose(
            summary[key], value, rel_tol=1e-12, abs_tol=1e-9
        ), key
    assert summary["states"] == jobs["state"].value_counts(sort=False).to_dict()
    assert sum(queue["jobs"] for queue in summary["queues"].values()) == len(jobs)


@given(worlds())
def test_time_series_are_those_of_a_loop_over_rows(world: World):
    result = result_of(world)
    frame = result.timeseries
    queues = frame[frame["kind"] == "queue"]
    for name in result.summary["queues"]:
        mine = result.jobs[result.jobs["queue"] == name]
        tries = result.attempts[result.attempts["job"].isin(mine["job"])]
        rows = queues[queues["name"] == name]
        for row in rows.iloc[:: max(1, len(rows) // 20)].itertuples():
            t = row.t_s
            running = (tries["started_s"] <= t) & ~(tries["ended_s"] <= t)
            left = tries["started_s"].fillna(tries["ended_s"])
            starting = (tries["starting_s"] <= t) & ~(left <= t)
            present = (mine["runnable_s"] <= t) & ~(mine["end_s"] <= t)
            ended = mine["end_s"] <= t
            assert row.submitted == (mine["submit_s"] <= t).sum()
            assert row.running == running.sum()
            assert row.starting == starting.sum()
            assert row.runnable == present.sum() - running.sum() - starting.sum()
            assert row.succeeded == (ended & (mine["state"] == "SUCCEEDED")).sum()
            assert row.failed == (ended & (mine["state"] == "FAILED")).sum()
            assert row.used_vcpus == tries["vcpus"][running].sum()


@settings(max_examples=20)
@given(worlds())
def test_every_result_survives_both_formats(world: World):
    result = result_of(world)
    for suffix in ("parquet", "csv"):
        with tempfile.TemporaryDirectory() as folder:
            result.write(folder, suffix)
            again = Result.read(folder)
        for name, frame in result.frames.items():
            pd.testing.assert_frame_equal(again.frames[name], frame, check_exact=True)
        assert (again.summary, again.manifest) == (result.summary, result.manifest)
        assert again.audit() == []


SITUATIONS = {
    "finished": lambda result: result.summary["outcome"] == "finished" and len(result.jobs) > 3,
    "stalled": lambda result: result.summary["outcome"] == "stalled",
    "stopped at the horizon while RUNNING": lambda result: result.summary["states"]["RUNNING"] > 0,
    "stopped at the horizon while STARTING": lambda result: result.summary["states"]["STARTING"] > 0,
    "never submitted": lambda result: result.summary["jobs_not_submitted"] > 0,
    "three attempts": lambda result: (result.attempts["attempt"] == 3).any(),
    "FAILED after its last attempt": lambda result: result.summary["states"]["FAILED"] > 0,
    "a retry waits at the end": lambda result: (
        (result.jobs["state"] == "RUNNABLE") & (result.jobs["attempts"] > 0)
    ).any(),
    "host lost while STARTING": lambda result: (
        result.attempts["ended_s"].notna() & result.attempts["started_s"].isna()
    ).any(),
    "host lost while RUNNING": lambda result: (
        result.attempts["started_s"].notna()
        & result.attempts["status_reason"].astype("string").str.startswith("Host EC2").fillna(value=False)
    ).any(),
    "billed the minimum": lambda result: (result.instances["billed_s"] == 60).any(),
    "an instance that never ran": lambda result: (result.instances["billed_s"] == 0).any(),
    "an environment nobody used": lambda result: result.summary["cost_unattributed_usd"] > 0,
}


def test_the_random_worlds_see_every_situation():
    seen: set[str] = set()

    @settings(max_examples=400, derandomize=True, phases=[Phase.generate], database=None)
    @given(worlds())
    def look(world: World) -> None:
        result = result_of(world)
        seen.update(name for name, happened in SITUATIONS.items() if happened(result))

    look()
    assert seen == SITUATIONS.keys()
