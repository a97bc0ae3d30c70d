"""What the check says where users update environments during the run, and where quotas are too low."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import batchsim
from batchsim.core.feasibility import MAX_RESOURCE, RESOURCE_REQUIREMENT
from batchsim.core.jobs import QUEUE_DISABLED
from batchsim.studies.check import Host, check
from batchsim.studies.courses import Turn
from batchsim.studies.run import run
from tests.studies.scenarios import definition, jobs, managed, queue, unmanaged, world


def update(at: str, **what: Any) -> dict[str, Any]:
    return {"at": at, "update": what}


def pairs_every_hour(count: int) -> dict[str, Any]:
    return jobs("j", "q0", "pair", count, arrivals={"every": {"interval": "1h"}})


def test_an_update_after_which_jobs_can_start_no_longer_is_told_with_what_mends_it(load):
    workload = [
        pairs_every_hour(6),
        update("90min", computeEnvironment="m", maxvCpus=8),
        update("150min", computeEnvironment="m", maxvCpus=1),
    ]
    data = world([managed("m", 64, "c6i.large")], workload, definition("pair", 2, 100))
    report = check(load(data))
    (finding,) = report.findings
    assert (finding.reason, finding.begins) == (None, True)
    assert finding.turns == (Turn(9000, "m: maxvCpus 1", MAX_RESOURCE, 3, left=True),)
    assert finding.shortfall == "asks for 2 vCPUs; maxvCpus of m is 1"
    assert [change.text for change in finding.changes] == [
        "ask for at most 1 vCPU",
        "raise maxvCpus of m from 1 to 2 in the update at 2h 30m",
    ]
    assert report.can_all_start
    assert report.no_longer == (finding,)
    assert finding.changes[1].overrides == {"workload.2.update.maxvCpus": "2"}
    assert check(load(data, "workload.2.update.maxvCpus=2")).no_longer == ()


def test_jobs_that_come_after_an_update_for_good_never_start(load):
    late = jobs("j", "q0", "pair", 2, arrivals={"atOnce": {"at": "2h"}})
    workload = [late, update("1h", computeEnvironment="m", maxvCpus=1)]
    report = check(load(world([managed("m", 64, "c6i.large")], workload, definition("pair", 2, 100))))
    (finding,) = report.never
    assert (finding.reason, finding.jobs, finding.hosts) == (MAX_RESOURCE, 2, ())


def test_jobs_that_can_start_after_an_update_first_are_no_lost_jobs(load):
    workload = [
        pairs_every_hour(6),
        update("90min", computeEnvironment="m", state="ENABLED"),
    ]
    data = world([managed("m", 64, "c6i.large", state="DISABLED")], workload, definition("pair", 2, 100))
    report = check(load(data))
    (finding,) = report.findings
    assert report.can_all_start
    assert (finding.begins, finding.hosts) == (False, (Host("m", 1, 1),))
    assert finding.turns == (Turn(5400, "m: state ENABLED", None, 4),)
    assert run(load(data)).summary["outcome"] == "finished"


def test_who_comes_after_the_last_environment_is_disabled_never_starts(load):
    workload = [pairs_every_hour(6), update("90min", computeEnvironment="m", state="DISABLED")]
    data = world([managed("m", 64, "c6i.large")], workload, definition("pair", 2, 100))
    report = check(load(data))
    (finding,) = report.findings
    assert (finding.shut_out, finding.in_time_only) == (4, 2)
    assert not report.can_all_start
    assert [change.text for change in finding.changes] == ["enable m in the update at 1h 30m"]
    left = run(load(data)).jobs["state"].tolist()
    assert left == ["SUCCEEDED"] * 2 + ["RUNNABLE"] * 4


def test_types_that_replace_those_that_hold_the_jobs_shut_out_who_comes_then(load):
    workload = [pairs_every_hour(6), update("90min", computeEnvironment="m", instanceTypes=["c6i.large"])]
    data = world([managed("m", 64, "c6i.xlarge")], workload, definition("pair", 4, 100))
    (finding,) = check(load(data)).findings
    assert (finding.shut_out, finding.in_time_only) == (4, 2)
    left = run(load(data)).jobs["state"].tolist()
    assert left == ["SUCCEEDED"] * 2 + ["RUNNABLE"] * 4


def test_quotas_count_less_what_other_environments_keep(load):
    environments = [managed("m", 64, "c6i.large", "c6i.xlarge"), managed("n", 64, "c6i.large")]
    environments[1]["computeResources"]["minvCpus"] = 4
    data = world(environments, [jobs("j", "q0", "four")], definition("four", 4, 100))
    for vcpus, can in ((8, True), (3, False), (4, False), (7, False)):
        data["assumptions"] = {"accountQuotas": {"onDemand": {"Standard": vcpus}}}
        report = check(load(data))
        assert report.can_all_start == can
        assert (run(load(data)).summary["outcome"] == "finished") == can
        if not can:
            raised = report.findings[0].changes[-1]
            assert raised.text.endswith(f"from {vcpus} to 8 vCPUs")
    # Where capacity may lack, nobody knows who comes first.
    data["assumptions"]["insufficientCapacity"] = 0.5
    assert check(load(data)).can_all_start


def test_a_type_that_is_added_counts_in_its_quota(load):
    data = world([managed("m", 64, "c6i.large")], [jobs("j", "q0", "d")], definition("d", 16, 1024))
    data["assumptions"] = {"accountQuotas": {"onDemand": {"Standard": 2}}}
    (finding,) = check(load(data)).findings
    text, overrides = finding.changes[-1].text, finding.changes[-1].overrides
    assert text.startswith("add ")
    assert " and raise the account's On-Demand quota of Standard instances from 2 to 16 vCPUs" in text
    assert len(overrides) == 2
    assert check(load(data, *(f"{path}={value}" for path, value in overrides.items()))).can_all_start


def test_less_is_asked_for_only_where_the_type_that_is_launched_then_is_within_the_quota(load):
    types = ("c6i.xlarge", "x2iedn.xlarge")
    data = world([managed("m", 64, *types)], [jobs("j", "q0", "d")], definition("d", 64, 3000))
    data["assumptions"] = {"accountQuotas": {"onDemand": {"Standard": 2, "X": 32}}}
    (finding,) = check(load(data)).findings
    assert finding.changes[0].text == "ask for at most 4 vCPUs"
    # The cheaper type is over the quota, and BEST_FIT takes no other.
    data["computeEnvironments"][0]["computeResources"]["allocationStrategy"] = "BEST_FIT"
    (finding,) = check(load(data)).findings
    assert len(finding.changes) == 1
    assert finding.changes[0].text.startswith("add ")


def test_machines_that_join_and_leave_are_told_as_updates_are(load):
    at_noon = jobs("j", "q0", "pair", 1, arrivals={"atOnce": {"at": "2h"}})
    machine = {"vcpus": 4, "memory": "16GiB", "name": "day", "joinsAfter": "1h", "leavesAfter": "3h"}
    data = world([unmanaged("lab", machine)], [at_noon], definition("pair", 2, 100))
    report = check(load(data))
    (finding,) = report.findings
    assert (finding.reason, finding.begins) == (None, False)
    assert finding.turns == (
        Turn(3600, "lab: day joins", None, 1),
        Turn(10800, "lab: day leaves", RESOURCE_REQUIREMENT, 0),
    )
    assert [change.text for change in finding.changes] == ["add a machine with 2 vCPUs, 100 MiB to lab"]
    gone = check(load(data, "workload.0.arrivals.atOnce.at=4h"))
    assert [each.reason for each in gone.never] == [RESOURCE_REQUIREMENT]
    assert (
        check(
            load(data, *(f"{path}={value}" for path, value in finding.changes[0].overrides.items()))
        ).no_longer
        == ()
    )


def test_machines_that_join_later_are_among_those_that_jobs_start_on(load):
    machines = (
        {"vcpus": 4, "memory": "16GiB", "name": "day", "joinsAfter": "1h", "leavesAfter": "3h"},
        {"vcpus": 4, "memory": "16GiB", "name": "more", "joinsAfter": "2h"},
    )
    environments = [unmanaged("lab", *machines), managed("m", 8, "c6i.large")]
    data = world(environments, [pairs_every_hour(3)], definition("pair", 2, 100))
    data["jobQueues"] = [queue("q0", "lab", "m")]
    (finding,) = check(load(data)).findings
    assert finding.hosts == (Host("m", 1, 1), Host("lab", 1, 1, since_s=3600))


def test_machines_that_have_left_take_no_multi_node_jobs_anyway(load):
    machine = {"vcpus": 4, "memory": "16GiB", "name": "day", "leavesAfter": "3h"}
    container = definition("pair", 2, 100)["containerProperties"]
    nodes = {
        "jobDefinitionName": "two",
        "type": "multinode",
        "nodeProperties": {
            "mainNode": 0,
            "numNodes": 2,
            "nodeRangeProperties": [{"targetNodes": "0:", "container": container}],
        },
    }
    data = world([unmanaged("lab", machine)], [jobs("j", "q0", "two")], nodes)
    (finding,) = check(load(data)).never
    assert finding.shortfall.startswith("no compute environment of the queue takes multi-node jobs")


def at(hour: int) -> dict[str, Any]:
    return {"atOnce": {"at": f"{hour}h"}}


def test_who_comes_after_maxvcpus_was_lowered_may_find_an_instance_that_is_left(load):
    """Whether one is left when they come, depends on how long those before them run."""
    workload = [
        jobs("a", "q0", "pair", 1, runtime={"constant": "4h"}),
        jobs("b", "q0", "pair", 1, arrivals=at(2)),
        update("1h", computeEnvironment="m", maxvCpus=0),
    ]
    data = world([managed("m", 64, "c6i.large")], workload, definition("pair", 2, 100))
    report = check(load(data))
    assert report.can_all_start
    late = report.findings[1]
    assert (late.reason, late.in_time_only, late.turns[0].left) == (None, 0, True)
    assert run(load(data)).summary["outcome"] == "finished"
    # Where nobody came before, there is no instance; a Fargate task ends with its job.
    alone = check(load(data, "workload.0.arrivals.atOnce.at=3h"))
    assert [each.reason for each in alone.never] == [MAX_RESOURCE] * 2
    data["computeEnvironments"][0]["computeResources"] = {"type": "FARGATE", "maxvCpus": 64}
    data["jobDefinitions"][0]["platformCapabilities"] = ["FARGATE"]
    data["jobDefinitions"][0]["containerProperties"]["resourceRequirements"][1]["value"] = "4096"
    assert [each.group for each in check(load(data)).never] == ["b"]


def test_who_comes_while_an_update_has_disabled_the_queue_is_refused(load):
    """Not one at the very instant of the update; one who depends on a refused job never starts."""
    workload = [
        pairs_every_hour(6),
        jobs("after", "q0", "pair", dependsOn=[{"group": "j"}]),
        update("2h", jobQueue="q0", state="DISABLED"),
        update("150min", jobQueue="q0", state="DISABLED"),
        update("4h30min", jobQueue="q0", state="ENABLED"),
    ]
    data = world([managed("m", 64, "c6i.large")], workload, definition("pair", 2, 100))
    report = check(load(data))
    finding = report.findings[0]
    ran = run(load(data)).jobs
    refused = ran["status_reason"] == QUEUE_DISABLED
    assert (finding.refused, finding.reason) == (refused.sum(), None) == (2, None)
    assert report.stranded == {"after": 1}
    assert not report.can_all_start
    assert report.never_started == (ran["state"] == "FAILED").sum()
    reopened = finding.reopened
    assert reopened.text == "leave q0 ENABLED in the updates at 2h 00m, 2h 30m"
    overrides = [f"{path}={value}" for path, value in reopened.overrides.items()]
    assert check(load(data, *overrides)).can_all_start
    assert set(run(load(data, *overrides)).jobs["state"]) == {"SUCCEEDED"}


HALF_HOURS = st.integers(0, 8).map(lambda number: f"{30 * number}min")
ENVIRONMENT_UPDATES = st.fixed_dictionaries(
    {"computeEnvironment": st.just("m")},
    optional={
        "maxvCpus": st.sampled_from([0, 1, 2, 8]),
        "state": st.sampled_from(["ENABLED", "DISABLED"]),
        "instanceTypes": st.sampled_from([["c6i.large"], ["c6i.xlarge"], ["c6i.large", "c6i.xlarge"]]),
    },
).filter(lambda each: len(each) > 1)
QUEUE_UPDATES = st.builds(
    lambda state: {"jobQueue": "q0", "state": state}, st.sampled_from(["ENABLED", "DISABLED"])
)
ENTRIES = st.tuples(
    st.sampled_from(["one", "two", "four"]),
    st.integers(1, 3),
    HALF_HOURS,
    st.sampled_from(["10min", "1h", "3h"]),
)


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(ENTRIES, min_size=1, max_size=4),
    updates=st.lists(st.tuples(HALF_HOURS, ENVIRONMENT_UPDATES | QUEUE_UPDATES), max_size=4),
    most=st.sampled_from([0, 2, 8]),
)
def test_what_a_check_is_sure_of_is_what_a_run_does(entries, updates, most):
    workload = [
        jobs(f"j{number}", "q0", kind, count, arrivals={"atOnce": {"at": when}}, runtime={"constant": long})
        for number, (kind, count, when, long) in enumerate(entries)
    ]
    workload += [update(when, **what) for when, what in updates]
    definitions = [definition(name, vcpus, 100) for name, vcpus in (("one", 1), ("two", 2), ("four", 4))]
    data = world([managed("m", most, "c6i.large", "c6i.xlarge")], workload, *definitions)
    scenario = batchsim.parse_scenario(json.dumps(data))
    report = check(scenario)
    ran = run(scenario)
    for finding in report.findings:
        mine = ran.jobs[ran.jobs["group"] == finding.group]
        assert finding.reason is None or not mine["attempts"].any()
        if finding.reason is None:
            assert finding.refused == (mine["status_reason"] == QUEUE_DISABLED).sum()
            assert finding.shut_out + finding.refused <= (mine["attempts"] == 0).sum()
    if report.can_all_start and not report.no_longer:
        assert ran.jobs["attempts"].all()
