"""Whatever a scenario asks for, only the times within its record of Spot prices count."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import batchsim
from batchsim.errors import InputError
from tests.properties.test_random_scenarios import TYPES, scenarios

if TYPE_CHECKING:
    from pathlib import Path

    from batchsim.results import Result

ZONES = ["us-east-1a", "us-east-1b"]
MIDNIGHT = dt.datetime(2024, 6, 10, tzinfo=dt.UTC)
Rows = list[tuple[str, str, int, float]]


@st.composite
def records(draw: st.DrawFn) -> Rows:
    """(type, zone, seconds, price), for each type in both zones; some prices are above On-Demand."""
    priced = draw(st.lists(st.sampled_from([*TYPES, "c6g.medium"]), min_size=1, unique=True))
    return [
        (name, zone, at, draw(st.sampled_from([0.01, 0.03, 0.2, 0.9])))
        for name in priced
        for zone in ZONES
        for at in draw(
            st.lists(st.sampled_from([-7200, -60, 0, 400, 1000, 5000]), min_size=1, max_size=4, unique=True)
        )
    ]


def entries(rows: Rows, later: dt.timedelta = dt.timedelta()) -> str:
    return json.dumps(
        [
            {
                "AvailabilityZone": zone,
                "InstanceType": name,
                "ProductDescription": "Linux/UNIX",
                "SpotPrice": str(price),
                "Timestamp": (MIDNIGHT + later + dt.timedelta(seconds=at)).isoformat(),
            }
            for name, zone, at, price in rows
        ]
    )


def run(data: dict[str, Any], place: Path, seed: int, *files: str) -> Result:
    """Assumes that the scenario is one: updates may contradict each other."""
    prices = []
    for number, text in enumerate(files):
        (place / f"{number}.json").write_text(text)
        prices.append({"trace": f"{number}.json"})
    more = {"availabilityZones": ZONES, "spotPrices": prices, "spotAvailability": []}
    given = data | {"assumptions": data["assumptions"] | more}
    try:
        return batchsim.run(batchsim.parse_scenario(json.dumps(given), base=place), seed=seed)
    except InputError as error:
        assume("spotPrices" in error.one_line())
        raise


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("prices")


@given(data=scenarios(), rows=records(), days=st.integers(-400, 400), parts=st.integers(0, 1 << 14))
def test_neither_the_date_of_a_record_nor_its_files_change_a_run(place, data, rows, days, parts):
    pools = sorted({row[:2] for row in rows})
    first = {pool for number, pool in enumerate(pools) if number == 0 or parts >> number & 1}
    split = [row for row in rows if row[:2] in first], [row for row in rows if row[:2] not in first]
    whole = run(data, place, 0, entries(rows))
    parted = run(data, place, 0, *(entries(part, dt.timedelta(days=days)) for part in split if part))
    assert parted.summary == whole.summary
    for name in ("instances", "attempts", "costs"):
        assert getattr(parted, name).equals(getattr(whole, name))
