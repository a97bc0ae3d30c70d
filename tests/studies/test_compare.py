"""Variants of a scenario, their paired differences, and the ranking."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from scipy import stats

import batchsim
from batchsim.errors import InputError, ResultError, ScenarioError, UsageError
from batchsim.report.tradeoff import Point, Titles, _box_of_name, draw_tradeoff, pareto_front
from batchsim.studies.cells import cell, differences, ranking, sentences
from batchsim.studies.comparison import Comparison, Outcome
from batchsim.studies.measures import MEASURES, parse_target
from batchsim.studies.parallel import do_all
from batchsim.studies.replications import interval
from batchsim.studies.speeds import speed_factors
from batchsim.studies.variants import axes_of, label, labels, names, parse_axis, refuse_both
from batchsim.units import format_duration
from tests.studies.scenarios import definition, jobs, managed, world

if TYPE_CHECKING:
    from pathlib import Path

TYPES = "computeEnvironments.cloud.computeResources.instanceTypes"
MOST = "computeEnvironments.cloud.computeResources.maxvCpus"
FIGURES = {"cost_usd": "cost_usd", "makespan_s": "makespan_s", "waiting_p95_s": "waiting_p95_s"}


def data(**more):
    runtime = {"exponential": {"mean": "10m"}}
    work = [jobs("j", "q0", "d", 30, runtime=runtime, **more)]
    return world([managed("cloud", 16, "c6i.xlarge")], work, definition("d", 2, 6000))


@pytest.fixture(scope="module")
def found():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    return batchsim.compare(
        scenario,
        {TYPES: [["c6i.large"], ["c6i.xlarge"], ["m6i.xlarge"], ["r6i.xlarge"]]},
        replications=4,
        subject_to="p95_wait<=20m",
        workers=1,
    )


# ------------------------------------------------------------------------------------------- what it rests on


def test_each_run_is_that_of_the_scenario_with_the_value_set(found):
    for name in ("c6i.xlarge", "m6i.xlarge"):
        scenario = batchsim.parse_scenario(json.dumps(data()), overrides=[f"{TYPES}=[{name}]"])
        mine = found.runs[found.runs["variant"] == name]
        assert mine["replication"].tolist() == [0, 1, 2, 3]
        for number in range(4):
            summary = batchsim.run(scenario, replication=number).summary
            row = mine.iloc[number]
            assert {key: row[key] for key in FIGURES} == {key: summary[key] for key in FIGURES}
            used = summary["cost_parts_usd"]["busy"]
            assert row["waste_usd"] == pytest.approx(summary["cost_usd"] - used, abs=1e-12)
            assert row["waste_share"] == pytest.approx(1 - used / summary["cost_usd"])


def test_differences_are_paired_and_have_the_interval_of_student_t(found):
    runs = found.runs.pivot_table(index="replication", columns="variant", values="cost_usd")
    for name in ("m6i.xlarge", "r6i.xlarge"):
        paired = stats.ttest_rel(runs[name], runs["c6i.xlarge"])
        low, high = paired.confidence_interval(0.95)
        row = found.table.loc[name]
        assert row["cost_usd_difference"] == pytest.approx((runs[name] - runs["c6i.xlarge"]).mean())
        assert row["cost_usd_difference_low"] == pytest.approx(low)
        assert row["cost_usd_difference_high"] == pytest.approx(high)
        alone = stats.t.interval(0.95, 3, runs[name].mean(), stats.sem(runs[name]))
        assert (row["cost_usd_low"], row["cost_usd_high"]) == pytest.approx(alone)


def test_equal_draws_make_a_difference_surer_than_the_figures_it_is_of(found):
    row = found.table.loc["r6i.xlarge"]
    assert row["cost_usd_difference_high"] - row["cost_usd_difference_low"] < (
        row["cost_usd_high"] - row["cost_usd_low"]
    )


def test_all_cores_find_what_one_finds():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    one, two = (
        batchsim.compare(scenario, [f"{MOST}=8,16"], replications=2, seed=5, workers=workers)
        for workers in (1, 2)
    )
    assert one.to_dict() == two.to_dict()
    assert one.manifest == two.manifest
    assert one.runs.equals(two.runs)


def test_a_process_that_is_killed_is_one_line():
    with pytest.raises(UsageError, match="fewer workers"):
        do_all(_die, [(0,), (1,)], workers=2)


def test_pieces_of_work_are_done_in_order_and_counted():
    for workers in (1, 2):
        told: list[int] = []
        assert do_all(pow, [(2, n) for n in range(5)], workers=workers, done=told.append) == [1, 2, 4, 8, 16]
        assert told == [1, 2, 3, 4, 5]


def _die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_mistake_in_a_worker_is_raised_here():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    with pytest.raises(InputError, match=r"--vary computeEnvironments.*c9x"):
        batchsim.compare(scenario, [f"{TYPES}=[c6i],[c9x]"], replications=2, workers=2)


# ------------------------------------------------------------------------------------------------ the ranking


def test_variants_are_ranked_by_cost_and_those_that_place_no_job_are_not(found):
    table = found.table
    assert table.index.tolist()[-1] == "c6i.large"
    assert table["rank"].tolist()[:3] == [1, 2, 3]
    assert table["cost_usd"].iloc[:3].is_monotonic_increasing
    never = table.loc["c6i.large"]
    assert (never["status"], never["never_placed"], never["meets"]) == ("never placed", 30, "")
    assert "asks for 6000 MiB; the most that one instance offers is" in never["why"]
    assert table["rank"].isna().tolist() == [False, False, False, True]
    assert not table.loc["c6i.large", "cheapest"]
    assert never[["cost_usd", "makespan_s", "cost_usd_difference"]].isna().all()
    assert set(found.runs["variant"]) == {"c6i.xlarge", "m6i.xlarge", "r6i.xlarge"}


def test_the_first_variant_that_places_all_is_what_others_differ_from(found):
    assert found.baseline.variant.name == "c6i.xlarge"
    assert found.table.loc["c6i.xlarge", "cost_usd_difference"] != found.table.loc["c6i.xlarge", "cost_usd"]
    assert found.table["cost_usd_difference"].isna().sum() == 2


def test_frames_have_declared_types(found):
    kinds = found.table.dtypes.astype(str)
    assert kinds["rank"] == kinds["never_placed"] == "Int64"
    assert kinds["cheapest"] == "bool"
    assert all(
        kinds[name] == "float64" for name in kinds.index if name.endswith(("_usd", "_s", "_low", "_high"))
    )
    assert found.table.index.name == "variant"
    assert found.runs.dtypes.astype(str)["cost_usd"] == "float64"


def test_a_variant_that_lets_jobs_fail_is_not_the_cheapest():
    """Slow instances run into the time limit: they cost less, because they do less."""
    slow = data()
    slow["jobDefinitions"][0]["timeout"] = {"attemptDurationSeconds": 1200}
    scenario = batchsim.parse_scenario(json.dumps(slow))
    found = batchsim.compare(
        scenario,
        [f"{TYPES}=[c6i.xlarge],[m6i.xlarge]", "assumptions.spotNotice=1m,2m"],
        replications=3,
        speed_factors={"c6i": 0.1},
        workers=1,
    )
    assert {each.variant.labels[0] for each in found.outcomes if found.does_less(each)} == {"c6i.xlarge"}
    assert found.cheapest.variant.labels == ("m6i.xlarge", "1m")
    assert [each.variant.labels[0] for each in found.ranked] == ["m6i.xlarge"] * 2 + ["c6i.xlarge"] * 2
    assert found.table["status"].tolist()[2:] == ["fewer jobs succeed"] * 2
    assert "SUCCEEDED" in ranking(found).headers


def licensed(total: int, **more):
    """The same jobs, each of which uses up a licence."""
    scenario = data(**more)
    scenario["consumableResources"] = [
        {"consumableResourceName": "licence", "totalQuantity": total, "resourceType": "NON_REPLENISHABLE"}
    ]
    scenario["jobDefinitions"][0] |= {
        "retryStrategy": {"attempts": 3},
        "consumableResourceProperties": {
            "consumableResourceList": [{"consumableResource": "licence", "quantity": 1}]
        },
    }
    return batchsim.parse_scenario(json.dumps(scenario))


def test_too_few_licences_for_all_jobs_are_known_before_a_run():
    given = ["consumableResources.licence.totalQuantity=40,30,20"]
    found = batchsim.compare(licensed(40), given, replications=2, workers=1)
    short = found.table.loc["20"]
    assert (short["status"], short["never_placed"]) == ("never placed", 10)
    assert short["why"] == "there is too little of licence"
    assert found.cheapest.variant.name == "40"


def test_a_run_that_stalls_counts_as_never_placed():
    """Only a run shows that further attempts use up the licences of other jobs."""
    given = ["consumableResources.licence.totalQuantity=30,90"]
    found = batchsim.compare(licensed(30, failure={"rate": 0.5}), given, replications=2, workers=1)
    short = found.table.loc["30"]
    assert short["status"] == "never placed"
    assert 0 < short["never_placed"] < 30
    assert "licence" in short["why"]
    assert short[["cost_usd", "waiting_p95_s"]].isna().all()
    assert found.cheapest.variant.name == "90"
    assert found.baseline is found.cheapest


def test_a_run_tells_how_many_jobs_an_update_leaves_without_an_instance():
    """Those that wait when the environment is disabled, and those that come then."""
    late = jobs("late", "q0", "d", 2, arrivals={"atOnce": {"at": "20h"}})
    then = {"computeEnvironment": "cloud", "maxvCpus": 8}
    updated = data()
    updated["workload"] += [late, {"at": "10m", "update": {**then, "state": "ENABLED"}}]
    given = ["workload.2.update.{maxvCpus,state}=[8,ENABLED],[8,DISABLED],[0,ENABLED]"]
    found = batchsim.compare(batchsim.parse_scenario(json.dumps(updated)), given, replications=1, workers=1)
    left = {each.variant.labels[0]: each.never and each.never.jobs for each in found.outcomes}
    assert left.keys() == {"[8, ENABLED]", "[8, DISABLED]", "[0, ENABLED]"}
    assert left["[8, ENABLED]"] is None
    run = batchsim.run(
        batchsim.parse_scenario(json.dumps(updated), overrides=["workload.2.update.state=DISABLED"])
    )
    assert left["[8, DISABLED]"] == (run.jobs["state"] == "RUNNABLE").sum() > 2
    assert left["[0, ENABLED]"] == 2


def test_a_horizon_is_told(found):
    cut = batchsim.compare(
        batchsim.parse_scenario(json.dumps(data())),
        ["horizon=10m,20m"],
        replications=1,
        workers=1,
    )
    assert set(cut.table["status"]) == {"stopped at the horizon", "fewer jobs succeed"}
    assert any("horizon" in each for each in sentences(cut))
    assert cut.table["cost_usd_low"].isna().all()


def test_of_different_horizons_none_that_leaves_work_is_the_cheapest():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    cut = batchsim.compare(scenario, ["horizon=10m,20m"], replications=1, workers=1)
    assert cut.cheapest is None
    assert next(sentences(cut)) == "no variant does the whole work"
    assert {row[1] for row in ranking(cut).rows} == {""}
    assert [row[-1] for row in ranking(cut).rows] == ["stopped at the horizon", "fewer jobs succeed"]
    ended = {each.variant.name: each.ended for each in cut.outcomes}
    assert 0 <= ended["10m"] < ended["20m"] < 30
    assert (
        f"by then 20m ended {ended['20m']:.0f} of 30 jobs; 10m ended {ended['10m']:.0f} of 30 jobs"
        in list(sentences(cut))
    )
    whole = batchsim.compare(scenario, ["horizon=20m,10d"], replications=1, workers=1)
    assert whole.cheapest.variant.name == "10d"


def test_under_one_horizon_the_cheapest_of_those_that_do_as_much_is_told():
    scenario = batchsim.parse_scenario(json.dumps(data() | {"horizon": "20m"}))
    cut = batchsim.compare(scenario, {TYPES: [["r6i.xlarge"], ["m6i.xlarge"]]}, replications=1, workers=1)
    assert [each.at_horizon for each in cut.outcomes] == [True, True]
    assert cut.outcomes[0].ended < cut.outcomes[0].jobs == 30
    assert cut.cheapest.variant.name == "m6i.xlarge"


# ---------------------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("text", "limit", "column"),
    [
        ("p95_wait<=30m", 1800, "waiting_p95_s"),
        ("waiting_p95_s < 30", 30, "waiting_p95_s"),
        ("cost<=99.5", 99.5, "cost_usd"),
        ("cost<99.5 USD", 99.5, "cost_usd"),
        ("utilization>=80%", 0.8, "utilization"),
        ("waste<0.2", 0.2, "waste_share"),
        ("waste<=1", 1, "waste_share"),
        ("waste<20%", 0.2, "waste_share"),
        ("succeeded>=30", 30, "jobs_succeeded"),
        ("q.1.max_wait<=1h30m", 5400, "q.1.waiting_max_s"),
    ],
)
def test_targets_are_read(text, limit, column):
    target = parse_target(text, ["q.1", "other"])
    assert (target.limit, target.measure.column) == (pytest.approx(limit), column)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p95_wait", "expected MEASURE<=VALUE"),
        ("p95_wiat<=30m", "did you mean p95_wait?"),
        ("p95_wait<=soon", "expected a duration"),
        ("cost<=30m", "expected a number such as 100"),
        ("cost<=10%", "expected a number such as 100"),
        ("cost<=-1", "expected a number"),
        ("waste<20 USD", "80% or 0.8"),
        ("waste<20", "expected a share of at most 100% or 1, found '20'; for 20 % write 20%"),
        ("utilization>=101%", "expected a share of at most 100% or 1, found '101%'"),
        ("nobody.p95_wait<1h", "expected a job queue"),
        ("q0.utilization<1", "expected a measure"),
        ("<=3", "expected MEASURE<=VALUE"),
    ],
)
def test_targets_that_make_no_sense(text, said):
    with pytest.raises(UsageError) as refused:
        parse_target(text, ["q0"])
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"--subject-to {text}: ")


@pytest.mark.parametrize(
    ("text", "values", "verdict"),
    [
        ("cost<=10", [8, 9], "likely"),  # 8.5 -+ 6.4
        ("cost<=20", [8, 9], "yes"),
        ("cost<=8", [8, 9], "unlikely"),
        ("cost<=1", [8, 9], "no"),
        ("cost>=1", [8, 9], "yes"),
        ("cost<9", [9], "no"),
        ("cost<=9", [9], "yes"),
    ],
)
def test_verdicts_are_of_the_mean_and_of_the_whole_interval(text, values, verdict):
    assert parse_target(text, []).verdict(interval(values)) == verdict


def test_what_cannot_be_measured_meets_no_target():
    assert parse_target("p95_wait<=1h", []).verdict(None) == "no"


def test_the_ticked_variant_is_the_cheapest_that_meets_all_targets():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    given = [f"{MOST}=4,8,32"]
    free = batchsim.compare(scenario, given, replications=3, workers=1)
    waits = free.table["waiting_p95_s"].to_dict()
    assert waits["4"] > waits["8"] > waits["32"]
    limit = (waits["8"] + waits["32"]) / 2
    bound = batchsim.compare(
        scenario,
        given,
        replications=3,
        workers=1,
        subject_to=[f"p95_wait<={limit:.0f}s", "q0.mean_wait<=10h"],
    )
    assert free.cheapest is not None
    assert bound.cheapest.variant.name == "32"
    assert bound.table["cheapest"].to_dict() == {"4": False, "8": False, "32": True}
    assert "q0.waiting_mean_s" in bound.runs
    none = batchsim.compare(scenario, given, replications=1, workers=1, subject_to="cost<=0")
    assert none.cheapest is None
    assert next(sentences(none)) == "no variant does the whole work and meets all targets"


# -------------------------------------------------------------------------------------------- what is varied


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=[c6i],[m6i, r6i]", (["c6i"], ["m6i", "r6i"])),
        ("a=1,2.5", (1, 2.5)),
        ("a=12h,1d", ("12h", "1d")),
        ('a={"poisson": {"rate": "1/s"}},{atOnce: {}}', ({"poisson": {"rate": "1/s"}}, {"atOnce": {}})),
        ("a=true,false", (True, False)),
    ],
)
def test_values_are_those_of_a_list(text, values):
    assert parse_axis(text).values == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("horizon", "expected PATH=VALUE,VALUE,..."),
        ("=1,2", "expected PATH=VALUE,VALUE,..."),
        ("horizon=1h", "expected at least two values, found 1"),
        ("horizon=", "found 0"),
        ("horizon=1h,1h", "the value 1h stands twice"),
        ("horizon=[1h,2h", "--vary horizon=[1h,2h"),
    ],
)
def test_axes_that_make_no_sense(text, said):
    with pytest.raises(InputError) as refused:
        parse_axis(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_axes_are_called_by_the_last_part_of_their_path_where_that_is_unique():
    axes = axes_of(["a.types=1,2", "b.most=1,2", "c.most=1,2"])
    assert names(axes) == ["types", "b.most", "c.most"]
    with pytest.raises(UsageError, match="varied twice"):
        axes_of(["a=1,2", "a=3,4"])
    with pytest.raises(UsageError, match="at least one part"):
        axes_of({})


def test_a_whole_that_is_varied_after_its_part_is_refused():
    both = {"a.b": [1, 2], "a": [{"b": 3}, {"b": 4}]}
    with pytest.raises(UsageError, match=r"^a replaces what a\.b varies; vary the whole first"):
        axes_of(both)
    assert [axis.path for axis in axes_of(dict(reversed(both.items())))] == ["a", "a.b"]
    assert len(axes_of({"ab": [1, 2], "a": [1, 2]})) == 2


def test_values_in_words():
    assert [label(each) for each in (["c6i", "m6i"], "12h", 4, True, None, {"a": ["b"]})] == [
        "c6i, m6i",
        "12h",
        "4",
        "true",
        "null",
        "{a: [b]}",
    ]
    assert len(label("x" * 100)) == 60


def test_values_that_begin_alike_are_called_by_what_differs():
    most = [{"type": "SPOT", "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED", "max": n} for n in (9, 8)]
    axis = parse_axis(f"a={json.dumps(most[0])},{json.dumps(most[1])},12h")
    assert labels(axis.values) == ["…max: 9}", "…max: 8}", "12h"]
    long = ["x" * 100 + each for each in "ab"]
    assert [each[:4] for each in labels(long)] == ["1: …", "2: …"]
    with pytest.raises(UsageError, match=r"the value \{type: SPOT, .*… stands twice"):
        axes_of({"a": [most[0], most[0]]})


def test_a_scenario_that_was_made_in_python_can_be_varied(found):
    plain = batchsim.Scenario.model_validate(found.scenario.to_dict())
    one = batchsim.compare(plain, {MOST: [8, 16]}, replications=1, workers=1)
    two = batchsim.compare(found.scenario, {MOST: [8, 16]}, replications=1, workers=1)
    assert one.runs.equals(two.runs)


def test_too_many_variants_are_refused(found):
    grid = {f"{MOST}": list(range(1, 50)), "horizon": [f"{hours}h" for hours in range(1, 50)]}
    with pytest.raises(UsageError, match=r"at most 1,000 variants, found 2,401"):
        batchsim.compare(found.scenario, grid, replications=1)


def test_a_wrong_value_names_the_option_that_gave_it(found):
    with pytest.raises(ScenarioError) as refused:
        batchsim.compare(found.scenario, [f"{MOST}=8,many"], replications=1)
    assert str(refused.value).startswith(f'--vary {MOST}="many": {MOST}: expected a whole number')


# ----------------------------------------------------------------------------------------------------- speeds


RESOURCES = "computeEnvironments.cloud.computeResources"
TOGETHER = f"{RESOURCES}.{{type,allocationStrategy}}"


def test_an_error_of_a_variant_says_which_and_how_to_vary_both_together():
    on_spot = [f"{RESOURCES}.type=SPOT", f"{RESOURCES}.allocationStrategy=SPOT_CAPACITY_OPTIMIZED"]
    scenario = batchsim.parse_scenario(json.dumps(data()), overrides=on_spot)
    with pytest.raises(InputError) as caught:
        batchsim.compare(scenario, [f"{RESOURCES}.type=SPOT,EC2"], replications=1, workers=1)
    line = caught.value.one_line()
    assert f"{RESOURCES}.allocationStrategy: with type=EC2: SPOT_CAPACITY_OPTIMIZED is for type SPOT" in line
    assert line.endswith(f"or vary both: --vary '{TOGETHER}=[EC2, ...],...'")


def test_parts_that_change_together_are_one_axis():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    vary = [f"{TOGETHER}=[EC2, BEST_FIT_PROGRESSIVE],[SPOT, SPOT_CAPACITY_OPTIMIZED]"]
    found = batchsim.compare(scenario, vary, replications=1, workers=1)
    assert list(found.axes) == ["type, allocationStrategy"]
    kinds = [
        (resources.type, resources.allocationStrategy)
        for each in found.outcomes
        if (resources := each.variant.scenario.computeEnvironments[0].computeResources) is not None
    ]
    assert kinds == [("EC2", "BEST_FIT_PROGRESSIVE"), ("SPOT", "SPOT_CAPACITY_OPTIMIZED")]
    for each in found.outcomes:
        alone = batchsim.parse_scenario(json.dumps(data()), overrides=each.variant.overrides)
        cost = batchsim.run(alone).summary["cost_usd"]
        assert found.runs.set_index("variant").loc[each.variant.name, "cost_usd"] == cost


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        (f"{TOGETHER}=EC2,SPOT", "expected lists of 2 values, one for each of"),
        (f"{TOGETHER}=[EC2, BEST_FIT, 3],[SPOT, BEST_FIT]", "expected lists of 2 values, one for each of"),
    ],
)
def test_values_of_parts_that_change_together_have_one_for_each(vary, said):
    with pytest.raises(UsageError, match=said):
        axes_of([vary])


def test_a_part_is_not_varied_twice_nor_set_where_it_changes_with_another():
    together = f"{TOGETHER}=[EC2, BEST_FIT],[SPOT, BEST_FIT]"
    with pytest.raises(UsageError, match="type is varied twice"):
        axes_of([together, f"{RESOURCES}.type=EC2,SPOT"])
    with pytest.raises(UsageError, match="allocationStrategy is varied, too"):
        refuse_both(axes_of([together]), [f"{RESOURCES}.allocationStrategy=BEST_FIT"])


def test_speeds_are_read_from_options_and_tables(tmp_path):
    table = tmp_path / "speeds.csv"
    table.write_text("instance_type,speed_factor,by\nm7i,1.25,us\nc7i.large, 1.3,us\n")
    assert speed_factors([str(table), "m7i=1.2", "r7i=2"]) == {"m7i": 1.2, "c7i.large": 1.3, "r7i": 2.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type,speed\nm7i,2\n", ":1: expected the columns instance_type and speed_factor, found type, speed"),
        ("instance_type,speed_factor\nm7i,fast\n", ":2: speed_factor: expected a number"),
        ("instance_type,speed_factor\nm7i,1\nm7i,2\n", ":3: m7i stands twice"),
        ("instance_type,speed_factor\n,2\n", ":2: instance_type: expected a type"),
        ("instance_type,speed_factor\n", "expected at least one row"),
        ("", "found nothing"),
    ],
)
def test_tables_of_speeds_that_make_no_sense(text, said, tmp_path):
    table = tmp_path / "speeds.csv"
    table.write_text(text)
    with pytest.raises(UsageError) as refused:
        speed_factors([str(table)])
    assert said in str(refused.value)
    for other in ("m7i", "absent.csv", "m7i=x"):
        with pytest.raises(UsageError):
            speed_factors([other])


def test_a_faster_family_may_win():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    given = [f"{TYPES}=[m6i.xlarge],[m7i.xlarge]"]
    usual, faster = (
        batchsim.compare(scenario, given, replications=2, speed_factors=factors, workers=1)
        for factors in ([], "m7i=1.5")
    )
    assert (usual.cheapest.variant.name, faster.cheapest.variant.name) == ("m6i.xlarge", "m7i.xlarge")
    assert faster.manifest["assumptions"]["speedFactors"] == {"m7i": 1.5}
    shorter = faster.table.loc["m7i.xlarge", "makespan_s"]
    assert shorter < usual.table.loc["m7i.xlarge", "makespan_s"]
    assert faster.table.loc["m6i.xlarge", "makespan_s"] == usual.table.loc["m6i.xlarge", "makespan_s"]


def test_a_speed_factor_of_a_type_that_no_variant_has_is_said_to_change_nothing():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    factors = {"m6i": 2, "c6i.xlarge": 1.5, "m7i": 1.5, "r7i.large": 3}
    found = batchsim.compare(
        scenario, {TYPES: [["c6i"], ["m6i"]]}, replications=1, speed_factors=factors, workers=1
    )
    assert found.not_modelled[-1] == (
        "--speed-factor of m7i, r7i.large changes nothing: no variant has such an instance type."
    )
    used = batchsim.compare(scenario, {MOST: [16, 32]}, replications=1, speed_factors={"c6i": 1.5}, workers=1)
    assert not [each for each in used.not_modelled if "--speed-factor" in each]


# ------------------------------------------------------------------------------------------- what is shown


def test_cells_are_written_in_their_unit():
    by_column = {each.column: each for each in MEASURES}
    assert cell(by_column["cost_usd"], interval([1, 2, 3])) == "2.00 ± 2.48"
    assert cell(by_column["cost_usd"], interval([-2]), signed=True) == "-2.00"
    assert cell(by_column["makespan_s"], interval([3600, 3600]), signed=True) == "+1h 00m ± 0s"
    assert cell(by_column["utilization"], interval([0.5, 0.5])) == "50.0 ± 0.0 %"
    assert cell(by_column["utilization"], interval([0.125]), signed=True) == "+12.5 points"
    assert cell(by_column["jobs_succeeded"], interval([1000])) == "1,000"
    assert cell(by_column["cost_usd"], None) == "-"


def test_the_texts_have_a_row_for_each_variant(found):
    texts = ranking(found)
    assert [row[2] for row in texts.rows] == found.table.index.tolist()
    assert texts.rows[-1][0] == "-"
    assert texts.rows[-1][-1] == "NEVER PLACED: 30 jobs"
    assert all(len(row) == len(texts.headers) for row in texts.rows)
    assert len(differences(found).rows) == 2


def test_html_is_escaped_and_holds_the_table(found):
    html = found._repr_html_()
    assert html.count("<table>") == 2
    assert "NEVER PLACED" in html
    nasty = batchsim.compare(
        batchsim.parse_scenario(json.dumps(data())),
        {"workload.j.parameters": [{"<b>": "1"}, {"x": "2"}]},
        replications=1,
        workers=1,
    )
    assert "<b>:" not in nasty._repr_html_()


# ---------------------------------------------------------------------------------------------------- files


FILES = [
    "cost-against-wait.png",
    "cost-against-wait.svg",
    "manifest.json",
    "runs.csv",
    "table.csv",
    "table.json",
]


def listed(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_folder_holds_tables_plots_and_manifest_and_equal_comparisons_give_equal_bytes(found, tmp_path):
    for name in ("one", "two"):
        found.write(tmp_path / name)
        assert listed(tmp_path / name) == FILES
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert manifest["vary"] == {TYPES: [["c6i.large"], ["c6i.xlarge"], ["m6i.xlarge"], ["r6i.xlarge"]]}
    assert manifest["replications"] == 4
    table = json.loads((tmp_path / "one" / "table.json").read_text())
    assert [each["name"] for each in table["variants"]] == found.table.index.tolist()
    assert table["variants"][0]["measures"]["cost_usd"]["mean"] == found.table["cost_usd"].iloc[0]
    assert (tmp_path / "one" / FILES[0]).read_bytes()[:4] == b"\x89PNG"
    svg = (tmp_path / "one" / FILES[1]).read_text()
    assert all(f">{name}</text>" in svg for name in ("c6i.xlarge", "m6i.xlarge", "r6i.xlarge"))
    assert "not shown, as some jobs can never be placed: c6i.large" in svg


def test_a_folder_of_somebody_else_is_left_alone(found, tmp_path):
    for name, text in (("notes.txt", "mine"), ("manifest.json", '{"batchsim": "0.1.0"}')):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(ResultError, match="nothing was written"):
            found.write(folder)
        assert listed(folder) == [name]
        assert (folder / name).read_text() == text


def test_a_run_does_not_overwrite_a_comparison(found, tmp_path):
    found.write(tmp_path / "c")
    found.write(tmp_path / "c")
    with pytest.raises(ResultError, match="nothing was written"):
        batchsim.run(found.scenario).write(tmp_path / "c")
    assert listed(tmp_path / "c") == FILES


def test_the_plot_names_each_variant_that_was_run(found):
    figure = found.plot()
    axes = figure.axes[0]
    assert {text.get_text() for text in axes.texts} == {"c6i.xlarge", "m6i.xlarge", "r6i.xlarge"}
    assert axes.get_xlim()[0] > -60
    with pytest.raises(UsageError):
        found.plot("cost_usd")


def drawn(points, **limits):
    return draw_tradeoff(points, Titles("", "", "wait", "cost", "the cheapest", **limits)).axes[0]


def test_names_stand_beside_their_own_marks_and_cover_nothing():
    waits = (5500, 13_500, 30_000)
    points = [
        Point(f"g{kind}.xlarge / {wait}", (wait, wait, wait), (cost, cost - 9, cost + 9))
        for kind, cost in enumerate((44, 89, 99))
        for wait in waits
    ]
    axes = drawn([*points, Point("twin", *points[0][1:3])])
    inside = axes.get_window_extent()
    boxes = [_box_of_name(text) for text in axes.texts]
    assert len(boxes) == 10
    for row, box in enumerate(boxes):
        assert inside.x0 <= box.x0 < box.x1 <= inside.x1
        assert not any(box.overlaps(other) for other in boxes[:row])


def test_of_equal_waits_only_the_cheapest_is_on_the_front_and_equals_are_both():
    one, twin, dear = (
        Point(name, (60, 60, 60), (cost,) * 3) for name, cost in (("a", 1), ("b", 1), ("c", 2))
    )
    assert pareto_front([dear, twin, one]) == [twin, one]
    assert [line.get_linestyle() for line in drawn([one, dear]).lines].count("--") == 0


def test_targets_are_drawn_where_they_are_in_the_picture():
    points = [Point("a", (600, 600, 600), (1, 1, 1)), Point("b", (6000, 6000, 6000), (2, 2, 2))]
    dotted = [
        line for line in drawn(points, waits=[1200, 10**9], costs=[1.5]).lines if line.get_linestyle() == ":"
    ]
    assert [line.get_xdata()[0] for line in dotted] == [20, 0]
    assert dotted[1].get_ydata()[0] == 1.5


def test_an_outcome_without_values_has_no_interval(found):
    nothing = Outcome(found.outcomes[0].variant, {})
    assert nothing.interval("cost_usd") is None
    assert isinstance(found, Comparison)


def test_a_variant_that_is_stopped_before_all_is_done_is_not_the_cheapest():
    """Of a hundred jobs the shorter horizon leaves one: the cheaper variant does a hundredth less."""
    work = [jobs("j", "q0", "d", 200, runtime="10m"), jobs("last", "q0", "d", 1, runtime="2d")]
    scenario = batchsim.parse_scenario(
        json.dumps(world([managed("cloud", 64, "c6i.xlarge")], work, definition("d", 2, 6000)))
    )
    found = batchsim.compare(scenario, {"horizon": ["1d", "5d"]}, replications=1, workers=1)
    short, whole = found.outcomes
    assert short.interval("jobs_succeeded").mean == 200
    assert short.interval("cost_usd").mean < whole.interval("cost_usd").mean
    assert found.cheapest is whole
    assert found.table.loc["1d", "status"] == "fewer jobs succeed"


def test_a_target_that_is_missed_is_named(found):
    scenario = found.scenario
    compared = batchsim.compare(
        scenario,
        {TYPES: [["m6i.xlarge"], ["c6i.xlarge"]]},
        replications=2,
        subject_to=["cost<=0.01", "p95_wait<=10d"],
        workers=1,
    )
    over = [f"no: cost<=0.01 by {cost - 0.01:.2f} USD" for cost in compared.table["cost_usd"]]
    assert [row[-1] for row in ranking(compared).rows] == over


def test_it_is_told_by_how_much_targets_of_time_and_shares_are_missed(found):
    compared = batchsim.compare(
        found.scenario,
        {TYPES: [["m6i.xlarge"], ["r6i.xlarge"]]},
        replications=1,
        subject_to=["makespan<=1m", "utilization>=99.9%"],
        workers=1,
    )
    row = compared.table.loc["m6i.xlarge"]
    late = format_duration((row["makespan_s"] - 60) * 1_000_000)
    under = f"{99.9 - 100 * row['utilization']:.1f}"
    assert ranking(compared).rows[0][-1] == (
        f"no: makespan<=1m by {late}, utilization>=99.9% by {under} points"
    )


def test_where_the_first_variant_places_not_all_the_baseline_is_named(found):
    scenario = found.scenario
    compared = batchsim.compare(
        scenario, {TYPES: [["c6i.large"], ["c6i.xlarge"], ["m6i.xlarge"]]}, replications=1, workers=1
    )
    assert "differences are to c6i.xlarge" in list(sentences(compared))
    one = batchsim.compare(scenario, {TYPES: [["c6i.large"], ["c6i.xlarge"]]}, replications=1, workers=1)
    assert "there are no differences to tell: only c6i.xlarge places all jobs" in list(sentences(one))


def test_an_impossible_speed_factor_is_blamed_on_its_own_option():
    scenario = batchsim.parse_scenario(json.dumps(data()))
    with pytest.raises(InputError) as caught:
        batchsim.compare(scenario, {MOST: [16, 32]}, speed_factors={"c6i": 0}, replications=1, workers=1)
    assert str(caught.value).startswith("--speed-factor: assumptions.speedFactors.c6i: expected")
