from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from batchsim.errors import ScenarioError, TraceError, UsageError
from batchsim.scenario import MAX_JOBS
from batchsim.workload import ExitRule, JobClass, build, build_workload, generated
from batchsim.workload.replayed import distinct

S = 1_000_000
COLUMNS = {
    "job_class": "int32",
    "submit_us": "int64",
    "runtime_us": "int64",
    "requested_us": "int64",
    "ordinal": "int64",
}
RANDOM = {
    "name": "random",
    "mix": [
        {"weight": 3, "jobDefinition": "small", "runtime": {"exponential": {"mean": "5m"}}},
        {"weight": 1, "jobDefinition": "large"},
    ],
    "count": 2000,
    "arrivals": {"poisson": {"rate": "100/h"}},
    "runtime": {"lognormal": {"median": "12m", "p95": "40m"}},
}
STEADY = {
    "name": "steady",
    "jobDefinition": "small",
    "until": "2h",
    "arrivals": {"every": {"interval": "60s"}},
    "runtime": {"gamma": {"mean": "5m", "cv": 0.5}},
}
SWF = """; MaxProcs: 8
5 100 -1 60 4 -1 -1 -1 120 -1 1 1 1 -1 -1 -1 -1 -1
6 100 -1 30 2 -1 -1 -1 -1 1024 1 1 1 -1 -1 -1 -1 -1
8 200 -1 10 4 -1 -1 -1 -1 -1 1 1 1 -1 -1 -1 -1 -1
"""


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log.swf").write_text(SWF)
    return {"name": "log", "trace": {"format": "swf", "path": "log.swf"}}


def rows_of(workload, group):
    """The columns of one entry, and the classes its jobs point to."""
    mine = np.array([each.group == group for each in workload.classes])[workload.job_class]
    columns = {name: getattr(workload, name)[mine].tolist() for name in COLUMNS}
    columns["job_class"] = [workload.classes[index] for index in columns["job_class"]]
    return columns


def digest(workload):
    return [getattr(workload, name).tobytes() for name in COLUMNS] + [repr(workload.classes)]


def test_columns_have_their_types_and_are_in_order_of_submission(scenario_of, log):
    workload = build_workload(scenario_of(RANDOM, STEADY, log))
    for name, dtype in COLUMNS.items():
        assert getattr(workload, name).dtype == dtype
        assert len(getattr(workload, name)) == len(workload) == 2000 + 120 + 3
    assert (np.diff(workload.submit_us) >= 0).all()
    assert set(workload.job_class.tolist()) == set(range(len(workload.classes)))
    names = workload.job_names()
    assert len(set(names)) == len(workload)
    assert {"random-0", "random-1999", "steady-119", "log-5", "log-6", "log-8"} <= set(names)


def test_ties_go_by_workload_entry_then_by_draw(scenario_of):
    burst = {"jobDefinition": "small", "arrivals": {"atOnce": {"at": "60s"}}, "runtime": "1s", "count": 2}
    workload = build_workload(scenario_of({"name": "b", **burst}, {"name": "a", **burst}, STEADY))
    assert workload.job_names()[:6] == ["steady-0", "b-0", "b-1", "a-0", "a-1", "steady-1"]


def test_explicit_times_are_numbered_as_listed(scenario_of):
    times = {"name": "t", "jobDefinition": "small", "arrivals": {"times": ["9s", "1s"]}, "runtime": "1s"}
    workload = build_workload(scenario_of(times))
    assert workload.job_names() == ["t-1", "t-0"]
    assert workload.submit_us.tolist() == [S, 9 * S]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(scenario_of, log):
    scenario = scenario_of(RANDOM, STEADY, log)
    first = digest(build_workload(scenario, 7, 2))
    assert digest(build_workload(scenario, 7, 2)) == first
    assert digest(build_workload(scenario, 8, 2)) != first
    assert digest(build_workload(scenario, 7, 3)) != first


def test_other_entries_do_not_change_an_entry(scenario_of, log):
    alone = rows_of(build_workload(scenario_of(RANDOM), 3), "random")
    together = build_workload(scenario_of(STEADY, log, RANDOM), 3)
    assert rows_of(together, "random") == alone
    other = build_workload(scenario_of({**RANDOM, "name": "other"}), 3)
    assert rows_of(other, "other")["runtime_us"] != alone["runtime_us"]


def test_changing_one_stream_leaves_the_other_columns(scenario_of):
    first = rows_of(build_workload(scenario_of(RANDOM)), "random")
    slower = rows_of(
        build_workload(scenario_of({**RANDOM, "arrivals": {"every": {"interval": "1s"}}})), "random"
    )
    assert slower["runtime_us"] == first["runtime_us"]
    assert slower["job_class"] == first["job_class"]
    longer = rows_of(build_workload(scenario_of({**RANDOM, "runtime": "1h"})), "random")
    assert longer["submit_us"] == first["submit_us"]
    assert longer["job_class"] == first["job_class"]
    small = [job_class.vcpus == 1 for job_class in first["job_class"]]
    assert np.array(longer["runtime_us"])[small].tolist() == np.array(first["runtime_us"])[small].tolist()


def test_more_jobs_begin_with_the_fewer(scenario_of):
    fewer = rows_of(build_workload(scenario_of({**RANDOM, "count": 500})), "random")
    more = rows_of(build_workload(scenario_of(RANDOM)), "random")
    assert {name: column[:500] for name, column in more.items()} == fewer


def test_a_mix_follows_its_weights_and_its_runtimes(scenario_of):
    workload = build_workload(scenario_of({**RANDOM, "count": 100_000}))
    counts = np.bincount(workload.job_class)
    assert stats.chisquare(counts, [75_000, 25_000]).pvalue > 1e-4
    small = workload.runtime_us[workload.job_class == 0]
    assert stats.kstest(small, stats.expon(scale=300 * S).cdf).pvalue > 1e-4
    assert np.median(workload.runtime_us[workload.job_class == 1]) == pytest.approx(720 * S, rel=0.02)
    # Which job it is says nothing about how long it takes.
    assert abs(np.corrcoef(small[:-1], small[1:])[0, 1]) < 0.02


def test_members_of_a_mix_draw_their_runtimes_apart(scenario_of):
    item = {"weight": 1, "runtime": {"exponential": {"mean": "5m"}}}
    mix = [{**item, "jobDefinition": "small"}, {**item, "jobDefinition": "large"}]
    workload = build_workload(scenario_of({**RANDOM, "mix": mix}))
    first, second = (workload.runtime_us[workload.job_class == index][:500] for index in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


def test_a_mix_lists_all_its_members_even_if_none_was_drawn(scenario_of):
    rare = [{"weight": 1e9, "jobDefinition": "small"}, {"weight": 1e-9, "jobDefinition": "large"}]
    workload = build_workload(scenario_of({**RANDOM, "mix": rare, "count": 10}))
    assert [job_class.job_definition for job_class in workload.classes] == ["small", "large"]
    assert workload.job_class.tolist() == [0] * 10


def test_a_class_holds_what_the_definition_says(scenario_of):
    entry = {"name": "w", "jobDefinition": "large", "arrivals": {"atOnce": {}}, "runtime": "1s", "count": 1}
    workload = build_workload(scenario_of(entry))
    assert workload.classes == [
        JobClass(
            group="w",
            queue="q",
            job_definition="large",
            vcpus=8,
            memory_mib=16_000,
            gpus=1,
            attempts=3,
            rules=(ExitRule("Host EC2*", None, None, True), ExitRule(None, None, "1", False)),
            timeout_us=600 * S,
            image="large:1",
            image_bytes=500_000_000,
            failure_rate=0.0,
            failure_exit_code=1,
        )
    ]
    assert workload.requested_us.tolist() == [-1]


def test_what_is_said_at_submission_replaces_the_definition(scenario_of):
    failing = {"rate": 0.5, "exitCode": 9}
    entry = {
        "name": "w",
        "mix": [
            {"weight": 1, "jobDefinition": "large", "imageSize": "1GB", "failure": failing},
            {"weight": 1, "jobDefinition": "large:1"},
        ],
        "arrivals": {"atOnce": {}},
        "runtime": "1s",
        "count": 1,
        "imageSize": "2GB",
        "failure": {"rate": 0.1},
        "retryStrategy": {"attempts": 2},
        "timeout": {"attemptDurationSeconds": 60},
        "containerOverrides": {"resourceRequirements": [{"type": "MEMORY", "value": "20000"}]},
    }
    first, second = build_workload(scenario_of(entry)).classes
    assert (first.vcpus, first.memory_mib, first.gpus) == (8, 20_000, 1)
    assert (first.attempts, first.rules, first.timeout_us) == (2, (), 60 * S)
    assert (first.image_bytes, first.failure_rate, first.failure_exit_code) == (10**9, 0.5, 9)
    assert (second.image_bytes, second.failure_rate, second.failure_exit_code) == (2 * 10**9, 0.1, 1)
    assert second.job_definition == "large:1"


def test_equal_jobs_share_a_class(scenario_of):
    twice = [{"weight": 1, "jobDefinition": "small"}, {"weight": 1, "jobDefinition": "small"}]
    workload = build_workload(scenario_of({**RANDOM, "mix": twice}))
    assert len(workload.classes) == 1
    assert not workload.job_class.any()


def test_a_trace_gives_its_own_needs_and_takes_the_rest_from_the_definition(scenario_of, log):
    workload = build_workload(
        scenario_of({**log, "jobDefinition": "large"}, assumptions={"submitJobRate": 0})
    )
    assert [(each.vcpus, each.memory_mib, each.gpus) for each in workload.classes] == [(4, 16, 0), (2, 4, 0)]
    assert workload.job_class.tolist() == [0, 1, 0]
    assert {(each.attempts, each.timeout_us, each.image) for each in workload.classes} == {
        (3, 600 * S, "large:1")
    }
    assert workload.submit_us.tolist() == [100 * S, 100 * S, 200 * S]
    assert workload.runtime_us.tolist() == [60 * S, 30 * S, 10 * S]
    assert workload.requested_us.tolist() == [120 * S, -1, -1]
    assert workload.ordinal.tolist() == [5, 6, 8]


def test_a_trace_without_definition(scenario_of, log):
    each, _ = build_workload(scenario_of(log, assumptions={"preset": "ideal"})).classes
    assert (each.job_definition, each.attempts, each.rules, each.timeout_us) == (None, 1, (), None)
    assert (each.image, each.image_bytes) == ("log", 0)


def test_options_of_a_trace(scenario_of, log):
    trace = {
        **log["trace"],
        "scaleArrivals": 0.33,
        "from": "100s",
        "to": "200s",
        "limit": 1,
        "memoryPerVcpu": "1GiB",
    }
    workload = build_workload(scenario_of({**log, "trace": trace}))
    assert workload.submit_us.tolist() == [33 * S]
    assert workload.classes[0].memory_mib == 4096
    notes = workload.notes["log"]
    assert (notes["outside_window"], notes["beyond_limit"], notes["arrivals_scaled_by"]) == (1, 1, 0.33)
    assumed = scenario_of(log, assumptions={"traceMemoryPerVcpu": "100MiB"})
    assert build_workload(assumed).classes[0].memory_mib == 400


def test_notes_say_where_each_entry_comes_from(scenario_of, log, tmp_path):
    (tmp_path / "s.csv").write_text("1\n2\n")
    sampled = {**STEADY, "runtime": {"empirical": {"path": "s.csv"}}}
    notes = build_workload(scenario_of(sampled, RANDOM, log, assumptions={"submitJobRate": 0})).notes
    assert list(notes) == ["steady", "random", "log"]
    assert notes["random"] == {"source": "generated", "jobs": 2000}
    assert list(notes["steady"]["runtime_files"]) == ["s.csv"]
    assert (notes["log"]["source"], notes["log"]["path"], notes["log"]["rows_read"]) == (
        "trace",
        "log.swf",
        3,
    )


def test_needs_are_interned_in_order_of_first_appearance():
    rng = np.random.default_rng(1)
    vcpus, memory = rng.integers(1, 10_001, 5000), rng.choice([4, 1000, 10**7], 5000)
    needs, index = distinct(vcpus, memory)
    pairs = list(zip(vcpus.tolist(), memory.tolist(), strict=True))
    assert [(need.vcpus, need.memory_mib) for need in needs] == list(dict.fromkeys(pairs))
    assert [(needs[i].vcpus, needs[i].memory_mib) for i in index.tolist()] == pairs


def test_at_most_ten_million_jobs_are_expected(scenario_of):
    half = {"jobDefinition": "small", "arrivals": {"atOnce": {}}, "runtime": "1s", "count": MAX_JOBS // 2}
    two = [{"name": "a", **half}, {"name": "b", **half}]
    build._check_expected_jobs(scenario_of(*two))
    one_more = {"name": "c", **half, "count": 1}
    with pytest.raises(ScenarioError) as caught:
        build_workload(scenario_of(*two, one_more))
    assert str(caught.value).startswith(
        "workload.c: expected at most 10,000,000 jobs in all, found 10,000,001; lower"
    )


@pytest.mark.parametrize("rate", ["1000000/s", "1e308/s"])
def test_a_rate_that_would_give_too_many_jobs_is_refused_before_any_is_drawn(scenario_of, rate, monkeypatch):
    monkeypatch.setattr(generated, "draw_arrivals", None)
    flood = {"name": "w", "jobDefinition": "small", "runtime": "1s", "until": "1d"}
    for arrivals in ({"poisson": {"rate": rate}}, {"hourly": {"rates": [rate] * 24}}):
        with pytest.raises(ScenarioError, match=r"workload\.w: expected at most 10,000,000 jobs"):
            build_workload(scenario_of({**flood, "arrivals": arrivals}))


def test_jobs_of_traces_count_too(scenario_of, log, monkeypatch):
    monkeypatch.setattr(build, "MAX_JOBS", 123)
    assert len(build_workload(scenario_of(STEADY, log))) == 123
    monkeypatch.setattr(build, "MAX_JOBS", 122)
    with pytest.raises(ScenarioError, match="workload: expected at most 122 jobs in all, found 123"):
        build_workload(scenario_of(STEADY, log))


def test_an_entry_that_never_submits_is_a_mistake(scenario_of):
    late = {**STEADY, "arrivals": {"every": {"interval": "60s", "start": "2h"}}}
    with pytest.raises(ScenarioError, match=r"workload\.steady\.until: no job is submitted before until"):
        build_workload(scenario_of(late))


def test_a_random_entry_may_have_no_job_by_chance(scenario_of):
    rare = {**RANDOM, "count": 5, "until": "1s"}
    workload = build_workload(scenario_of(rare))
    assert len(workload) == 0
    assert workload.job_names() == []
    assert len(workload.classes) == 2


def test_problems_name_their_place(scenario_of):
    wild = {**RANDOM, "runtime": {"exponential": {"mean": "104000d"}}}
    with pytest.raises(ScenarioError, match=r"workload\.random\.runtime: a random duration"):
        build_workload(scenario_of(wild))
    with pytest.raises(ScenarioError, match=r"workload\.random\.arrivals: the last jobs"):
        build_workload(scenario_of({**RANDOM, "arrivals": {"poisson": {"rate": "1e-9/s"}}}))
    with pytest.raises(TraceError, match=r"none\.swf: expected a file"):
        build_workload(scenario_of({"name": "t", "trace": {"format": "swf", "path": "none.swf"}}))
    with pytest.raises(UsageError, match="the seed: expected 0 or more, found -1"):
        build_workload(scenario_of(RANDOM), -1)
