from __future__ import annotations

import gzip
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchsim.errors import TraceError
from batchsim.workload import build_workload, textblocks
from batchsim.workload.swf import SwfOptions, read_swf

S = 1_000_000


class Row(NamedTuple):
    number: int
    submit: int
    run: int
    allocated: int
    asked: int
    estimate: int
    memory: int

    def fields(self):
        used = {1: self.number, 2: self.submit, 4: self.run, 5: self.allocated, 8: self.asked}
        used |= {9: self.estimate, 10: self.memory}
        return [str(used.get(index, -1)) for index in range(1, 19)]


unknown = st.just(-1)
rows = st.lists(
    st.builds(
        Row,
        number=st.integers(0, 10**12),
        submit=st.integers(0, 100) | st.integers(0, 9 * 10**9),
        run=unknown | st.just(0) | st.integers(1, 9 * 10**9),
        allocated=unknown | st.integers(0, 10_000),
        asked=unknown | st.integers(0, 10_000),
        estimate=unknown | st.integers(0, 9 * 10**9),
        memory=unknown | st.integers(0, 10**6),
    ),
    unique_by=lambda row: row.number,
    max_size=30,
)
gaps = st.sampled_from([" ", "  ", "\t", " \t "])
line_ends = st.sampled_from(["\n", "\r\n", "\n\n", "\n; a remark\n", " \n", "\n   \r\n\t; 1 2 3\r\n"])


@st.composite
def logs(draw):
    """Rows, and one of the many ways to write them down."""
    content = draw(rows)
    text = draw(st.sampled_from(["", "\ufeff", "; head\r\n", "\n"]))
    for row in content:
        text += draw(st.sampled_from(["", " ", "\t"])) + draw(gaps).join(row.fields()) + draw(line_ends)
    data = text.encode()
    return content, gzip.compress(data) if draw(st.booleans()) else data


def vcpus(row):
    return row.allocated if row.allocated > 0 else row.asked


def memory_mib(row):
    return max(4, -(-row.memory * vcpus(row) // 1024) if row.memory > 0 else 7 * vcpus(row))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("logs") / "log.swf"


@given(log=logs(), block_bytes=st.sampled_from([200, 500, 2**20]))
def test_what_is_written_is_read(path, log, block_bytes):
    written, data = log
    path.write_bytes(data)
    usable = sorted((row for row in written if row.run > 0 and vcpus(row) > 0), key=lambda row: row.submit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textblocks, "BLOCK_BYTES", block_bytes)
        if not usable or max(map(memory_mib, usable)) > 10**7:
            with pytest.raises(TraceError, match=r"at least one job|a job of at most"):
                read_swf(path, SwfOptions(memory_per_vcpu_mib=7))
            return
        jobs = read_swf(path, SwfOptions(memory_per_vcpu_mib=7))
    assert jobs.number.tolist() == [row.number for row in usable]
    assert jobs.submit_us.tolist() == [row.submit * S for row in usable]
    assert jobs.runtime_us.tolist() == [row.run * S for row in usable]
    assert jobs.requested_us.tolist() == [row.estimate * S if row.estimate > 0 else -1 for row in usable]
    assert jobs.vcpus.tolist() == [vcpus(row) for row in usable]
    assert jobs.memory_mib.tolist() == [memory_mib(row) for row in usable]
    assert jobs.notes["rows_read"] == len(written)
    assert sum(jobs.notes["dropped"].values()) == len(written) - len(usable)


VALID = b"1 0 -1 10 4 -1 -1 -1 -1 -1 1 1 1 -1 -1 -1 -1 -1\n2 5 -1 7 1 -1 -1 -1 -1 -1 1 1 1 -1 -1 -1 -1 -1\n"
PIECES = [b"\n", b" ", b"9", b"-1", b"."]
mutations = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3) | st.sampled_from(PIECES)),
    max_size=4,
)


@st.composite
def mangled(draw):
    """A good log, plain or compressed, with a few pieces replaced."""
    data = draw(st.sampled_from([VALID, gzip.compress(VALID, mtime=0)]))
    for at, length, piece in draw(mutations):
        data = data[:at] + piece + data[at + length :]
    return data


@given(data=st.binary(max_size=300) | st.text("0123456789 -.;\n\t", max_size=300).map(str.encode) | mangled())
@example(data=VALID)
@example(data=b"\x1f\x8b")
@example(data=b"\xef\xbb\xbf")
def test_any_bytes_give_a_workload_or_one_clear_error(path, data):
    path.write_bytes(data)
    jobs, complaint = None, str(path)
    try:
        jobs = read_swf(path)
    except TraceError as error:
        complaint = str(error)
    assert str(path) in complaint
    assert "\n" not in complaint
    if jobs is not None:
        assert len(jobs.number) >= 1
        assert (jobs.submit_us[:-1] <= jobs.submit_us[1:]).all()
        assert jobs.runtime_us.min() > 0
        assert jobs.vcpus.min() > 0
        assert jobs.memory_mib.min() >= 4


def test_a_mangled_log_is_an_error_of_the_whole_workload_too(scenario_of, tmp_path):
    (tmp_path / "log.swf").write_bytes(VALID[:-4])
    with pytest.raises(TraceError, match=r"log.swf:2: expected 18 fields in a row, found 17"):
        build_workload(scenario_of({"name": "t", "trace": {"format": "swf", "path": "log.swf"}}))
