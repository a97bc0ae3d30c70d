from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.errors import TraceError
from batchsim.workload import samples as module
from batchsim.workload.samples import read_samples

S = 1_000_000


@pytest.fixture
def seconds(tmp_path):
    def read(text, *more):
        path = tmp_path / "samples.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return (read_samples(path, *more)[0] / S).tolist()

    return read


def test_one_number_a_line(seconds):
    assert seconds("3\n1.5\n\n# a remark\n2e2\n") == [1.5, 3.0, 200.0]


def test_a_header_is_recognised_and_the_column_of_numbers_taken(seconds):
    assert seconds("task,realtime\nalign,20\nsort,10\n") == [10.0, 20.0]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("task,realtime,cpus\nalign,20,4\n", "the header has task, realtime, cpus"),
        ("align,20,4\nsort,10,1\n", "give the file a header"),
    ],
)
def test_which_of_two_columns_of_numbers_is_meant_must_be_said(seconds, text, hint):
    with pytest.raises(TraceError) as refused:
        seconds(text)
    expected = "one column of numbers, or that `column` names the one that is meant"
    assert f"expected {expected}, found 2 columns of numbers; {hint}" in str(refused.value)


def test_no_header(seconds):
    assert seconds("align;20\nsort;10\n") == [10.0, 20.0]


def test_a_column_by_name(seconds):
    assert seconds('name\tcpus\t"real time"\na\t4\t7\nb\t1\t8\n', "real time") == [7.0, 8.0]


def test_units(seconds):
    assert seconds("90000\n", None, "ms") == [90.0]
    assert seconds("1.5\n", None, "m") == [90.0]
    assert seconds("0.025\n", None, "h") == [90.0]


def test_byte_order_mark_carriage_returns_and_gzip(seconds):
    text = "\ufefft\r\n2\r\n1\r\n".encode()
    assert seconds(text) == seconds(gzip.compress(text)) == [1.0, 2.0]


def test_the_digest_is_of_the_text(tmp_path):
    plain, packed = tmp_path / "a.csv", tmp_path / "b.csv.gz"
    plain.write_bytes(b"1\n2\n")
    packed.write_bytes(gzip.compress(b"1\n2\n"))
    assert read_samples(plain)[1] == read_samples(packed)[1]


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("", (), "expected a column of numbers, found nothing"),
        ("name\nalign\n", (), "samples.csv:2: expected a column of numbers, found 'align'"),
        ("t\n", ("t",), "expected at least one number, found none"),
        ("t\n1\nx\n", (), "samples.csv:3: column 1: expected a number of 0 or more, found 'x'"),
        ("1\n-2\n", (), "samples.csv:2: column 1: expected a number of 0 or more, found '-2'"),
        ("1\nnan\n", (), "samples.csv:2: column 1"),
        ("1\n1e999\n", (), "samples.csv:2: column 1"),
        ("1\n1_000\n", (), "samples.csv:2: column 1"),
        ("a,1\nb\n", (), "samples.csv:2: column 2: expected a number of 0 or more, found ''"),
        ("1\n1e10\n", (), "expected durations below 285 years, found 1e+10 in the given unit"),
        ("1\n" + 200_000 * "9", (), "samples.csv:2: not a row of a CSV file: field larger than"),
        (
            "real,cpu\n1,2\n",
            ("reel",),
            "samples.csv:1: expected a header with a column 'reel', found 'real, cpu'; did you mean real?",
        ),
    ],
)
def test_what_cannot_be_used_says_where_and_why(seconds, text, more, message):
    with pytest.raises(TraceError) as caught:
        seconds(text, *more)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_limit_on_values(seconds, monkeypatch):
    monkeypatch.setattr(module, "MAX_JOBS", 3)
    assert seconds("1\n2\n3\n") == [1.0, 2.0, 3.0]
    with pytest.raises(TraceError, match=r"samples\.csv:4: expected at most 3 values"):
        seconds("1\n2\n3\n4\n")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TraceError, match=r"none\.csv: expected a file, found nothing of that name"):
        read_samples(tmp_path / "none.csv")


@given(data=st.binary(max_size=200) | st.text('0123456789.,;\t\n"#-eab', max_size=60).map(str.encode))
def test_any_bytes_give_samples_or_one_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "garbage.csv"
    path.write_bytes(data)
    values, complaint = np.zeros(1), "garbage.csv"
    try:
        values, _ = read_samples(path)
    except TraceError as error:
        complaint = str(error)
    assert "garbage.csv" in complaint
    assert "\n" not in complaint
    assert len(values) >= 1
    assert (values[:-1] <= values[1:]).all()
    assert values[0] >= 0
