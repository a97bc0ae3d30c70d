"""Replications: the same scenario with other random draws, and what can be said of all of them.

Each metric gets a mean and a two-sided 95 % confidence interval: mean -+ t(n - 1, 0.975) x s / sqrt(n),
with Student's t and the sample standard deviation s of n independent replications.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batchsim.errors import ResultError
from batchsim.results.files import check_folder
from batchsim.studies.run import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batchsim.results import Result
    from batchsim.results.context import IdleCost
    from batchsim.results.files import Format
    from batchsim.scenario import Scenario

CONFIDENCE: Final = 0.95
MOST_REPLICATIONS: Final = 10_000
SUMMARY: Final = "summary.json"

_IS_FOLDER: Final = re.compile(r"replication-\d{4}")
_UNKNOWN_OF_NOTHING: Final = ("utilization", "_s", "_mean")  # how the names of ratios and times end
_SHARED: Final = ("batchsim", "name", "scenario_sha256", "seed", "region", "currency", "price_date")


class Interval(NamedTuple):
    """A metric over the replications that have a value for it.

    low, high, half_width   of the confidence interval; None for a single value
    least, most             of the values
    replications            how many values there are
    """

    mean: float
    low: float | None
    high: float | None
    half_width: float | None
    least: float
    most: float
    replications: int


def replicate(
    scenario: Scenario,
    count: int,
    *,
    seed: int = 0,
    report: Callable[[int, int, int, int], None] | None = None,
    idle_cost: IdleCost = "proportional",
) -> Iterator[Result]:
    """Run replications 0 to count - 1 of a seed, one after the other; each is made when it is asked for.

    `report(replication, now_us, jobs_ended, jobs)` is called now and then.
    """
    for replication in range(count):
        told = None if report is None else partial(report, replication)
        yield run(scenario, seed=seed, replication=replication, report=told, idle_cost=idle_cost)


def interval(values: Sequence[float]) -> Interval:
    """Mean and Student's t interval of at least one value."""
    mean = statistics.fmean(values)
    least, most, count = min(values), max(values), len(values)
    if count < 2:
        return Interval(mean, None, None, None, least, most, count)
    half_width = _student_t(count - 1) * statistics.stdev(values) / math.sqrt(count)
    return Interval(mean, mean - half_width, mean + half_width, half_width, least, most, count)


def _student_t(degrees: int) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - slow to import, and only needed here

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def combine(results: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, Any]:
    """What the (summary, manifest) pairs of some replications say together, as JSON-able data.

    The summary's keys, with an `Interval` as a dict in place of each number; None where no replication
    has a value; in place of a text how often each occurs (`{"outcome": {"finished": 9, "stalled": 1}}`).
    An instance type that a replication did not launch counts there with zero instances, hours and cost;
    so does a share that no job of a replication has, and its times are those of the other replications.
    """
    manifest = results[0][1]
    return {
        **{key: manifest[key] for key in _SHARED},
        "replications": len(results),
        "confidence": CONFIDENCE,
        **_combined([summary for summary, _ in results]),
    }


def _combined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for part in parts for name in part)
    combined: dict[str, Any] = {}
    for name in names:
        values = [part[name] for part in parts if name in part]
        if isinstance(values[0], dict):
            values = [part[name] if name in part else _none_of(values[0]) for part in parts]
        combined[name] = _together(values)
    return combined


def _together(values: Sequence[Any]) -> Any:
    if any(isinstance(value, dict) for value in values):
        return _combined(values)
    if any(isinstance(value, str) for value in values):
        return {text: values.count(text) for text in dict.fromkeys(values)}
    numbers = [value for value in values if value is not None]
    return interval(numbers)._asdict() if numbers else None


def _none_of(like: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics of a thing that a replication does not have."""
    return {
        name: _none_of(value)
        if isinstance(value, dict)
        else None
        if name.endswith(_UNKNOWN_OF_NOTHING)
        else 0
        for name, value in like.items()
    }


class ReplicationFolder:
    """A folder with one result folder a replication and, once all are there, a `summary.json`."""

    def __init__(self, folder: str | Path, name: str, count: int) -> None:
        """For `count` replications of the scenario `name`. Raises ResultError when it is not one for them.

        It must be new, or empty, or hold earlier replications of it all of which will be replaced.
        """
        self.path = Path(folder)
        if self.path.exists() and not self.path.is_dir():
            raise ResultError(file=str(folder), expected="a folder to write to", found="a file")
        names = sorted(entry.name for entry in self.path.iterdir()) if self.path.exists() else []
        ours = {SUMMARY, _temporary(SUMMARY), *map(replication_folder, range(count))}
        foreign = [name for name in names if name not in ours] or [
            name for name in names if name == SUMMARY and replication_folder(0) not in names
        ]
        if foreign:
            raise ResultError(
                file=str(folder),
                expected=f"a new folder, an empty one, or one with at most {count} earlier replications",
                found=", ".join(foreign),
                hint="nothing was written",
            )
        for each in replication_folders(folder):
            check_folder(each, name)

    def write(self, replication: int, result: Result, suffix: Format = "parquet") -> None:
        """Write one replication; the folder has no `summary.json` until `finish`. Raises ResultError."""
        if replication == 0:
            with self._blaming_the_folder():
                (self.path / SUMMARY).unlink(missing_ok=True)
        result.write(self.path / replication_folder(replication), suffix)

    def finish(self, combined: Mapping[str, Any]) -> None:
        """Write `summary.json`, all of it or nothing. Raises ResultError."""
        temporary = self.path / _temporary(SUMMARY)
        text = json.dumps(combined, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        with self._blaming_the_folder():
            try:
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(self.path / SUMMARY)
            finally:
                temporary.unlink(missing_ok=True)

    @contextmanager
    def _blaming_the_folder(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResultError(
                f"cannot write the result: {error.strerror or error}",
                file=str(self.path),
                hint="give a folder that can be written to, on a disk with room",
            ) from error


def replication_folder(replication: int) -> str:
    return f"replication-{replication:04d}"


def replication_folders(folder: str | Path) -> list[Path]:
    """The results in a folder of replications, in their order; [] for a folder that is not one."""
    source = Path(folder)
    if not source.is_dir():
        return []
    return sorted(entry for entry in source.iterdir() if _IS_FOLDER.fullmatch(entry.name))


def is_partial(folder: str | Path) -> bool:
    """Whether replications are there without the `summary.json` of all of them: the run was broken off."""
    return bool(replication_folders(folder)) and not (Path(folder) / SUMMARY).is_file()


def gaps(folder: str | Path) -> list[str]:
    """The replications of a lower number than the last one there that are not there themselves."""
    names = [each.name for each in replication_folders(folder)]
    if not names:
        return []
    there, last = set(names), int(names[-1].rpartition("-")[2])
    return [name for name in map(replication_folder, range(last)) if name not in there]


def _temporary(name: str) -> str:
    return f".{name}.tmp"
