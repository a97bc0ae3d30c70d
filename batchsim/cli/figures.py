"""Numbers for people: a column of them has one number of decimals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsim.units import US_PER_S, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOTHING = "-"
_MOST_REASONS = 4
_MOST_NAMES = 4


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    return f"{'-' if seconds < 0 else ''}{format_duration(abs(seconds) * US_PER_S)}"


def percent(part: float | None) -> str:
    return NOTHING if part is None else f"{100 * part:.1f} %"


def count(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def jobs(number: int) -> str:
    return f"{number:,} job{'' if number == 1 else 's'}"


def several(names: Sequence[str]) -> str:
    """Names with commas, the first of many only."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def decimals(values: Iterable[float | None], least: int) -> int:
    """How many decimals show three digits of the largest of these numbers; at least `least`, at most 4."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    if not largest:
        return least
    return max(least, next((places for places, limit in enumerate((100, 10, 1, 0.1)) if largest >= limit), 4))


def column(values: Sequence[float | None], least: int = 1) -> list[str]:
    places = decimals(values, least)
    return [NOTHING if value is None else f"{value:,.{places}f}" for value in values]


def counts(values: Sequence[float | None]) -> list[str]:
    """Means of whole numbers: with a decimal unless all of them are whole."""
    places = int(any(value is not None and value != int(value) for value in values))
    return [NOTHING if value is None else f"{value:,.{places}f}" for value in values]


def vcpus(number: float) -> str:
    """VCPUs, with a decimal point only where they are not whole."""
    return f"{number:,.12g}"


def usd(values: Sequence[float | None]) -> list[str]:
    """US dollars, to the cent at least."""
    return column(values, least=2)


def has_gpus(summary: dict[str, Any]) -> bool:
    """Whether any GPU was paid for, in one run or, by intervals, in any of several."""
    paid = summary["gpu_hours_paid"]
    return bool(paid["most"] if isinstance(paid, dict) else paid)


def by_reason(counted: dict[str, Any], what: str) -> str:
    """The reasons, the most frequent first."""
    told = [f"{each[what]:,}: {reason}" for reason, each in counted.items()]
    rest = sum(each[what] for each in [*counted.values()][_MOST_REASONS:])
    return "; ".join(told[:_MOST_REASONS] + ([f"{rest:,}: other reasons"] if rest else []))
