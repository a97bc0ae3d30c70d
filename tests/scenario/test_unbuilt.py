"""The table of what the simulator does not honour yet: it is complete, and it lets nothing through."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from batchsim.scenario import json_schema, load_scenario, parse_scenario, unbuilt
from batchsim.scenario.tree import read_tree
from batchsim.scenario.values import Model

# Some that are built by now stand for those to come.
UNBUILT = {
    "GeneratedJobs.array": "array jobs",
    "GeneratedJobs.arrayProperties": "array jobs",
    "Submission.dependsOn": "dependencies",
    "JobQueue.schedulingPolicyArn": "fair-share scheduling",
    "Scenario.schedulingPolicies": "fair-share scheduling",
    "AnyJobs.shareIdentifier": "fair-share scheduling",
    "Assumptions.wildcardSplit": "fair-share scheduling",
    "JobQueue.jobStateTimeLimitActions": "job state time limits",
    "JobDefinition.consumableResourceProperties": "consumable resources",
    "JobDefinition.type=multinode": "multi-node parallel jobs",
    "JobDefinition.nodeProperties": "multi-node parallel jobs",
    "GeneratedJobs.nodeOverrides": "multi-node parallel jobs",
    "GeneratedJobs.nodeRuntimes": "multi-node parallel jobs",
    "Assumptions.backfill=easy": "EASY backfilling",
    "Assumptions.estimate": "EASY backfilling",
    "Assumptions.submitJobRate": "throttled submission",
    "Trace.format=wfformat": "workflow traces",
    "Trace.start": "workflow traces",
}


@pytest.fixture
def some_unbuilt(monkeypatch) -> None:
    """As if the simulator did not honour what stands in the table above."""
    monkeypatch.setattr(unbuilt, "UNBUILT", UNBUILT)


def models(base: type[Model] = Model) -> dict[str, type[Model]]:
    found = {base.__name__: base}
    for model in base.__subclasses__():
        found |= models(model)
    return found


def choices(annotation) -> set:
    parts = get_args(annotation)
    return {part for part in parts if isinstance(part, str)}.union(*map(choices, parts))


@pytest.mark.parametrize("place", {**UNBUILT, **unbuilt.UNBUILT})
def test_every_place_of_the_table_exists(place):
    name, _, field = place.partition(".")
    field, _, value = field.partition("=")
    known = [
        model.model_fields[field]
        for model in models().values()
        if name in model.names() and field in model.model_fields
    ]
    assert known
    assert not value or value in choices(known[0].annotation)


def test_what_is_not_built_is_refused(everything, problems_of, some_unbuilt):
    lines = problems_of(everything.read_text())
    assert len(lines) == 26
    assert all("is not modelled by this version of batchsim" in line for line in lines)


@pytest.mark.parametrize("feature", dict.fromkeys(UNBUILT.values()))
def test_a_feature_is_refused_wherever_it_is_used(everything_text, problems_of, monkeypatch, feature):
    places = {place: each for place, each in UNBUILT.items() if each == feature}
    monkeypatch.setattr(unbuilt, "UNBUILT", places)
    lines = problems_of(everything_text)
    assert all("is not modelled by this version of batchsim" in line for line in lines)
    refused = {line.split(": ")[1].rpartition(".")[2] for line in lines}
    assert refused == {place.partition(".")[2].partition("=")[0] for place in places}


def test_a_feature_is_enabled_by_deleting_its_line(everything, problems_of, all_built):
    assert problems_of(everything.read_text()) == []


def test_what_is_empty_may_stand_in_a_pasted_answer(genomics, some_unbuilt):
    scenario = load_scenario(
        genomics,
        [
            "jobQueues.bulk.jobStateTimeLimitActions=[]",
            "jobQueues.bulk.schedulingPolicyArn=''",
            "jobDefinitions.align.consumableResourceProperties={consumableResourceList: []}",
            "workload.samples.dependsOn=[]",
            "workload.samples.arrayProperties={}",
        ],
    )
    assert scenario.digest() == load_scenario(genomics).digest()


@pytest.mark.parametrize("given", ["wildcardSplit: false", "submitJobRate: 0", "estimate: exact"])
def test_an_assumption_without_effect_is_refused_whatever_its_value(
    genomics, problems_of, some_unbuilt, given
):
    (line,) = problems_of(genomics.read_text(), f"assumptions={{{given}}}")
    assert "this is not modelled by this version of batchsim" in line


def test_a_refused_value_says_which_are_taken(genomics, problems_of, some_unbuilt):
    (line,) = problems_of(genomics.read_text(), "assumptions.backfill=easy")
    assert line.endswith(
        "assumptions.backfill: easy is not modelled by this version of batchsim: "
        "expected 'none' or 'greedy', found 'easy'"
    )
    (line,) = problems_of(genomics.read_text(), "assumptions.backfill=eary")
    assert line.endswith("assumptions.backfill: expected 'none' or 'greedy', found 'eary'")


def test_an_unknown_key_is_not_mistaken_for_one_that_would_be_refused(genomics, problems_of, some_unbuilt):
    (line,) = problems_of(genomics.read_text(), "workload.samples.dependOn=[]")
    assert line.endswith("workload.samples.dependOn: unknown key")


def test_everything_reads_back_to_an_equal_scenario(everything, all_built):
    scenario = load_scenario(everything)
    written = scenario.to_dict()
    again = parse_scenario(json.dumps(written))
    assert again.to_dict() == written
    assert again.digest() == scenario.digest()
    assert again.model_dump() == scenario.model_dump()


def test_the_schema_offers_everything_that_is_built(everything, all_built, faults):
    schema = json_schema()
    for data in (read_tree(everything.read_text(), "f").data, load_scenario(everything).to_dict()):
        assert list(faults(schema, data)) == []


def test_the_schema_offers_nothing_else(everything, some_unbuilt, faults):
    data = read_tree(everything.read_text(), "f").data
    schema = json_schema()
    text = json.dumps(schema)
    assert not [name for name in ("wfformat", "multinode", "easy") if f'"{name}"' in text]
    assert "NodeProperties" not in schema["$defs"]
    offered = {name for model in schema["$defs"].values() for name in model.get("properties", ())}
    assert not {"arrayProperties", "shareIdentifier", "wildcardSplit"} & offered
    assert "dependsOn" not in schema["$defs"]["GeneratedJobs"]["properties"]
    assert faults(schema, data)


def test_what_is_not_built_fits_the_schema_where_it_says_nothing(genomics, some_unbuilt, faults):
    data = read_tree(genomics.read_text(), "f").data
    schema = json_schema()
    data["jobQueues"][0]["jobStateTimeLimitActions"] = [{}]
    data["workload"][0] |= {"dependsOn": [], "arrayProperties": {"size": ""}}
    assert faults(schema, data) == []
    data["workload"][0]["arrayProperties"]["size"] = 2
    assert faults(schema, data)
