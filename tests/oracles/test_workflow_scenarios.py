"""Recorded workflows on so many slots, from a scenario file to the result, against published makespans."""

from __future__ import annotations

import pytest

from tests.oracles.published import replay

SLOTS = (1, 4, 16, 1000)  # no workflow has 1,000 tasks, so that nobody waits for a slot
PUBLISHED_MAKESPANS_S = {
    "helloworld-forkjoin-10-chameleon": (1_028.704, 410.474, 307.360, 307.360),
    "blast-chameleon-small-001": (382.912720, 96.932877, 29.065488, 10.413171),
    "nextflow-rnaseq-dirt02-001": (2_580.360, 886.136, 759.454, 759.454),
    "1000genome-chameleon-8ch-100k-001": (16_617.042, 4_228.839, 1_092.078, 401.277),
}


@pytest.mark.parametrize(
    ("name", "slots", "makespan_s"),
    [
        (name, slots, makespan_s)
        for name, makespans_s in PUBLISHED_MAKESPANS_S.items()
        for slots, makespan_s in zip(SLOTS, makespans_s, strict=True)
    ],
)
def test_makespan_of_a_workflow(traces, tmp_path, name, slots, makespan_s):
    trace = {"format": "wfformat", "path": str(traces / "dag" / f"{name}.json")}
    result = replay(tmp_path, trace, slots)
    assert result.summary["makespan_s"] == pytest.approx(makespan_s, abs=1e-6)
    assert result.summary["states"]["SUCCEEDED"] == len(result.jobs)
    assert result.audit() == []
