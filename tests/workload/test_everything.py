"""The scenario that says all that can be said, as a workload."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from batchsim.scenario import parse_scenario
from batchsim.workload import NodeGroup, build_workload

S = 1_000_000
EVERYTHING = Path(__file__).resolve().parents[1] / "scenario" / "everything.yaml"


def test_a_scenario_of_everything(all_built, tmp_path):
    flow = {
        "specification": {"tasks": [{"id": "a", "parents": []}, {"id": "b", "parents": ["a"]}]},
        "execution": {"tasks": [{"id": name, "runtimeInSeconds": 60} for name in "ab"]},
    }
    (tmp_path / "blast.json").write_text(json.dumps({"workflow": flow}))
    text = EVERYTHING.read_text(encoding="utf-8")
    workload = build_workload(parse_scenario(text, base=tmp_path), 1)
    names = workload.job_names()
    groups = np.array([each.group for each in workload.classes])[workload.job_class]
    jobs = {"prepare": 6, "analyse": 30, "simulate": 5, "tasks": 5, "pods": 5, "dag": 2, "learn": 1}
    assert {name: int((groups == name).sum()) for name in jobs} == jobs
    by_group = {each.group: each for each in workload.classes}
    assert by_group["prepare"].consumables == (("licences", 3), ("credits", 2))
    assert {each.share for each in workload.classes if each.group == "analyse"} == {"bio1", "chem"}
    assert {each.priority for each in workload.classes if each.group == "analyse"} == {100}
    simulate, couple, learn = (by_group[name].nodes for name in ("simulate", "couple", "learn"))
    assert [(each.nodes, each.memory_mib) for each in simulate.groups] == [(1, 2000), (2, 6000)]
    assert couple.groups[0].images == ("sim:1", "viz:1")
    assert learn.groups == (NodeGroup(2, 4, 8000, 1, 16, ("torch:1",)),)
    assert (learn.main, learn.instance_type, by_group["learn"].platform) == (0, "g5.xlarge", "EKS")
    assert by_group["tasks"].vcpus == 4
    pods = by_group["pods"]
    assert (pods.vcpu_quarters, pods.memory_mib, pods.gpus) == (16, 2176, 1)
    assert (workload.startup_us[groups == "tasks"] == 30 * S).all()
    assert (workload.runtime_us[groups == "tasks"] == 600 * S).all()
    calls = np.unique(workload.submit_us[workload.submit_us < S])
    assert set(np.diff(calls).tolist()) == {20_000}
    assert [(event.at_us // S, *event[1:2]) for event in workload.events] == [
        (3600, "licences"),
        (7200, "cancel"),
        (10_800, "terminate"),
    ]
    cancelled, terminated = ([names[job] for rows in e.rows for job in rows] for e in workload.events[1:])
    assert (cancelled, terminated) == (["prepare-1:2"], [f"simulate-{number}" for number in range(5)])
