"""What variants are compared by, and the targets that a user sets for it.

A measure is a number of one run. `MEASURES` are those of the run as a whole; some of them can be asked of
one job queue, too: `clinical.p95_wait`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from batchsim.errors import UsageError
from batchsim.scenario.suggestions import did_you_mean
from batchsim.units import US_PER_S, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from batchsim.studies.replications import Interval

Unit = Literal["USD", "s", "share", "jobs"]
Verdict = Literal["yes", "likely", "unlikely", "no"]
# The best first: the verdict on several targets is the worst of those on each.
VERDICTS: Final[tuple[Verdict, ...]] = ("yes", "likely", "unlikely", "no")


@dataclass(frozen=True, slots=True)
class Measure:
    """`column` is its name in frames, `word` in targets, `title` in tables.

    of   from a run's summary, or the part of it about a queue; None where there is nothing to measure
    """

    column: str
    word: str
    title: str
    unit: Unit
    of: Callable[[Mapping[str, Any]], float | None]

    def of_queue(self, queue: str) -> Measure:
        def of(summary: Mapping[str, Any]) -> float | None:
            return self.of(summary["queues"][queue])

        return Measure(
            f"{queue}.{self.column}", f"{queue}.{self.word}", f"{queue} {self.title}", self.unit, of
        )


def _key(column: str, word: str, title: str, unit: Unit) -> Measure:
    return Measure(column, word, title, unit, lambda summary: summary[column])


def _wasted(summary: Mapping[str, Any]) -> float:
    return float(summary["cost_usd"] - summary["cost_parts_usd"]["busy"])


def _wasted_share(summary: Mapping[str, Any]) -> float | None:
    return _wasted(summary) / summary["cost_usd"] if summary["cost_usd"] else None


OF_QUEUES: Final = (
    _key("cost_usd", "cost", "cost", "USD"),
    _key("makespan_s", "makespan", "makespan", "s"),
    _key("waiting_mean_s", "mean_wait", "mean wait", "s"),
    _key("waiting_p50_s", "p50_wait", "P50 wait", "s"),
    _key("waiting_p95_s", "p95_wait", "P95 wait", "s"),
    _key("waiting_p99_s", "p99_wait", "P99 wait", "s"),
    _key("waiting_max_s", "max_wait", "longest wait", "s"),
)
MEASURES: Final = (
    *OF_QUEUES,
    _key("utilization", "utilization", "utilization", "share"),
    _key("gpu_utilization", "gpu_utilization", "utilization of GPUs", "share"),
    Measure("waste_share", "waste", "waste", "share", _wasted_share),
    Measure("waste_usd", "waste_usd", "waste", "USD", _wasted),
    Measure("jobs_succeeded", "succeeded", "SUCCEEDED", "jobs", lambda run: run["states"]["SUCCEEDED"]),
)

_TARGET = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=|<|>)\s*(.*?)\s*")
_NUMBER = re.compile(r"([0-9]{1,15}(?:\.[0-9]{0,15})?)\s*(%|USD)?")


@dataclass(frozen=True, slots=True)
class Target:
    """A measure and the limit that is set to it, in the unit of its column."""

    text: str
    measure: Measure
    sign: str
    limit: float

    def met_by(self, value: float) -> bool:
        if self.sign == "<=":
            return value <= self.limit
        if self.sign == ">=":
            return value >= self.limit
        return value < self.limit if self.sign == "<" else value > self.limit

    def verdict(self, found: Interval | None) -> Verdict:
        """Of the mean, and whether the whole interval says the same; no value meets no target."""
        if found is None:
            return "no"
        met = self.met_by(found.mean)
        ends = [end for end in (found.low, found.high) if end is not None]
        sure = all(self.met_by(end) == met for end in ends)
        return ("yes" if sure else "likely") if met else ("no" if sure else "unlikely")


def parse_target(text: str, queues: Collection[str]) -> Target:
    """The target of a text such as `p95_wait<=30m`, `cost<100` or `clinical.p95_wait<=10m`.

    Raises UsageError.
    """
    match = _TARGET.fullmatch(text)
    place = f"--subject-to {text}"
    if match is None:
        raise UsageError(
            file=place, expected="MEASURE<=VALUE (or >=, <, >)", hint="for example p95_wait<=30m"
        )
    name, sign, written = match.groups()
    measure = _measure(name, queues, place)
    return Target(text.strip(), measure, sign, _limit(written, measure.unit, place))


def _measure(name: str, queues: Collection[str], place: str) -> Measure:
    queue, _, word = name.rpartition(".")
    known = {alias: each for each in (OF_QUEUES if queue else MEASURES) for alias in (each.word, each.column)}
    if queue and queue not in queues:
        raise UsageError(
            file=place, expected="a job queue", found=repr(queue), hint=did_you_mean(queue, queues)
        )
    if word not in known:
        hint = did_you_mean(word, list(dict.fromkeys(each.word for each in known.values())))
        raise UsageError(file=place, expected="a measure", found=repr(word), hint=hint)
    return known[word].of_queue(queue) if queue else known[word]


def _limit(written: str, unit: Unit, place: str) -> float:
    if unit == "s":
        try:
            return (
                parse_duration(float(written) if written.replace(".", "", 1).isdigit() else written)
                / US_PER_S
            )
        except ValueError as error:
            raise UsageError(str(error), file=place) from None
    match = _NUMBER.fullmatch(written)
    percent = match is not None and match[2] == "%"
    if match is None or (percent and unit != "share") or (match[2] == "USD" and unit != "USD"):
        example = {"USD": "100 or 99.50 USD", "share": "80% or 0.8", "jobs": "1000"}[unit]
        raise UsageError(file=place, expected=f"a number such as {example}", found=repr(written))
    limit = float(match[1]) / (100 if percent else 1)
    if unit == "share" and limit > 1:
        hint = None if percent or limit > 100 else f"for {match[1]} % write {match[1]}%"
        raise UsageError(file=place, expected="a share of at most 100% or 1", found=repr(written), hint=hint)
    return limit
