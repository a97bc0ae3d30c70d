"""L20: what replications say together, computed again from each of them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsim.errors import ResultError
from batchsim.results.audit.violation import Violation, unless

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHARED = ("batchsim", "name", "scenario_sha256", "seed", "region", "currency", "price_date")
_UNKNOWN_OF_NOTHING = ("utilization", "_s", "_mean")  # how the names of ratios and times end
_IS_REPLICATION = re.compile(r"replication-\d{4}")
_MOST = 10_000  # what four digits can number
_MOST_NAMES = 4


def audit_replications(
    combined: Mapping[str, Any], results: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> list[Violation]:
    """Every figure of `combined` that does not follow from the (summary, manifest) pairs of its replications.

    `combined` is what `batchsim run -n` writes as the `summary.json` above the folders of replications, which
    are numbered from 0. Where some are missing, or not of its scenario and seed, no figure is compared.
    """
    return _judged(combined, results, range(len(results)))


def audit_replication_folder(folder: str | Path) -> list[Violation]:
    """`audit_replications` of the folder that `batchsim run -n N -o DIR` wrote.

    Without a summary, of replications that were broken off: whether they belong together and have their own
    numbers. [] for a folder of one result. Raises ResultError for a file that cannot be read.
    """
    source = Path(folder)
    if not source.is_dir():
        return []
    parts = sorted(entry for entry in source.iterdir() if _IS_REPLICATION.fullmatch(entry.name))
    if not parts:
        return []
    results = [(_read(part / "summary.json"), _read(part / "manifest.json")) for part in parts]
    whole = source / "summary.json"
    numbers = [int(part.name.rpartition("-")[2]) for part in parts]
    return _judged(_read(whole) if whole.is_file() else None, results, numbers)


def _judged(
    combined: Mapping[str, Any] | None,
    results: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    numbers: Sequence[int],
) -> list[Violation]:
    manifests = [manifest for _, manifest in results]
    found = _strangers(manifests, numbers, _most_frequent(manifests) if combined is None else combined)
    if combined is None:
        return found
    found = _missing(combined.get("replications"), numbers) + found
    if found:
        return found
    figures = {
        key: value for key, value in combined.items() if key not in {*_SHARED, "replications", "confidence"}
    }
    confidence = combined.get("confidence", math.nan)
    return _compare("", figures, [dict(summary) for summary, _ in results], confidence)


def _most_frequent(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What most of them say, of equally frequent values the first."""
    values = {key: [manifest.get(key) for manifest in manifests] for key in _SHARED}
    return {key: max(each, key=each.count) for key, each in values.items()}


def _strangers(
    manifests: Sequence[Mapping[str, Any]], numbers: Sequence[int], expected: Mapping[str, Any]
) -> list[Violation]:
    """Replications whose manifests have another number, or not what all of them share."""
    found: list[Violation] = []
    different: dict[str, list[str]] = {}
    for number, manifest in zip(numbers, manifests, strict=True):
        name, told = f"replication-{number:04d}", manifest.get("replication")
        found += unless(told == number, "L20", f"{name} has a manifest of replication {told}")
        if keys := ", ".join(key for key in _SHARED if manifest.get(key) != expected.get(key)):
            different.setdefault(keys, []).append(name)
    for keys, names in different.items():
        found.append(Violation("L20", f"not what all replications share: {keys} of {_first(names)}"))
    return found


def _missing(told: Any, numbers: Sequence[int]) -> list[Violation]:
    """Whether those that are there are as many as the summary is of, with no gap in their numbers."""
    if told == len(numbers) == 1 + max(numbers):
        return []
    most = max(1 + max(numbers), min(told, _MOST) if isinstance(told, int) else 0)
    gaps = [f"replication-{number:04d}" for number in sorted({*range(most)} - {*numbers})]
    lacking = f"; missing: {_first(gaps)}" if gaps else ""
    return [Violation("L20", f"replications is {told}, and {len(numbers)} are there{lacking}")]


def _first(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultError("cannot be read as JSON", file=str(path), hint="run it again") from error
    if not isinstance(value, dict):
        raise ResultError(file=str(path), expected="a JSON object", found=type(value).__name__)
    return value


def _compare(
    where: str, told: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], confidence: float
) -> list[Violation]:
    names = dict.fromkeys(name for part in parts for name in part)
    lacking = [*(name for name in names if name not in told), *(name for name in told if name not in names)]
    found = [Violation("L20", f"{where}{name} is on one side only") for name in lacking]
    for name in names:
        if name not in told:
            continue
        values = [part[name] for part in parts if name in part]
        nested = [value for value in values if isinstance(value, dict)]
        if nested:
            filled = [part[name] if name in part else _nothing(nested[0]) for part in parts]
            found += _compare(f"{where}{name}.", told[name] or {}, filled, confidence)
        elif any(isinstance(value, str) for value in values):
            tally = {text: values.count(text) for text in values}
            found += unless(told[name] == tally, "L20", f"{where}{name} is not how often each occurs")
        else:
            numbers = [value for value in values if value is not None]
            found += unless(
                _is_interval(told[name], numbers, confidence),
                "L20",
                f"{where}{name} is not that of the replications",
            )
    return found


def _nothing(like: Mapping[str, Any]) -> dict[str, Any]:
    """A thing that a replication lacks, such as an instance type or a share: zeros, no ratios, no times."""
    return {
        name: _nothing(value)
        if isinstance(value, dict)
        else None
        if name.endswith(_UNKNOWN_OF_NOTHING)
        else 0
        for name, value in like.items()
    }


def _is_interval(told: Mapping[str, Any] | None, numbers: Sequence[float], confidence: float) -> bool:
    if told is None or not numbers:
        return told is None and not numbers
    values = np.array(numbers, dtype=np.float64)
    mean, count = values.mean(), len(values)
    expected: dict[str, float | None] = {
        "mean": mean,
        "least": values.min(),
        "most": values.max(),
        "replications": count,
        "half_width": None,
        "low": None,
        "high": None,
    }
    if count > 1:
        half = _student_t(count - 1, confidence) * values.std(ddof=1) / math.sqrt(count)
        expected |= {"half_width": half, "low": mean - half, "high": mean + half}
    scale = float(np.abs(values).max())
    return told.keys() == expected.keys() and all(
        _close(told[key], value, scale) for key, value in expected.items()
    )


def _student_t(degrees: int, confidence: float) -> float:
    """The two-sided quantile, by the incomplete beta function."""
    from scipy.special import betaincinv  # noqa: PLC0415 - slow to import, and only needed here

    x = float(betaincinv(degrees / 2, 0.5, 1 - confidence))
    return math.sqrt(degrees * (1 / x - 1))


def _close(told: float | None, expected: float | None, scale: float) -> bool:
    if told is None or expected is None:
        return told is expected
    return math.isclose(told, expected, rel_tol=1e-9, abs_tol=1e-9 * max(1.0, scale))
