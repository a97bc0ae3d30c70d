"""Which jobs can never start, and the changes that mend it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsim.catalog import Catalog
from batchsim.core.feasibility import DISABLED, MAX_RESOURCE, RESOURCE_REQUIREMENT
from batchsim.core.plan import Need
from batchsim.scenario import parse_scenario
from batchsim.studies.check import Finding, Host, check
from batchsim.studies.held_up import HeldUp
from batchsim.studies.run import run
from tests.studies.scenarios import definition, jobs, managed, queue, unmanaged, world

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchsim.scenario import Scenario


def only(scenario: Scenario) -> Finding:
    (finding,) = check(scenario).findings
    return finding


def as_overrides(changes: Mapping[str, str]) -> list[str]:
    return [f"{path}={value}" for path, value in changes.items()]


# --- verdicts -----------------------------------------------------------------------------------


def test_a_job_that_fits_tells_where_it_can_start(load):
    finding = only(
        load(
            world(
                [managed("m", 64, "c6i.large", "m6i.large")],
                [jobs("j", "q0", "d", 5)],
                definition("d", 2, 7000),
            )
        )
    )
    assert finding.reason is None
    assert finding.changes == ()
    assert finding.hosts == (Host("m", 1, 2),)
    assert (finding.jobs, finding.kinds, finding.example) == (5, 1, "j-0")
    assert finding.least == finding.most == Need(2, 7000, 0)


def test_memory_is_what_jobs_can_use_and_not_the_nominal_memory(load):
    """8,192 MiB is what an m6i.large has; 7,591 MiB is floor(0.955 x 8192) - 232, what jobs can use."""
    data = world(
        [managed("m", 64, "c6i.large", "m6i.large")], [jobs("j", "q0", "d")], definition("d", 2, 8192)
    )
    finding = only(load(data))
    assert finding.reason == RESOURCE_REQUIREMENT
    assert finding.shortfall == "asks for 8192 MiB; the most that one instance offers is 7591 MiB (m6i.large)"
    less, more = finding.changes
    assert less.text == "ask for at most 7591 MiB"
    assert less.overrides == {
        "jobDefinitions.d.containerProperties.resourceRequirements.MEMORY.value": "7591"
    }
    assert more.text == "add r5a.large (0.113 USD/h) to m"
    assert more.overrides == {
        "computeEnvironments.m.computeResources.instanceTypes": "[c6i.large, m6i.large, r5a.large]"
    }
    assert only(load(data, "assumptions.memoryModel=nominal")).reason is None


def test_an_added_type_is_the_cheapest_usual_one_of_the_architecture(load):
    data = world([managed("m", 64, "c6g.large")], [jobs("j", "q0", "d")], definition("d", 3, 20_000))
    change = only(load(data)).changes[-1]
    catalog = Catalog.load("us-east-1")
    prices = {
        kind.name: catalog.price_uusd(kind.name)
        for kind in catalog.launchable_types()
        if kind.architecture == "arm64"
        and kind.vcpus >= 3
        and catalog.usable_memory_mib(kind.name, "registered") >= 20_000
        and kind.current_generation
        and kind.batch_allowed == "yes"
        and not kind.bare_metal
    }
    added = change.text.split()[1]
    assert prices[added] == min(prices.values())
    assert f"({prices[added] / 1e6:g} USD/h)" in change.text


def test_max_vcpus_below_the_request(load):
    finding = only(
        load(world([managed("m", 8, "c6i.4xlarge")], [jobs("j", "q0", "d")], definition("d", 16, 1024)))
    )
    assert finding.reason == MAX_RESOURCE
    assert finding.shortfall == "asks for 16 vCPUs; maxvCpus of m is 8"
    assert [change.text for change in finding.changes] == [
        "ask for at most 8 vCPUs",
        "raise maxvCpus of m from 8 to 16",
    ]
    assert finding.changes[1].overrides == {"computeEnvironments.m.computeResources.maxvCpus": "16"}


def test_a_missing_type_and_a_low_max_vcpus_are_mended_together(load):
    finding = only(
        load(world([managed("m", 8, "c6i.large")], [jobs("j", "q0", "d")], definition("d", 16, 1024)))
    )
    assert finding.reason == RESOURCE_REQUIREMENT
    assert finding.changes[0].text == "ask for at most 2 vCPUs"
    assert (
        finding.changes[1].text == "add c6a.4xlarge (0.612 USD/h) to m and raise maxvCpus of m from 8 to 16"
    )


def test_a_disabled_environment_is_enabled(load):
    data = world(
        [managed("m", 64, "c6i", state="DISABLED")], [jobs("j", "q0", "d")], definition("d", 2, 1024)
    )
    finding = only(load(data))
    assert finding.reason == DISABLED
    assert finding.shortfall == ""
    (change,) = finding.changes
    assert (change.text, change.overrides) == ("enable m", {"computeEnvironments.m.state": "ENABLED"})


def test_a_gpu_job_is_never_told_to_do_without(load):
    finding = only(
        load(world([managed("m", 64, "c6i.large")], [jobs("j", "q0", "d")], definition("d", 2, 1024, 1)))
    )
    (change,) = finding.changes
    assert change.text.startswith("add g")
    assert "1 GPU; the most that one instance offers is 0 GPUs" in finding.shortfall


def test_a_need_met_by_two_instances_but_by_none_alone(load):
    data = world(
        [managed("m", 64, "c6i.2xlarge", "r6i.xlarge")], [jobs("j", "q0", "d")], definition("d", 8, 20_000)
    )
    finding = only(load(data))
    assert finding.reason == RESOURCE_REQUIREMENT
    assert finding.shortfall == "8 vCPUs, 20000 MiB: no instance offers all of this"
    assert finding.changes[0].text == "ask for at most 15414 MiB"


def test_what_no_instance_type_holds_is_said_so(load):
    data = world([managed("m", 64, "c6i.large")], [jobs("j", "q0", "d")], definition("d", 2, 1024, 1000))
    (change,) = only(load(data)).changes
    assert change.overrides == {}
    assert change.text == (
        "no instance type in us-east-1 holds 2 vCPUs, 1024 MiB, 1000 GPUs: split the work into smaller jobs"
    )
    assert check(load(data)).mend_all == {}


def test_of_several_environments_the_one_with_the_fewest_changes_is_mended(load):
    data = world([managed("a", 8, "c6i.large"), managed("b", 8, "c6i.4xlarge")], [jobs("j", "both", "d")])
    data["jobQueues"] = [queue("both", "a", "b")]
    data["jobDefinitions"] = [definition("d", 16, 1024)]
    finding = only(load(data))
    assert finding.reason == MAX_RESOURCE
    assert finding.changes[-1].text == "raise maxvCpus of b from 8 to 16"


# --- unmanaged environments ---------------------------------------------------------------------


def test_a_described_machine_is_made_larger(load):
    machines = [{"vcpus": 4, "memory": "16GiB"}, {"vcpus": 8, "memory": "4GiB", "name": "old"}]
    data = world([unmanaged("lab", *machines)], [jobs("j", "q0", "d")], definition("d", 6, 8192))
    finding = only(load(data))
    assert finding.shortfall == "6 vCPUs, 8192 MiB: no instance offers all of this"
    assert [change.text for change in finding.changes] == [
        "ask for at most 4 vCPUs",
        "give machine 0 of lab 6 vCPUs",
    ]
    assert finding.changes[1].overrides == {"computeEnvironments.lab.instances.0.vcpus": "6"}


def test_an_environment_of_bought_types_gets_one_more_machine(load):
    data = world(
        [unmanaged("lab", {"instanceType": "m5.large"})], [jobs("j", "q0", "d")], definition("d", 6, 8192)
    )
    more = only(load(data)).changes[-1]
    assert more.text == "add a machine with 6 vCPUs, 8192 MiB to lab"
    (written,) = more.overrides.values()
    assert json.loads(written)[0] == {"instanceType": "m5.large"}
    assert only(load(data, *as_overrides(more.overrides))).reason is None


def test_an_environment_without_machines(load):
    data = world([unmanaged("lab")], [jobs("j", "q0", "d")], definition("d", 1, 4))
    finding = only(load(data))
    assert finding.shortfall == "no compute environment of the queue has an instance"
    assert [change.text for change in finding.changes] == ["add a machine with 1 vCPU, 4 MiB to lab"]


# --- where the request is written ---------------------------------------------------------------


def test_a_request_made_at_submission_is_lowered_there(load):
    override = {"resourceRequirements": [{"type": "VCPU", "value": "8"}]}
    data = world(
        [managed("m", 64, "c6i.large")],
        [jobs("j", "q0", "d", containerOverrides=override)],
        definition("d", 1, 1024),
    )
    (path,) = only(load(data)).changes[0].overrides
    assert path == "workload.j.containerOverrides.resourceRequirements.VCPU.value"


def test_an_old_style_request_is_lowered_where_it_is(load):
    data = world([managed("m", 64, "c6i.large")], [jobs("j", "q0", "d")])
    container = {"image": "tool:1", "vcpus": 8, "memory": 100_000}
    data["jobDefinitions"] = [
        {"jobDefinitionName": "d", "type": "container", "containerProperties": container}
    ]
    (less, _) = only(load(data)).changes
    assert less.text == "ask for at most 2 vCPUs and 3679 MiB"
    assert less.overrides == {
        "jobDefinitions.d.containerProperties.vcpus": "2",
        "jobDefinitions.d.containerProperties.memory": "3679",
    }


def test_names_too_long_for_a_path_are_given_by_position(load):
    long = "m" * 100
    data = world([managed(long, 1, "c6i.large")], [jobs("j", "q0", "d")], definition("d", 2, 1024))
    change = only(load(data)).changes[-1]
    assert change.overrides == {"computeEnvironments.0.computeResources.maxvCpus": "2"}
    assert only(load(data, *as_overrides(change.overrides))).reason is None


# --- kinds of jobs ------------------------------------------------------------------------------


def test_each_item_of_a_mix_is_judged_drawn_or_not(load):
    mix = [{"weight": 1e9, "jobDefinition": "small"}, {"weight": 1e-9, "jobDefinition": "large"}]
    entry = jobs("j", "q0", "small", 50)
    del entry["jobDefinition"]
    data = world(
        [managed("m", 64, "c6i.large")],
        [{**entry, "mix": mix}],
        definition("small", 1, 1024),
        definition("large", 16, 1024),
    )
    report = check(load(data))
    assert [(each.definition, each.jobs, each.reason) for each in report.findings] == [
        ("small", 50, None),
        ("large", 0, RESOURCE_REQUIREMENT),
    ]
    assert report.findings[1].example == ""
    assert report.held_up == {}


def swf(path: Path, processors: list[int]) -> dict[str, Any]:
    rows = [f"{i} {i} -1 60 {n} -1 -1 {n} -1 -1 1 1 1 1 1 -1 -1 -1" for i, n in enumerate(processors, 1)]
    path.write_text("\n".join(rows) + "\n")
    return {"name": "log", "jobQueue": "q0", "trace": {"format": "swf", "path": path.name}}


def test_a_trace_has_one_finding_a_verdict(load, tmp_path):
    entry = swf(tmp_path / "log.swf", [*range(1, 101), 7])
    data = world([unmanaged("lab", {"vcpus": 64, "memory": "1TiB"})], [entry])
    starts, never = check(load(data)).findings
    assert (starts.reason, starts.jobs, starts.kinds) == (None, 65, 64)
    assert (starts.least.vcpus, starts.most.vcpus) == (1, 64)
    assert (never.reason, never.jobs, never.kinds, never.example) == (RESOURCE_REQUIREMENT, 36, 36, "log-65")
    assert never.shortfall.startswith("asks for up to 100 vCPUs; the most that one instance offers is 64")
    assert [change.text for change in never.changes] == ["give the machine of lab 100 vCPUs"]


def test_trace_jobs_that_lack_different_things_are_told_apart(load, tmp_path):
    entry = swf(tmp_path / "log.swf", [1, 8, 2])
    entry["trace"]["memoryPerVcpu"] = "4GiB"
    data = world([managed("m", 64, "c6i.large", "r6i.large")], [entry])
    findings = check(load(data)).findings
    assert [(each.jobs, each.most.vcpus, each.reason is None) for each in findings] == [
        (2, 2, True),
        (1, 8, False),
    ]


# --- the queue ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backfill", "expected"), [("none", {"q0": HeldUp(7, is_fair=False, cancelled_s=None)}), ("greedy", {})]
)
def test_jobs_held_up_behind_one_that_never_starts(load, backfill, expected):
    def at(seconds: int) -> dict[str, Any]:
        return {"atOnce": {"at": f"{seconds}s"}}

    data = world(
        [managed("a", 64, "c6i.large"), managed("b", 64, "c6i.large")],
        [
            jobs("before", "q0", "small", 3, arrivals=at(0)),
            jobs("never", "q0", "large", 2, arrivals=at(5)),
            jobs("after", "q0", "small", 7, arrivals=at(9)),
            jobs("elsewhere", "q1", "small", 4, arrivals=at(9)),
        ],
        definition("small", 1, 1024),
        definition("large", 16, 1024),
    )
    assert check(load(data, f"assumptions.backfill={backfill}")).held_up == expected


def test_all_findings_are_mended_by_one_set_of_overrides(load):
    data = world(
        [managed("m", 8, "c6i.large"), unmanaged("lab", {"vcpus": 2, "memory": "1GiB"})],
        [
            jobs("memory", "q0", "much", 1),
            jobs("gpu", "q0", "gpu", 1),
            jobs("wide", "q0", "wide", 1),
            jobs("lab", "q1", "wide", 1),
            jobs("lab2", "q1", "much", 1),
        ],
        definition("much", 2, 8192),
        definition("gpu", 2, 8192, 1),
        definition("wide", 16, 1024),
    )
    report = check(load(data))
    assert len(report.never) == 5
    assert check(load(data, *as_overrides(report.mend_all))).never == ()


# --- properties ---------------------------------------------------------------------------------

_TYPES = st.lists(
    st.sampled_from(["c6i.large", "m6i.xlarge", "r6i.2xlarge", "g5.xlarge", "c6i.4xlarge"]),
    min_size=1,
    max_size=3,
    unique=True,
)
_MACHINES = st.builds(
    lambda vcpus, memory, gpus: {"vcpus": vcpus, "memory": memory, "gpus": gpus},
    st.integers(1, 20),
    st.integers(1024, 40_000),
    st.integers(0, 2),
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    environments = [
        managed(
            f"e{i}",
            draw(st.integers(0, 32)),
            *draw(_TYPES),
            state=draw(st.sampled_from(["ENABLED", "DISABLED"])),
        )
        if draw(st.booleans())
        else unmanaged(f"e{i}", *draw(st.lists(_MACHINES, max_size=3)))
        for i in range(draw(st.integers(1, 3)))
    ]
    definitions = [
        definition(f"d{i}", draw(st.integers(1, 20)), draw(st.integers(4, 40_000)), draw(st.integers(0, 2)))
        for i in range(draw(st.integers(1, 3)))
    ]
    entries = [jobs(f"j{i}", f"q{i}", f"d{i}", 2) for i in range(len(definitions))]
    data = world(environments, entries, *definitions)
    names = [each["computeEnvironmentName"] for each in environments]
    data["jobQueues"] = [
        queue(f"q{i}", *draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)))
        for i in range(len(definitions))
    ]
    return data


@settings(max_examples=60)
@given(worlds())
def test_each_change_mends_its_finding_and_all_of_them_everything(data):
    text = json.dumps(data)
    report = check(parse_scenario(text))
    for finding in report.never:
        assert finding.changes
        for change in finding.changes:
            mended = check(parse_scenario(text, overrides=as_overrides(change.overrides)))
            (same,) = [each for each in mended.findings if each.group == finding.group]
            assert same.reason is None, (finding, change)
    mended = check(parse_scenario(text, overrides=as_overrides(report.mend_all)))
    assert mended.never == ()


@settings(max_examples=25)
@given(worlds())
def test_the_simulation_agrees_with_the_check(data):
    scenario = parse_scenario(json.dumps(data), overrides=["assumptions.preset=ideal"])
    report = check(scenario)
    result = run(scenario)
    assert result.summary["outcome"] == ("stalled" if report.never else "finished")
    reasons = dict(zip(result.jobs["group"], result.jobs["status_reason"], strict=True))
    for finding in report.findings:
        if finding.reason is not None:
            assert reasons[finding.group] == finding.reason
