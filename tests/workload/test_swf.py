from __future__ import annotations

import gzip
import tracemalloc
from fractions import Fraction

import pytest

from batchsim.errors import TraceError
from batchsim.workload import swf, textblocks
from batchsim.workload.swf import SwfOptions, read_swf

S = 1_000_000


def row(number=1, submit=0, run=10, allocated=4, *, asked=-1, estimate=-1, memory=-1):
    return f"{number} {submit} -1 {run} {allocated} -1 -1 {asked} {estimate} {memory} 1 1 1 -1 -1 -1 -1 -1"


@pytest.fixture
def read(tmp_path):
    def of(*lines, **options):
        data = lines[0] if isinstance(lines[0], bytes) else "\n".join(lines).encode()
        path = tmp_path / "log.swf"
        path.write_bytes(data)
        return read_swf(path, SwfOptions(**options))

    return of


def refused(read, *lines, **options):
    with pytest.raises(TraceError) as caught:
        read(*lines, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(caught.value.file), "log.swf")


def test_the_fields_of_a_job(read):
    jobs = read("; Computer: a small one", "", row(7, 100, 60, 4, asked=8, estimate=3600, memory=2048))
    assert jobs.number.tolist() == [7]
    assert jobs.submit_us.tolist() == [100 * S]
    assert jobs.runtime_us.tolist() == [60 * S]
    assert jobs.requested_us.tolist() == [3600 * S]
    assert jobs.vcpus.tolist() == [4]
    assert jobs.memory_mib.tolist() == [8]
    assert all(column.dtype == "int64" for column in (jobs.number, jobs.vcpus, jobs.memory_mib))


def test_processors_are_field_5_or_else_field_8(read):
    jobs = read(row(1, allocated=4, asked=8), row(2, allocated=-1, asked=8), row(3, allocated=0, asked=2))
    assert jobs.vcpus.tolist() == [4, 8, 2]


def test_rows_without_run_time_or_processors_are_dropped_and_counted(read):
    jobs = read(
        row(1),
        row(2, run=0),
        row(3, run=-1),
        row(4, allocated=-1, asked=-1),
        row(5, allocated=0, asked=0),
        row(6, allocated=-1, asked=0),
        row(7, run=0, allocated=-1),
    )
    assert jobs.number.tolist() == [1]
    assert jobs.notes["rows_read"] == 7
    assert jobs.notes["dropped"] == {"run time <= 0": 3, "processors <= 0": 3}
    assert jobs.notes["jobs"] == 1


def test_an_estimate_that_is_not_known(read):
    assert read(row(1), row(2, estimate=0), row(3, estimate=5)).requested_us.tolist() == [-1, -1, 5 * S]


def test_memory_per_processor_is_rounded_up_and_assumed_where_unknown(read):
    jobs = read(
        row(1, allocated=3, memory=2000),
        row(2, allocated=3, memory=-1),
        row(3, allocated=1, memory=0),
        row(4, allocated=1, memory=1),
        memory_per_vcpu_mib=100,
    )
    assert jobs.memory_mib.tolist() == [6, 300, 100, 4]
    assert jobs.notes["memory_assumed_jobs"] == 2
    assert jobs.notes["memory_assumed_mib_per_vcpu"] == 100
    assert jobs.notes["memory_raised_to_minimum_jobs"] == 1


def test_submit_times_keep_the_zero_of_the_log(read):
    assert read(row(1, 599_850), row(2, 600_022)).submit_us.tolist() == [599_850 * S, 600_022 * S]


def test_scaled_submit_times_are_exact_and_cut_to_whole_seconds(read):
    # In floating point 10 x 0.7 is exact by luck, but 30 x 0.7 is 20.999999999999996.
    jobs = read(row(1, 10), row(2, 11), row(3, 30), row(4, 31), scale=Fraction("0.7"))
    assert jobs.submit_us.tolist() == [7 * S, 7 * S, 21 * S, 21 * S]
    assert read(row(1, 3), row(2, 5), scale=Fraction("1.5")).submit_us.tolist() == [4 * S, 7 * S]


@pytest.mark.parametrize("scale", [Fraction("0.1234567"), Fraction("0.12345678901234567")])
def test_scaling_is_exact_beyond_64_bits(read, scale):
    exact = sorted([8_999_999_999 * scale // 1, Fraction("12345.678901") * scale // 1])
    jobs = read(row(1, 8_999_999_999), row(2, "12345.678901"), scale=scale)
    assert jobs.submit_us.tolist() == [second * S for second in exact]


def test_rows_out_of_order_are_sorted_ties_by_row_and_noted(read):
    jobs = read(row(1, 50), row(2, 20), row(3, 50), row(4, 20), row(5, 60))
    assert jobs.number.tolist() == [2, 4, 1, 3, 5]
    assert jobs.notes["rows_out_of_order"] == 2
    assert read(row(1, 1), row(2, 1), row(3, 2)).notes["rows_out_of_order"] == 0


def test_ties_that_scaling_makes_are_in_the_order_of_the_rows(read):
    assert read(row(1, 11), row(2, 10), scale=Fraction(1, 10)).number.tolist() == [1, 2]


def test_window_is_of_the_logs_own_time_and_half_open(read):
    rows = [row(number, 10 * number) for number in range(1, 8)]
    jobs = read(*rows, from_us=20 * S, to_us=50 * S, scale=Fraction(10))
    assert jobs.number.tolist() == [2, 3, 4]
    assert jobs.submit_us.tolist() == [200 * S, 300 * S, 400 * S]
    assert jobs.notes["outside_window"] == 4


def test_limit_counts_the_jobs_that_are_used(read):
    jobs = read(row(1, 0, run=0), row(2, 30), row(3, 10), row(4, 20), row(5, 40, run=0), limit=2)
    assert jobs.number.tolist() == [3, 4]
    notes = jobs.notes
    assert notes["beyond_limit"] == 1
    used = notes["jobs"] + notes["beyond_limit"] + notes["outside_window"] + sum(notes["dropped"].values())
    assert notes["rows_read"] == used == 5


def test_times_may_be_decimals(read):
    jobs = read(row(1, "0.25", run="1.0000019", estimate="2."))
    assert (jobs.submit_us[0], jobs.runtime_us[0], jobs.requested_us[0]) == (250_000, 1_000_001, 2 * S)
    assert read(row(1, run="-1.0"), row(2, allocated="4.00")).vcpus.tolist() == [4]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_byte_order_mark_carriage_returns_tabs_and_a_missing_last_line_end(read, pack):
    text = "\ufeff; comment\r\n  \t\r\n\t" + row(1).replace(" ", "\t ") + "\r\n   ; indented\r\n" + row(2)
    assert read(pack(text.encode())).number.tolist() == [1, 2]


def test_comments_may_be_in_any_encoding(read):
    assert read(b"; Universit\xe9 \x00\xff\n" + row(1).encode()).number.tolist() == [1]


def test_gzip_is_known_by_its_content_not_its_name(tmp_path):
    (tmp_path / "a.swf.gz").write_text(row(1))
    (tmp_path / "b.swf").write_bytes(gzip.compress(row(1).encode()))
    plain, packed = read_swf(tmp_path / "a.swf.gz"), read_swf(tmp_path / "b.swf")
    assert plain.notes == packed.notes
    assert len(plain.notes["sha256"]) == 64


def test_line_numbers_are_right_across_blocks(read, monkeypatch):
    monkeypatch.setattr(textblocks, "BLOCK_BYTES", 100)
    rows = [row(number, number) for number in range(1, 200)]
    assert read("; head", *rows).number.tolist() == list(range(1, 200))
    assert refused(read, "; head", *rows, "", row("x")).startswith("log.swf:202: field 1 (job number)")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("1 2 3", "log.swf:3: expected 18 fields in a row, found 3: '1 2 3'"),
        (row(5) + " 9", "log.swf:3: expected 18 fields in a row, found 19: '5 0 -1"),
        (row("abc"), "log.swf:3: field 1 (job number): expected a whole number, found 'abc'"),
        (row("1" * 19), "log.swf:3: field 1 (job number): expected a whole number"),
        (row("1.5"), "log.swf:3: field 1 (job number): expected a whole number, found '1.5'"),
        (row(-1), "log.swf:3: expected a job number of 0 or more, found job -1"),
        (row(5, "1e3"), "log.swf:3: field 2 (submit time): expected a number of seconds below 285 years"),
        (row(5, -1), "log.swf:3: field 2 (submit time): expected 0 or more seconds, found -1"),
        (row(5, 10**10), "log.swf:3: field 2 (submit time): expected a number of seconds below 285 years"),
        (row(5, 0, "nan"), "log.swf:3: field 4 (run time): expected a number of seconds"),
        (row(5, 0, "1_0"), "log.swf:3: field 4 (run time)"),
        (row(5, 0, "--1"), "log.swf:3: field 4 (run time)"),
        (row(5, 0, "1-1"), "log.swf:3: field 4 (run time)"),
        (row(5, 0, "-"), "log.swf:3: field 4 (run time)"),
        (row(5, 0, "."), "log.swf:3: field 4 (run time)"),
        (row(5, 0, "1" * 19), "log.swf:3: field 4 (run time)"),
        (row(5, 0, 5, "4;"), "field 5 (processors allocated): expected a whole number, found '4;'"),
        (row(5).replace(" 1 1 1 ", " 1 x 1 "), "log.swf:3: field 12 (user): expected a number, found 'x'"),
        (row(5, memory="\u0663"), "log.swf:3: field 10 (requested memory)"),
        (row(5, memory="\x1b[31m1"), r"found '\x1b[31m1'"),
        (row(1), "log.swf:3: field 1 (job number): expected each job number once, found 1 again, as in"),
    ],
)
def test_a_malformed_row_is_named_with_what_was_expected(read, bad, message):
    assert message in refused(read, "; head", row(1), bad, row(3))


def test_the_first_of_several_malformed_rows_is_named(read):
    assert ":2:" in refused(read, row(1), row(2, memory="x"), "1 2 3", row("y"))
    assert ":2:" in refused(read, row(1), "1 2 3", row("y"))
    assert ":3: field 1 (job number): expected each job number once, found 9 again, as in line 1" in refused(
        read, row(9), row(1), row(9), row(1)
    )


def test_rows_that_are_dropped_may_be_odd_but_not_malformed(read):
    assert read(
        row(1), row(1, run=0), row(2, -1, run=-1), row(3, run=0, allocated=10**6)
    ).number.tolist() == [1]
    assert ":2:" in refused(read, row(1), row(2, run=0, memory="x"))


@pytest.mark.parametrize(
    ("at_limit", "beyond", "message"),
    [
        ({"allocated": 10_000}, {"allocated": 10_001}, ":1: expected a job of at most 10,000 processors"),
        (
            {"allocated": 1, "memory": 10**7 * 1024},
            {"allocated": 1, "memory": 10**7 * 1024 + 1},
            ":1: expected a job of at most 10,000,000 MiB, found job 1, submitted at 0 s, 1 processors",
        ),
        (
            {"allocated": 10_000, "memory": 1_024_000},
            {"allocated": 2**13, "memory": 2**51},  # 2**64 KB in all
            ":1: expected a job of at most 10,000,000 MiB",
        ),
        (
            {"submit": (2**53 - 1) // S},
            {"submit": 2**53 // S + 1},
            ":1: field 2 (submit time): expected a number of seconds below 285 years",
        ),
        (
            {"run": f"{2**53 // S}.{2**53 % S - 1}"},
            {"run": f"{2**53 // S}.{2**53 % S}"},
            ":1: field 4 (run time): expected a number of seconds below 285 years",
        ),
    ],
)
def test_limits_on_a_row(read, at_limit, beyond, message):
    assert len(read(row(**at_limit)).number) == 1
    assert message in refused(read, row(**beyond))


def test_limit_on_scaled_submit_times(read):
    assert read(row(1, 9_007_199), scale=Fraction(1000)).submit_us.tolist() == [9_007_199_000 * S]
    message = refused(read, row(1, 5), row(2, 9_007_200), row(3, 7), scale=Fraction(1000))
    assert "log.swf:2: expected a scaled submit time below 285 years" in message


def test_limit_on_the_number_of_jobs(read, monkeypatch):
    monkeypatch.setattr(swf, "MAX_JOBS", 3)
    assert len(read(row(1), row(2), row(3), row(4, run=0)).number) == 3
    assert "at most 3 jobs, found more; use from and to" in refused(read, row(1), row(2), row(3), row(4))
    assert len(read(row(1), row(2), row(3), row(4, 99), to_us=99 * S).number) == 3


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_limit_on_the_size_of_the_text(read, monkeypatch, pack):
    text = (row(1) + "\n").encode()
    monkeypatch.setattr(textblocks, "MAX_BYTES", len(text))
    assert len(read(pack(text)).number) == 1
    message = refused(read, pack(text + b"\n"))
    assert (
        message == "log.swf: expected at most 2 GiB of text after decompression, found more; split the file"
    )


def test_limit_on_the_length_of_a_line(read):
    assert len(read(row(1), ";" + "x" * 1_000_000).number) == 1
    assert "log.swf:2: expected lines of at most 1 MiB" in refused(read, row(1), "1" * 3_000_000)


def test_a_log_without_jobs(read):
    assert refused(read, b"") == (
        "log.swf: expected at least one job with a run time and processors, "
        "found 0 rows: 0 without a run time, 0 without processors, 0 outside from..to"
    )
    assert "found 3 rows: 1 without a run time, 1 without processors, 1 outside" in refused(
        read, row(1, 5), row(2, run=0), row(3, allocated=-1), from_us=6 * S
    )


@pytest.mark.parametrize("filler", [b"\n", b"1 ", b"0", (row(1, run=0) + "\n").encode()])
def test_a_gzip_bomb_costs_little_memory(tmp_path, monkeypatch, filler):
    monkeypatch.setattr(textblocks, "MAX_BYTES", 16 * 2**20)
    path = tmp_path / "bomb.swf.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(18):
            stream.write(filler * (2**20 // len(filler)))
    tracemalloc.start()
    with pytest.raises(TraceError, match=r"at most 2 GiB|at most 1 MiB|expected 18 fields"):
        read_swf(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20


def test_truncated_gzip_gives_one_clear_error_wherever_it_is_cut(tmp_path):
    whole = gzip.compress("\n".join(row(number, number) for number in range(1, 50)).encode())
    path = tmp_path / "log.swf.gz"
    for cut in range(2, len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(TraceError, match=r"log.swf.gz: the gzip file is damaged or cut short; fetch it"):
            read_swf(path)


def test_damaged_gzip(tmp_path):
    whole = bytearray(gzip.compress("\n".join(row(number, number) for number in range(1, 50)).encode()))
    whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / "log.swf.gz"
    path.write_bytes(whole)
    with pytest.raises(TraceError):
        read_swf(path)


def test_files_that_cannot_be_read(tmp_path):
    for path, message in (
        (tmp_path / "none.swf", "expected a file, found nothing of that name"),
        (tmp_path, "expected a file, found something else"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
        (tmp_path / "a\0b", "expected a file, found nothing of that name"),
    ):
        with pytest.raises(TraceError) as caught:
            read_swf(path)
        assert message in str(caught.value)
