"""Every mistake that shows only once a scenario is used names the place in the scenario's file."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from batchsim.errors import InputError
from batchsim.scenario import load_scenario
from batchsim.studies.check import check
from batchsim.studies.run import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCENARIO = """\
batchsim: 1
region: {region}
computeEnvironments:
  - computeEnvironmentName: cloud
    type: MANAGED
    computeResources: {{type: EC2, allocationStrategy: BEST_FIT_PROGRESSIVE, maxvCpus: 64, instanceTypes: {types}}}
  - computeEnvironmentName: "7"
    type: UNMANAGED
    instances:
      - {{vcpus: 64, memory: 64GiB}}
      - {machine}
jobQueues:
  - {{jobQueueName: q, computeEnvironmentOrder: [{{order: 1, computeEnvironment: cloud}}]}}
jobDefinitions:
  - jobDefinitionName: d
    containerProperties: {{image: "i:1", vcpus: 1, memory: 100}}
workload:
  - {{name: first, jobQueue: q, jobDefinition: d, runtime: 1m, count: 3, arrivals: {{atOnce: {{}}}}}}
  - {entry}
assumptions: {assumptions}
{more}
"""  # noqa: E501 - its lines are counted
PARTS = {
    "region": "us-east-1",
    "types": "[c6i]",
    "machine": "{instanceType: m5.large}",
    "entry": "{name: second, jobQueue: q, jobDefinition: d, runtime: 1m, count: 3, arrivals: {atOnce: {}}}",
    "assumptions": "{preset: aws}",
    "more": "",
}
MARK = "§"
"""Stands before the value that is to blame."""


def jobs(what: str, name: str = "second") -> dict[str, str]:
    return {"entry": f"{{name: {name}, jobQueue: q, jobDefinition: d, {what}}}"}


def trace(file: str, form: str = "swf") -> dict[str, str]:
    return {"entry": f"{{name: log, jobQueue: q, trace: {{format: {form}, path: {MARK}{file}}}}}"}


def flow(*tasks: dict[str, object]) -> str:
    runs = [
        {"id": each["id"], **({"runtimeInSeconds": 5} | each.get("run", {}))}  # type: ignore[operator]
        for each in tasks
    ]
    specification = {"tasks": [{"id": each["id"], "parents": each.get("parents", [])} for each in tasks]}
    return json.dumps({"workflow": {"specification": specification, "execution": {"tasks": runs}}})


ROW = "{} 0 -1 60 1 -1 -1 1 60 -1 1 1 1 -1 1 -1 -1 -1\n"
AT_ONCE = "count: 3, arrivals: {atOnce: {}}"
WILD = "{median: 1us, p95: 100000d}"
FAR = "count: 100000, runtime: 1m, arrivals:"

# What is written -> (files beside it, the parts of the scenario, the path in the scenario, what is said)
CASES: dict[str, tuple[dict[str, str], dict[str, str], str, str]] = {
    "a region without prices": ({}, {"region": f"{MARK}xx-east-1"}, "region", "no price list"),
    "an unknown type": (
        {},
        {"types": f"[c6i, {MARK}c9z.large]"},
        "computeEnvironments.cloud.computeResources.instanceTypes.1",
        "not an instance type",
    ),
    "a type that Batch refuses": (
        {},
        {"types": f"[{MARK}t2.nano]"},
        "computeEnvironments.cloud.computeResources.instanceTypes.0",
        "t2.nano is",
    ),
    "a family of bare metal only": (
        {},
        {"types": f"[c6i, {MARK}mac2]"},
        "computeEnvironments.cloud.computeResources.instanceTypes.1",
        "mac2",
    ),
    "a type that the region does not sell": (
        {},
        {"region": "ap-southeast-1", "types": f"[{MARK}g5.xlarge]"},
        "computeEnvironments.cloud.computeResources.instanceTypes.0",
        "no On-Demand price",
    ),
    "a family that the region does not sell": (
        {},
        {"region": "ap-southeast-1", "types": f"[{MARK}g5]"},
        "computeEnvironments.cloud.computeResources.instanceTypes.0",
        "no On-Demand price",
    ),
    "two architectures": (
        {},
        {"types": f"[c6i.large, {MARK}c6g.large]"},
        "computeEnvironments.cloud.computeResources.instanceTypes.1",
        "one architecture",
    ),
    "a machine of an unknown type": (
        {},
        {"machine": f"{{instanceType: {MARK}m5.larg}}"},
        "computeEnvironments.1.instances.1.instanceType",
        "m5 has large, xlarge",
    ),
    "a machine without a price": (
        {},
        {"region": "ap-southeast-1", "machine": f"{{instanceType: {MARK}g5.xlarge}}"},
        "computeEnvironments.1.instances.1.instanceType",
        "no On-Demand price",
    ),
    "no catalogue": (
        {},
        {"more": f"catalog: {MARK}own.csv"},
        "catalog",
        "own.csv: the catalogue cannot be read",
    ),
    "an empty catalogue": (
        {"own.csv": ""},
        {"more": f"catalog: {MARK}own.csv"},
        "catalog",
        "own.csv: expected a header row with instance_type",
    ),
    "a sample file that is not there": (
        {},
        jobs(f"{AT_ONCE}, runtime: {{empirical: {{path: {MARK}none.csv}}}}"),
        "workload.second.runtime.empirical.path",
        "none.csv: expected a file, found nothing of that name",
    ),
    "a sample file of an entry with a number as its name": (
        {},
        jobs(f"{AT_ONCE}, runtime: {{empirical: {{path: {MARK}none.csv}}}}", name='"0"'),
        "workload.1.runtime.empirical.path",
        "none.csv: expected a file",
    ),
    "samples of an item of a mix": (
        {"empty.csv": "# nothing\n"},
        {
            "entry": "{name: second, jobQueue: q, "
            f"{AT_ONCE}, mix: [{{weight: 1, jobDefinition: d, runtime: 1m}}, {{weight: 1, jobDefinition: d, "
            f"runtime: {{empirical: {{path: {MARK}empty.csv}}}}}}]}}"
        },
        "workload.second.mix.1.runtime.empirical.path",
        "empty.csv: expected a column of numbers, found nothing",
    ),
    "samples of an assumption": (
        {},
        {"assumptions": f"{{preset: aws, instanceLaunch: {{empirical: {{path: {MARK}none.csv}}}}}}"},
        "assumptions.instanceLaunch.empirical.path",
        "none.csv: expected a file",
    ),
    "a log that is not there": (
        {},
        trace("none.swf"),
        "workload.log.trace.path",
        "none.swf: expected a file, found nothing of that name",
    ),
    "a log without jobs": (
        {"a.swf": "; nothing\n"},
        trace("a.swf"),
        "workload.log.trace.path",
        "at least one job",
    ),
    "a damaged log": (
        {"a.swf.gz": "\x1f\x8b damaged"},
        trace("a.swf.gz"),
        "workload.log.trace.path",
        "a.swf.gz: the gzip file is damaged or cut short",
    ),
    "a workflow that is not there": (
        {},
        trace("none.json", "wfformat"),
        "workload.log.trace.path",
        "none.json: expected a file, found nothing of that name",
    ),
    "a damaged workflow": (
        {"a.json": "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 oh no"},
        trace("a.json", "wfformat"),
        "workload.log.trace.path",
        "a.json: the gzip file is damaged or cut short",
    ),
    "a workflow of another format": (
        {"a.json": "[]"},
        trace("a.json", "wfformat"),
        "workload.log.trace.path",
        "a.json: expected a WfFormat workflow",
    ),
    "an unknown parent": (
        {"a.json": flow({"id": "a", "parents": ["b"]})},
        trace("a.json", "wfformat"),
        "workload.log.trace.path",
        "a.json: workflow.specification.tasks.0.parents: expected ids of tasks, found 'b'",
    ),
    "a circle": (
        {"a.json": flow({"id": "a", "parents": ["a"]})},
        trace("a.json", "wfformat"),
        "workload.log.trace.path",
        "a.json: expected tasks without a circle",
    ),
    "a task without end": (
        {"a.json": flow({"id": "a", "run": {"runtimeInSeconds": -1}})},
        trace("a.json", "wfformat"),
        "workload.log.trace.path",
        "a.json: task a: expected runtimeInSeconds of 0 or more",
    ),
    "a task too large": (
        {"a.json": flow({"id": "a", "run": {"memoryInBytes": 2**51}})},
        trace("a.json", "wfformat"),
        "workload.log.trace.path",
        "a.json: task a: expected at most 10,000,000 MiB",
    ),
    "nobody in time": (
        {},
        jobs(f"runtime: 1m, until: {MARK}1h, arrivals: {{every: {{interval: 1m, start: 2h}}}}"),
        "workload.second.until",
        "no job is submitted before until",
    ),
    "too many jobs": (
        {},
        {
            "entry": f"{MARK}{{name: second, jobQueue: q, jobDefinition: d, runtime: 1m, until: 1d, "
            "arrivals: {poisson: {rate: 1000/s}}}"
        },
        "workload.second",
        "at most 10,000,000 jobs in all",
    ),
    "arrivals beyond 285 years": (
        {},
        jobs(f"{FAR} {MARK}{{every: {{interval: 9999d}}}}"),
        "workload.second.arrivals",
        "beyond 285 years",
    ),
    "random arrivals beyond 285 years": (
        {},
        jobs(f"{FAR} {MARK}{{poisson: {{rate: 0.0001/d}}}}"),
        "workload.second.arrivals",
        "beyond 285 years",
    ),
    "durations beyond 285 years": (
        {},
        jobs(f"count: 100000, arrivals: {{atOnce: {{}}}}, runtime: {MARK}{{lognormal: {WILD}}}"),
        "workload.second.runtime",
        "a random duration came out beyond 285 years",
    ),
    "failures said twice": (
        {},
        {
            "entry": "{name: second, jobQueue: q, exitCodes: [1], "
            f"{AT_ONCE}, mix: [{{weight: 1, jobDefinition: d, runtime: 1m, failure: {MARK}{{rate: 0.5}}}}]}}"
        },
        "workload.second.mix.0.failure",
        "the exitCodes already say which attempts fail",
    ),
    "calls that would never leave": (
        {},
        {
            "assumptions": f"{{preset: ideal, submitJobRate: {MARK}1e-10/s}}",
            **jobs(f"runtime: 1m, {AT_ONCE}"),
        },
        "assumptions.submitJobRate",
        "beyond 285 years",
    ),
    "an event about no job": (
        {"a.swf": ROW.format(1)},
        {
            "entry": "{name: log, jobQueue: q, trace: {format: swf, path: a.swf}}\n"
            f"  - {{at: 1h, cancel: {MARK}log-5}}"
        },
        "workload.2.cancel",
        "there is no job log-5",
    ),
}


@pytest.fixture
def error_of(tmp_path: Path, monkeypatch) -> Callable[..., InputError]:
    """The error of a scenario whose parts are as given, beside the given files."""
    monkeypatch.setattr("batchsim.scenario.unbuilt.UNBUILT", {})
    monkeypatch.chdir(tmp_path)

    def error(
        files: dict[str, str], parts: dict[str, str], *overrides: str, use: Callable[..., Any] = check
    ) -> InputError:
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="latin-1")
        (tmp_path / "s.yaml").write_text(SCENARIO.format_map(PARTS | parts).replace(MARK, ""))
        scenario = load_scenario("s.yaml", overrides)
        with pytest.raises(InputError) as caught:
            use(scenario)
        return caught.value

    return error


@pytest.mark.parametrize("case", CASES)
def test_the_place_in_the_scenario_is_named(error_of, case):
    files, parts, path, said = CASES[case]
    before, _, _ = SCENARIO.format_map(PARTS | parts).partition(MARK)
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = str(error_of(files, parts))
    assert message.startswith(f"s.yaml:{line}:{column}: {path}: ")
    assert said in message


@pytest.mark.parametrize("name", ["capacityReaction", "instanceLaunch", "instanceRegistration"])
def test_a_draw_during_the_run_names_its_assumption(error_of, name):
    parts = {"assumptions": f"{{preset: ideal, {name}: {{exponential: {{mean: 104249d}}}}}}"}
    error = error_of({}, parts, use=partial(run, replication=32))  # all three draws are above the mean
    assert str(error).startswith(
        f"s.yaml:20:{32 + len(name)}: assumptions.{name}: a random duration came out"
    )


IN_A_FILE = {
    "a log": (
        {"a.swf": ROW.format(1) + "oh no\n"},
        trace("a.swf"),
        "a.swf:2: expected 18 fields in a row, found 2: 'oh no'",
        "s.yaml:19:57, workload.log.trace.path",
    ),
    "samples": (
        {"a.csv": "seconds\n5\nlong\n"},
        jobs(f"{AT_ONCE}, runtime: {{empirical: {{path: a.csv}}}}"),
        "a.csv:3: column 1: expected a number of 0 or more, found 'long'",
        "s.yaml:19:113, workload.second.runtime.empirical.path",
    ),
    "a catalogue": (
        {"own.csv": "instance_type,vcpus\nmine,many\n"},
        {"more": "catalog: own.csv"},
        "own.csv:2: vcpus: expected a whole number from 1 to 10,000, found 'many'",
        "s.yaml:21:10, catalog",
    ),
}


@pytest.mark.parametrize("case", IN_A_FILE)
def test_a_line_of_another_file_comes_first(error_of, case):
    files, parts, said, place = IN_A_FILE[case]
    assert str(error_of(files, parts)) == f"{said} (named in {place})"


def test_an_override_is_named_instead_of_a_line(error_of):
    override = "computeEnvironments.cloud.computeResources.instanceTypes=[c6i, c9z]"
    assert str(error_of({}, {}, override)).startswith(
        f"--set {override}: computeEnvironments.cloud.computeResources.instanceTypes.1: "
    )
