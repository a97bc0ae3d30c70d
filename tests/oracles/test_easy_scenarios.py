"""EASY backfilling, from a scenario file to the result's frames, against published cases and whole logs."""

from __future__ import annotations

import gzip

import pytest

from tests.oracles.published import JOBS, replay, small_cases, swf_of

NASA, KTH = "NASA-iPSC-1993-3.1-cln", "KTH-SP2-1996-2.1-cln"
EASY_CASES = [
    *(f"basic.{number}" for number in range(12)),
    *("bf.0", "bf.1", "bf.2", "easy_bf.0", "easy_bf.1", "extreme.1"),
]


def test_these_are_all_cases_of_easy(traces):
    assert sorted(EASY_CASES) == sorted(
        name for name, case in small_cases(traces).items() if "easy" in case.policies
    )


@pytest.mark.parametrize("name", EASY_CASES)
def test_every_job_ends_when_the_case_says(traces, tmp_path, name):
    jobs = small_cases(traces)[name].jobs
    (tmp_path / "case.swf").write_text(swf_of(jobs), encoding="utf-8")
    trace = {"format": "swf", "path": "case.swf"}
    result = replay(tmp_path, trace, 100, backfill="easy", estimate="requested")
    ends = dict(zip(result.jobs["job"], result.jobs["end_s"], strict=True))
    assert ends == {f"{JOBS}-{number}": job.expected_end for number, job in enumerate(jobs)}
    assert result.audit() == []


def scaled(line: str, tenths: int) -> str:
    """A line of a log with its submit time multiplied and rounded down to the second."""
    number, submit, *others = line.split()
    return " ".join([number, str(int(submit) * tenths // 10), *others])


@pytest.mark.parametrize(
    ("name", "tenths", "processors", "estimate", "total_s", "mean_s", "longest_s", "waited", "slowdown"),
    [
        (KTH, 10, 100, "exact", 180_983_987, 6_357.676854, 258_803, 13_005, 71.179992),
        (KTH, 10, 100, "requested", 195_237_048, 6_858.364000, 262_194, 13_225, 90.856809),
        (NASA, 7, 128, "exact", 37_706_027, 2_087.126481, 29_826, 7_805, 31.208225),
    ],
)
def test_waits_on_whole_logs(  # noqa: PLR0917 - a row of the table
    traces, tmp_path, name, tenths, processors, estimate, total_s, mean_s, longest_s, waited, slowdown
):
    with gzip.open(traces / "swf" / f"{name}.swf.gz", "rt") as log:
        rows = [scaled(line, tenths) for line in log if line.strip() and not line.startswith(";")]
    (tmp_path / "log.swf").write_text("\n".join(rows) + "\n", encoding="utf-8")
    trace = {"format": "swf", "path": "log.swf"}
    result = replay(tmp_path, trace, processors, backfill="easy", estimate=estimate)
    waiting = result.jobs["waiting_s"]
    assert (int(waiting.sum()), int(waiting.max()), int((waiting > 0).sum())) == (total_s, longest_s, waited)
    assert result.summary["waiting_mean_s"] == pytest.approx(mean_s, abs=1e-6)
    assert result.summary["bounded_slowdown_mean"] == pytest.approx(slowdown, abs=1e-6)
