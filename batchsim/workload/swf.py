"""Reader of the Standard Workload Format, the format of the Parallel Workloads Archive.

A line that begins with `;` is a comment; any other line that is not blank is one job of 18 numbers,
-1 for unknown, times in seconds and memory in KB (1,024 bytes). The reader uses these fields:

    1 job number   2 submit   4 run time   5 processors allocated   8 processors requested
    9 requested run time   10 requested memory per processor

A job's vCPUs are field 5, or field 8 where field 5 is unknown. Rows with run time <= 0 or without
processors are dropped and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from batchsim.errors import TraceError
from batchsim.scenario import MAX_JOBS
from batchsim.units import MAX_TIME_US, US_PER_S
from batchsim.workload.numberrows import Field, parse_rows
from batchsim.workload.textblocks import TextBlocks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_VCPUS: Final = 10**4
MIN_MEMORY_MIB: Final = 4  # AWS's smallest container [spec 1.14]
MAX_MEMORY_MIB: Final = 10**7

_KIB_PER_MIB: Final = 1024
_FIELDS: Final = (
    Field("job number", "whole"),
    Field("submit time", "seconds"),
    Field("wait time", "ignored"),
    Field("run time", "seconds"),
    Field("processors allocated", "whole"),
    Field("average CPU time", "ignored"),
    Field("used memory", "ignored"),
    Field("processors requested", "whole"),
    Field("requested run time", "seconds"),
    Field("requested memory", "whole"),
    Field("status", "ignored"),
    Field("user", "ignored"),
    Field("group", "ignored"),
    Field("executable", "ignored"),
    Field("queue", "ignored"),
    Field("partition", "ignored"),
    Field("preceding job", "ignored"),
    Field("think time", "ignored"),
)


@dataclass(frozen=True, slots=True)
class SwfOptions:
    """What to take from a log and how.

    scale                 submit times are multiplied by this, exactly, and cut to whole seconds; 1 leaves
                          them untouched
    from_us, to_us        keep jobs with from_us <= submit < to_us, in the log's own time
    limit                 keep the first so many jobs that are left, in order of (scaled) submission
    memory_per_vcpu_mib   memory a processor where field 10 is unknown
    """

    scale: Fraction = Fraction(1)
    from_us: int = 0
    to_us: int | None = None
    limit: int | None = None
    memory_per_vcpu_mib: int = MIN_MEMORY_MIB


@dataclass(frozen=True, slots=True)
class SwfJobs:
    """Columns int64[n] in order of submission, ties by row; `requested_us` is -1 where unknown.

    `notes` counts what happened to each row: rows_read = jobs + dropped + outside_window + beyond_limit.
    """

    number: NDArray[np.int64]
    submit_us: NDArray[np.int64]
    runtime_us: NDArray[np.int64]
    requested_us: NDArray[np.int64]
    vcpus: NDArray[np.int64]
    memory_mib: NDArray[np.int64]
    notes: dict[str, Any]


def read_swf(path: Path, options: SwfOptions | None = None) -> SwfJobs:
    """The jobs of a log, plain or gzip. Raises TraceError, with the row's number where there is one.

    A log that leaves no job at all is an error too. Rows out of order are sorted, ties by row, and
    counted in the notes; a job number that appears twice is refused because job names must be unique.
    """
    options = options or SwfOptions()
    blocks = TextBlocks(path)
    rows = _read_rows(blocks, options)
    _check_limits(rows, blocks.file)
    last_us = int(rows.submit_us.max())
    if last_us * options.scale >= MAX_TIME_US:
        raise _guilty_row(
            rows, blocks.file, rows.submit_us == last_us, "a scaled submit time below 285 years"
        )
    submit_us = _scaled(rows.submit_us, options.scale)
    order = np.argsort(submit_us, kind="stable")[: options.limit]
    vcpus = rows.vcpus[order]
    memory_mib, memory_notes = _memory(rows.memory_kib[order], vcpus, options.memory_per_vcpu_mib)
    if int(memory_mib.max()) > MAX_MEMORY_MIB:
        guilty = np.zeros(len(rows.line), np.bool_)
        guilty[order] = memory_mib > MAX_MEMORY_MIB
        raise _guilty_row(rows, blocks.file, guilty, f"a job of at most {MAX_MEMORY_MIB:,} MiB")
    notes = {
        **rows.counts,
        "beyond_limit": len(rows.line) - len(order),
        "jobs": len(order),
        "rows_out_of_order": int((np.diff(submit_us) < 0).sum()),
        **memory_notes,
        "sha256": blocks.sha256(),
    }
    requested_us = rows.requested_us[order]
    return SwfJobs(
        number=rows.number[order],
        submit_us=submit_us[order],
        runtime_us=rows.runtime_us[order],
        requested_us=np.where(requested_us > 0, requested_us, -1),
        vcpus=vcpus,
        memory_mib=memory_mib,
        notes=notes,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The usable rows of the window, in the order of the file."""

    line: NDArray[np.int64]
    number: NDArray[np.int64]
    submit_us: NDArray[np.int64]
    runtime_us: NDArray[np.int64]
    requested_us: NDArray[np.int64]
    vcpus: NDArray[np.int64]
    memory_kib: NDArray[np.int64]
    counts: dict[str, Any]


def _read_rows(blocks: TextBlocks, options: SwfOptions) -> _Rows:
    kept: list[tuple[NDArray[np.int64], ...]] = []
    read = idle = without_processors = outside = total = 0
    for first_line, text in blocks:
        lines, columns = parse_rows(text, first_line, _FIELDS, blocks.file)
        number, submit_us, _, runtime_us, allocated, _, _, asked, requested_us, memory_kib, *_ = columns
        vcpus = np.where(allocated > 0, allocated, asked)
        runs = runtime_us > 0
        usable = runs & (vcpus > 0)
        _refuse_unknown_submit(lines, submit_us, usable, blocks.file)
        inside = usable & (submit_us >= options.from_us)
        if options.to_us is not None:
            inside &= submit_us < options.to_us
        read += len(lines)
        idle += int((~runs).sum())
        without_processors += int((runs & ~usable).sum())
        outside += int((usable & ~inside).sum())
        total += int(inside.sum())
        if total > MAX_JOBS:
            raise TraceError(
                file=blocks.file, expected=f"at most {MAX_JOBS:,} jobs", found="more", hint="use from and to"
            )
        taken = (lines, number, submit_us, runtime_us, requested_us, vcpus, memory_kib)
        kept.append(tuple(column[inside] for column in taken))
    counts = {
        "rows_read": read,
        "dropped": {"run time <= 0": idle, "processors <= 0": without_processors},
        "outside_window": outside,
    }
    if total == 0:
        raise TraceError(
            file=blocks.file,
            expected="at least one job with a run time and processors",
            found=f"{read} rows: {idle} without a run time, {without_processors} without processors, "
            f"{outside} outside from..to",
        )
    line, number, submit_us, runtime_us, requested_us, vcpus, memory_kib = (
        np.concatenate(parts) for parts in zip(*kept, strict=True)
    )
    return _Rows(line, number, submit_us, runtime_us, requested_us, vcpus, memory_kib, counts)


def _refuse_unknown_submit(
    lines: NDArray[np.int64], submit_us: NDArray[np.int64], usable: NDArray[np.bool_], file: str
) -> None:
    unknown = np.flatnonzero(usable & (submit_us < 0))
    if len(unknown):
        row = unknown[0]
        raise TraceError(
            f"field 2 ({_FIELDS[1].name})",
            file=file,
            line=int(lines[row]),
            expected="0 or more seconds",
            found=f"{submit_us[row] / US_PER_S:g}",
        )


def _check_limits(rows: _Rows, file: str) -> None:
    if (rows.vcpus > MAX_VCPUS).any():
        raise _guilty_row(rows, file, rows.vcpus > MAX_VCPUS, f"a job of at most {MAX_VCPUS:,} processors")
    if (rows.number < 0).any():
        raise _guilty_row(rows, file, rows.number < 0, "a job number of 0 or more")
    order = np.argsort(rows.number, kind="stable")
    again = np.flatnonzero(np.diff(rows.number[order]) == 0)
    if len(again):
        later, earlier = order[again + 1], order[again]
        first = int(np.argmin(later))
        raise TraceError(
            "field 1 (job number)",
            file=file,
            line=int(rows.line[later[first]]),
            expected="each job number once",
            found=f"{rows.number[later[first]]} again, as in line {rows.line[earlier[first]]}",
            hint="rows of status 2, 3 and 4 are parts of a job that has a row of its own: remove them",
        )


def _guilty_row(rows: _Rows, file: str, guilty: NDArray[np.bool_], expected: str) -> TraceError:
    row = int(np.argmax(guilty))
    found = (
        f"job {rows.number[row]}, submitted at {rows.submit_us[row] // US_PER_S} s, "
        f"{rows.vcpus[row]} processors, {rows.memory_kib[row]} KB a processor"
    )
    return TraceError(file=file, line=int(rows.line[row]), expected=expected, found=found)


def _scaled(submit_us: NDArray[np.int64], scale: Fraction) -> NDArray[np.int64]:
    """floor(seconds x scale) whole seconds, in microseconds."""
    if scale == 1:
        return submit_us
    divisor = scale.denominator * US_PER_S
    if int(submit_us.max()) * scale.numerator < 2**63 and divisor < 2**63:
        return submit_us * scale.numerator // divisor * US_PER_S
    exact = submit_us.astype(object) * scale.numerator // divisor * US_PER_S
    return exact.astype(np.int64)


def _memory(
    kib_per_vcpu: NDArray[np.int64], vcpus: NDArray[np.int64], assumed_mib_per_vcpu: int
) -> tuple[NDArray[np.int64], dict[str, int]]:
    known = kib_per_vcpu > 0
    # Beyond the cap every job is refused anyway; the cap keeps the product inside int64.
    kib = np.minimum(kib_per_vcpu, MAX_MEMORY_MIB * _KIB_PER_MIB + 1) * vcpus
    memory_mib = np.where(known, -(-kib // _KIB_PER_MIB), assumed_mib_per_vcpu * vcpus)
    small = memory_mib < MIN_MEMORY_MIB
    notes = {
        "memory_assumed_jobs": int((~known).sum()),
        "memory_assumed_mib_per_vcpu": assumed_mib_per_vcpu,
        "memory_raised_to_minimum_jobs": int(small.sum()),
    }
    return np.maximum(memory_mib, MIN_MEMORY_MIB), notes
