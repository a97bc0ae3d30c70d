"""The shipped extract of a real log: where it comes from, and that it runs as independent programs say."""

from __future__ import annotations

import csv
import datetime as dt
import gzip

import pytest

import batchsim
from tests import reference
from tests.shipped.readme import ROOT

SWF = ROOT / "scenarios" / "philly-2017.swf"
SCENARIO = ROOT / "scenarios" / "philly-2017.yaml"


def rows():
    lines = SWF.read_text(encoding="utf-8").splitlines()
    return [[int(field) for field in line.split()] for line in lines if not line.startswith(";")]


def test_it_is_small_sorted_and_says_whose_it_is():
    text = SWF.read_text(encoding="utf-8")
    comments = "".join(line for line in text.splitlines(keepends=True) if line.startswith(";"))
    for words in ("CC-BY-4.0", "Microsoft", "msr-fiddle/philly-traces", "USENIX ATC 2019", "Changes:"):
        assert words in comments
    assert "CC-BY-4.0" in SCENARIO.read_text(encoding="utf-8")
    assert len(gzip.compress(text.encode())) < 100_000
    jobs = rows()
    assert [job[0] for job in jobs] == list(range(1, 836))
    assert [job[1] for job in jobs] == sorted(job[1] for job in jobs)
    assert {len(job) for job in jobs} == {18}
    assert {job[4] for job in jobs} == {1, 2, 4}
    assert sum(job[3] * job[4] for job in jobs) == 63_173_446
    assert sum(job[0] * job[1] for job in jobs) == 512_968_567_256
    assert f"MaxJobs: {len(jobs)}\n" in comments


def test_it_is_what_its_header_says_of_the_source(traces):
    zero = dt.datetime(2017, 10, 30)  # noqa: DTZ001 - the source has no zone
    with gzip.open(traces / "gpu" / "philly_vc_small.csv.gz", "rt", encoding="utf-8") as source:
        jobs = [
            (dt.datetime.fromisoformat(row["timestamp"]) - zero, number, row)
            for number, row in enumerate(csv.DictReader(source))
            if row["cluster"] == "103959"
        ]
    inside = sorted(
        (since, number, float(row["duration"]), int(row["num_gpus"]))
        for since, number, row in jobs
        if dt.timedelta() <= since < dt.timedelta(weeks=4)
    )
    assert [(job[1], job[3], job[4], job[7]) for job in rows()] == [
        (since.total_seconds(), duration, gpus, gpus) for since, _, duration, gpus in inside
    ]


@pytest.mark.parametrize(
    ("backfill", "independent"), [("none", reference.pool_fifo), ("greedy", reference.pool_greedy)]
)
@pytest.mark.parametrize("gpus", [24, 40])
def test_every_start_is_that_of_an_independent_pool(gpus, backfill, independent):
    one_machine = f"computeEnvironments.servers.instances=[{{vcpus: {gpus}, memory: 1TiB}}]"
    scenario = batchsim.load_scenario(SCENARIO, [one_machine, f"assumptions.backfill={backfill}"])
    result = batchsim.run(scenario)
    jobs = reference.read_swf(SWF)
    expected = independent([reference.PoolJob(job.submit, job.run, job.processors) for job in jobs], gpus)
    assert list(result.jobs["start_s"]) == expected
    assert sum(start > job.submit for start, job in zip(expected, jobs, strict=True)) > 100
    assert result.audit() == []


def test_servers_of_eight_gpus_serve_as_an_obvious_program_does():
    """Best fit on five servers, first come, first served: an obvious program, job by job."""
    result = batchsim.run(batchsim.load_scenario(SCENARIO))
    free, running, starts, now = [8] * 5, [], [], 0
    for _, submit, _, run, gpus, *_ in rows():
        now = max(now, submit)
        while True:
            for job in [job for job in running if job[0] <= now]:
                free[job[1]] += job[2]
                running.remove(job)
            room = [(left, server) for server, left in enumerate(free) if left >= gpus]
            if room:
                break
            now = min(end for end, _, _ in running)
        server = min(room)[1]
        free[server] -= gpus
        running.append((now + run, server, gpus))
        starts.append(now)
    assert list(result.jobs["start_s"]) == starts
