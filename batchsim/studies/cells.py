"""A comparison as a table of texts: what a terminal and a notebook show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from batchsim.units import US_PER_S, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsim.studies.comparison import Comparison, Outcome
    from batchsim.studies.measures import Measure, Target
    from batchsim.studies.replications import Interval

NOTHING = "-"
TICK = "✓"
_MOST_CUT = 5  # variants of which is told what they did
# Shown always; the others only where there is something to say or when everything is asked for.
_SHOWN = ("cost_usd", "makespan_s", "waiting_p95_s", "utilization", "gpu_utilization", "waste_share")


class Texts(NamedTuple):
    """`headers` and as many cells in each row; the first `words` columns hold words, as does the last."""

    headers: list[str]
    rows: list[list[str]]
    words: int


def ranking(comparison: Comparison, *, everything: bool = False) -> Texts:
    """The variants, the best first: means and half-widths of their intervals."""
    measures = shown(comparison, everything=everything)
    rows = [
        [
            NOTHING if each.never else str(rank),
            TICK if each is comparison.cheapest else "",
            *each.variant.labels,
            *(cell(measure, each.interval(measure.column)) for measure in measures),
            remark(comparison, each),
        ]
        for rank, each in enumerate(comparison.ranked, 1)
    ]
    headers = [
        "rank",
        "",
        *comparison.axes,
        *map(_header, measures),
        "meets targets" if comparison.targets else "remark",
    ]
    return Texts(headers, rows, 2 + len(comparison.axes))


def differences(comparison: Comparison, *, everything: bool = False) -> Texts | None:
    """The variants against the baseline; None where there are no two to compare."""
    measures = shown(comparison, everything=everything)
    others = [each for each in comparison.ranked if each.never is None and each is not comparison.baseline]
    if not others:
        return None
    rows = [
        [
            *each.variant.labels,
            *(
                cell(measure, comparison.difference(each, measure.column), signed=True)
                for measure in measures
            ),
        ]
        for each in others
    ]
    return Texts([*comparison.axes, *map(_header, measures)], rows, len(comparison.axes))


def sentences(comparison: Comparison) -> Iterator[str]:
    """What the table does not say by itself."""
    best = comparison.cheapest
    what = "that meets all targets" if comparison.targets else "of these variants"
    if best is None:
        runs = any(each.never is None for each in comparison.outcomes)
        work = "does the whole work" if runs else "places all jobs"
        yield (
            "no variant does the whole work and meets all targets"
            if comparison.targets
            else f"no variant {work}"
        )
    else:
        yield f"{TICK} the cheapest {what}: {best.variant.name}"
        if comparison.verdict(best) == "likely":
            yield "its mean meets them, but its interval does not as a whole: more replications (-n) may tell"
    for each in comparison.ranked:
        if each.never is not None:
            yield (
                f"{each.variant.name} never places {each.never.jobs:,} of {each.never.of:,} jobs:"
                f" {'; '.join(each.never.why)}"
            )
    first, base = comparison.outcomes[0], comparison.baseline
    if base is not None and base is not first:
        yield (
            f"differences are to {base.variant.name}"
            if differences(comparison)
            else f"there are no differences to tell: only {base.variant.name} places all jobs"
        )
    if any(each.at_horizon for each in comparison.outcomes):
        yield "runs were stopped at the horizon: cost and SUCCEEDED are of what was done by then"
        cut = [each for each in comparison.ranked if each.at_horizon]
        done = [f"{each.variant.name} ended {_done(each)} jobs" for each in cut[:_MOST_CUT]]
        yield f"by then {'; '.join(done)}{'; ...' if len(cut) > _MOST_CUT else ''}"


def _miss(target: Target, outcome: Outcome) -> str:
    """The target, and by how much its mean misses it, where it is not just at the limit."""
    found = outcome.interval(target.measure.column)
    if found is None or found.mean == target.limit:
        return target.text
    unit = {"share": " points", "USD": " USD"}.get(target.measure.unit, "")
    return f"{target.text} by {_amount(target.measure, abs(found.mean - target.limit))}{unit}"


def _done(outcome: Outcome) -> str:
    ended, jobs = (f"{each:,.1f}".removesuffix(".0") for each in (outcome.ended, outcome.jobs))
    return f"{ended} of {jobs}"


def shown(comparison: Comparison, *, everything: bool) -> list[Measure]:
    """What has a column: of the jobs that succeeded only where they are not as many everywhere."""
    wanted = {*_SHOWN, *(each.measure.column for each in comparison.targets)}
    done = [each.interval("jobs_succeeded") for each in comparison.outcomes if each.never is None]
    if len({each.mean for each in done if each is not None}) > 1:
        wanted.add("jobs_succeeded")
    return [each for each in comparison.measures if everything or each.column in wanted]


def remark(comparison: Comparison, outcome: Outcome) -> str:
    """The verdict, and what is wrong with the variant."""
    if outcome.never is not None:
        return f"NEVER PLACED: {outcome.never.jobs:,} job{'' if outcome.never.jobs == 1 else 's'}"
    verdict = comparison.verdict(outcome)
    missed = ", ".join(_miss(target, outcome) for target in comparison.missed(outcome))
    told = [
        f"{verdict}: {missed}" if missed else verdict,
        "fewer jobs succeed"
        if comparison.does_less(outcome)
        else "stopped at the horizon"
        if comparison.leaves_work(outcome)
        else "",
    ]
    return ", ".join(filter(None, told))


def cell(measure: Measure, found: Interval | None, *, signed: bool = False) -> str:
    """Mean and half-width in the unit of the measure."""
    if found is None:
        return NOTHING
    sign = ("+" if found.mean > 0 else "-" if found.mean < 0 else "") if signed or found.mean < 0 else ""
    mean = sign + _amount(measure, abs(found.mean))
    unit = "" if measure.unit != "share" else " points" if signed else " %"
    if found.half_width is None:
        return mean + unit
    return f"{mean} ± {_amount(measure, found.half_width)}{unit}"


def _header(measure: Measure) -> str:
    return f"{measure.title} USD" if measure.unit == "USD" else measure.title


def _amount(measure: Measure, number: float) -> str:
    if measure.unit == "s":
        return format_duration(number * US_PER_S)
    if measure.unit == "share":
        return f"{100 * number:.1f}"
    return f"{number:,.2f}" if measure.unit == "USD" else f"{number:,.1f}".removesuffix(".0")


def as_html(comparison: Comparison, title: str) -> str:
    """For notebooks."""
    from html import escape  # noqa: PLC0415 - only notebooks ask

    def row(cells: Sequence[str], kind: str, texts: Texts) -> str:
        aligned = ["left" if place < texts.words else "right" for place in range(len(cells))]
        return (
            "<tr>"
            + "".join(
                f"<{kind} style='text-align:{side}'>{escape(each)}</{kind}>"
                for each, side in zip(cells, aligned, strict=True)
            )
            + "</tr>"
        )

    parts: list[Any] = [f"<b>{escape(title)}</b>"]
    tables = [("", ranking(comparison)), (f"difference to {_baseline(comparison)}", differences(comparison))]
    for caption, texts in tables:
        if texts is not None:
            rows = "".join(row(each, "td", texts) for each in texts.rows)
            parts.append(
                f"<div>{escape(caption)}</div><table>{row(texts.headers, 'th', texts)}{rows}</table>"
            )
    parts += [f"<small>{escape(each)}</small><br>" for each in sentences(comparison)]
    return f"<div>{''.join(parts)}</div>"


def _baseline(comparison: Comparison) -> str:
    return comparison.baseline.variant.name if comparison.baseline else ""
