from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from batchsim.scenario.graphs import a_cycle

names = st.sampled_from("abcdef")


@given(st.dictionaries(names, st.lists(names, max_size=4)))
def test_a_cycle_is_found_where_there_is_one(edges):
    cycle = a_cycle(edges)
    left = dict(edges)
    while leaves := [name for name, to in left.items() if not set(to) & set(left)]:
        for name in leaves:
            del left[name]
    assert bool(cycle) == bool(left)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in edges[before] for before, after in pairwise(cycle))


def test_a_long_chain_takes_no_recursion_and_little_time():
    started = time.process_time()
    chain = {str(n): [str(n + 1), str(n + 2)] for n in range(20_000)}
    assert a_cycle(chain) == []
    assert len(a_cycle(chain | {"20000": ["0"]})) > 10_000
    assert time.process_time() - started < 2
