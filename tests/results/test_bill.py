"""Where the bill went: against a loop over seconds, by hand, and by every rule."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.errors import UsageError
from batchsim.results import EnvironmentRow, InstanceTypeRow, Recorder, Result, build_result
from batchsim.results.bill import DIRECT, IDLE_COSTS, OVERHEAD, PARTS, Fleet, Holds, Users, Waits, bill
from batchsim.results.costs import COLUMNS, costs_by_job
from batchsim.results.exact import Split, proportion
from tests.results.strategies import worlds
from tests.results.worlds import JobClass, S, World, context_of, record, told_by_hand, write_attempt

# --- whole micro-USD ----------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 2**53 - 1), st.integers(0, 2**57), st.integers(0, 2**57)), max_size=9)
)
def test_a_proportion_is_that_of_whole_numbers(rows):
    total = np.array([row[0] for row in rows], dtype=np.int64)
    part = np.array([row[1] for row in rows], dtype=np.int64)
    whole = part + np.array([row[2] for row in rows], dtype=np.int64)
    expected = [
        t * p // w if w else 0 for t, p, w in zip(*map(np.ndarray.tolist, (total, part, whole)), strict=True)
    ]
    assert proportion(total, part, whole).tolist() == expected


@given(
    st.lists(
        st.tuples(st.integers(0, 2**52), st.lists(st.integers(0, 2**54), max_size=8)), min_size=1, max_size=6
    )
)
def test_shares_add_up_and_are_less_than_one_off(groups):
    totals = np.array([total for total, _ in groups], dtype=np.int64)
    sizes = [len(weights) for _, weights in groups]
    starts = np.cumsum([0, *sizes[:-1]])
    weights = np.array([weight for _, each in groups for weight in each], dtype=np.int64)
    given_out = Split(starts, weights).of(totals).tolist()
    for (total, mine), start, size in zip(groups, starts.tolist(), sizes, strict=True):
        shares, whole = given_out[start : start + size], sum(mine)
        assert sum(shares) == (total if whole else 0)
        for share, weight in zip(shares, mine, strict=True):
            assert share >= 0
            assert not whole or abs(share - Fraction(total * weight, whole)) < 1


# --- against a loop -----------------------------------------------------------------------------


def by_the_tick(recorder: Recorder, context, tick: int) -> list[dict[str, Fraction]]:
    """Each instance's time by part, in ticks, found by looking at every instance at every tick."""
    end, spent = recorder.ended_at_us, []
    lasts = (recorder.instance, recorder.placed_us, recorder.started_us, recorder.ended_us)
    earlier = (recorder.e_job, recorder.e_instance, recorder.e_placed_us, recorder.e_started_us)
    attempts = [
        *zip(*earlier, recorder.e_ended_us, strict=True),
        *zip(range(recorder.jobs), *lasts, strict=True),
    ]
    attempts = [each for each in attempts if each[2] >= 0]
    reasons = [
        *(recorder.e_status_reason.get(row, "") for row in range(len(recorder.e_job))),
        *(
            recorder.status_reason.get(job, "")
            for job in range(recorder.jobs)
            if recorder.placed_us[job] >= 0
        ),
    ]
    for row, kind in enumerate(recorder.i_type):
        offer, parts = context.instance_types[kind], defaultdict(Fraction)
        until = end if recorder.i_ended_us[row] < 0 else recorder.i_ended_us[row]
        here = [(each, why) for each, why in zip(attempts, reasons, strict=True) if each[1] == row]
        last = max((end if each[4] < 0 else each[4] for each, _ in here), default=None)
        if recorder.i_running_us[row] >= 0:
            for now in range(recorder.i_running_us[row], until, tick):
                if recorder.i_ready_us[row] < 0 or now < recorder.i_ready_us[row]:
                    parts["boot"] += 1
                    continue
                free = Fraction(1)
                for (job, _, placed, started, ended), why in here:
                    if placed <= now < (end if ended < 0 else ended):
                        asked = context.classes[context.job_class[job]]
                        held = Fraction(asked.vcpus, offer.vcpus)
                        if offer.gpus:
                            held = Fraction(9, 10) * Fraction(asked.gpus, offer.gpus) + held / 10
                        free -= held
                        runs = 0 <= started <= now
                        parts["lost" if why.startswith("Host EC2") else "busy" if runs else "pull"] += held
                if last is not None and now >= last:
                    parts["tail"] += free
                else:
                    waits = somebody_waits(recorder, context, attempts, recorder.i_environment[row], now)
                    parts["fragmentation" if waits else "idle"] += free
        spent.append(parts)
    return spent


def somebody_waits(recorder, context, attempts, environment: int, now: int) -> bool:
    places = {
        each["jobQueueName"]: each["computeEnvironmentOrder"][0]["computeEnvironment"]
        for each in context.scenario["jobQueues"]
    }
    for job in range(recorder.jobs):
        if not 0 <= recorder.runnable_us[job] <= now or 0 <= recorder.ended_us[job] <= now:
            continue
        queue = context.classes[context.job_class[job]].queue
        mine = [each for each in attempts if each[0] == job]
        holds = any(placed <= now and not 0 <= ended <= now for _, _, placed, _, ended in mine)
        if not holds and places[queue] == context.environments[environment].name:
            return True
    return False


@given(worlds())
def test_parts_are_those_of_a_loop_over_instances_and_ticks(world: World):
    recorder, context = record(world)
    instances = build_result(recorder, context).instances
    for row, parts in enumerate(by_the_tick(recorder, context, world.tick_us)):
        cost, ticks = round(instances["cost_usd"][row] * 1e6), sum(parts.values())
        told = {part: round(instances[f"{part}_usd"][row] * 1e6) for part in PARTS}
        assert sum(told.values()) == cost
        attempts = (recorder.instance.count(row)) + recorder.e_instance.count(row)
        for part, uusd in told.items():
            exact = parts[part] * cost / ticks if ticks else Fraction(cost if part == "boot" else 0)
            assert abs(uusd - exact) <= (1 + attempts if part in DIRECT else 1)


@given(worlds(), st.sampled_from(IDLE_COSTS))
def test_every_rule_shares_out_the_whole_bill_and_passes_the_audit(world: World, rule):
    recorder, context = record(world)
    result = build_result(recorder, replace(context, idle_cost=rule))
    assert [str(violation) for violation in result.audit()] == []
    whole = in_uusd(result.instances, *COLUMNS)
    assert in_uusd(result.costs, *COLUMNS) == whole
    assert in_uusd(costs_by_job(result.frames, result.manifest, rule), *COLUMNS) == whole
    by_queue = result.costs_by("queue")
    again = result.costs_by(["job", "queue"]).groupby("queue", dropna=False)[list(COLUMNS)].sum()
    assert np.allclose(by_queue[list(COLUMNS)], again, atol=1e-9)


def in_uusd(frame, *columns: str) -> list[int]:
    return [int(np.rint(frame[column].to_numpy() * 1e6).sum()) for column in columns]


# --- by hand ------------------------------------------------------------------------------------


def shared_machine(rule="proportional", **more) -> Result:
    """Two instances of 4 vCPUs at 3.6 USD/h, that is, 1,000 micro-USD a second; the run ends at 100 s.

    one   runs from 0, ready at 10; a-0 has 1 vCPU from 10, RUNNING from 20 to 60; b-0 has 2 from 10 to 40,
          RUNNING from 10; b-1, which wants all 4, waits from 30 and gets them from 60 to 80
    two   runs from 0, ready at 10, and nobody ever uses it; ended at 100
    """
    small, large = JobClass("a", "small"), JobClass("b", "large", 2)
    whole = JobClass("c", "large", 4)
    context = context_of(
        [small, large, whole],
        [(0, 0), (0, 1), (30 * S, 2)],
        environments=[EnvironmentRow("cloud", True, 0, 8)],
        instance_types=[InstanceTypeRow("box", 4, 1000, 0, 3_600_000)],
        scenario={
            "batchsim": 1,
            "name": "small",
            "jobQueues": [
                {
                    "jobQueueName": name,
                    "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "cloud"}],
                }
                for name in ("small", "large")
            ],
            "workload": [
                {"name": "a", "tags": {"team": "red"}},
                {"name": "b", "tags": {"team": "blue"}},
                {"name": "c"},
            ],
        },
        idle_cost=rule,
        **more,
    )
    recorder = Recorder(3)
    for _ in range(2):
        row = recorder.add_instance(0, 0, 0)
        recorder.i_running_us[row], recorder.i_ready_us[row] = 0, 10 * S
        recorder.i_ended_us[row] = 100 * S
    for job, (ready, placed, started, ended) in enumerate(
        ((0, 10, 20, 60), (0, 10, 10, 40), (30, 60, 60, 80))
    ):
        recorder.runnable_us[job] = ready * S
        write_attempt(recorder, job, 0, placed * S, placed * S, started * S, ended * S, 0)
        recorder.state[job] = 5
    recorder.finish(100 * S, "finished")
    return build_result(recorder, context)


def test_every_second_is_spent_on_one_thing():
    one, two = shared_machine().instances[list(COLUMNS)].to_numpy().tolist()
    # milli-USD: 40 s / 4 + 30 s / 2 + 20 s; 10 s / 4; none; 10 s; 20 s / 4; 10 s / 4 + 20 s x 3 / 4; 20 s
    assert one == [0.045, 0.0025, 0, 0.01, 0.005, 0.0175, 0.02]
    # it waited for nobody, but for b-1, which it could have held and did not get
    assert two == [0, 0, 0, 0.01, 0.06, 0.03, 0]


def overhead_of(rule: str) -> dict[str | None, float]:
    result = shared_machine(rule)
    assert result.costs["cost_usd"].sum() == pytest.approx(0.2)
    names = [f"{part}_usd" for part in OVERHEAD]
    by = result.costs_by("group")
    return dict(zip(by["group"], by[names].sum(axis=1).round(6), strict=True))


def test_overhead_is_borne_in_proportion_evenly_by_the_instance_or_by_nobody():
    # a cost 0.0125 USD directly, b 0.015, c 0.02; overhead is 0.1525, of which 0.0525 on the used instance
    rounded = 4e-6  # each of four parts by less than a micro-USD
    in_proportion = {"a": 0.1525 * 125 / 475, "b": 0.1525 * 150 / 475, "c": 0.1525 * 200 / 475}
    assert overhead_of("proportional") == pytest.approx(in_proportion, abs=rounded)
    assert overhead_of("even") == pytest.approx(dict.fromkeys("abc", 0.1525 / 3), abs=rounded)
    # Of both instances alike: nobody used the second one, so all that used the environment bear it.
    assert overhead_of("instance") == pytest.approx(in_proportion, abs=2 * rounded)
    nobody = overhead_of("separate")
    assert [nobody.pop(key) for key in list(nobody) if key not in {"a", "b", "c"}] == [0.1525]
    assert nobody == {"a": 0, "b": 0, "c": 0}


@pytest.mark.parametrize(
    ("rule", "borne"),
    [("proportional", [116, 24]), ("even", [70, 70]), ("instance", [50, 90]), ("separate", [0, 0])],
)
def test_who_wastes_a_whole_instance_bears_it_only_by_the_rule_of_instances(rule, borne):
    ints = np.array
    none = ints([0, 0])
    fleet = Fleet(ints([100, 100]), none, none, ints([100, 100]), none, ints([4, 4]), none, none)
    holds = Holds(ints([0, 1]), ints([0, 1]), none, none, ints([50, 10]), ints([4, 4]), none, none)
    nobody = Waits(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    parts = bill(fleet, holds, nobody, [Users(())], rule)
    assert parts.of_holds[0].tolist() == [50, 10]
    difference = parts.of_holds[len(DIRECT) :].sum(axis=0) - borne
    assert abs(difference).max() <= 1
    assert parts.of_holds.sum() + parts.unallocated.sum() == 200


def test_the_bill_is_grouped_by_what_is_asked_for():
    result = shared_machine()
    assert result.costs_by("queue")["cost_usd"].round(6).tolist() == [0.147369, 0.052631]
    assert result.costs_by("tag:team")["tag:team"].tolist()[:2] == ["blue", "red"]
    assert result.costs_by("job")["job"].tolist() == ["a-0", "b-0", "c-0"]
    assert result.costs_by("instance")["cost_usd"].tolist() == [0.1, 0.1]
    assert result.costs_by(["environment", "instance_type"])["cost_usd"].tolist() == [0.2]
    assert result.costs_by("queue", "separate")["cost_usd"].tolist() == [0.035, 0.0125, 0.1525]


@pytest.mark.parametrize(
    ("by", "rule", "words"),
    [
        (
            "colour",
            None,
            "job_definition, job, tag:NAME; or of environment, instance_type, billing, instance",
        ),
        (["queue", "instance_type"], None, "instance_type is of instances"),
        (["queue", "queue"], None, "each once"),
        ("queue", "fair", "proportional or even or instance or separate"),
    ],
)
def test_other_groups_and_rules_are_refused(by, rule, words):
    with pytest.raises(UsageError, match=words):
        shared_machine().costs_by(by, rule)


def test_a_result_from_a_folder_is_grouped_alike(tmp_path):
    result = build_result(*told_by_hand())
    for form in ("parquet", "csv"):
        result.write(tmp_path / form, form)
        again = Result.read(tmp_path / form)
        for by in ("queue", "job", "instance", "job_definition"):
            assert again.costs_by(by, "even").equals(result.costs_by(by, "even"))
