"""What a number means with a unit, and without one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from batchsim.scenario.values import Rate
from batchsim.units import parse_bandwidth, parse_duration, parse_rate, parse_size, parse_volume

RATE = TypeAdapter(Rate)


@pytest.mark.parametrize(
    ("text", "per_s"),
    [
        ("2/s", 2.0),
        ("120/h", 1 / 30),
        ("5/m", 1 / 12),
        ("5/min", 1 / 12),
        (" 1e3 / d ", 1000 / 86_400),
        (0, 0.0),
    ],
)
def test_a_rate_names_its_unit(text, per_s):
    assert parse_rate(text) == pytest.approx(per_s, rel=1e-15)


@pytest.mark.parametrize(
    "text", [120, 0.5, 1e-9, "120", "0", True, "1/", "/h", "1_0/h", "٣/h", "nan/h", "inf/s"]
)
def test_a_rate_without_a_unit_is_refused(text):
    with pytest.raises(ValueError, match="expected a rate such as '120/h'"):
        parse_rate(text)


def test_a_duration_without_a_unit_is_in_seconds_and_a_size_in_mib():
    assert parse_duration(90) == parse_duration("90s")
    assert parse_duration(1.5) == parse_duration("1500ms")
    assert parse_size(7400) == parse_size("7400MiB")


def test_a_bandwidth_without_a_unit_is_in_megabytes_a_second():
    written = (100, "100MB/s", " 100 MB / s ", "0.1GB/s", "100000kB/s")
    assert {parse_bandwidth(each) for each in written} == {100.0}
    assert parse_bandwidth("100MiB/s") == 104.8576


def test_the_size_of_a_volume_has_a_unit():
    assert [parse_volume(each) for each in ("30GiB", "1024MiB", 0, "0GiB")] == [30_720, 1024, 0, 0]
    for each in (30, 1.5, "30", "1023MiB", True):
        with pytest.raises(ValueError, match="expected a size"):
            parse_volume(each)


@given(st.floats(0, 1e300, allow_nan=False))
def test_a_rate_is_written_so_that_it_reads_back_exactly(per_s):
    written = RATE.dump_python(per_s, mode="json")
    assert RATE.validate_python(written) == per_s
