"""Arithmetic on columns that must not be off by anything."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchsim.results.arrays import category
from batchsim.results.exact import by_group, exact_mean


@given(st.lists(st.floats(1, 2.0**61), min_size=1, max_size=30))
def test_a_mean_is_rounded_once(values):
    exact = sum(map(Fraction, values)) / len(values)
    assert exact_mean(np.array(values)) == float(exact)


@given(st.sampled_from([1, 3, 255, 256, 70_000]), st.data())
def test_rows_of_a_group_follow_each_other_as_they_did(groups, data):
    codes = data.draw(st.lists(st.integers(0, groups - 1), max_size=40))
    expected = sorted(range(len(codes)), key=codes.__getitem__)
    assert by_group(np.array(codes, dtype=np.int64), groups).tolist() == expected


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.data())
def test_what_a_row_of_another_table_is_called(via, data):
    values = ["b", None, "a", "c"]
    rows = np.array(data.draw(st.lists(st.integers(-1, len(via) - 1), max_size=9)), dtype=np.int64)
    found = category(rows, values, via=np.array(via))
    assert [None if each != each else each for each in found] == [  # noqa: PLR0124 - NaN is not equal to itself
        None if row < 0 else values[via[row]] for row in rows.tolist()
    ]
    assert found.equals(category(rows, [values[row] for row in via]))
