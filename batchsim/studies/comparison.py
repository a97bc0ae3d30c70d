"""What a comparison of variants found: the ranked table, and the verdict on its targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batchsim.errors import UsageError
from batchsim.report.pictures import as_bytes
from batchsim.report.tradeoff import Point, Titles, draw_tradeoff
from batchsim.results.files import MANIFEST, Owner, write_study
from batchsim.studies.cells import as_html
from batchsim.studies.measures import VERDICTS
from batchsim.studies.replications import CONFIDENCE, Interval, interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from batchsim.scenario import Scenario
    from batchsim.studies.measures import Measure, Target
    from batchsim.studies.variants import Axis, Variant

FOLDER: Final = Owner(
    "compare",
    frozenset(
        {
            MANIFEST,
            "table.csv",
            "table.json",
            "runs.csv",
            "cost-against-wait.png",
            "cost-against-wait.svg",
        }
    ),
)
LEAST_SHARE_DONE: Final = 0.99
"""Who lets fewer jobs succeed than this part of what the best variant does, does less work for its price."""


class NeverPlaced(NamedTuple):
    """Jobs of a variant that can never start: how many, of how many, and why."""

    jobs: int
    of: int
    why: tuple[str, ...]


class Outcome(NamedTuple):
    """A variant and its replications.

    measured    by column of a measure one value a replication; {} where jobs are never placed
    at_horizon  some replication was stopped at the scenario's horizon
    ended       jobs that ended, mean of the replications
    jobs        all that there are to do, mean of the replications
    """

    variant: Variant
    measured: Mapping[str, tuple[float | None, ...]]
    at_horizon: bool = False
    never: NeverPlaced | None = None
    ended: float = 0
    jobs: float = 0

    def interval(self, column: str) -> Interval | None:
        return _interval(self.measured.get(column, ()))

    def difference(self, column: str, other: Outcome) -> Interval | None:
        """Of this variant to the other one, by replication."""
        pairs = zip(self.measured.get(column, ()), other.measured.get(column, ()), strict=False)
        return _interval([None if None in (one, two) else one - two for one, two in pairs])  # type: ignore[operator]


def _interval(values: Sequence[float | None]) -> Interval | None:
    known = [value for value in values if value is not None]
    return interval(known) if known else None


@dataclass(frozen=True)
class Comparison:
    """Variants of one scenario, each simulated `replications` times with the same draws.

    scenario   what all have in common, speed factors included
    axes       what is varied, by name
    measures   what they are compared by
    targets    what `subject_to` asked for
    outcomes   one a variant, in the order of the grid

    price_dates   by region of the variants the dates of their prices, "" where these are the scenario's own
    """

    scenario: Scenario
    axes: Mapping[str, Axis]
    measures: tuple[Measure, ...]
    targets: tuple[Target, ...]
    outcomes: tuple[Outcome, ...]
    replications: int
    seed: int
    version: str
    price_dates: Mapping[str, str]
    not_modelled: tuple[str, ...] = ()

    @cached_property
    def baseline(self) -> Outcome | None:
        """To which differences are taken: the first variant that places all its jobs."""
        return next((each for each in self.outcomes if each.never is None), None)

    @cached_property
    def ranked(self) -> tuple[Outcome, ...]:
        """By mean cost; then those that do less of the work, then those that never place some of it."""
        order = {id(each): row for row, each in enumerate(self.outcomes)}
        return tuple(
            sorted(self.outcomes, key=lambda each: (*self._class_of(each), _cost(each), order[id(each)]))
        )

    @cached_property
    def cheapest(self) -> Outcome | None:
        """The cheapest variant that does the whole work and whose means meet all targets."""
        return next(
            (
                each
                for each in self.ranked
                if self._class_of(each) == (0, 0) and self.verdict(each) in {"", "yes", "likely"}
            ),
            None,
        )

    def verdict(self, outcome: Outcome) -> str:
        """On all targets: yes or no if the whole interval says so, likely or unlikely if only the mean does.

        "" without targets, and where jobs are never placed.
        """
        if outcome.never is not None or not self.targets:
            return ""
        found = [each.verdict(outcome.interval(each.measure.column)) for each in self.targets]
        return max(found, key=VERDICTS.index)

    def missed(self, outcome: Outcome) -> list[Target]:
        """The targets that its means do not meet."""
        return [
            each
            for each in self.targets
            if each.verdict(outcome.interval(each.measure.column)) in {"no", "unlikely"}
        ]

    def does_less(self, outcome: Outcome) -> bool:
        """Whether fewer of its jobs succeed than of another variant: clearly, or because it was stopped."""
        done = outcome.interval("jobs_succeeded")
        if done is None:
            return False
        return done.mean < (self._most_done if outcome.at_horizon else LEAST_SHARE_DONE * self._most_done)

    @cached_property
    def _most_done(self) -> float:
        done = [each.interval("jobs_succeeded") for each in self.outcomes]
        return max((each.mean for each in done if each is not None), default=0.0)

    def leaves_work(self, outcome: Outcome) -> bool:
        """Whether it was stopped before all was done, where variants have horizons of their own.

        Under one horizon for all, what is done by then is compared: whoever does as much as any is not less.
        """
        horizons = {each.variant.scenario.horizon for each in self.outcomes}
        return len(horizons) > 1 and outcome.at_horizon and outcome.ended < outcome.jobs

    def _class_of(self, outcome: Outcome) -> tuple[int, int]:
        return int(outcome.never is not None), self.does_less(outcome) + self.leaves_work(outcome)

    # --- frames ---------------------------------------------------------------------------------

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a variant, the best first; the index is its name.

        rank                Int64, from 1; missing where jobs are never placed
        cheapest            bool: the cheapest that does all the work and meets all targets
        (a column an axis)  str: the value that the variant has
        status              str: compared, stopped at the horizon, fewer jobs succeed, never placed
        meets               str: see `verdict`
        (measure)           float64: mean over the replications, such as cost_usd, makespan_s
        (measure)_low, _high   its 95 % interval
        (measure)_difference, _difference_low, _difference_high   to the baseline, paired
        never_placed        Int64: jobs that can never start
        why                 str
        """
        import pandas as pd  # noqa: PLC0415 - slow to import

        rows = [self._row(rank, each) for rank, each in enumerate(self.ranked, 1)]
        frame = pd.DataFrame(
            rows, index=pd.Index([each.variant.name for each in self.ranked], name="variant")
        )
        kinds = {"rank": "Int64", "never_placed": "Int64", "cheapest": "bool"}
        texts = dict.fromkeys((*self.axes, "status", "meets", "why"), "str")
        return frame.astype({name: texts.get(name) or kinds.get(name, "float64") for name in frame.columns})

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a variant and replication, with its measures as float64."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        columns = [each.column for each in self.measures]
        rows = [
            {"variant": each.variant.name, "replication": number}
            | {column: each.measured[column][number] for column in columns}
            for each in self.outcomes
            if each.measured
            for number in range(self.replications)
        ]
        frame = pd.DataFrame(rows, columns=["variant", "replication", *columns])
        return frame.astype({"variant": "str", "replication": "int64", **dict.fromkeys(columns, "float64")})

    def _row(self, rank: int, each: Outcome) -> dict[str, Any]:
        row: dict[str, Any] = {
            "rank": rank if each.never is None else None,
            "cheapest": each is self.cheapest,
            **dict(zip(self.axes, each.variant.labels, strict=True)),
            "status": self.status(each),
            "meets": self.verdict(each),
        }
        for measure in self.measures:
            column = measure.column
            row |= _cells(column, each.interval(column))
            row |= _cells(f"{column}_difference", self.difference(each, column))
        never = each.never
        return {
            **row,
            "never_placed": never.jobs if never else 0,
            "why": "; ".join(never.why) if never else "",
        }

    def status(self, outcome: Outcome) -> str:
        if outcome.never is not None:
            return "never placed"
        if self.does_less(outcome):
            return "fewer jobs succeed"
        return "stopped at the horizon" if outcome.at_horizon else "compared"

    def difference(self, outcome: Outcome, column: str) -> Interval | None:
        """To the baseline, paired; None for the baseline itself."""
        if self.baseline is None or outcome is self.baseline:
            return None
        return outcome.difference(column, self.baseline)

    @property
    def _region(self) -> str:
        return ", ".join(self.price_dates)

    @property
    def _price_date(self) -> str:
        """Of each region, where they differ."""
        dates = self.price_dates
        if len(set(dates.values())) == 1:
            return next(iter(dates.values()))
        return ", ".join(f"{date} in {region}" for region, date in dates.items() if date)

    # --- data -----------------------------------------------------------------------------------

    @property
    def manifest(self) -> dict[str, Any]:
        """JSON-able: what the comparison rests on. No clock time and no path: equal ones are equal."""
        return {
            "batchsim": self.version,
            "study": "compare",
            "name": self.scenario.name,
            "region": self._region,
            "currency": "USD",
            "price_date": self._price_date,
            "seed": self.seed,
            "replications": self.replications,
            "confidence": CONFIDENCE,
            "vary": {axis.path: list(axis.values) for axis in self.axes.values()},
            "subject_to": [each.text for each in self.targets],
            "variants": [
                {
                    "name": each.variant.name,
                    "set": list(each.variant.overrides),
                    "scenario_sha256": each.variant.scenario.digest(),
                }
                for each in self.outcomes
            ],
            "assumptions": self.scenario.assumptions.resolved().model_dump(mode="json", exclude_none=True),
            "not_modelled": list(self.not_modelled),
            "scenario": self.scenario.to_dict(),
        }

    def to_dict(self) -> dict[str, Any]:
        """The ranked variants as JSON-able data."""
        kept = (
            "name",
            "region",
            "currency",
            "price_date",
            "seed",
            "replications",
            "confidence",
            "subject_to",
        )
        return {
            **{key: self.manifest[key] for key in kept},
            "baseline": self.baseline.variant.name if self.baseline else None,
            "cheapest": self.cheapest.variant.name if self.cheapest else None,
            "variants": [self._as_dict(rank, each) for rank, each in enumerate(self.ranked, 1)],
        }

    def _as_dict(self, rank: int, each: Outcome) -> dict[str, Any]:
        measures = {}
        for measure in self.measures:
            found, difference = each.interval(measure.column), self.difference(each, measure.column)
            if found is not None:
                told = difference._asdict() if difference else None
                measures[measure.column] = {**found._asdict(), "difference": told}
        return {
            "rank": rank if each.never is None else None,
            "name": each.variant.name,
            "values": dict(zip(self.axes, each.variant.labels, strict=True)),
            "set": list(each.variant.overrides),
            "cheapest": each is self.cheapest,
            "status": self.status(each),
            "meets": self.verdict(each),
            "never_placed": each.never._asdict() if each.never else None,
            "measures": measures,
        }

    # --- for people -----------------------------------------------------------------------------

    @property
    def title(self) -> str:
        several = f", {self.replications} replications each, with the same draws"
        number = len(self.outcomes)
        return f"{self.scenario.name}: {number} variants{several if self.replications > 1 else ''}"

    def plot(self, wait: str | None = None) -> Figure:
        """Cost against a wait as a matplotlib Figure; variants that never place some job are named above it.

        wait   the column of a measure in seconds; by default the first that there is a target for, else
               waiting_p95_s
        """
        titles = {each.column: each.title for each in self.measures if each.unit == "s"}
        asked = [each.measure.column for each in self.targets if "waiting" in each.measure.column]
        wait = wait or next(iter(asked), "waiting_p95_s")
        if wait not in titles:
            raise UsageError(path="wait", expected=" or ".join(titles), found=repr(wait))
        missing = ", ".join(each.variant.name for each in self.outcomes if each.never is not None)
        figure: Figure = draw_tradeoff(
            [
                Point(each.variant.name, _ends(each, wait), _ends(each, "cost_usd"), each is self.cheapest)
                for each in self.outcomes
                if each.interval(wait) is not None
            ],
            Titles(
                above=self.title,
                small="; ".join(
                    [
                        *(["bars: 95 % intervals"] if self.replications > 1 else []),
                        *([f"not shown, as some jobs can never be placed: {missing}"] if missing else []),
                    ]
                ),
                wait=titles[wait],
                cost=f"cost, USD ({', '.join(filter(None, (self._region, self._price_date)))})",
                best="the cheapest that meets all targets" if self.targets else "the cheapest",
                waits=[each.limit for each in self.targets if each.measure.column == wait],
                costs=[each.limit for each in self.targets if each.measure.column == "cost_usd"],
            ),
        )
        return figure

    def write(self, folder: str | Path) -> None:
        """Write the files of `FOLDER`, all of them or nothing; an earlier comparison is replaced.

        Raises ResultError when the folder cannot be written to or holds other things.
        """
        picture = self.plot()
        files: dict[str, pd.DataFrame | bytes | dict[str, Any]] = {
            "table.csv": self.table.reset_index(),
            "table.json": self.to_dict(),
            "runs.csv": self.runs,
            "cost-against-wait.png": as_bytes(picture, "png"),
            "cost-against-wait.svg": as_bytes(picture, "svg"),
        }
        write_study(folder, FOLDER, files, self.manifest)

    def __repr__(self) -> str:
        best = self.cheapest.variant.name if self.cheapest else "none"
        return f"<Comparison {self.scenario.name}: {len(self.outcomes)} variants, cheapest: {best}>"

    def _repr_html_(self) -> str:
        return as_html(self, self.title)


def _ends(outcome: Outcome, column: str) -> tuple[float, float, float]:
    found = outcome.interval(column)
    assert found is not None
    if found.low is None or found.high is None:
        return found.mean, found.mean, found.mean
    return found.mean, found.low, found.high


def _cost(outcome: Outcome) -> float:
    found = outcome.interval("cost_usd")
    return math.inf if found is None else found.mean


def _cells(name: str, found: Interval | None) -> dict[str, float | None]:
    ends = (found.mean, found.low, found.high) if found else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
