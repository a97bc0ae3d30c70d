"""The benchmark programs run on tiny sizes, agree with each other about the jobs, and print their tables."""

import json

import pytest

from batchsim.drivers.simulated import simulate
from batchsim.results.recording import Recorder
from benchmarks import cases, doublings, report, throughput
from benchmarks.report import Case, Verdict, judge

TITLES = [
    "shape",
    "jobs",
    "simulator",
    "jobs/s",
    "us/job",
    "peak",
    "MiB",
    "x",
    "heapq",
    "x",
    "batchsim",
    "x",
    "starts",
]


@pytest.mark.parametrize("shape", ["steady", "burst"])
def test_batchsim_and_its_rivals_on_slots_simulate_the_same_thing(shape):
    waits = {rival(shape, 3000).mean_wait_s for rival in cases.SLOT_RIVALS.values()}
    assert len(waits) == 1
    assert cases.batchsim(shape, 3000).mean_wait_s == pytest.approx(waits.pop(), abs=1e-9)


@pytest.mark.parametrize("shape", ["managed_steady", "managed_burst"])
def test_batchsim_and_the_textbook_scale_alike(shape):
    ours = cases.batchsim(shape, 600).mean_wait_s
    for rival in cases.MANAGED_RIVALS.values():
        assert rival(shape, 600).mean_wait_s == pytest.approx(ours, rel=0.5)


def test_spot_instances_are_lost_and_their_jobs_tried_again():
    shape = cases.shapes.managed_spot(30_000)
    plan, world, _ = cases.prepare(shape)
    recorder = Recorder(len(shape))
    simulate(plan, world, recorder)
    lost = sum(reason == "interrupted: Spot" for reason in recorder.i_end_reason.values())
    assert lost > 20
    assert sum(recorder.attempts) - len(shape) > 100
    assert recorder.outcome == "finished"
    assert max(recorder.attempts) < cases.MOST_ATTEMPTS


def test_the_log_gives_the_same_waits_as_the_loop():
    shape = cases.shapes.backlogged(2000, slots=cases.BACKLOG_SLOTS)
    starts = cases.heap_fcfs(shape.submit_us.tolist(), shape.runtime_us.tolist(), cases.BACKLOG_SLOTS)
    mean_wait_s = float((starts - shape.submit_us).mean()) / 1e6
    assert cases.batchsim_log(2000).mean_wait_s == pytest.approx(mean_wait_s, abs=1e-6)


def test_the_throughput_table(capsys):
    assert throughput.main(["--sizes", "300", "--shapes", "steady,managed_burst", "--repeats", "1"]) == 0
    header, rule, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == TITLES
    assert set(rule) == {"-", " "}
    assert [line.split()[0] for line in lines] == ["steady"] * 4 + ["managed_burst"] * 4
    assert {float(line.split()[-3]) for line in lines if "heapq loop" in line} == {1.0}
    assert {float(line.split()[-2]) for line in lines if " batchsim " in line} == {1.0}


def test_a_shape_comes_with_what_it_is_set_against():
    names = [case.shape for case in throughput.plan(["arrays", "shares"], [300], None)]
    assert list(dict.fromkeys(names)) == ["burst", "arrays", "steady", "shares"]
    assert list(dict.fromkeys(case.shape for case in throughput.plan(["shares", "steady"], [300], None))) == [
        "shares",
        "steady",
    ]


def test_fair_shares_and_arrays_are_in_what_the_scheduler_is_told_and_in_the_result():
    plan, _, context = cases.prepare(cases.shapes.shares(2000))
    assert len(plan.shares) == len(plan.classes) == len(context.classes) == 200
    assert context.classes[plan.class_of[7]].share == f"share{cases.shapes.shares(2000).share[7]}"
    assert plan.queues[0].fair_share is not None
    plan, _, context = cases.prepare(cases.shapes.arrays(2000))
    assert plan.graph.jobs == 2000
    assert list(plan.graph.waits_for) == [0] * 200 + [1] * 1800
    assert context.arrays.size.tolist() == [200] * 10


@pytest.mark.parametrize("shape", cases.shapes.PLAIN)
def test_whoever_waits_for_others_or_for_a_share_waits_no_less_on_average(shape):
    plain = cases.batchsim(cases.shapes.PLAIN[shape], 2000).mean_wait_s
    assert cases.batchsim(shape, 2000).mean_wait_s >= 0.99 * plain


def test_the_throughput_as_json(capsys):
    throughput.main(["--sizes", "200", "--shapes", "fleet", "--repeats", "2", "--json"])
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [(run["shape"], run["simulator"]) for run in runs] == [
        ("steady", "heapq loop"),
        ("fleet", "batchsim"),
    ]
    assert all(run["cpu_s"] > 0 and run["peak_mib"] > 0 for run in runs)


def test_the_doublings_table(capsys):
    doublings.main(["--scale", "0.004", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len(lines) == 9
    assert ["-" in line.split()[-1] for line in lines] == [True, False, False] * 3


def test_sizes_are_read():
    assert [throughput.size(text) for text in ("300", "10k", "1M")] == [300, 10_000, 1_000_000]


def test_every_figure_has_a_limit_and_every_limit_a_figure():
    costs = {}
    for case in throughput.plan(list(cases.shapes.SHAPES), throughput.ALL_SIZES, "python"):
        costs[case] = cases.Cost(case.jobs, 1.0, 1.0, 1.0, 1.0)
    figures = throughput.figures(throughput.Costs(costs))
    limits = report.YAML(typ="safe").load(report.LIMITS)
    assert set(figures) | {"doubling", "exit_lag_p99_ms"} == set(limits)


def test_a_figure_beyond_its_limit_is_told():
    held, broken = judge({"doubling": 2.3}), judge({"doubling": 2.31, "dispatcher_over_managed": 14.9})
    assert [each.holds for each in held] == [True]
    assert [each.holds for each in broken] == [False, False]
    assert isinstance(held[0], Verdict)


@pytest.mark.parametrize(("compiled", "verdict"), [(True, False), (False, None)])
def test_a_limit_of_the_compiled_is_judged_only_there(monkeypatch, compiled, verdict):
    monkeypatch.setattr(report, "IS_COMPILED", compiled)
    short, held = judge({"filter_store_over_managed": 14.9, "managed_steady_over_steady": 1.1})
    assert (short.holds, held.holds) == (verdict, True)


def test_the_cheapest_round_counts():
    case = Case("steady", 100, "batchsim", cases.batchsim, ("steady", 100))
    said = []
    cheapest = report.cheapest([case], 2, said.append)
    assert list(cheapest) == [case]
    assert [line.split(":")[0] for line in said] == ["round 1 of 2", "round 2 of 2"]
